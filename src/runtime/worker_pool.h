// Threads for code that may block: user functions and connectors. A job runs on one of them and must not touch what
// belongs to a loop; it posts back. The pool grows while jobs wait, up to its bound, and shrinks when threads are idle;
// a job that holds its thread past its limit is reported as stuck, and the pool grows by one in its place, within
// kStuckThreadsMax.
//
// From any thread. Jobs given with one key never overlap and run in order: an instance is its own key.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/clock.h"

namespace fmesh::runtime {

struct WorkerPoolOptions {
  size_t threads_max = 16;
  int64_t idle_ms = 10'000;  // a thread without work for this long ends
};

class WorkerPool {
 public:
  static std::unique_ptr<WorkerPool> make(const Clock& clock, WorkerPoolOptions options);
  // A pool without threads, for tests and the simulator: run() runs the job in place.
  static std::unique_ptr<WorkerPool> make_inline();
  virtual ~WorkerPool() = default;
  // Runs `job`. If it is not done after `limit_ms` (0: no limit), `stuck` is called once, on another thread.
  virtual void run(const void* key, std::function<void()> job, int64_t limit_ms = 0,
                   std::function<void()> stuck = {}) = 0;
  virtual size_t threads() const = 0;
  virtual size_t stuck_threads() const = 0;
};

// More stuck threads than this and the host process is replaced.
inline constexpr size_t kStuckThreadsMax = 8;

}  // namespace fmesh::runtime
