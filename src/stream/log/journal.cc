#include "stream/log/journal.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/hash.h"
#include "stream/log/journal_impl.h"
#include "stream/log/little_endian.h"

namespace fmesh::stream::log {
namespace {

// Places looked up under the lock at once.
constexpr uint32_t kPlacesMax = 64;
// Entries below this are copied out of their window, so that a small entry does not keep 256 KiB alive.
constexpr size_t kCopyOutMaxBytes = 16 * 1024;
// Space is reserved in steps from 1 MiB, doubling, and not at all for a journal that stays small.
constexpr uint64_t kReserveFromBytes = 64 * 1024;
constexpr uint64_t kReserveStepMinBytes = 1024 * 1024;

}  // namespace

Result<std::unique_ptr<Journal>> Journal::open(Disk& disk, const Clock& clock, JournalOptions options, Tables& tables) {
  auto journal = std::make_unique<JournalImpl>(disk, clock, std::move(options), tables);
  if (const Status recovered = journal->recover(); !recovered) {
    // Damage is listed; an I/O error here means that the disk does not answer, which may pass.
    const Error& error = recovered.error();
    const ErrorKind kind = error.kind() == ErrorKind::kCorrupt ? ErrorKind::kRetryLater : error.kind();
    return fail(kind, "open the log in " + journal->directory() + ": " + error.text());
  }
  journal->start_thread();
  return journal;
}

JournalImpl::JournalImpl(Disk& disk, const Clock& clock, JournalOptions options, Tables& tables)
    : disk_(disk),
      clock_(clock),
      options_(std::move(options)),
      tables_(tables),
      index_(options_.tail_cache_size_bytes),
      windows_(disk, std::max<size_t>(options_.open_files_max, 1)) {
  // An offset is kept in 32 bits of 8 bytes each.
  options_.segment_size_bytes = std::min<uint64_t>(options_.segment_size_bytes, uint64_t{16} << 30);
}

JournalImpl::~JournalImpl() {
  if (thread_.joinable()) {
    {
      const std::lock_guard lock(queue_mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  if (lock_ == nullptr) return;  // recover() failed
  while (step() > 0 && !write_failed_) {
  }
  // A submitter that tries again at once would keep a full disk busy for ever.
  for (Pending& pending : take_group()) pending.done(fail(ErrorKind::kClosed, "the log is closed"));
  // What cannot be written now is recovered at the next start.
  static_cast<void>(write_checkpoint_now(true).has_value());
}

std::string JournalImpl::path_of(uint64_t number, const char* suffix) const {
  char name[64];
  std::snprintf(name, sizeof(name), "/segment-%010llu%s", static_cast<unsigned long long>(number), suffix);
  return options_.directory + name;
}

void JournalImpl::start_thread() {
  if (options_.own_thread) thread_ = std::thread([this] { run(); });
}

void JournalImpl::run() {
  for (;;) {
    {
      std::unique_lock lock(queue_mutex_);
      const auto ready = [&] {
        return stopping_ || !queue_.empty() || !garbage_requests_.empty() || (!wakers_.empty() && writable());
      };
      if (options_.sync_mode == SyncMode::kInterval)
        wake_.wait_for(lock, std::chrono::milliseconds(options_.sync_interval_ms), ready);
      else
        wake_.wait(lock, ready);
      if (stopping_) return;  // the destructor does the rest
    }
    step();
  }
}

void JournalImpl::submit(Transaction transaction, Done done) {
  Pending pending{std::move(transaction), std::move(done), {}, 0};
  pending.size_bytes = frame_size_bytes(pending.transaction);
  pending.crcs.reserve(pending.transaction.appends.size());
  for (const JournalAppend& append : pending.transaction.appends) pending.crcs.push_back(crc32c(append.entry.view()));
  pending_bytes_ += pending.size_bytes;
  bool first = false;
  {
    const std::lock_guard lock(queue_mutex_);
    first = queue_.empty();
    queue_.push_back(std::move(pending));
  }
  if (first) wake_.notify_one();
}

void JournalImpl::notify_writable(std::function<void()> wake) {
  {
    const std::lock_guard lock(queue_mutex_);
    wakers_.push_back(std::move(wake));
  }
  wake_.notify_one();
}

void JournalImpl::call_wakers() {
  if (!writable()) return;
  std::vector<std::function<void()>> wakers;
  {
    const std::lock_guard lock(queue_mutex_);
    wakers.swap(wakers_);
  }
  for (const auto& wake : wakers) wake();
}

std::vector<JournalImpl::Pending> JournalImpl::take_group() {
  std::vector<Pending> group;
  uint64_t size = 0;
  const std::lock_guard lock(queue_mutex_);
  while (!queue_.empty() && (group.empty() || size + queue_.front().size_bytes <= options_.pending_size_max_bytes)) {
    size += queue_.front().size_bytes;
    group.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return group;
}

size_t JournalImpl::step() {
  std::vector<Pending> group = take_group();
  const size_t count = group.size();
  if (count > 0) commit(std::move(group));
  const int64_t now_ns = clock_.monotonic_ns();
  if (options_.sync_mode == SyncMode::kInterval && active_ && active_->synced < active_->written &&
      now_ns - last_sync_ns_ >= options_.sync_interval_ms * 1'000'000) {
    if (!sync_active()) end_segment(active_->written);
    last_sync_ns_ = now_ns;
  }
  if (count > 0) maintain();
  bool idle = false;
  std::vector<std::promise<Status>> requests;
  {
    const std::lock_guard lock(queue_mutex_);
    idle = queue_.empty();
    requests.swap(garbage_requests_);
  }
  for (auto& request : requests) request.set_value(collect(true));
  if (idle && mark_wanted_) write_mark();
  call_wakers();
  return count;
}

void JournalImpl::commit(std::vector<Pending> group) {
  const auto broken = std::stable_partition(group.begin(), group.end(), [](const Pending& each) {
    return std::ranges::none_of(each.transaction.orders, [](const auto& order) { return order->is_broken.load(); });
  });
  for (auto each = broken; each != group.end(); ++each) {
    pending_bytes_ -= each->size_bytes;
    each->done(fail(ErrorKind::kRetryLater, "a commit before this one failed"));
  }
  group.erase(broken, group.end());
  const auto large = std::stable_partition(group.begin(), group.end(),
                                           [](const Pending& each) { return each.size_bytes <= kFrameSizeMaxBytes; });
  for (auto each = large; each != group.end(); ++each) {
    pending_bytes_ -= each->size_bytes;
    each->done(fail(ErrorKind::kFixInput, "a transaction of " + std::to_string(each->size_bytes) +
                                              " bytes is larger than the " + std::to_string(kFrameSizeMaxBytes) +
                                              " allowed; split it"));
  }
  group.erase(large, group.end());
  if (group.empty()) return;
  const Result<Written> written = write_group(group);
  write_failed_ = !written;
  if (!written) {
    fail_waiting(std::move(group), written.error());
    return;
  }
  publish(group, *written);
  for (size_t i = 0; i < group.size(); ++i) {
    tables_.apply(group[i].transaction, written->applied[i], false);
    pending_bytes_ -= group[i].size_bytes;
    group[i].done(written->applied[i]);
  }
  mark_wanted_ = options_.sync_mode == SyncMode::kGroupCommit;
}

Result<JournalImpl::Written> JournalImpl::write_group(const std::vector<Pending>& group) {
  Written written;
  std::unordered_map<PartitionId, uint64_t> next;
  Lsn lsn = next_lsn_;
  for (const Pending& pending : group) {
    Applied applied{lsn++, {}};
    applied.entry_numbers.reserve(pending.transaction.appends.size());
    for (const JournalAppend& append : pending.transaction.appends) {
      const auto [entry, fresh] = next.try_emplace(append.partition, 0);
      if (fresh) entry->second = index_.end(append.partition);
      applied.entry_numbers.push_back(entry->second++);
    }
    written.applied.push_back(std::move(applied));
  }
  FMESH_TRY(written.positions, write_frames(FrameKind::kTransaction, group, written.applied));
  next_lsn_ = lsn;
  return written;
}

// Writes and syncs. An I/O error ends the segment, and a new one is tried once: the disk may have lost what the old
// one's last sync was to keep, but nothing that was promised. A full disk is told at once.
Result<std::vector<std::vector<uint64_t>>> JournalImpl::write_frames(FrameKind kind, const std::vector<Pending>& group,
                                                                     const std::vector<Applied>& applied) {
  for (int attempt = 0;; ++attempt) {
    if (!active_) FMESH_CHECK(begin_segment());
    FrameWriter frames(active_->salt, active_->written, active_->synced);
    std::vector<std::vector<uint64_t>> positions;
    positions.reserve(group.size());
    for (size_t i = 0; i < group.size(); ++i)
      positions.push_back(
          frames.add(kind, applied[i].lsn, group[i].transaction, applied[i].entry_numbers, group[i].crcs));
    Status status = make_room(frames.end());
    // Nothing is written yet, so the segment stays good.
    if (!status && status.error().kind() == ErrorKind::kRetryLater) return fail(status.error());
    const uint64_t start = active_->written;
    if (status) status = active_->file->write(start, frames.pieces());
    if (status) {
      active_->written = frames.end();
      if (options_.sync_mode == SyncMode::kGroupCommit) status = sync_active();
    }
    if (status) {
      since_checkpoint_bytes_ += frames.end() - start;
      const std::lock_guard lock(mutex_);
      stats_.bytes_written += frames.end() - start;
      return positions;
    }
    // In interval mode what was written before was promised, synced or not.
    const uint64_t valid_end = options_.sync_mode == SyncMode::kGroupCommit ? active_->synced : start;
    wipe(valid_end, frames.end());
    end_segment(valid_end);
    // The next header excludes what this write left behind; if it cannot be written now, it is before the next promise.
    const Status begun = begin_segment();
    if (status.error().kind() == ErrorKind::kRetryLater || attempt > 0 || !begun) return fail(status.error());
  }
}

// What a failed write left behind was told to have failed, and must not be a commit after all if the process ends
// before the next header excludes it. If this fails too, the disk decides.
void JournalImpl::wipe(uint64_t begin, uint64_t end) {
  const std::string zeros(end - begin, '\0');
  const std::array<std::string_view, 1> pieces = {zeros};
  if (active_->file->write(begin, pieces)) static_cast<void>(active_->file->sync());
}

Status JournalImpl::make_room(uint64_t end) {
  if (end <= std::max(active_->reserved, kReserveFromBytes)) return {};
  const uint64_t step = std::max(kReserveStepMinBytes, std::min(active_->reserved, options_.segment_size_bytes));
  uint64_t wanted = std::max(end, std::min(active_->reserved + step, options_.segment_size_bytes));
  Status status = active_->file->reserve(wanted);
  if (!status && status.error().kind() == ErrorKind::kRetryLater && wanted > end) {
    wanted = end;
    status = active_->file->reserve(wanted);
  }
  if (status) active_->reserved = wanted;
  return status;
}

Status JournalImpl::sync_active() {
  FMESH_CHECK(active_->file->sync());
  active_->synced = active_->written;
  const std::lock_guard lock(mutex_);
  ++stats_.syncs;
  return {};
}

void JournalImpl::publish(const std::vector<Pending>& group, const Written& written) {
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < group.size(); ++i) {
    const auto& appends = group[i].transaction.appends;
    for (size_t k = 0; k < appends.size(); ++k) {
      const uint64_t entry = written.applied[i].entry_numbers[k];
      index_.add(appends[k].partition, entry, written.positions[i][k], appends[k].entry.size());
      index_.remember(appends[k].partition, entry, appends[k].entry);
    }
    stats_.entries += appends.size();
  }
  stats_.transactions += group.size();
  segments_[active_->number].end = active_->written;
}

// All that waits gets the error, so that nothing overtakes what failed.
void JournalImpl::fail_waiting(std::vector<Pending> group, const Error& error) {
  {
    const std::lock_guard lock(queue_mutex_);
    std::move(queue_.begin(), queue_.end(), std::back_inserter(group));
    queue_.clear();
  }
  const ErrorKind kind = error.kind() == ErrorKind::kRetryLater ? ErrorKind::kRetryLater : ErrorKind::kCorrupt;
  for (Pending& pending : group) {
    pending_bytes_ -= pending.size_bytes;
    pending.done(fail(kind, "the journal cannot write: " + error.text()));
  }
}

// Tells in the file how far it is synced, before a crash may come. Not synced itself: a kill leaves it in the page
// cache.
void JournalImpl::write_mark() {
  mark_wanted_ = false;
  if (!active_ || active_->synced < active_->written) return;
  FrameWriter frames(active_->salt, active_->written, active_->synced);
  frames.add(FrameKind::kMark, next_lsn_ - 1, Transaction{}, {}, {});
  if (!make_room(frames.end())) return;  // the mark comes with the next frame
  if (active_->file->write(active_->written, frames.pieces()))
    active_->written = frames.end();
  else
    end_segment(active_->synced);
}

uint64_t JournalImpl::end(PartitionId partition) const {
  const std::lock_guard lock(mutex_);
  return index_.end(partition);
}

uint64_t JournalImpl::begin(PartitionId partition) const {
  const std::lock_guard lock(mutex_);
  return index_.begin(partition);
}

Result<std::vector<uint64_t>> JournalImpl::offsets_of(const Places& places) {
  if (!places.offsets.empty()) return places.offsets;
  const uint64_t size = uint64_t{places.count} * sizeof(uint32_t);
  FMESH_TRY(const SharedBytes bytes,
            windows_.read(path_of(places.segment, ".index"), places.index_offset_bytes, size, UINT64_MAX));
  std::vector<uint64_t> offsets;
  for (size_t at = 0; at + sizeof(uint32_t) <= bytes.size(); at += sizeof(uint32_t))
    offsets.push_back(uint64_t{get<uint32_t>(bytes.view(), at)} * kAlignmentBytes);
  if (offsets.empty()) return fail(ErrorKind::kCorrupt, path_of(places.segment, ".index") + " is too short");
  return offsets;
}

Result<SharedBytes> JournalImpl::read_entry(const Segment& segment, uint64_t offset, PartitionId partition,
                                            uint64_t entry) {
  const auto damaged = [&] {
    return fail(ErrorKind::kCorrupt, segment.path + " at offset " + std::to_string(offset) + ": entry " +
                                         std::to_string(entry) + " of partition " + std::to_string(partition) +
                                         " is damaged; reading goes on behind it");
  };
  FMESH_TRY(const SharedBytes head, windows_.read(segment.path, offset, kAppendHeaderSizeBytes, segment.end));
  const auto header = decode_append_header(head.view(), segment.salt, offset);
  if (!header || header->partition != partition || header->entry_number != entry) return damaged();
  FMESH_TRY(SharedBytes bytes,
            windows_.read(segment.path, offset + kAppendHeaderSizeBytes, header->size_bytes, segment.end));
  if (bytes.size() != header->size_bytes || crc32c(bytes.view()) != header->data_crc) return damaged();
  if (bytes.size() < kCopyOutMaxBytes) return SharedBytes(std::string(bytes.view()));
  return bytes;
}

Error JournalImpl::lost_error(PartitionId partition, uint64_t entry) const {
  const std::string what = "entry " + std::to_string(entry) + " of partition " + std::to_string(partition);
  for (const Lost& lost : lost_)
    if (lost.partition == partition && entry >= lost.first && entry - lost.first < lost.count)
      return Error(ErrorKind::kCorrupt,
                   lost.file + " at offset " + std::to_string(lost.offset) + ": " + what + " was lost to damage");
  const uint64_t first = index_.begin(partition);
  if (entry < first)
    return Error(ErrorKind::kFixInput, what + " is no longer there; the first is " + std::to_string(first));
  return Error(ErrorKind::kCorrupt, options_.directory + ": " + what + " is missing");
}

Result<std::vector<SharedBytes>> JournalImpl::read(PartitionId partition, uint64_t first, size_t size_max_bytes) {
  std::vector<SharedBytes> entries;
  size_t size = 0;
  for (int attempt = 0; size < size_max_bytes || entries.empty();) {
    const uint64_t entry = first + entries.size();
    Places places;
    Segment segment;
    {
      const std::lock_guard lock(mutex_);
      if (entry >= index_.end(partition)) break;
      std::vector<SharedBytes> recent =
          index_.recent(partition, entry, size_max_bytes - std::min(size, size_max_bytes));
      if (!recent.empty()) {
        if (entries.empty()) return recent;
        if (size + recent.front().size() > size_max_bytes) break;
        std::move(recent.begin(), recent.end(), std::back_inserter(entries));
        break;
      }
      auto found = index_.find(partition, entry, kPlacesMax);
      if (!found && entries.empty()) return fail(lost_error(partition, entry));
      if (!found) break;
      places = std::move(*found);
      segment = segments_[places.segment];
    }
    const Result<std::vector<uint64_t>> offsets = offsets_of(places);
    std::optional<Error> error;
    if (!offsets) error = offsets.error();
    for (size_t i = 0; offsets && !error && i < offsets->size(); ++i) {
      Result<SharedBytes> bytes = read_entry(segment, (*offsets)[i], partition, first + entries.size());
      if (!bytes) {
        error = bytes.error();
        break;
      }
      if (!entries.empty() && size + bytes->size() > size_max_bytes) return entries;
      size += bytes->size();
      entries.push_back(std::move(*bytes));
    }
    if (!error) continue;
    if (!entries.empty()) break;
    // The segment may have gone while it was read; its live entries are elsewhere then.
    const std::lock_guard lock(mutex_);
    if (segments_.contains(places.segment) || ++attempt == 3) return fail(*error);
  }
  return entries;
}

JournalStats JournalImpl::stats() const {
  const std::lock_guard lock(mutex_);
  JournalStats stats = stats_;
  stats.segments = segments_.size();
  stats.pending_bytes = pending_bytes_.load();
  for (const auto& [number, segment] : segments_) stats.disk_bytes += segment.end;
  return stats;
}

std::vector<Damage> JournalImpl::damages() const {
  const std::lock_guard lock(mutex_);
  return damages_;
}

}  // namespace fmesh::stream::log
