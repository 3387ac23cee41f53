#include <algorithm>
#include <cstdlib>

#include "base/hash.h"
#include "stream/log/journal_impl.h"

namespace fmesh::stream::log {
namespace {

// Damages listed; beyond them the disk is gone anyway.
constexpr size_t kDamagesMax = 1000;

// The number in "segment-0000000007.log"; 0 for other names.
uint64_t segment_number(const std::string& name) {
  constexpr std::string_view kPrefix = "segment-";
  if (!name.starts_with(kPrefix) || !name.ends_with(".log")) return 0;
  return std::strtoull(name.c_str() + kPrefix.size(), nullptr, 10);
}

}  // namespace

Status JournalImpl::recover() {
  FMESH_CHECK(disk_.make_directories(options_.directory));
  FMESH_TRY(auto lock, disk_.lock(options_.directory + "/lock"));
  FMESH_TRY(const std::vector<std::string> names, disk_.list(options_.directory));
  FMESH_CHECK(load_checkpoints(names));
  FMESH_CHECK(load_segments(names));
  restored_ = Checkpoint{};
  last_sync_ns_ = clock_.monotonic_ns();
  lock_ = std::move(lock);
  return {};
}

void JournalImpl::add_damage(Damage damage) {
  const std::lock_guard lock(mutex_);
  const bool known = std::any_of(damages_.begin(), damages_.end(), [&](const Damage& each) {
    return each.file == damage.file && each.offset == damage.offset;
  });
  if (!known && damages_.size() < kDamagesMax) damages_.push_back(std::move(damage));
}

Status JournalImpl::load_checkpoints(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const std::string path = options_.directory + "/" + name;
    if (name.ends_with(".new")) FMESH_CHECK(disk_.remove(path));
    if (!is_checkpoint_name(name)) continue;
    Result<Checkpoint> checkpoint = read_checkpoint(disk_, path);
    if (!checkpoint && checkpoint.error().kind() != ErrorKind::kCorrupt) return fail(checkpoint.error());
    if (!checkpoint) {
      add_damage({path, 0, 0, checkpoint.error().text() + "; the one before it and the journal are used"});
      continue;
    }
    checkpoints_.push_back({checkpoint->lsn, checkpoint->segment, checkpoint->offset, checkpoint->clean});
    restored_ = std::move(*checkpoint);  // names are sorted: the last one is the newest
  }
  if (restored_.segment == 0) {
    restored_.lsn = 1;
    return {};
  }
  FMESH_CHECK(tables_.restore(restored_.tables));
  for (const auto& [partition, end] : restored_.ends) index_.raise_end(partition, end);
  for (Damage& damage : restored_.damages) add_damage(std::move(damage));
  lost_ = std::move(restored_.lost);
  next_lsn_ = restored_.lsn;
  last_number_ = previous_number_ = restored_.segment;
  previous_valid_end_ = restored_.offset;
  return {};
}

// Nothing if the segment cannot be read at all: damage if anything was in it.
Result<std::optional<SegmentHeader>> JournalImpl::load_header(uint64_t number) {
  const std::string path = path_of(number, ".log");
  FMESH_TRY(const auto file, disk_.open(path, OpenMode::kRead));
  std::string bytes(kSegmentHeaderSizeBytes, '\0');
  const Result<size_t> got = file->read(0, bytes.data(), bytes.size());
  bytes.resize(got ? *got : 0);
  Result<SegmentHeader> header = decode_segment_header(bytes);
  if (header && header->number == number) return std::optional<SegmentHeader>(*header);
  if (!header && header.error().kind() == ErrorKind::kFixInput) return fail(header.error().within(path));
  FMESH_TRY(const uint64_t size, file->size());
  // A header that was never synced, or whose file was deleted and came back in a crash: nothing else is in it.
  SegmentScan scan(*file, 0, size);
  const Result<bool> empty = scan.zero_from(std::min<uint64_t>(size, kSegmentHeaderSizeBytes));
  if (empty && *empty) return std::optional<SegmentHeader>();
  add_damage({path, 0, size, "segment header is damaged"});
  if (auto index = disk_.open(path_of(number, ".index"), OpenMode::kRead)) {
    const Result<std::string> content = read_file(**index);
    const Result<IndexFile> known = content ? decode_index_file(*content) : fail(content.error());
    if (known) return std::optional<SegmentHeader>(SegmentHeader{number, known->salt, 0, 0, 0});
  }
  return std::optional<SegmentHeader>();
}

