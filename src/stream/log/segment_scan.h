// Walks the frames of a segment file after a stop. What is whole, what is damaged, where the next frame begins: all of
// it is found from the bytes alone. The committer's rules say which damage is corruption and which was never promised.
//
// Used during open(), on one thread. Reads through a buffer of about 1 MiB, or one frame.
#pragma once

#include <string>
#include <vector>

#include "base/disk.h"
#include "stream/log/segment_format.h"

namespace fmesh::stream::log {

struct ScannedAppend {
  AppendHeader header;
  uint64_t position = 0;  // of the append's header
  bool damaged = false;   // the entry's bytes fail their checksum
};

struct ScannedFrame {
  FrameHeader header;
  std::vector<ScannedAppend> appends;  // those whose header is whole
  std::vector<TableOp> ops;
  bool ops_damaged = false;
  bool intact = false;
};

class SegmentScan {
 public:
  // `end`: nothing is read from there on.
  SegmentScan(const File& file, uint64_t salt, uint64_t end) : file_(file), salt_(salt), end_(end) {}

  // The frame at `position`; nothing if its header is not whole. Without `verify`, entries and changes are not looked
  // at.
  Result<std::optional<ScannedFrame>> frame(uint64_t position, bool verify);
  // The first place from `position` on where a frame begins; end if there is none.
  Result<uint64_t> next_frame(uint64_t position);
  // Appends that are whole in a region whose frame header is lost.
  Result<std::vector<ScannedAppend>> salvage(uint64_t from, uint64_t to);
  // True if all bytes from `position` on are zero.
  Result<bool> zero_from(uint64_t position);

  // How far the segment holds together, for one whose successor does not say it.
  struct Extent {
    uint64_t commit_mark = 0;  // all before it was promised
    uint64_t valid_end = 0;    // whole frames reach up to here
  };
  // REQUIRES: `from` is the end of the header or a place that is known to be synced.
  Result<Extent> survey(uint64_t from);

 private:
  // Up to `size` bytes from `position`, fewer at the end.
  Result<std::string_view> view(uint64_t position, uint64_t size);
  Result<bool> read_appends(uint64_t from, uint64_t to, uint32_t count, bool verify, std::vector<ScannedAppend>& found);

  const File& file_;
  uint64_t salt_;
  uint64_t end_;
  std::string buffer_;
  uint64_t buffer_position_ = 0;
};

}  // namespace fmesh::stream::log
