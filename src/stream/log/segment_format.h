// The bytes of a segment file (docs/internals/log.md). A segment is a header, then frames; a frame is one transaction:
// its own header, the table changes, then each append with a small header of its own and the entry's bytes as given.
// All numbers are little endian, everything begins at a multiple of 8. Each checksum is salted with the segment's salt
// and the position of what it covers, so that stale or misplaced bytes never pass.
//
// Pure: bytes and values only. Frame headers, append headers and entries are checked apart, so that a damaged place
// costs no more than what it holds.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "stream/log/journal.h"

namespace fmesh::stream::log {

// Upgrade rule: a newer format is refused, an older one is read. The first 12 bytes and the place of the header's
// checksum stay as they are in every version.
inline constexpr uint32_t kFormatVersion = 1;
inline constexpr size_t kHeaderCopySizeBytes = 64;
inline constexpr size_t kSegmentHeaderSizeBytes = 2 * kHeaderCopySizeBytes;  // two copies: the salt must not be lost
inline constexpr size_t kFrameHeaderSizeBytes = 48;
inline constexpr size_t kAppendHeaderSizeBytes = 32;
inline constexpr size_t kAlignmentBytes = 8;
// Largest transaction; recovery holds one in memory.
inline constexpr uint64_t kFrameSizeMaxBytes = 256 * 1024 * 1024;

inline constexpr uint64_t aligned(uint64_t size) {
  return (size + kAlignmentBytes - 1) & ~uint64_t{kAlignmentBytes - 1};
}

struct SegmentHeader {
  uint64_t number = 0;
  uint64_t salt = 0;
  uint64_t first_lsn = 0;
  uint64_t previous_number = 0;     // 0: this is the first
  uint64_t previous_valid_end = 0;  // what lies behind it in the previous segment was never promised
};
std::string encode(const SegmentHeader& header);
// `bytes` are the first kSegmentHeaderSizeBytes of a file. Errors: kFixInput if the format is newer; kCorrupt if
// neither copy of the header is whole.
Result<SegmentHeader> decode_segment_header(std::string_view bytes);

enum class FrameKind : uint32_t {
  kTransaction = 1,
  kMark = 2,        // nothing but a commit mark
  kRelocation = 3,  // live entries copied forward from a segment that goes away; their numbers stay
};

struct FrameHeader {
  uint32_t size_bytes = 0;      // of the whole frame
  uint32_t ops_size_bytes = 0;  // without padding
  Lsn lsn = 0;
  uint64_t commit_mark = 0;  // this segment was synced up to here when the frame was written
  uint32_t append_count = 0;
  uint32_t op_count = 0;
  uint32_t ops_crc = 0;
  FrameKind kind = FrameKind::kTransaction;
};
// `bytes` begin at `position`. Nothing if they do not hold a frame header of this segment.
std::optional<FrameHeader> decode_frame_header(std::string_view bytes, uint64_t salt, uint64_t position);

struct AppendHeader {
  PartitionId partition = 0;
  uint32_t record_count = 0;
  uint64_t entry_number = 0;
  uint32_t size_bytes = 0;  // of the entry
  uint32_t data_crc = 0;    // of the entry
};
std::optional<AppendHeader> decode_append_header(std::string_view bytes, uint64_t salt, uint64_t position);

// Nothing if the bytes are not `count` changes.
std::optional<std::vector<TableOp>> decode_ops(std::string_view bytes, uint32_t count);

// Size of the frame that carries `transaction`.
uint64_t frame_size_bytes(const Transaction& transaction);

// Lays out frames one after another for one vectored write. Large entries are referred to, not copied: what was added
// must live until the write is done.
class FrameWriter {
 public:
  // `position`: of the first frame in its segment.
  FrameWriter(uint64_t salt, uint64_t position, uint64_t commit_mark)
      : salt_(salt), position_(position), commit_mark_(commit_mark) {}

  // `crcs` are crc32c() of each entry. Returns the position of each append's header.
  // REQUIRES: frame_size_bytes(transaction) <= kFrameSizeMaxBytes.
  std::vector<uint64_t> add(FrameKind kind, Lsn lsn, const Transaction& transaction,
                            std::span<const uint64_t> entry_numbers, std::span<const uint32_t> crcs);
  uint64_t end() const { return position_; }
  // What to write, in order. Valid until the next add().
  std::vector<std::string_view> pieces() const;

 private:
  struct Piece {
    size_t scratch_offset = 0;
    size_t scratch_size = 0;
    std::string_view outside;  // follows the scratch bytes
  };
  void pad();

  uint64_t salt_;
  uint64_t position_;
  uint64_t commit_mark_;
  std::string scratch_;
  std::vector<Piece> pieces_;
};

}  // namespace fmesh::stream::log