Status JournalImpl::load_segments(const std::vector<std::string>& names) {
  std::vector<uint64_t> numbers;
  for (const std::string& name : names)
    if (const uint64_t number = segment_number(name); number > 0) numbers.push_back(number);
  std::sort(numbers.begin(), numbers.end());
  std::vector<SegmentHeader> headers;
  for (uint64_t number : numbers) {
    FMESH_TRY(const auto header, load_header(number));
    if (header) headers.push_back(*header);
    last_number_ = std::max(last_number_, number);
  }
  note_missing(headers);
  for (size_t i = 0; i < headers.size(); ++i) {
    const SegmentHeader& header = headers[i];
    const bool last = i + 1 == headers.size();
    std::optional<uint64_t> known_end;
    if (!last && headers[i + 1].previous_number == header.number) known_end = headers[i + 1].previous_valid_end;
    if (header.number < restored_.segment) {
      const std::string path = path_of(header.number, ".index");
      const auto file = disk_.open(path, OpenMode::kRead);
      const Result<std::string> content = file ? read_file(**file) : fail(file.error());
      const Result<IndexFile> known = content ? decode_index_file(*content) : fail(content.error());
      if (known && known->segment == header.number && known->salt == header.salt) {
        index_.add_sealed(*known);
        segments_[header.number] = Segment{path_of(header.number, ".log"), header.salt, known->valid_end};
        continue;
      }
    }
    FMESH_CHECK(scan_segment(header, known_end, last));
  }
  return {};
}

// Segments are deleted only where a checkpoint covers them; each names the one before.
void JournalImpl::note_missing(const std::vector<SegmentHeader>& headers) {
  for (const SegmentHeader& header : headers) {
    const uint64_t previous = header.previous_number;
    const bool there =
        std::any_of(headers.begin(), headers.end(), [&](const SegmentHeader& each) { return each.number == previous; });
    const bool needed =
        previous > restored_.segment || (previous == restored_.segment && header.previous_valid_end > restored_.offset);
    if (previous == 0 || there || !needed) continue;
    unknown_loss_ = Damage{path_of(previous, ".log"), 0, header.previous_valid_end, "segment is missing or unreadable"};
    add_damage(*unknown_loss_);
  }
}

Status JournalImpl::scan_segment(const SegmentHeader& header, std::optional<uint64_t> known_end, bool last) {
  const std::string path = path_of(header.number, ".log");
  FMESH_TRY(auto file, disk_.open(path, last ? OpenMode::kReadWrite : OpenMode::kRead));
  FMESH_TRY(const uint64_t size, file->size());
  SegmentScan scan(*file, header.salt, size);
  const bool covers = header.number == restored_.segment;
  const uint64_t apply_from = header.number < restored_.segment ? UINT64_MAX : covers ? restored_.offset : 0;
  uint64_t promised = known_end.value_or(0), end = promised;
  if (!known_end) {
    const uint64_t from =
        covers ? std::max<uint64_t>(restored_.offset, kSegmentHeaderSizeBytes) : kSegmentHeaderSizeBytes;
    FMESH_TRY(const SegmentScan::Extent extent, scan.survey(from));
    promised = std::max(extent.commit_mark, covers ? restored_.offset : 0);
    end = std::max(extent.valid_end, promised);
  }
  // A header that tore in its second copy promised nothing.
  if (promised > size && promised > kSegmentHeaderSizeBytes)
    add_damage({path, size, promised - size, "the end of the segment is missing"});
  end = std::min(end, size);
  // What is served must outlast the next crash, though it may have been written shortly before the last one.
  if (last) FMESH_CHECK(file->sync());
  {
    const std::lock_guard lock(mutex_);
    index_.begin_segment(header.number);
    segments_[header.number] = Segment{path, header.salt, end};
  }
  FMESH_CHECK(replay(scan, header, end, apply_from));
  if (last && covers && restored_.clean && end == restored_.offset) {
    FMESH_TRY(const bool untouched, scan.zero_from(end));
    if (untouched) {
      active_ = Active{std::move(file), header.number, header.salt, end, end, size};
      return {};
    }
  }
  // A checkpoint never goes back: the segment it names may be deleted, and come back in a crash.
  if (header.number >= restored_.segment) {
    previous_number_ = header.number;
    previous_valid_end_ = end;
  }
  unsealed_.push_back({header.number, header.salt, end});
  seal_segments();
  return {};
}

