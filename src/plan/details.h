// A component as Pulsar's FunctionDetails: what every instance of it is started with, here and in a pod. Byte for byte
// what upstream's operator makes, so that Pulsar's own instances keep working. Pure functions.
#pragma once

#include "model/function_details.h"
#include "model/resource_set.h"

namespace fmesh::plan {

// REQUIRES: defaults are applied. Stream names are taken as written (`names_as_written`) for pods, as upstream does, or
// made full, which instances on this machine expect.
enum class StreamNames { kAsWritten, kFull };
model::FunctionDetails make_details(const model::Component& component, StreamNames names);

// The same details with full stream names, for an instance that was given them as a pod is.
model::FunctionDetails with_full_names(model::FunctionDetails details);

// Where records go that failed maxMessageRetry times; empty: nowhere.
// With a subscription name and no deadLetterTopic it is Pulsar's own choice, <topic>-<subscription>-DLQ of each input.
std::vector<std::string> dead_letter_topics(const model::Component& component);

// The topics a component reads by name, in the order of upstream's precedence, each once; patterns are left out.
std::vector<std::string> input_topics(const model::InputConfig& input);
// The patterns it reads by.
std::vector<std::string> input_patterns(const model::InputConfig& input);

}  // namespace fmesh::plan
