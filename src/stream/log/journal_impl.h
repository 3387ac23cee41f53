// The journal's parts under one roof: queue, committer, index, recovery, garbage. Split over files by what happens
// when: journal.cc (submit, commit, read), journal_open.cc (recovery), journal_garbage.cc (sealing, checkpoints,
// deletion).
//
// The committer is one thread, or whoever calls step(). It alone writes; `mutex_` guards what readers share with it and
// is never held over a disk call or a callback; `queue_mutex_` guards what submitters share with it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "stream/log/checkpoint.h"
#include "stream/log/entry_index.h"
#include "stream/log/file_windows.h"
#include "stream/log/journal.h"
#include "stream/log/segment_format.h"
#include "stream/log/segment_scan.h"

namespace fmesh::stream::log {

class JournalImpl final : public Journal {
 public:
  JournalImpl(Disk& disk, const Clock& clock, JournalOptions options, Tables& tables);
  ~JournalImpl() override;

  // Takes the lock and restores what is there. Called once, first.
  Status recover();
  void start_thread();
  const std::string& directory() const { return options_.directory; }

  void submit(Transaction transaction, Done done) override;
  bool writable() const override { return pending_bytes_.load() < options_.pending_size_max_bytes; }
  void notify_writable(std::function<void()> wake) override;
  uint64_t end(PartitionId partition) const override;
  uint64_t begin(PartitionId partition) const override;
  Result<std::vector<SharedBytes>> read(PartitionId partition, uint64_t first, size_t size_max_bytes) override;
  size_t step() override;
  Status collect_garbage() override;
  JournalStats stats() const override;
  std::vector<Damage> damages() const override;

 private:
  struct Pending {
    Transaction transaction;
    Done done;
    std::vector<uint32_t> crcs;  // of the entries; computed by the submitter
    uint64_t size_bytes = 0;
  };
  struct Segment {
    std::string path;
    uint64_t salt = 0;
    uint64_t end = 0;  // what readers may see
  };
  // The segment that is being written.
  struct Active {
    std::unique_ptr<File> file;
    uint64_t number = 0;
    uint64_t salt = 0;
    uint64_t written = 0;
    uint64_t synced = 0;
    uint64_t reserved = 0;
  };
  // A group of transactions on its way into one segment.
  struct Written {
    std::vector<Applied> applied;
    std::vector<std::vector<uint64_t>> positions;
  };
  struct Unsealed {
    uint64_t number = 0, salt = 0, valid_end = 0;
  };
  // A checkpoint on disk, by the place it covers.
  struct Kept {
    Lsn lsn = 0;
    uint64_t segment = 0, offset = 0;
    bool clean = false;
  };

  std::string path_of(uint64_t number, const char* suffix) const;

  // Committer (journal.cc).
  void run();
  std::vector<Pending> take_group();
  void commit(std::vector<Pending> group);
  Result<Written> write_group(const std::vector<Pending>& group);
  Result<std::vector<std::vector<uint64_t>>> write_frames(FrameKind kind, const std::vector<Pending>& group,
                                                          const std::vector<Applied>& applied);
  Status make_room(uint64_t end);
  Status sync_active();
  void publish(const std::vector<Pending>& group, const Written& written);
  void fail_waiting(std::vector<Pending> group, const Error& error);
  void write_mark();
  void call_wakers();

  // Reading (journal.cc).
  Result<SharedBytes> read_entry(const Segment& segment, uint64_t offset, PartitionId partition, uint64_t entry);
  Result<std::vector<uint64_t>> offsets_of(const Places& places);
  Error lost_error(PartitionId partition, uint64_t entry) const;

  // Segments, checkpoints, garbage (journal_garbage.cc).
  Status begin_segment();
  void wipe(uint64_t begin, uint64_t end);
  void end_segment(uint64_t valid_end);
  void seal_segments();
  void maintain();
  Status write_checkpoint_now(bool clean);
  Status collect(bool thorough);
  Status relocate(uint64_t number);
  Status relocate_batch(const std::vector<Pending>& batch, const std::vector<Applied>& applied);
  void delete_segment(uint64_t number);

  // Recovery (journal_open.cc).
  Status load_checkpoints(const std::vector<std::string>& names);
  Status load_segments(const std::vector<std::string>& names);
  void note_missing(const std::vector<SegmentHeader>& headers);
  Result<std::optional<SegmentHeader>> load_header(uint64_t number);
  Status scan_segment(const SegmentHeader& header, std::optional<uint64_t> known_end, bool last);
  Status replay(SegmentScan& scan, const SegmentHeader& header, uint64_t end, uint64_t apply_from);
  void replay_appends(std::vector<ScannedAppend> appends, std::vector<TableOp> ops, Lsn lsn, FrameKind kind,
                      bool apply);
  void add_damage(Damage damage);

  Disk& disk_;
  const Clock& clock_;
  JournalOptions options_;
  Tables& tables_;
  std::unique_ptr<DiskLock> lock_;

  std::mutex queue_mutex_;
  std::condition_variable wake_;
  std::deque<Pending> queue_;
  std::vector<std::function<void()>> wakers_;
  std::vector<std::promise<Status>> garbage_requests_;
  bool stopping_ = false;
  std::atomic<size_t> pending_bytes_ = 0;

  mutable std::mutex mutex_;
  EntryIndex index_;
  std::map<uint64_t, Segment> segments_;
  std::vector<Damage> damages_;
  std::vector<Lost> lost_;
  JournalStats stats_;

  FileWindows windows_;

  // The committer's own.
  std::optional<Active> active_;
  uint64_t last_number_ = 0;
  uint64_t previous_number_ = 0;
  uint64_t previous_valid_end_ = 0;
  Lsn next_lsn_ = 1;
  std::vector<Unsealed> unsealed_;
  std::deque<Kept> checkpoints_;  // oldest first
  uint64_t since_checkpoint_bytes_ = 0;
  int64_t last_sync_ns_ = 0;
  bool mark_wanted_ = false;
  bool write_failed_ = false;  // the last group
  // Recovery only: where appends were lost whose partition is not known.
  std::optional<Damage> unknown_loss_;
  Checkpoint restored_;
  std::thread thread_;
};

}  // namespace fmesh::stream::log
