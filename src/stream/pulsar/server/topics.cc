#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "stream/pulsar/server/topics_private.h"
#include "stream/topic_name.h"

namespace fmesh::stream::pulsar::server {
namespace {

Answer<TopicName> parse(const std::string& topic) {
  if (topic.size() > kNameSizeMaxBytes)
    return refuse(proto::InvalidTopicName, fmt::format("the name of the topic has {} bytes, at most {} are taken",
                                                       topic.size(), kNameSizeMaxBytes));
  auto name = TopicName::parse(topic);
  if (!name) return refuse(proto::InvalidTopicName, name.error().text());
  if (!name->persistent)
    return refuse(proto::NotAllowedError, fmt::format("topic {}: what is not persistent is not offered here; use "
                                                      "persistent://{}/{}/{}",
                                                      topic, name->tenant, name->name_space, name->local_name));
  return *name;
}

// The topic that `name` would be a partition of.
std::string whole_of(const TopicName& name, int32_t index) {
  const std::string full = name.full();
  return full.substr(0, full.size() - std::to_string(index).size() - std::string_view("-partition-").size());
}

Refusal not_found(const std::string& topic) {
  return {proto::TopicNotFound, fmt::format("there is no topic {}", topic)};
}

}  // namespace

std::optional<Refusal> refusal_of_name(const char* what, const std::string& name) {
  if (name.size() <= kNameSizeMaxBytes) return std::nullopt;
  return Refusal{proto::NotAllowedError,
                 fmt::format("{} has {} bytes, at most {} are taken", what, name.size(), kNameSizeMaxBytes)};
}

Answer<std::map<std::string, std::string>> read_properties(
    const google::protobuf::RepeatedPtrField<proto::KeyValue>& pairs) {
  std::map<std::string, std::string> properties;
  size_t size = 0;
  for (const auto& pair : pairs) {
    size += pair.key().size() + pair.value().size();
    if (size > kPropertiesSizeMaxBytes)
      return refuse(proto::NotAllowedError,
                    fmt::format("the properties have more than the {} bytes that are taken", kPropertiesSizeMaxBytes));
    properties[pair.key()] = pair.value();
  }
  return properties;
}

Refusal refusal_of(const Error& error) {
  switch (error.kind()) {
    case ErrorKind::kFixInput:
      return {proto::NotAllowedError, error.text()};
    case ErrorKind::kClosed:
    case ErrorKind::kRetryNow:
    case ErrorKind::kRetryLater:
      return {proto::ServiceNotReady, error.text()};
    case ErrorKind::kCorrupt:
    case ErrorKind::kBug:
      break;
  }
  return {proto::PersistenceError, error.text()};
}

std::string TopicPlace::topic() const {
  return partition < 0 ? stream : fmt::format("{}-partition-{}", stream, partition);
}

Answer<int32_t> Topics::partition_count(const std::string& topic, bool create) {
  auto name = parse(topic);
  if (!name) return std::unexpected(std::move(name.error()));
  const auto found = store_.find_stream(name->full());
  if (!found) return std::unexpected(refusal_of(found.error()));
  if (*found) return (*found)->options.partitions;
  if (const auto index = name->partition_index()) {
    const auto whole = store_.find_stream(whole_of(*name, *index));
    if (!whole) return std::unexpected(refusal_of(whole.error()));
    if (*whole && *index < (*whole)->options.partitions) return 0;
    // A partition is not made alone: it would be a stream that its topic does not know.
    return std::unexpected(not_found(topic));
  }
  if (!create) return std::unexpected(not_found(topic));
  StreamOptions options;
  options.partitions = partitions_;
  if (const auto made = store_.create_stream(name->full(), options); !made)
    return std::unexpected(refusal_of(made.error()));
  return partitions_;
}

Answer<TopicPlace> Topics::find(const std::string& topic, bool create) {
  const auto partitions = partition_count(topic, create);
  if (!partitions) return std::unexpected(partitions.error());
  if (*partitions > 0)
    return refuse(proto::NotAllowedError, fmt::format("topic {} has {} partitions; name one of them, as {}-partition-0",
                                                      topic, *partitions, topic));
  const auto name = *TopicName::parse(topic);
  const auto index = name.partition_index();
  if (!index) return TopicPlace{name.full(), -1};
  const auto whole = store_.find_stream(whole_of(name, *index));
  if (!whole) return std::unexpected(refusal_of(whole.error()));
  if (*whole && *index < (*whole)->options.partitions) return TopicPlace{whole_of(name, *index), *index};
  return TopicPlace{name.full(), -1};
}

Answer<std::vector<std::string>> Topics::of_namespace(const std::string& name_space) {
  const auto streams = store_.list_streams();
  if (!streams) return std::unexpected(refusal_of(streams.error()));
  std::vector<std::string> topics;
  for (const StreamInfo& info : *streams) {
    if (!info.topic.starts_with("persistent://" + name_space + "/")) continue;
    if (info.options.partitions == 0) topics.push_back(info.topic);
    for (int32_t i = 0; i < info.options.partitions; ++i) topics.push_back(TopicPlace{info.topic, i}.topic());
  }
  return topics;
}

const char* type_name(SubscriptionType type) {
  switch (type) {
    case SubscriptionType::kExclusive:
      return "Exclusive";
    case SubscriptionType::kShared:
      return "Shared";
    case SubscriptionType::kFailover:
      return "Failover";
    case SubscriptionType::kKeyShared:
      break;
  }
  return "Key_Shared";
}

std::string topics_hash(std::vector<std::string> topics) {
  std::ranges::sort(topics);
  std::string text;
  for (const std::string& topic : topics) text += (text.empty() ? "" : ",") + topic;
  return fmt::format("{:08x}", __builtin_bswap32(crc32c(text)));
}

}  // namespace fmesh::stream::pulsar::server
