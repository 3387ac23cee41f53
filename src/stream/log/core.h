// The core of the log is what its client side, its producers and its consumers share: the tables and dispatchers under
// one lock, the journal, the state, and the timer for retries that come due. It is the journal's Tables: what the
// journal made durable is carried out here, on the committer.
//
// Locks: `submit_lock` orders submission (deduplication decides in journal order), then `lock` guards tables and
// dispatchers; the journal is never called under `lock`, and no callback of a caller runs under either. See
// docs/internals/streams.md.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "stream/log/dispatcher.h"
#include "stream/log/journal.h"
#include "stream/log/state_store.h"
#include "stream/log/tables.h"

namespace fmesh::stream::log {

class LogProducer;
class LogConsumer;

using Wakes = std::vector<std::function<void()>>;
void call_all(const Wakes& wakes);

// A new place for one partition of a subscription.
struct CursorMove {
  std::shared_ptr<Stream> stream;
  std::shared_ptr<Subscription> subscription;
  size_t partition = 0;
  Cursor cursor;
};

// Who wants to know of new entries of a stream without being a member of a subscription: read-only consumers.
class Reader {
 public:
  virtual ~Reader() = default;
  virtual std::function<void()> take_wake_if_ready() = 0;
  // A stream was made: follows it if the reader's pattern matches.
  virtual void join_if_matching(const std::shared_ptr<Stream>& stream) = 0;
};

class Core : public Tables, public std::enable_shared_from_this<Core> {
 public:
  Core(const Clock& clock, StreamOptions defaults, std::string state_path, bool own_thread);
  ~Core() override;

  // Gives the core its journal; the journal was opened with this core as its tables.
  void start(std::unique_ptr<Journal> journal);
  // Refuses what comes from now on, finishes what was submitted and closes the journal.
  void stop();

  // --- Tables, on the committer ---
  Status restore(std::string_view checkpoint) override;
  void apply(const Transaction& transaction, const Applied& applied, bool replaying) override;
  Result<std::string> checkpoint() override;
  uint64_t first_wanted(PartitionId partition) const override;

  // --- everybody ---
  void commit(Commit commit, std::function<void(Result<Receipt>)> done);
  // Submits ops and waits until they are durable and applied. Not from a callback of the log.
  Status submit_and_wait(std::vector<TableOp> ops);
  // Submits ops that nobody waits for.
  void submit(std::vector<TableOp> ops);

  // The stream, made with `options` (-1: the defaults) if it is not there.
  Result<std::shared_ptr<Stream>> find_or_create(const std::string& topic, StreamOptions options);
  // The cursor of a place: what lies before it counts as acknowledged. Reads entries if the place lies between samples.
  Result<Cursor> cursor_at(const std::shared_ptr<Stream>& stream, size_t partition, uint64_t entry,
                           uint32_t first_record);
  // Moves subscriptions; what was handed out before is void. Waits until that is durable.
  Status move_cursors(const std::vector<CursorMove>& moves);
  // The first entry of a partition that was published at or after `time_ms`.
  Result<uint64_t> entry_at_time(const std::shared_ptr<Stream>& stream, size_t partition, int64_t time_ms);

  // What is due now: retries, ack timeouts. Called by the timer, or by hand.
  void tick();
  // REQUIRES: lock held. on_time() of the subscription runs at `due_ns` at the latest.
  void schedule(int64_t due_ns, const std::shared_ptr<Subscription>& subscription);
  // REQUIRES: lock held. Takes the wakes of those consumers of a lane that may find something.
  void wake_lane(const Subscription& subscription, size_t lane, Wakes& wakes);
  void wake_subscription(const Subscription& subscription, Wakes& wakes);
  // The entry can't be read: it counts as acknowledged, so that a damage does not stop a stream for ever.
  void give_up_entry(const std::shared_ptr<Subscription>& subscription, size_t lane, uint64_t entry,
                     ConsumerNumber consumer);

  const Clock& clock() const { return clock_; }
  Journal& journal() { return *journal_; }
  bool closed() const { return closed_; }
  Error closed_error() const { return {ErrorKind::kClosed, "the log is closed"}; }

  mutable std::mutex lock;
  // --- guarded by lock ---
  StreamTables tables;
  std::map<const Stream*, std::vector<Reader*>> readers;
  std::map<const Stream*, std::vector<std::weak_ptr<LogProducer>>> waiting_producers;
  std::vector<LogConsumer*> pattern_consumers;
  std::vector<Reader*> pattern_readers;
  ConsumerNumber last_consumer = 0;
  uint64_t last_producer = 0;
  std::map<std::string, std::weak_ptr<StagedTable>> state_tables;

  const std::shared_ptr<StateStore> state;

 private:
  struct InFlight;
  // Records and bytes of entries `first` .. `end` - 1, read from the journal.
  Result<Volume> count(PartitionId partition, uint64_t first, uint64_t end);
  Status build(Commit& commit, InFlight& flight, Transaction& transaction);
  Status build_appends(Commit& commit, InFlight& flight, Transaction& transaction);
  Status build_acks(Commit& commit, InFlight& flight, Transaction& transaction);
  void undo(InFlight& flight, Wakes& wakes);
  void finish(InFlight& flight, Result<Applied> applied);
  void wake_producers(Stream& stream, Wakes& wakes);
  void run_timer();

  const Clock& clock_;
  const StreamOptions defaults_;
  const bool own_thread_;
  std::unique_ptr<Journal> journal_;
  std::atomic<bool> closed_{false};
  std::recursive_mutex submit_lock_;
  std::thread::id committer_;

  std::multimap<int64_t, std::weak_ptr<Subscription>> timers_;  // guarded by lock
  std::condition_variable timer_wake_;
  std::thread timer_;
};

class Log;
// The client side over a core that has its journal.
std::unique_ptr<Log> make_log(std::shared_ptr<Core> core);

}  // namespace fmesh::stream::log
