#include "stream/log/segment_scan.h"

#include <algorithm>

#include "base/hash.h"

namespace fmesh::stream::log {
namespace {
constexpr uint64_t kBufferSizeBytes = 1024 * 1024;
}

Result<std::string_view> SegmentScan::view(uint64_t position, uint64_t size) {
  size = position >= end_ ? 0 : std::min(size, end_ - position);
  if (position < buffer_position_ || position + size > buffer_position_ + buffer_.size()) {
    const uint64_t wanted = std::min(std::max(size, kBufferSizeBytes), end_ - std::min(position, end_));
    buffer_.resize(wanted);
    FMESH_TRY(const size_t got, file_.read(position, buffer_.data(), wanted));
    buffer_.resize(got);
    buffer_position_ = position;
  }
  return std::string_view(buffer_).substr(position - buffer_position_, size);
}

Result<std::optional<ScannedFrame>> SegmentScan::frame(uint64_t position, bool verify) {
  FMESH_TRY(const std::string_view head, view(position, kFrameHeaderSizeBytes));
  const auto header = decode_frame_header(head, salt_, position);
  if (!header || position + header->size_bytes > end_) return std::optional<ScannedFrame>();
  ScannedFrame frame{*header, {}, {}, false, true};
  if (verify) {
    FMESH_TRY(const std::string_view ops, view(position + kFrameHeaderSizeBytes, header->ops_size_bytes));
    auto decoded = crc32c(ops) == header->ops_crc ? decode_ops(ops, header->op_count) : std::nullopt;
    frame.ops_damaged = !decoded;
    frame.intact = decoded.has_value();
    if (decoded) frame.ops = std::move(*decoded);
  }
  const uint64_t appends = position + kFrameHeaderSizeBytes + aligned(header->ops_size_bytes);
  FMESH_TRY(const bool whole,
            read_appends(appends, position + header->size_bytes, header->append_count, verify, frame.appends));
  frame.intact = frame.intact && whole;
  return std::optional<ScannedFrame>(std::move(frame));
}

// True if exactly `count` whole appends fill the region.
Result<bool> SegmentScan::read_appends(uint64_t from, uint64_t to, uint32_t count, bool verify,
                                       std::vector<ScannedAppend>& found) {
  bool whole = true;
  while (from < to) {
    FMESH_TRY(const std::string_view head, view(from, kAppendHeaderSizeBytes));
    const auto header = decode_append_header(head, salt_, from);
    if (!header || from + kAppendHeaderSizeBytes + header->size_bytes > to) {
      whole = false;
      from += kAlignmentBytes;
      continue;
    }
    ScannedAppend append{*header, from, false};
    if (verify) {
      FMESH_TRY(const std::string_view bytes, view(from + kAppendHeaderSizeBytes, header->size_bytes));
      append.damaged = crc32c(bytes) != header->data_crc;
      whole = whole && !append.damaged;
    }
    from += kAppendHeaderSizeBytes + aligned(header->size_bytes);
    found.push_back(append);
  }
  return whole && found.size() == count;
}

Result<uint64_t> SegmentScan::next_frame(uint64_t position) {
  for (position = aligned(position); position < end_; position += kAlignmentBytes) {
    FMESH_TRY(const std::string_view head, view(position, kFrameHeaderSizeBytes));
    const auto header = decode_frame_header(head, salt_, position);
    if (header && position + header->size_bytes <= end_) return position;
  }
  return end_;
}

Result<std::vector<ScannedAppend>> SegmentScan::salvage(uint64_t from, uint64_t to) {
  std::vector<ScannedAppend> found;
  FMESH_TRY(const bool whole, read_appends(aligned(from), to, 0, true, found));
  static_cast<void>(whole);
  return found;
}

Result<bool> SegmentScan::zero_from(uint64_t position) {
  while (position < end_) {
    FMESH_TRY(const std::string_view bytes, view(position, kBufferSizeBytes));
    if (bytes.empty()) return true;
    if (bytes.find_first_not_of('\0') != std::string_view::npos) return false;
    position += bytes.size();
  }
  return true;
}

Result<SegmentScan::Extent> SegmentScan::survey(uint64_t from) {
  struct Hole {
    uint64_t start, end;
  };
  std::vector<Hole> holes;
  Extent extent{from, from};
  uint64_t position = from;
  while (position < end_) {
    FMESH_TRY(const auto found, frame(position, true));
    uint64_t next = 0;
    if (found) {
      extent.commit_mark = std::max(extent.commit_mark, found->header.commit_mark);
      next = position + found->header.size_bytes;
    } else {
      FMESH_TRY(next, next_frame(position + kAlignmentBytes));
    }
    if (!found || !found->intact) holes.push_back({position, next});
    position = next;
  }
  extent.valid_end = position;
  for (const Hole& hole : holes) {
    if (hole.end <= extent.commit_mark) continue;  // corruption: what follows was promised as well
    extent.valid_end = std::max(hole.start, extent.commit_mark);
    break;
  }
  extent.valid_end = std::min(extent.valid_end, end_);
  return extent;
}

}  // namespace fmesh::stream::log
