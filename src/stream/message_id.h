// Where a record lies: ledger and entry name one append to a partition, the batch index one record in it. The shape and
// the order are Pulsar's (facts: pulsar.md 3.10); ids of one store mean nothing in another.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

namespace fmesh::stream {

struct MessageId {
  int64_t ledger = -1;
  int64_t entry = -1;
  int32_t partition = -1;    // -1: the stream has no partitions
  int32_t batch_index = -1;  // -1: the whole entry

  static constexpr MessageId earliest() { return {}; }
  static constexpr MessageId latest() {
    return {std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::max(), -1, -1};
  }
  bool operator==(const MessageId&) const = default;
  auto operator<=>(const MessageId& other) const {
    return std::tie(ledger, entry, partition, batch_index) <=>
           std::tie(other.ledger, other.entry, other.partition, other.batch_index);
  }
};

// "ledger:entry:partition" or "ledger:entry:partition:batchIndex".
std::string to_string(const MessageId& id);
// The reverse; also "earliest" and "latest". Nothing if the text is not a message id.
std::optional<MessageId> parse_message_id(std::string_view text);

}  // namespace fmesh::stream
