#include "base/loop.h"

#include <pthread.h>

#include <chrono>
#include <utility>

namespace fmesh {

ThreadLoop::ThreadLoop(const Clock& clock, std::string name) : clock_(clock), name_(std::move(name)) {
  thread_ = std::thread([this] { run(); });
}

ThreadLoop::~ThreadLoop() { stop(); }

void ThreadLoop::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void ThreadLoop::post(Task task) {
  bool first = false;
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    first = tasks_.empty();
    tasks_.push_back(std::move(task));
  }
  if (first) wake_.notify_one();
}

uint64_t ThreadLoop::post_after(int64_t delay_ms, Task task) {
  const int64_t due = clock_.monotonic_ns() + delay_ms * 1'000'000;
  uint64_t ticket = 0;
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return 0;
    ticket = ++last_ticket_;
    timers_.emplace(std::pair{due, ticket}, std::move(task));
    due_.emplace(ticket, due);
  }
  wake_.notify_one();
  return ticket;
}

void ThreadLoop::cancel(uint64_t ticket) {
  Task dropped;  // destroyed outside the lock
  std::lock_guard lock(mutex_);
  const auto found = due_.find(ticket);
  if (found == due_.end()) return;
  const auto timer = timers_.find({found->second, ticket});
  dropped = std::move(timer->second);
  timers_.erase(timer);
  due_.erase(found);
}

void ThreadLoop::run() {
  pthread_setname_np(pthread_self(), name_.substr(0, 15).c_str());
  std::vector<Task> batch;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const int64_t now = clock_.monotonic_ns();
    while (!timers_.empty() && timers_.begin()->first.first <= now) {
      due_.erase(timers_.begin()->first.second);
      tasks_.push_back(std::move(timers_.begin()->second));
      timers_.erase(timers_.begin());
    }
    if (tasks_.empty()) {
      if (timers_.empty()) {
        wake_.wait(lock);
      } else {
        wake_.wait_for(lock, std::chrono::nanoseconds(timers_.begin()->first.first - now));
      }
      continue;
    }
    batch.swap(tasks_);
    lock.unlock();
    for (Task& task : batch) {
      task();
      task = nullptr;
    }
    batch.clear();
    lock.lock();
  }
}

void ManualLoop::post(Task task) {
  std::lock_guard lock(mutex_);
  tasks_.push_back(std::move(task));
}

uint64_t ManualLoop::post_after(int64_t delay_ms, Task task) {
  std::lock_guard lock(mutex_);
  const int64_t due = clock_.monotonic_ns() + delay_ms * 1'000'000;
  const uint64_t ticket = ++last_ticket_;
  timers_.emplace(std::pair{due, ticket}, std::move(task));
  due_.emplace(ticket, due);
  return ticket;
}

void ManualLoop::cancel(uint64_t ticket) {
  std::lock_guard lock(mutex_);
  const auto found = due_.find(ticket);
  if (found == due_.end()) return;
  timers_.erase({found->second, ticket});
  due_.erase(found);
}

size_t ManualLoop::run_ready() {
  size_t count = 0;
  while (true) {
    std::vector<Task> batch;
    {
      std::lock_guard lock(mutex_);
      const int64_t now = clock_.monotonic_ns();
      while (!timers_.empty() && timers_.begin()->first.first <= now) {
        due_.erase(timers_.begin()->first.second);
        tasks_.push_back(std::move(timers_.begin()->second));
        timers_.erase(timers_.begin());
      }
      batch.swap(tasks_);
    }
    if (batch.empty()) return count;
    for (Task& task : batch) task();
    count += batch.size();
  }
}

bool ManualLoop::advance_to_next(int64_t limit_ms) {
  int64_t wait_ms = 0;
  {
    std::lock_guard lock(mutex_);
    if (timers_.empty()) return false;
    wait_ms = (timers_.begin()->first.first - clock_.monotonic_ns() + 999'999) / 1'000'000;
  }
  if (wait_ms > limit_ms) return false;
  if (wait_ms > 0) clock_.advance_ms(wait_ms);
  run_ready();
  return true;
}

}  // namespace fmesh
