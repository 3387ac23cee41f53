// A worker pool whose jobs wait until the simulation runs them: what threads would do some time, in an order that the
// seed decides. Single-threaded.
#pragma once

#include <deque>
#include <functional>
#include <utility>

#include "runtime/worker_pool.h"

namespace fmesh::sim {

class SimulatedWorkers final : public runtime::WorkerPool {
 public:
  void run(const void*, std::function<void()> job, int64_t, std::function<void()>) override {
    jobs_.push_back(std::move(job));
  }
  size_t threads() const override { return 1; }
  size_t stuck_threads() const override { return 0; }
  // Runs the oldest job; false if there is none.
  bool step() {
    if (jobs_.empty()) return false;
    const std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    job();
    return true;
  }

 private:
  std::deque<std::function<void()>> jobs_;
};

}  // namespace fmesh::sim
