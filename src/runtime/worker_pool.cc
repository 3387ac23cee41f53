#include "runtime/worker_pool.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace fmesh::runtime {
namespace {

struct Job {
  std::function<void()> work;
  int64_t limit_ms = 0;
  std::function<void()> stuck;
};

class ThreadPool final : public WorkerPool {
 public:
  ThreadPool(const Clock& clock, WorkerPoolOptions options) : clock_(clock), options_(options) {}

  ~ThreadPool() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    work_ready_.notify_all();
    watch_.notify_all();
    std::unique_lock lock(mutex_);
    // A thread that user code never gives back can't be joined; the process is about to end.
    ended_.wait_for(lock, std::chrono::seconds(5), [this] { return threads_ <= stuck_.size() && !watching_; });
  }

  void run(const void* key, std::function<void()> job, int64_t limit_ms, std::function<void()> stuck) override {
    std::lock_guard lock(mutex_);
    Strand& strand = strands_[key];
    strand.jobs.push_back({std::move(job), limit_ms, std::move(stuck)});
    if (strand.scheduled) return;
    strand.scheduled = true;
    ready_.push_back(key);
    if (idle_ > 0) {
      work_ready_.notify_one();
    } else if (threads_ < options_.threads_max + stuck_.size()) {
      ++threads_;
      std::thread([this] { serve(); }).detach();
    }
  }

  size_t threads() const override {
    std::lock_guard lock(mutex_);
    return threads_;
  }
  size_t stuck_threads() const override {
    std::lock_guard lock(mutex_);
    return stuck_.size();
  }

 private:
  struct Strand {
    std::deque<Job> jobs;
    bool scheduled = false;  // queued, or with a thread
  };
  struct Running {
    int64_t due_ns = 0;
    std::function<void()> stuck;
    bool reported = false;
  };

  void serve() {
    pthread_setname_np(pthread_self(), "fmesh-worker");
    std::unique_lock lock(mutex_);
    while (true) {
      if (ready_.empty()) {
        if (stopping_) break;
        ++idle_;
        const bool woken = work_ready_.wait_for(lock, std::chrono::milliseconds(options_.idle_ms),
                                                [this] { return !ready_.empty() || stopping_; });
        --idle_;
        if (!woken) break;
        continue;
      }
      const void* key = ready_.front();
      ready_.pop_front();
      serve_one(key, lock);
    }
    --threads_;
    ended_.notify_all();
  }

  // Runs the first job of a strand, then queues the strand again behind the others.
  void serve_one(const void* key, std::unique_lock<std::mutex>& lock) {
    Job job = std::move(strands_[key].jobs.front());
    strands_[key].jobs.pop_front();
    const uint64_t id = ++last_id_;
    if (job.limit_ms > 0) {
      running_[id] = {clock_.monotonic_ns() + job.limit_ms * 1'000'000, std::move(job.stuck), false};
      watch();
    }
    lock.unlock();
    job.work();
    job.work = nullptr;
    lock.lock();
    running_.erase(id);
    stuck_.erase(id);
    const auto strand = strands_.find(key);
    if (strand->second.jobs.empty()) {
      strands_.erase(strand);
    } else {
      ready_.push_back(key);
    }
  }

  // Starts the watchdog when there is something to watch; it ends by itself. REQUIRES: the lock.
  void watch() {
    if (watching_) return;
    watching_ = true;
    std::thread([this] {
      pthread_setname_np(pthread_self(), "fmesh-watchdog");
      std::unique_lock lock(mutex_);
      while (!stopping_ && !running_.empty()) {
        check_running(lock);
        watch_.wait_for(lock, kWatchInterval, [this] { return stopping_; });
      }
      watching_ = false;
      ended_.notify_all();
    }).detach();
  }

  void check_running(std::unique_lock<std::mutex>& lock) {
    const int64_t now = clock_.monotonic_ns();
    std::vector<std::function<void()>> reports;
    for (auto& [id, running] : running_) {
      if (running.reported || running.due_ns > now) continue;
      running.reported = true;
      stuck_.insert({id, true});
      if (running.stuck) reports.push_back(running.stuck);
      // Another thread takes the place of the one that is held.
      if (!ready_.empty() && idle_ == 0 &&
          threads_ < options_.threads_max + std::min(stuck_.size(), kStuckThreadsMax)) {
        ++threads_;
        std::thread([this] { serve(); }).detach();
      }
    }
    lock.unlock();
    for (const auto& report : reports) report();
    lock.lock();
  }

  static constexpr std::chrono::milliseconds kWatchInterval{250};

  const Clock& clock_;
  WorkerPoolOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable work_ready_, ended_, watch_;
  std::unordered_map<const void*, Strand> strands_;
  std::deque<const void*> ready_;
  std::map<uint64_t, Running> running_;
  std::map<uint64_t, bool> stuck_;
  uint64_t last_id_ = 0;
  size_t threads_ = 0;
  size_t idle_ = 0;
  bool watching_ = false;
  bool stopping_ = false;
};

class InlinePool final : public WorkerPool {
 public:
  void run(const void*, std::function<void()> job, int64_t, std::function<void()>) override { job(); }
  size_t threads() const override { return 0; }
  size_t stuck_threads() const override { return 0; }
};

}  // namespace

std::unique_ptr<WorkerPool> WorkerPool::make(const Clock& clock, WorkerPoolOptions options) {
  return std::make_unique<ThreadPool>(clock, options);
}

std::unique_ptr<WorkerPool> WorkerPool::make_inline() { return std::make_unique<InlinePool>(); }

}  // namespace fmesh::runtime
