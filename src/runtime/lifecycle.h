// What every instance does whatever flows through it: it starts, fails and starts again with backoff, drains, counts,
// and tells its state. The two ends that differ, reading streams and reading a source, derive from it.
//
// Belongs to one loop; counters are atomics that any thread reads. Callbacks hold a weak reference, so that one which
// comes after the instance is gone does nothing.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "runtime/instance.h"
#include "runtime/log_topic.h"

namespace fmesh::runtime {

// Backoff between restarts of a failing instance.
inline constexpr int64_t kRestartDelayMinMs = 100;
inline constexpr int64_t kRestartDelayMaxMs = 30'000;
// An instance that ran this long is taken as healthy: its next failure waits the minimum again.
inline constexpr int64_t kHealthyAfterMs = 60'000;
// Commits that are on their way at once, per instance. More do not help: the store groups them.
inline constexpr int kCommitsInFlightMax = 8;
// The bytes they may append, looked at before a batch is begun: one more batch is on top.
inline constexpr size_t kCommitBytesInFlightMax = 1024 * 1024;

struct Counters {
  std::atomic<int64_t> received{0}, processed{0}, user_exceptions{0}, system_exceptions{0}, written{0}, dead_letters{0},
      late{0}, restarts{0}, last_invocation_ms{0}, latency_ns_sum{0}, in_flight{0}, waiting_retry{0}, backlog{0},
      cpu_ns{0};
  std::array<std::atomic<int64_t>, kLatencyBoundsNs.size() + 1> latency_buckets{};

  // `records` took `elapsed_ns` together; the caller has added that to latency_ns_sum.
  void count_latency(int64_t elapsed_ns, int64_t records) {
    if (records <= 0) return;
    const auto bound = std::lower_bound(kLatencyBoundsNs.begin(), kLatencyBoundsNs.end(), elapsed_ns / records);
    latency_buckets[static_cast<size_t>(bound - kLatencyBoundsNs.begin())].fetch_add(records,
                                                                                     std::memory_order_relaxed);
  }
};

// What an instance has given to its store and not been answered.
struct InFlight {
  int commits = 0;
  size_t bytes = 0;
  bool full() const { return commits >= kCommitsInFlightMax || bytes >= kCommitBytesInFlightMax; }
  // Counts `commit`; returns its bytes, for ended().
  size_t began(const stream::Commit& commit);
  void ended(size_t commit_bytes);
};

class Lifecycle : public std::enable_shared_from_this<Lifecycle> {
 public:
  Lifecycle(model::InstanceSpec spec, InstanceEnvironment environment);
  virtual ~Lifecycle() = default;

  const model::InstanceSpec& spec() const { return spec_; }
  void start();
  void drain(int64_t limit_ms, std::function<void()> done);
  // True if there is nothing to do now, see Instance::idle(); log lines on their way count.
  bool all_idle() const { return idle() && (!log_topic_ || log_topic_->idle()); }
  virtual void end_of_input() {}
  virtual InstanceStats stats() const;

 protected:
  // Begins to open everything, at each start; calls opened() then or later. Errors: kFixInput ends the instance, others
  // are retried.
  virtual Status open() = 0;
  // Lets go of everything open() made. What is not durable is delivered again.
  virtual void close() = 0;
  virtual bool idle() const = 0;
  // Does what can be done now. Called on the loop after each event.
  virtual void pump() = 0;
  // True if nothing is being processed or on its way to the disk.
  virtual bool quiet() const = 0;

  // Runs `open_them`, which opens streams and state, and then `then` on the loop with what it returned. It is a
  // worker's job if the store is reached over a network, so what it opens goes into an object of its own, not into the
  // instance, which may have ended meanwhile; `then` is dropped in that case. Else both run at once.
  void open_streams(std::function<Status()> open_them, std::function<void(const Status&)> then);
  // Everything is open: the instance runs.
  void opened();
  // A wake that may be called on any thread: pumps on the loop, if this start is still the current one.
  std::function<void()> waker();
  // A way back to the loop for other threads: what it is given is posted, and dropped if the instance is gone or
  // started anew meanwhile. REQUIRES: made on the loop.
  using Poster = std::function<void(std::function<void()>)>;
  Poster poster();
  // Returns the loop's ticket.
  uint64_t after_ms(int64_t delay_ms, std::function<void()> task);
  // Closes everything and starts again later.
  void fail(const Error& error);
  // Ends the instance for good.
  void finish();
  void set_state(InstanceState state) { state_.store(state); }
  InstanceState state() const { return state_.load(); }
  bool running() const { return state() == InstanceState::kRunning; }
  void log(std::string_view level, std::string_view text) const;
  void set_last_error(std::string text);

  model::InstanceSpec spec_;
  InstanceEnvironment environment_;
  Counters counters_;
  std::shared_ptr<stream::CommitOrder> order_;        // of the commits since the last start
  std::shared_ptr<stream::CommitOrder> state_order_;  // of the state read at the last start; null: none was

 private:
  void try_open();
  void check_drained();

  std::atomic<InstanceState> state_{InstanceState::kStarting};
  uint64_t generation_ = 0;  // counts starts; callbacks of earlier ones are dropped
  int64_t restart_delay_ms_ = kRestartDelayMinMs;
  int64_t started_ns_ = 0;
  std::function<void()> drained_;
  mutable std::mutex error_mutex_;
  std::string last_error_;
  std::unique_ptr<LogTopic> log_topic_;  // made at the first start; null: the component has none

  friend class InstanceHandle;
};

// `lifecycle` as the instance that callers own; its callbacks refer to it weakly.
std::unique_ptr<Instance> make_handle(std::shared_ptr<Lifecycle> lifecycle);

}  // namespace fmesh::runtime
