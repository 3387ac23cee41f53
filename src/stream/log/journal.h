// The journal is the one file sequence of the embedded log: every entry of every stream, every cursor, producer and
// state change is part of a transaction, and transactions are appended to one segment file after another. So one fsync
// makes any number of streams durable, an idle stream costs nothing, and what belongs together (outputs,
// acknowledgements, state) becomes durable in one write. Entries stay where they were written: the journal is the
// store, not a copy of it.
//
// One committer (a thread, or a test by hand) writes; it groups all transactions that are waiting, syncs once, then
// tells the Tables and calls each `done`. Reads come from any thread. See docs/internals/log.md for the layout and its
// figures.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/disk.h"
#include "base/result.h"
#include "stream/commit_order.h"

namespace fmesh::stream::log {

using PartitionId = uint32_t;  // given by the stream table, never used again
using Lsn = uint64_t;          // place of a transaction in the journal, over all segments; grows

struct JournalAppend {
  PartitionId partition = 0;
  uint32_t record_count = 1;
  SharedBytes entry;
};

// A change of a table (streams, cursors, producers, state). Opaque to the journal.
struct TableOp {
  uint8_t table = 0;
  std::string bytes;
};

struct Transaction {
  std::vector<JournalAppend> appends;
  std::vector<TableOp> ops;
  std::vector<std::shared_ptr<CommitOrder>> orders = {};  // one is broken: this fails without being written
};

// Where the appends of a transaction went: the entry number of each, in order. Numbers count from 0 per partition.
struct Applied {
  Lsn lsn = 0;
  std::vector<uint64_t> entry_numbers;
};

// What is kept in memory about the journal's content. All calls come on the committer, in commit order, or during
// open().
class Tables {
 public:
  virtual ~Tables() = default;
  // During open(): the state of a checkpoint, then every later transaction. The entries of replayed appends are not
  // read back; `transaction.appends[i].entry` is empty then.
  virtual Status restore(std::string_view checkpoint) = 0;
  virtual void apply(const Transaction& transaction, const Applied& applied, bool replaying) = 0;
  // Everything applied so far, as restore() takes it. Called between transactions.
  virtual Result<std::string> checkpoint() = 0;
  // First entry number of a partition that is still wanted: what lies before may be deleted. kNothingWanted: all of it.
  virtual uint64_t first_wanted(PartitionId partition) const = 0;
};
inline constexpr uint64_t kNothingWanted = UINT64_MAX;

enum class SyncMode {
  kGroupCommit,  // an fsync before `done`
  kInterval,     // `done` after the write; fsync every sync_interval_ms
};

struct JournalOptions {
  std::string directory;
  uint64_t segment_size_bytes = 128 * 1024 * 1024;
  uint64_t checkpoint_every_bytes = 64 * 1024 * 1024;  // bounds the scan after a crash
  size_t pending_size_max_bytes = 16 * 1024 * 1024;    // bounds what waits for the committer
  size_t tail_cache_size_bytes = 8 * 1024 * 1024;      // recent entries that readers take from memory
  size_t open_files_max = 64;
  SyncMode sync_mode = SyncMode::kGroupCommit;
  int64_t sync_interval_ms = 50;
  bool own_thread = true;  // false: the owner calls step()
};

struct JournalStats {
  uint64_t segments = 0, disk_bytes = 0, live_bytes = 0;
  uint64_t transactions = 0, entries = 0, bytes_written = 0, syncs = 0;
  uint64_t pending_bytes = 0;
};

// What open() or a read found damaged; listed, never dropped in silence.
struct Damage {
  std::string file;
  uint64_t offset = 0;
  uint64_t size_bytes = 0;
  std::string text;
};

class Journal {
 public:
  using Done = std::function<void(Result<Applied>)>;

  // Takes the lock of the directory, restores `tables` and begins a new segment if the last stop was not clean.
  // Guarantees: no byte of an existing segment is changed. Errors: kFixInput if another process holds the directory or
  // its format is newer than this program; kCorrupt never: damage is listed in damages() and the rest is served.
  static Result<std::unique_ptr<Journal>> open(Disk& disk, const Clock& clock, JournalOptions options, Tables& tables);
  // Finishes what was submitted, writes a checkpoint, marks the stop as clean.
  virtual ~Journal() = default;

  // Queues a transaction; `done` comes on the committer once it is durable and applied. From any thread, in order.
  virtual void submit(Transaction transaction, Done done) = 0;
  // False while more than pending_size_max_bytes wait.
  virtual bool writable() const = 0;
  // Calls `wake` once on the committer when writable() turns true again.
  virtual void notify_writable(std::function<void()> wake) = 0;

  // One past the last durable entry of a partition, and the first that is still there.
  virtual uint64_t end(PartitionId partition) const = 0;
  virtual uint64_t begin(PartitionId partition) const = 0;
  // Reads entries from `first` on, until `size_max_bytes` are reached (at least one entry). Empty at the end.
  // Errors: kCorrupt with file and offset if the first of them is damaged: skip it with first + 1.
  virtual Result<std::vector<SharedBytes>> read(PartitionId partition, uint64_t first, size_t size_max_bytes) = 0;

  // One round of the committer: writes what waits, syncs, applies. Returns the number of transactions. For
  // own_thread=false.
  virtual size_t step() = 0;
  // Deletes segments in which nothing is wanted, moves the last live entries of segments that are mostly dead. The
  // committer does so by itself now and then; tests ask for it.
  virtual Status collect_garbage() = 0;

  virtual JournalStats stats() const = 0;
  virtual std::vector<Damage> damages() const = 0;
};

}  // namespace fmesh::stream::log
