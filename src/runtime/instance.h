// An instance is one running copy of a component: input -> user logic -> output, with its guarantees. It lives on one
// loop, reads entries from a consumer, has its logic run (in place, or on a worker if it may block), and makes outputs,
// input acknowledgements and state changes durable in one Commit. It restarts itself with backoff after a failure.
//
// Functions, windows, sources and sinks are one pipeline with different ends, not four copies. All calls come on the
// loop, except stats(), from any thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/loop.h"
#include "base/result.h"
#include "model/instance_spec.h"
#include "stream/client.h"

namespace fmesh::runtime {

class Logic;
class WorkerPool;

enum class InstanceState {
  kStarting,
  kRunning,
  kDraining,  // takes nothing new, finishes what it has
  kBackoff,   // failed; starts again later
  kStuck,     // holds its worker past the timeout
  kFinished,  // a finite source that is read to its end, everything durable
  kStopped,
  kFailed,  // can't run until a person changes something (kFixInput)
};
const char* to_string(InstanceState state);

// Upper bounds of the latency histogram; one more bucket holds what took longer.
inline constexpr std::array<int64_t, 17> kLatencyBoundsNs = {
    1'000,       10'000,        100'000,       500'000,        1'000'000,     2'500'000,
    5'000'000,   10'000'000,    25'000'000,    50'000'000,     100'000'000,   250'000'000,
    500'000'000, 1'000'000'000, 2'500'000'000, 10'000'000'000, 60'000'000'000};

// Counters since the instance was made. Names follow Pulsar's metrics (facts: pulsar.md 5.6).
struct InstanceStats {
  InstanceState state = InstanceState::kStarting;
  std::string last_error;      // empty: none; with the record it happened at
  int64_t received_total = 0;  // records handed to the logic, redeliveries included
  int64_t processed_successfully_total = 0;
  int64_t user_exceptions_total = 0;
  int64_t system_exceptions_total = 0;
  int64_t written_total = 0;  // records in durable outputs
  int64_t dead_letters_total = 0;
  int64_t late_total = 0;  // behind the watermark
  int64_t restarts_total = 0;
  int64_t last_invocation_ms = 0;  // wall time; 0: never
  int64_t process_latency_ns_sum = 0;
  int64_t process_latency_count = 0;
  // How many records took that long, each bucket without those before it; a record of a batch counts as the batch's
  // mean.
  std::array<int64_t, kLatencyBoundsNs.size() + 1> process_latency_buckets{};
  int64_t in_flight_records = 0;  // read, not yet durable
  int64_t waiting_retry = 0;
  int64_t backlog_records = 0;
  int64_t cpu_ns = 0;  // thread time spent in this instance
};

// A line of a function's or connector's log, for `fmesh logs` and the log topic.
struct LogLine {
  int64_t time_ms;
  std::string component;
  int32_t instance_id;
  std::string level;
  std::string text;
};

// What an instance is given by whoever runs it. All outlive the instance.
struct InstanceEnvironment {
  stream::Client* client = nullptr;
  Loop* loop = nullptr;
  WorkerPool* workers = nullptr;
  const Clock* clock = nullptr;
  std::function<void(LogLine)> log;  // from any thread
  std::string cache_directory;       // content-addressed copies of function libraries
  // Makes the logic of a function; null: runtime's own make_logic(). The simulator gives its own.
  std::function<Result<std::unique_ptr<Logic>>(const model::InstanceSpec&)> make_logic;
};

class Instance {
 public:
  virtual ~Instance() = default;
  virtual const model::InstanceSpec& spec() const = 0;
  // Opens input, logic and outputs and begins. Failures show in stats() and are retried, unless the input must be
  // fixed.
  virtual void start() = 0;
  // Stops intake, finishes what is in flight, makes it durable, then calls `done` on the loop. Ends within `limit_ms`:
  // what is not durable by then is delivered again at the next start.
  virtual void drain(int64_t limit_ms, std::function<void()> done) = 0;
  // True if there is nothing to do now: no input ready, nothing in flight, no retry or timer pending. A source says so
  // when it is at its end or idle.
  virtual bool idle() const = 0;
  // No more input will come: closes open windows, event time included.
  virtual void end_of_input() = 0;
  virtual InstanceStats stats() const = 0;
};

// Errors: kFixInput if the spec names something that does not exist (a library, a symbol, a connector).
Result<std::unique_ptr<Instance>> make_instance(model::InstanceSpec spec, InstanceEnvironment environment);

}  // namespace fmesh::runtime
