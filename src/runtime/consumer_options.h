// What an instance's details say about reading: subscription, type, position, retries, dead letters, compression. Pure;
// shared by every instance that reads streams.
#pragma once

#include <string>

#include "model/instance_spec.h"
#include "runtime/logic.h"
#include "runtime/outputs.h"
#include "stream/client.h"

namespace fmesh::runtime {

stream::ConsumerOptions consumer_options(const model::InstanceSpec& spec);
// details.source.subscriptionName, or tenant/namespace/name.
std::string subscription_name(const model::FunctionDetails& details);
stream::Compression output_compression(const model::FunctionDetails& details);
OutputsOptions outputs_options(const model::InstanceSpec& spec, const stream::Client& client);
// Effectively once where commits are not atomic: outputs are numbered by their input, so that what a crash makes come
// twice is dropped.
bool replays(const model::FunctionDetails& details, const stream::Client& client);

struct RetryPolicy {
  int max_retries = -1;  // -1: for ever
  std::string dead_letter_topic;
};
RetryPolicy retry_policy(const model::FunctionDetails& details);

// Of what a person is told about a dead letter, so much is kept with it.
inline constexpr size_t kDeadLetterErrorMaxBytes = 1'024;

// Writes `record` to the dead-letter stream with where it came from (Pulsar's property names, facts: pulsar.md 3.7) and
// why.
Status add_dead_letter(Outputs& outputs, const std::string& topic, const LogicRecord& record,
                       const std::string& subscription, const std::string& component, std::string_view why);

}  // namespace fmesh::runtime
