// Topics as clients name them, and where they lie in the store: "orders-partition-3" is partition 3 of the stream
// "orders", every other name is a stream without partitions. Streams are made as clients ask for them, as a broker with
// automatic creation does.
//
// On the server's loop. Asks the store each time, since others make and delete streams too.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "stream/pulsar/server/answer_private.h"
#include "stream/store.h"

namespace fmesh::stream::pulsar::server {

// A note of a stream: "true" or "false", whether producers that name themselves are deduplicated.
inline constexpr const char* kDeduplicationNote = "deduplication";

// Names and properties that a client gives are kept as long as it is connected, topics and subscriptions for ever.
inline constexpr size_t kNameSizeMaxBytes = 1'024;
inline constexpr size_t kPropertiesSizeMaxBytes = 64 * 1024;

// Nothing if `name` is fit to be kept. `what`: "the name of the subscription".
std::optional<Refusal> refusal_of_name(const char* what, const std::string& name);
// The properties of a producer or consumer. Errors: NotAllowedError if they are too many.
Answer<std::map<std::string, std::string>> read_properties(
    const google::protobuf::RepeatedPtrField<proto::KeyValue>& pairs);

struct TopicPlace {
  std::string stream;      // full name
  int32_t partition = -1;  // -1: the stream has no partitions
  std::string topic() const;
  // As Append counts them.
  int32_t append_partition() const { return partition < 0 ? 0 : partition; }
};

class Topics {
 public:
  // Streams that are made get `partitions`; 0: none.
  Topics(Store& store, int32_t partitions) : store_(store), partitions_(partitions) {}

  // The number of partitions, 0 for a topic without. Errors: InvalidTopicName; NotAllowedError for non-persistent ones;
  // TopicNotFound if it is missing and not to be made.
  Answer<int32_t> partition_count(const std::string& topic, bool create);
  // One place of one topic. Errors: the same; NotAllowedError for a topic with partitions as a whole.
  Answer<TopicPlace> find(const std::string& topic, bool create);
  // Full names, partitions one by one, in order.
  Answer<std::vector<std::string>> of_namespace(const std::string& name_space);

 private:
  Store& store_;
  const int32_t partitions_;
};

// "Key_Shared", as Pulsar spells it.
const char* type_name(SubscriptionType type);

// Pulsar's hash of a list of topics (facts: pulsar.md 1.11, 10).
std::string topics_hash(std::vector<std::string> topics);

}  // namespace fmesh::stream::pulsar::server
