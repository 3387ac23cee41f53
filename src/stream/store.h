// A Store is a Client that holds its streams itself, and so can say what only their holder knows: what lies at a place,
// and notes that belong to a stream and go with it (its schemas, for example). A protocol server stands in front of a
// Store; what runs functions needs a Client only, and a cluster that is reached over a network is one.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "stream/client.h"

namespace fmesh::stream {

// Bounds what one stream may note: keys and values together.
inline constexpr size_t kNotesSizeMaxBytes = 4 * 1024 * 1024;

class Store : public Client {
 public:
  // Nothing if there is no such stream. Cheap: it may be asked for each request of a client.
  virtual Result<std::optional<StreamInfo>> find_stream(const std::string& topic) = 0;
  // The entry at `id`, whatever subscriptions think of it; nothing if it is not there or no longer.
  // Errors: kCorrupt names file and offset.
  virtual Result<std::optional<ReceivedEntry>> read_entry(const std::string& topic, const MessageId& id) = 0;
  // The first entry of a partition (-1: of a stream without partitions) that was published at or after the time; one
  // past the last if none was. Errors: kFixInput if there is no such partition.
  virtual Result<MessageId> find_time(const std::string& topic, int32_t partition, int64_t publish_time_ms) = 0;

  // Moves one partition of a subscription, as Consumer::seek does, without being one of its consumers: `place` is the
  // next entry to read, one past the last for the end. What its consumers were handed before is void.
  // Errors: kFixInput if there is no such stream, subscription or place.
  virtual Status move_subscription(const std::string& topic, const std::string& subscription,
                                   const MessageId& place) = 0;

  virtual Result<std::map<std::string, std::string>> notes(const std::string& topic) = 0;
  // Sets a note, or removes it with an empty value; waits until that is durable.
  // Errors: kFixInput if there is no such stream, or if it would note more than kNotesSizeMaxBytes.
  virtual Status put_note(const std::string& topic, const std::string& key, const std::string& value) = 0;
};

}  // namespace fmesh::stream
