#include "runtime/consumer_options.h"

#include <vector>

#include "runtime/contexts.h"

namespace fmesh::runtime {

stream::ConsumerOptions consumer_options(const model::InstanceSpec& spec) {
  const model::FunctionDetails& details = spec.details;
  stream::ConsumerOptions options;
  options.topics = input_topics(details);
  options.subscription = subscription_name(details);
  // Failover goes by name: the instance with the lowest id leads, so ids are padded.
  const std::string id = std::to_string(spec.instance_id);
  options.name = details.fully_qualified_name() + "-" + std::string(id.size() < 5 ? 5 - id.size() : 0, '0') + id;
  if (!details.source) return options;
  for (const auto& [topic, input] : details.source->input_specs)
    if (input.is_regex_pattern) options.topic_pattern = topic;
  switch (details.source->subscription_type) {
    case model::DetailsSubscriptionType::kShared:
      options.type = stream::SubscriptionType::kShared;
      break;
    case model::DetailsSubscriptionType::kFailover:
      options.type = stream::SubscriptionType::kFailover;
      break;
    case model::DetailsSubscriptionType::kKeyShared:
      options.type = stream::SubscriptionType::kKeyShared;
      break;
  }
  options.position = details.source->subscription_position == model::DetailsSubscriptionPosition::kLatest
                         ? stream::InitialPosition::kLatest
                         : stream::InitialPosition::kEarliest;
  // Where the instance acknowledges, it knows itself which record takes too long: a batch may wait longer than one may.
  const bool user_acks = !details.auto_ack || details.processing_guarantees == model::ProcessingGuarantees::kManual;
  if (user_acks) options.ack_timeout_ms = static_cast<int64_t>(details.source->timeout_ms);
  if (details.source->negative_ack_redelivery_delay_ms > 0)
    options.nack_delay_min_ms = static_cast<int64_t>(details.source->negative_ack_redelivery_delay_ms);
  return options;
}

std::string subscription_name(const model::FunctionDetails& details) {
  if (details.source && !details.source->subscription_name.empty()) return details.source->subscription_name;
  return details.fully_qualified_name();
}

stream::Compression output_compression(const model::FunctionDetails& details) {
  // Without a producerConf nothing is compressed: on a local disk it costs more than it saves.
  if (!details.sink || !details.sink->producer_spec) return stream::Compression::kNone;
  switch (details.sink->producer_spec->compression_type) {
    case model::DetailsCompression::kLz4:
      return stream::Compression::kLz4;
    case model::DetailsCompression::kZlib:
      return stream::Compression::kZlib;
    case model::DetailsCompression::kZstd:
      return stream::Compression::kZstd;
    case model::DetailsCompression::kSnappy:
      return stream::Compression::kSnappy;
    case model::DetailsCompression::kNone:
      break;
  }
  return stream::Compression::kNone;
}

OutputsOptions outputs_options(const model::InstanceSpec& spec, const stream::Client& client) {
  const model::FunctionDetails& details = spec.details;
  OutputsOptions options;
  options.compression = output_compression(details);
  const std::string batches =
      details.sink && details.sink->producer_spec ? details.sink->producer_spec->batch_builder : "";
  options.split_by_key = client.deals_whole_entries() && batches != "DEFAULT";
  if (replays(details, client)) options.replay_prefix = "fmesh/" + details.fully_qualified_name();
  return options;
}

bool replays(const model::FunctionDetails& details, const stream::Client& client) {
  return details.processing_guarantees == model::ProcessingGuarantees::kEffectivelyOnce && !client.atomic();
}

RetryPolicy retry_policy(const model::FunctionDetails& details) {
  RetryPolicy policy;
  if (!details.retry_details || details.retry_details->max_message_retries <= 0) return policy;
  policy.max_retries = details.retry_details->max_message_retries;
  policy.dead_letter_topic = details.retry_details->dead_letter_topic;
  if (policy.dead_letter_topic.empty())
    policy.dead_letter_topic = details.tenant + "-" + details.name_space + "-" + details.name + "-DLQ";
  return policy;
}

Status add_dead_letter(Outputs& outputs, const std::string& topic, const LogicRecord& record,
                       const std::string& subscription, const std::string& component, std::string_view why) {
  const std::string id = stream::to_string(record.id);
  std::vector<stream::Property> properties(record.record.properties.begin(), record.record.properties.end());
  properties.push_back({"REAL_TOPIC", record.topic});
  properties.push_back({"ORIGIN_MESSAGE_ID", id});
  properties.push_back({"ORIGIN_MESSAGE_IDY_TIME", id});
  properties.push_back({"REAL_SUBSCRIPTION", subscription});
  properties.push_back({"fmesh.component", component});
  properties.push_back({"fmesh.error", why.substr(0, kDeadLetterErrorMaxBytes)});
  stream::RecordView letter = record.record;
  letter.properties = properties;
  Origin origin;
  if (outputs.needs_origin()) {
    FMESH_TRY(origin, Origin::of(record.topic, record.id));
  }
  outputs.begin_record(std::move(origin));
  Status added = outputs.add(topic, letter);
  // A record that just fitted its entry does not fit with a word about where it comes from.
  if (!added && added.error().kind() == ErrorKind::kFixInput) added = outputs.add(topic, record.record);
  return added;
}

}  // namespace fmesh::runtime
