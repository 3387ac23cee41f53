// A child process that runs the logic of one instance: started, spoken to over a socket, listened to, and found out
// about when it dies. What it and all that user code starts in it write to standard output and error comes line by line
// to `log`, on a thread of its own that lives as long as the process.
//
// A page of memory is shared with it: there stands at which record it is, so that a death can be laid at a record
// whatever ended the process. Owned by a ChildLogic; used on one thread at a time, except what `log` is told.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/result.h"
#include "runtime/child/channel.h"

namespace fmesh::runtime {

// What a child finds open. 0 to 2 are /dev/null and the pipe that `log` is fed from.
inline constexpr int kChildSocketFd = 3;
inline constexpr int kChildLogFd = 4;
inline constexpr int kChildPageFd = 5;

// The page that both see.
struct ChildPage {
  std::atomic<size_t> current;  // index of the record at work, or kNoRecord
};
inline constexpr size_t kNoRecord = SIZE_MAX;
inline constexpr size_t kChildPageBytes = 4096;

struct ChildListener {
  std::function<void(std::string_view level, std::string_view text)> log;
  std::function<void(std::string_view name, double value)> metric;
};

// How a process ended.
struct Death {
  int signal = 0;     // 0: it exited
  int exit_code = 0;  // if it exited
  // Nobody inside did it: kill, or the kernel for want of memory.
  bool from_outside() const;
  std::string text() const;  // "died of SIGSEGV"
};

class ChildProcess {
 public:
  // Errors: kRetryLater if the system can't start it.
  static Result<std::unique_ptr<ChildProcess>> start(const std::string& program, const std::string& argument,
                                                     ChildListener listener);
  ~ChildProcess();  // ends it
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // False: it is gone or going; receive() says so then.
  bool send(FrameKind kind, std::string_view body) { return send_frame(socket_, kind, body); }
  // Waits up to `limit_ms`. Nothing: no frame yet, or it is dead; see death().
  std::optional<Frame> receive(int limit_ms);
  // Set once it is dead and everything it wrote was logged.
  const std::optional<Death>& death() const { return death_; }
  std::vector<std::string> last_lines() const;  // what it wrote last to standard output or error

  size_t current() const { return page_->current.load(std::memory_order_relaxed); }
  void reset_current() { page_->current.store(kNoRecord, std::memory_order_relaxed); }
  void signal(int number) const;
  // Waits for its end up to `limit_ms`, then kills it.
  void end(int64_t limit_ms);
  pid_t pid() const { return pid_; }

 private:
  ChildProcess() = default;
  Status open_ends(int& socket, int& log, int& output, int& page);
  Status spawn(const std::string& program, const std::string& argument, int socket, int log, int output, int page);
  void listen();
  void take_frames(std::string& pending);
  void take_line(std::string line);
  void bury();

  ChildListener listener_;
  pid_t pid_ = -1;
  int socket_ = -1, log_ = -1, output_ = -1, process_ = -1, stop_ = -1;
  ChildPage* page_ = nullptr;
  std::unique_ptr<Channel> channel_;
  std::optional<Death> death_;
  std::thread listening_;
  mutable std::mutex mutex_;
  std::deque<std::string> lines_;
};

}  // namespace fmesh::runtime