Status JournalImpl::replay(SegmentScan& scan, const SegmentHeader& header, uint64_t end, uint64_t apply_from) {
  const std::string path = path_of(header.number, ".log");
  uint64_t position = kSegmentHeaderSizeBytes;
  while (position < end) {
    const bool apply = position >= apply_from;
    FMESH_TRY(auto frame, scan.frame(position, apply));
    if (frame && position + frame->header.size_bytes > end) frame.reset();
    if (frame) {
      const uint64_t next = position + frame->header.size_bytes;
      if (frame->header.append_count != frame->appends.size()) {
        unknown_loss_ = Damage{path, position, next - position, "appends of a transaction are damaged"};
        add_damage(*unknown_loss_);
      } else if (!frame->intact && apply) {
        for (const ScannedAppend& append : frame->appends)
          if (append.damaged)
            add_damage({path, append.position, kAppendHeaderSizeBytes + append.header.size_bytes,
                        "entry " + std::to_string(append.header.entry_number) + " of partition " +
                            std::to_string(append.header.partition) + " is damaged"});
        if (frame->ops_damaged)
          add_damage({path, position, kFrameHeaderSizeBytes + frame->header.ops_size_bytes,
                      "changes of tables in a transaction are damaged and were not applied"});
      }
      if (frame->header.kind != FrameKind::kMark)
        replay_appends(std::move(frame->appends), std::move(frame->ops), frame->header.lsn, frame->header.kind, apply);
      position = next;
      continue;
    }
    FMESH_TRY(const uint64_t found, scan.next_frame(position + kAlignmentBytes));
    const uint64_t next = std::min(found, end);
    unknown_loss_ = Damage{path, position, next - position, "a transaction is damaged"};
    add_damage(*unknown_loss_);
    FMESH_TRY(std::vector<ScannedAppend> rest, scan.salvage(position + kAlignmentBytes, next));
    replay_appends(std::move(rest), {}, next_lsn_, FrameKind::kTransaction, apply);
    position = next;
  }
  return {};
}

void JournalImpl::replay_appends(std::vector<ScannedAppend> appends, std::vector<TableOp> ops, Lsn lsn, FrameKind kind,
                                 bool apply) {
  Transaction transaction;
  Applied applied{lsn, {}};
  {
    const std::lock_guard lock(mutex_);
    for (const ScannedAppend& append : appends) {
      const AppendHeader& header = append.header;
      const uint64_t end = index_.end(header.partition);
      // An older number is an entry that was moved here; the tables know it.
      const bool moved = kind == FrameKind::kRelocation || header.entry_number < end;
      if (!moved && header.entry_number > end && unknown_loss_)
        lost_.push_back({header.partition, end, header.entry_number - end, unknown_loss_->file, unknown_loss_->offset});
      index_.add(header.partition, header.entry_number, append.position, header.size_bytes);
      if (moved) continue;
      transaction.appends.push_back({header.partition, header.record_count, SharedBytes()});
      applied.entry_numbers.push_back(header.entry_number);
    }
  }
  if (!apply) return;
  next_lsn_ = std::max(next_lsn_, lsn + 1);
  if (kind == FrameKind::kRelocation) return;
  transaction.ops = std::move(ops);
  if (!transaction.appends.empty() || !transaction.ops.empty()) tables_.apply(transaction, applied, true);
}

}  // namespace fmesh::stream::log
