// What the main thread of a process waits for: tasks that other threads post to it, and the signals that end it.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "base/loop.h"

namespace fmesh::local {

// Tasks for the thread that calls run(), from any thread. The descriptor is readable while there are some.
class Events {
 public:
  Events();
  ~Events();
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;
  int fd() const { return fd_; }
  void post(Task task);
  void run();

 private:
  int fd_;
  std::mutex mutex_;
  std::vector<Task> tasks_;
};

// Blocks SIGINT, SIGTERM and SIGHUP for this thread and those it starts, and gives them out through a descriptor.
class Signals {
 public:
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  int fd() const { return fd_; }
  // True if a signal came that is not the echo of one just seen: a terminal and a parent may both send it.
  bool take(int64_t now_ms);

 private:
  int fd_ = -1;
  std::optional<int64_t> last_ms_;
};

// Waits for either of them, at most `limit_ms` (-1: for ever). What is ready is left to the caller.
struct Ready {
  bool events = false, signals = false, timeout = false;
};
Ready wait_for(const Events& events, const Signals& signals, int limit_ms);

}  // namespace fmesh::local
