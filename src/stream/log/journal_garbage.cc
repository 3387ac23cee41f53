#include <algorithm>
#include <array>
#include <iterator>

#include "base/hash.h"
#include "base/rng.h"
#include "stream/log/journal_impl.h"

namespace fmesh::stream::log {
namespace {

// A segment with less than 1/4 of it wanted is emptied by copying the rest forward.
constexpr uint64_t kLivePartMin = 4;
// Segments cut short by unclean stops are merged once there are more than a few of them.
constexpr uint64_t kSmallPart = 16;
constexpr size_t kSmallSegmentsMax = 16;
constexpr size_t kRelocationSizeBytes = 1024 * 1024;  // per frame
constexpr size_t kCheckpointsKept = 2;

}  // namespace

Status JournalImpl::begin_segment() {
  Active active;
  active.number = ++last_number_;
  // Unlike the salts of other segments, which may have left bytes in the blocks of this one.
  Rng rng(static_cast<uint64_t>(clock_.wall_ms()) ^ static_cast<uint64_t>(clock_.monotonic_ns()) << 20 ^ active.number);
  active.salt = rng.next();
  const std::string path = path_of(active.number, ".log");
  const auto made = [&]() -> Status {
    FMESH_TRY(active.file, disk_.open(path, OpenMode::kCreateNew));
    const std::string header =
        encode(SegmentHeader{active.number, active.salt, next_lsn_, previous_number_, previous_valid_end_});
    const std::array<std::string_view, 1> pieces = {header};
    FMESH_CHECK(active.file->write(0, pieces));
    FMESH_CHECK(active.file->sync());
    return disk_.sync_directory(options_.directory);
  }();
  if (!made) {
    active.file.reset();
    static_cast<void>(disk_.remove(path).has_value());
    return fail(made.error());
  }
  active.written = active.synced = active.reserved = kSegmentHeaderSizeBytes;
  const std::lock_guard lock(mutex_);
  index_.begin_segment(active.number);
  segments_[active.number] = Segment{path, active.salt, active.written};
  active_ = std::move(active);
  return {};
}

void JournalImpl::end_segment(uint64_t valid_end) {
  previous_number_ = active_->number;
  previous_valid_end_ = valid_end;
  unsealed_.push_back({active_->number, active_->salt, valid_end});
  {
    const std::lock_guard lock(mutex_);
    segments_[active_->number].end = valid_end;
  }
  active_.reset();
  mark_wanted_ = false;
  seal_segments();
}

// Writes index files and drops offsets from memory. What fails is tried again with the next segment.
void JournalImpl::seal_segments() {
  while (!unsealed_.empty()) {
    const Unsealed& each = unsealed_.front();
    const std::string bytes = index_.encode_index_file(each.number, each.salt, each.valid_end);
    const std::string path = path_of(each.number, ".index");
    const auto written = [&]() -> Status {
      FMESH_CHECK(disk_.remove(path));
      FMESH_TRY(const auto file, disk_.open(path, OpenMode::kCreateNew));
      const std::array<std::string_view, 1> pieces = {bytes};
      return file->write(0, pieces);
    }();
    // Not synced: its checksum tells whether it is whole, and the segment makes it anew.
    const Result<IndexFile> file = decode_index_file(bytes);
    if (!written || !file) return;
    windows_.forget(path);
    const std::lock_guard lock(mutex_);
    index_.seal(*file);
    unsealed_.erase(unsealed_.begin());
  }
}

void JournalImpl::maintain() {
  if (active_ && active_->written >= options_.segment_size_bytes) {
    const bool synced = active_->synced == active_->written || sync_active().has_value();
    end_segment(synced || options_.sync_mode == SyncMode::kInterval ? active_->written : active_->synced);
  }
  if (since_checkpoint_bytes_ < options_.checkpoint_every_bytes) return;
  since_checkpoint_bytes_ = 0;  // a checkpoint that fails is tried after as many bytes again
  if (write_checkpoint_now(false)) static_cast<void>(collect(false).has_value());
}

Status JournalImpl::write_checkpoint_now(bool clean) {
  Checkpoint checkpoint;
  checkpoint.lsn = next_lsn_;
  checkpoint.clean = clean;
  checkpoint.segment = active_ ? active_->number : previous_number_;
  checkpoint.offset = active_ ? active_->written : previous_valid_end_;
  const Kept now{checkpoint.lsn, checkpoint.segment, checkpoint.offset, clean};
  if (checkpoint.segment == 0) return {};  // nothing was ever written
  if (!checkpoints_.empty() && checkpoints_.back().lsn == now.lsn && checkpoints_.back().clean == clean &&
      checkpoints_.back().segment == now.segment && checkpoints_.back().offset == now.offset)
    return {};
  // The tables must not be ahead of the journal, nor the clean end behind it.
  if (active_ && active_->synced < active_->written) FMESH_CHECK(sync_active());
  FMESH_TRY(checkpoint.tables, tables_.checkpoint());
  {
    const std::lock_guard lock(mutex_);
    checkpoint.ends = index_.ends();
    // Damage to a checkpoint is over once the next one is written.
    std::copy_if(damages_.begin(), damages_.end(), std::back_inserter(checkpoint.damages),
                 [](const Damage& damage) { return damage.file.find("/checkpoint-") == std::string::npos; });
    checkpoint.lost = lost_;
  }
  FMESH_CHECK(write_checkpoint(disk_, options_.directory, checkpoint));
  if (!checkpoints_.empty() && checkpoints_.back().lsn == now.lsn) checkpoints_.pop_back();
  checkpoints_.push_back(now);
  while (checkpoints_.size() > kCheckpointsKept) {
    FMESH_CHECK(disk_.remove(options_.directory + "/" + checkpoint_name(checkpoints_.front().lsn)));
    checkpoints_.pop_front();
  }
  since_checkpoint_bytes_ = 0;
  return {};
}

Status JournalImpl::collect_garbage() {
  if (!thread_.joinable() || std::this_thread::get_id() == thread_.get_id()) return collect(true);
  std::promise<Status> promise;
  std::future<Status> result = promise.get_future();
  {
    const std::lock_guard lock(queue_mutex_);
    garbage_requests_.push_back(std::move(promise));
  }
  wake_.notify_one();
  return result.get();
}

// `thorough`: checkpoints are made first, so that all that may go goes now.
Status JournalImpl::collect(bool thorough) {
  if (thorough) {
    FMESH_CHECK(write_checkpoint_now(false));
    if (checkpoints_.size() > 1 && checkpoints_.front().segment < checkpoints_.back().segment) {
      ++next_lsn_;  // a second checkpoint at this place, so that the older one needs no old segment either
      FMESH_CHECK(write_checkpoint_now(false));
    }
  }
  if (checkpoints_.empty()) return {};
  const std::map<uint64_t, EntryIndex::Live> live = index_.live(tables_);
  std::vector<uint64_t> dead, emptied, small;
  uint64_t live_bytes = 0;
  for (const auto& [number, segment] : segments_) {
    if (active_ && number == active_->number) continue;
    const auto found = live.find(number);
    const uint64_t wanted = found == live.end() ? 0 : found->second.wanted_bytes;
    live_bytes += wanted;
    const Kept& oldest = checkpoints_.front();
    const bool covered = number < oldest.segment || (number == oldest.segment && segment.end <= oldest.offset);
    const bool sealed = std::none_of(unsealed_.begin(), unsealed_.end(),
                                     [&, n = number](const Unsealed& each) { return each.number == n; });
    if (!covered || !sealed) continue;
    if (wanted == 0)
      dead.push_back(number);
    else if (wanted < segment.end / kLivePartMin)
      emptied.push_back(number);
    else if (segment.end < options_.segment_size_bytes / kSmallPart)
      small.push_back(number);
  }
  {
    const std::lock_guard lock(mutex_);
    stats_.live_bytes = live_bytes;
  }
  for (uint64_t number : dead) delete_segment(number);
  if (small.size() > kSmallSegmentsMax) emptied.insert(emptied.end(), small.begin(), small.end());
  for (uint64_t number : emptied) {
    FMESH_CHECK(relocate(number));
    if (!thorough) break;  // the committer has others to serve
  }
  return {};
}

// Copies what is wanted of a segment forward, then deletes it.
Status JournalImpl::relocate(uint64_t number) {
  std::vector<PartitionRun> runs = index_.runs_of(number);
  std::vector<Pending> batch;
  std::vector<Applied> applied;
  size_t size = 0;
  const auto flush = [&]() -> Status {
    if (batch.empty()) return {};
    FMESH_CHECK(relocate_batch(batch, applied));
    batch.clear();
    applied.clear();
    size = 0;
    return {};
  };
  for (const PartitionRun& each : runs) {
    const uint64_t wanted = std::max(tables_.first_wanted(each.partition), each.run.first);
    const uint64_t end = each.run.first + each.run.count;
    for (uint64_t entry = wanted; wanted != kNothingWanted && entry < end; ++entry) {
      const Segment segment = segments_.at(number);
      const Places place{number, {}, (each.run.index_position + (entry - each.run.first)) * sizeof(uint32_t), 1};
      FMESH_TRY(const std::vector<uint64_t> offsets, offsets_of(place));
      Result<SharedBytes> bytes = read_entry(segment, offsets.front(), each.partition, entry);
      const auto head = windows_.read(segment.path, offsets.front(), kAppendHeaderSizeBytes, segment.end);
      const auto header = head ? decode_append_header(head->view(), segment.salt, offsets.front()) : std::nullopt;
      if (!bytes || !header) {
        if (bytes || bytes.error().kind() != ErrorKind::kCorrupt) return fail(bytes ? head.error() : bytes.error());
        const std::lock_guard lock(mutex_);
        lost_.push_back({each.partition, entry, 1, segment.path, offsets.front()});
        continue;
      }
      if (batch.empty()) {
        batch.emplace_back();
        applied.push_back({next_lsn_, {}});
      }
      size += bytes->size();
      batch.back().crcs.push_back(header->data_crc);
      batch.back().transaction.appends.push_back({each.partition, header->record_count, std::move(*bytes)});
      applied.back().entry_numbers.push_back(entry);
      if (size >= kRelocationSizeBytes) FMESH_CHECK(flush());
    }
  }
  FMESH_CHECK(flush());
  if (active_ && active_->synced < active_->written) FMESH_CHECK(sync_active());  // interval mode
  delete_segment(number);
  return {};
}

Status JournalImpl::relocate_batch(const std::vector<Pending>& batch, const std::vector<Applied>& applied) {
  FMESH_TRY(const auto positions, write_frames(FrameKind::kRelocation, batch, applied));
  ++next_lsn_;
  {
    const std::lock_guard lock(mutex_);
    const auto& appends = batch.front().transaction.appends;
    for (size_t i = 0; i < appends.size(); ++i)
      index_.add(appends[i].partition, applied.front().entry_numbers[i], positions.front()[i], appends[i].entry.size());
    segments_[active_->number].end = active_->written;
  }
  if (active_->written >= options_.segment_size_bytes) {
    if (active_->synced < active_->written) FMESH_CHECK(sync_active());
    end_segment(active_->written);
  }
  return {};
}

void JournalImpl::delete_segment(uint64_t number) {
  const std::string path = path_of(number, ".log");
  const std::string index_path = path_of(number, ".index");
  {
    const std::lock_guard lock(mutex_);
    index_.drop_segment(number);
    segments_.erase(number);
    std::erase_if(lost_,
                  [&](const Lost& lost) { return lost.first + lost.count <= tables_.first_wanted(lost.partition); });
  }
  windows_.forget(path);
  windows_.forget(index_path);
  // A file that stays is found and deleted after the next start.
  static_cast<void>(disk_.remove(index_path).has_value());
  static_cast<void>(disk_.remove(path).has_value());
}

}  // namespace fmesh::stream::log
