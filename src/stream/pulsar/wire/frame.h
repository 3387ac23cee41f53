// Frames of Pulsar's binary protocol (https://pulsar.apache.org/docs/developing-binary-protocol/; facts:
// pulsar.md 1.1), without IO: bytes in, commands out, and the other way round. Client and server stand on it.
//
//   simple command:   [u32 total][u32 size][BaseCommand]
//   SEND and MESSAGE: the same, then [0x0e02 u32 size BrokerEntryMetadata]? [0x0e01 u32 crc32c]? and an entry
//
// An entry is handed out and taken in stream/entry.h's form, [u32 metadata size][metadata][payload], which is what the
// checksum covers. Values and readers belong to one thread; the commands' generated header is kept out of this one.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "stream/entry.h"

namespace fmesh::stream::pulsar::wire {

namespace proto {
class BaseCommand;
}

// The version that is spoken here (facts: pulsar.md 1.4).
inline constexpr int32_t kProtocolVersion = 21;
// What a frame may hold beyond the largest entry: command, checksum and metadata of the broker.
inline constexpr size_t kFramePaddingBytes = 10 * 1024;
// How much is asked of the system at once. An entry shares this memory with its neighbours, so it is not larger.
inline constexpr size_t kReadBlockSizeBytes = 256 * 1024;

struct Frame {
  // Null: of a type that is not known here, which a newer peer may send; it is to be passed over.
  // Valid until the next call of next().
  const proto::BaseCommand* command = nullptr;
  SharedBytes entry;   // of SEND and MESSAGE
  bool intact = true;  // false: the checksum does not fit the entry
};

// Cuts what comes from a connection into frames.
class FrameReader {
 public:
  // Larger entries end the connection. The peer's limit is told by CONNECTED, so it can be raised later.
  explicit FrameReader(size_t entry_size_max_bytes = kEntrySizeMaxBytes);
  ~FrameReader();
  FrameReader(FrameReader&&) noexcept;
  FrameReader& operator=(FrameReader&&) noexcept;

  void set_entry_size_max(size_t size_bytes) { entry_size_max_bytes_ = size_bytes; }
  // Where the next bytes of the connection shall lie.
  std::span<char> room();
  // So many bytes lie there now.
  void received(size_t count) { end_ += count; }
  // The next whole frame. False: more bytes are needed.
  // Errors: kCorrupt if this is not the protocol: the connection can't go on.
  Result<bool> next(Frame& frame);

 private:
  Status parse(size_t frame_size, Frame& frame);
  Status take_entry(std::string_view rest, Frame& frame);
  size_t frame_size_max() const { return entry_size_max_bytes_ + kFramePaddingBytes; }

  size_t entry_size_max_bytes_;
  std::unique_ptr<proto::BaseCommand> command_;
  std::shared_ptr<char[]> block_;
  size_t block_size_ = 0;
  bool lent_ = false;           // entries lie in the block, so its bytes stay as they are
  size_t begin_ = 0, end_ = 0;  // of what was received and not handed out
};

// Puts a frame without an entry behind `out`.
void append_frame(std::string& out, const proto::BaseCommand& command);
// What comes before `entry` in a frame with one; the entry's bytes follow as they are.
std::string frame_head(const proto::BaseCommand& command, std::string_view entry);

}  // namespace fmesh::stream::pulsar::wire
