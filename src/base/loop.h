// A loop runs small tasks one after another on one thread: the home of instances, connectors and timers. What belongs
// to a loop is touched on its thread only, so it needs no lock; other threads reach it by post().
//
// Tasks must not block. Two kinds exist: ThreadLoop with a thread of its own, and ManualLoop, which a test or the
// simulator steps by hand under a ManualClock.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"

namespace fmesh {

using Task = std::function<void()>;

class Loop {
 public:
  virtual ~Loop() = default;
  // Runs `task` on the loop, after what was posted before. From any thread. Tasks posted after the loop stopped are
  // dropped.
  virtual void post(Task task) = 0;
  // Runs `task` on the loop once `delay_ms` have passed. From any thread. Returns a ticket for cancel().
  virtual uint64_t post_after(int64_t delay_ms, Task task) = 0;
  // Drops a delayed task that has not begun. From any thread; a no-op if it is over.
  virtual void cancel(uint64_t ticket) = 0;
  virtual bool on_loop_thread() const = 0;
  virtual const Clock& clock() const = 0;
};

class ThreadLoop final : public Loop {
 public:
  explicit ThreadLoop(const Clock& clock, std::string name);
  ~ThreadLoop() override;
  void post(Task task) override;
  uint64_t post_after(int64_t delay_ms, Task task) override;
  void cancel(uint64_t ticket) override;
  bool on_loop_thread() const override { return std::this_thread::get_id() == thread_.get_id(); }
  const Clock& clock() const override { return clock_; }
  // Finishes the task at hand, drops the rest, joins the thread. Not from the loop itself.
  void stop();

 private:
  void run();

  const Clock& clock_;
  std::string name_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Task> tasks_;
  std::map<std::pair<int64_t, uint64_t>, Task> timers_;  // by (due in monotonic ns, ticket)
  std::map<uint64_t, int64_t> due_;                      // ticket -> due
  uint64_t last_ticket_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

class ManualLoop final : public Loop {
 public:
  explicit ManualLoop(ManualClock& clock) : clock_(clock) {}
  void post(Task task) override;
  uint64_t post_after(int64_t delay_ms, Task task) override;
  void cancel(uint64_t ticket) override;
  bool on_loop_thread() const override { return true; }
  const Clock& clock() const override { return clock_; }
  // Runs what is due now until nothing is; returns how many tasks ran.
  size_t run_ready();
  // Moves the clock to the next timer, if there is one within `limit_ms`, and runs what is due.
  bool advance_to_next(int64_t limit_ms);

 private:
  ManualClock& clock_;
  std::mutex mutex_;
  std::vector<Task> tasks_;
  std::map<std::pair<int64_t, uint64_t>, Task> timers_;
  std::map<uint64_t, int64_t> due_;
  uint64_t last_ticket_ = 0;
};

}  // namespace fmesh
