// Messages that were too large for one entry and were sent as several (facts: pulsar.md 2.5): put together again.
//
// Pure. Belongs to one partition's consumer.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "stream/message_id.h"

namespace fmesh::stream::pulsar {

// Messages that are being put together at once, and the bytes they may have; the oldest goes.
inline constexpr size_t kChunkedMessagesMax = 100;
inline constexpr size_t kChunkedSizeMaxBytes = size_t{64} * 1024 * 1024;
// A message that is not whole by then never will be: its producer has ended.
inline constexpr int64_t kChunkedWaitMs = 60'000;

struct ChunkInfo {
  std::string_view uuid;
  uint64_t index = 0, count = 0, total_bytes = 0;
};

// None if `entry` is no chunk, or none that can be used.
std::optional<ChunkInfo> chunk_of(std::string_view entry);

class ChunkAssembler {
 public:
  struct Outcome {
    SharedBytes whole;                   // of a message that is whole now: an entry as if it had been sent at once
    std::vector<MessageId> ids;          // of its chunks, the last one included
    std::vector<MessageId> acknowledge;  // chunks that nobody will ever get
  };
  // `info` is of `entry`.
  Outcome add(const MessageId& id, std::string_view entry, const ChunkInfo& info, int64_t now_ns);
  // What was begun comes again from its first chunk.
  void clear();
  size_t messages() const { return begun_.size(); }

 private:
  struct Begun {
    std::string payload;
    std::vector<MessageId> ids;
    int64_t since_ns = 0;
  };
  using Map = std::map<std::string, Begun, std::less<>>;
  void end(Map::iterator at, std::vector<MessageId>* acknowledge);
  void end_what_is_late(int64_t now_ns, std::vector<MessageId>& acknowledge);

  Map begun_;
  size_t size_bytes_ = 0;
};

}  // namespace fmesh::stream::pulsar
