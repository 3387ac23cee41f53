#include "stream/log/segment_format.h"

#include "base/hash.h"
#include "stream/log/little_endian.h"

namespace fmesh::stream::log {
namespace {

constexpr std::string_view kMagic = "FMESHLOG";
constexpr uint32_t kFrameMagic = 0x4d52'4631;
constexpr size_t kOpHeaderSizeBytes = 8;
// Entries below this are copied beside their header: cheaper than a piece of their own in the vectored write.
constexpr size_t kCopyMaxBytes = 2048;

uint32_t salted_crc(uint64_t salt, uint64_t position, std::string_view bytes) {
  const uint64_t seed[2] = {salt, position};
  return crc32c(bytes, crc32c(std::string_view(reinterpret_cast<const char*>(seed), sizeof(seed))));
}

// Fills the checksum of a header that begins at `start` of `bytes`: 4 bytes at `at`, which count as zero.
void seal(std::string& bytes, size_t start, size_t size, size_t at, uint64_t salt, uint64_t position) {
  const uint32_t crc = salted_crc(salt, position, std::string_view(bytes).substr(start, size));
  std::memcpy(bytes.data() + start + at, &crc, sizeof(crc));
}

bool sealed(std::string_view header, size_t at, uint64_t salt, uint64_t position) {
  char copy[kHeaderCopySizeBytes];
  std::memcpy(copy, header.data(), header.size());
  std::memset(copy + at, 0, 4);
  return salted_crc(salt, position, std::string_view(copy, header.size())) == get<uint32_t>(header, at);
}

}  // namespace

std::string encode(const SegmentHeader& header) {
  std::string bytes(kMagic);
  put(bytes, kFormatVersion);
  put(bytes, uint32_t{0});  // checksum
  put(bytes, header.number);
  put(bytes, header.salt);
  put(bytes, header.first_lsn);
  put(bytes, header.previous_number);
  put(bytes, header.previous_valid_end);
  put(bytes, uint64_t{0});
  seal(bytes, 0, kHeaderCopySizeBytes, 12, 0, 0);
  return bytes + bytes;
}

Result<SegmentHeader> decode_segment_header(std::string_view bytes) {
  for (size_t start = 0; start + kHeaderCopySizeBytes <= bytes.size() && start < kSegmentHeaderSizeBytes;
       start += kHeaderCopySizeBytes) {
    const std::string_view copy = bytes.substr(start, kHeaderCopySizeBytes);
    if (!copy.starts_with(kMagic) || !sealed(copy, 12, 0, 0)) continue;
    const auto version = get<uint32_t>(copy, 8);
    if (version > kFormatVersion)
      return fail(ErrorKind::kFixInput,
                  "has format " + std::to_string(version) + ", this program reads up to " +
                      std::to_string(kFormatVersion) +
                      "; use the newer fmesh that wrote it, or another directory with --data-dir");
    return SegmentHeader{get<uint64_t>(copy, 16), get<uint64_t>(copy, 24), get<uint64_t>(copy, 32),
                         get<uint64_t>(copy, 40), get<uint64_t>(copy, 48)};
  }
  return fail(ErrorKind::kCorrupt, "no readable segment header");
}

std::optional<FrameHeader> decode_frame_header(std::string_view bytes, uint64_t salt, uint64_t position) {
  if (bytes.size() < kFrameHeaderSizeBytes || get<uint32_t>(bytes, 0) != kFrameMagic) return std::nullopt;
  const std::string_view header = bytes.substr(0, kFrameHeaderSizeBytes);
  if (!sealed(header, 4, salt, position)) return std::nullopt;
  FrameHeader frame{get<uint32_t>(header, 8),  get<uint32_t>(header, 12),
                    get<uint64_t>(header, 16), get<uint64_t>(header, 24),
                    get<uint32_t>(header, 32), get<uint32_t>(header, 36),
                    get<uint32_t>(header, 40), static_cast<FrameKind>(get<uint32_t>(header, 44))};
  if (frame.size_bytes < kFrameHeaderSizeBytes || frame.size_bytes > kFrameSizeMaxBytes ||
      frame.size_bytes % kAlignmentBytes != 0 ||
      aligned(frame.ops_size_bytes) + kFrameHeaderSizeBytes > frame.size_bytes)
    return std::nullopt;
  return frame;
}

std::optional<AppendHeader> decode_append_header(std::string_view bytes, uint64_t salt, uint64_t position) {
  if (bytes.size() < kAppendHeaderSizeBytes) return std::nullopt;
  const std::string_view header = bytes.substr(0, kAppendHeaderSizeBytes);
  if (get<uint32_t>(header, 16) > kFrameSizeMaxBytes || !sealed(header, 24, salt, position)) return std::nullopt;
  return AppendHeader{get<uint32_t>(header, 0), get<uint32_t>(header, 4), get<uint64_t>(header, 8),
                      get<uint32_t>(header, 16), get<uint32_t>(header, 20)};
}

std::optional<std::vector<TableOp>> decode_ops(std::string_view bytes, uint32_t count) {
  std::vector<TableOp> ops;
  if (count > bytes.size() / kOpHeaderSizeBytes) return std::nullopt;
  ops.reserve(count);
  ByteReader reader(bytes);
  for (uint32_t i = 0; i < count; ++i) {
    const auto table = reader.take<uint32_t>();
    const auto size = reader.take<uint32_t>();
    ops.push_back({static_cast<uint8_t>(table), std::string(reader.take_bytes(size))});
  }
  if (!reader.ok() || reader.left() != 0) return std::nullopt;
  return ops;
}

uint64_t frame_size_bytes(const Transaction& transaction) {
  uint64_t size = 0;
  for (const TableOp& op : transaction.ops) size += kOpHeaderSizeBytes + op.bytes.size();
  size = aligned(size) + kFrameHeaderSizeBytes;
  for (const JournalAppend& append : transaction.appends) size += kAppendHeaderSizeBytes + aligned(append.entry.size());
  return size;
}

void FrameWriter::pad() {
  const uint64_t padding = aligned(position_) - position_;
  scratch_.append(padding, '\0');
  pieces_.back().scratch_size += padding;
  position_ += padding;
}

std::vector<uint64_t> FrameWriter::add(FrameKind kind, Lsn lsn, const Transaction& transaction,
                                       std::span<const uint64_t> entry_numbers, std::span<const uint32_t> crcs) {
  if (pieces_.empty() || !pieces_.back().outside.empty()) pieces_.push_back({scratch_.size(), 0, {}});
  const size_t start = scratch_.size();
  const uint64_t frame_position = position_;
  const auto ops_start = start + kFrameHeaderSizeBytes;
  scratch_.resize(ops_start);
  for (const TableOp& op : transaction.ops) {
    put(scratch_, uint32_t{op.table});
    put(scratch_, static_cast<uint32_t>(op.bytes.size()));
    scratch_ += op.bytes;
  }
  const size_t ops_size = scratch_.size() - ops_start;

  std::string header;
  put(header, kFrameMagic);
  put(header, uint32_t{0});  // checksum
  put(header, static_cast<uint32_t>(frame_size_bytes(transaction)));
  put(header, static_cast<uint32_t>(ops_size));
  put(header, lsn);
  put(header, commit_mark_);
  put(header, static_cast<uint32_t>(transaction.appends.size()));
  put(header, static_cast<uint32_t>(transaction.ops.size()));
  put(header, crc32c(std::string_view(scratch_).substr(ops_start, ops_size)));
  put(header, static_cast<uint32_t>(kind));
  seal(header, 0, kFrameHeaderSizeBytes, 4, salt_, frame_position);
  scratch_.replace(start, kFrameHeaderSizeBytes, header);
  pieces_.back().scratch_size += scratch_.size() - start;
  position_ += scratch_.size() - start;
  pad();

  std::vector<uint64_t> places;
  places.reserve(transaction.appends.size());
  for (size_t i = 0; i < transaction.appends.size(); ++i) {
    const JournalAppend& append = transaction.appends[i];
    places.push_back(position_);
    if (!pieces_.back().outside.empty()) pieces_.push_back({scratch_.size(), 0, {}});
    const size_t at = scratch_.size();
    put(scratch_, append.partition);
    put(scratch_, append.record_count);
    put(scratch_, entry_numbers[i]);
    put(scratch_, static_cast<uint32_t>(append.entry.size()));
    put(scratch_, crcs[i]);
    put(scratch_, uint64_t{0});  // checksum, reserve
    seal(scratch_, at, kAppendHeaderSizeBytes, 24, salt_, position_);
    if (append.entry.size() <= kCopyMaxBytes)
      scratch_ += append.entry.view();
    else
      pieces_.back().outside = append.entry.view();
    pieces_.back().scratch_size += scratch_.size() - at;
    position_ += kAppendHeaderSizeBytes + append.entry.size();
    if (position_ % kAlignmentBytes != 0) {
      if (!pieces_.back().outside.empty()) pieces_.push_back({scratch_.size(), 0, {}});
      pad();
    }
  }
  return places;
}

std::vector<std::string_view> FrameWriter::pieces() const {
  std::vector<std::string_view> views;
  views.reserve(2 * pieces_.size());
  for (const Piece& piece : pieces_) {
    views.push_back(std::string_view(scratch_).substr(piece.scratch_offset, piece.scratch_size));
    if (!piece.outside.empty()) views.push_back(piece.outside);
  }
  return views;
}

}  // namespace fmesh::stream::log
