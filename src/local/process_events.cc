#include "local/process_events.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "local/parent.h"

namespace fmesh::local {

Events::Events() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
Events::~Events() { ::close(fd_); }

void Events::post(Task task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  const uint64_t one = 1;
  static_cast<void>(::write(fd_, &one, sizeof one) == sizeof one);
}

void Events::run() {
  uint64_t count = 0;
  static_cast<void>(::read(fd_, &count, sizeof count) == sizeof count);
  std::vector<Task> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(tasks_);
  }
  for (Task& task : tasks) task();
}

Signals::Signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  fd_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}
Signals::~Signals() { ::close(fd_); }

bool Signals::take(int64_t now_ms) {
  signalfd_siginfo info{};
  bool fresh = false;
  while (::read(fd_, &info, sizeof info) == sizeof info) {
    fresh = fresh || !last_ms_ || now_ms - *last_ms_ > kSignalTwiceMs;
    last_ms_ = last_ms_ && !fresh ? last_ms_ : now_ms;
  }
  return fresh;
}

Ready wait_for(const Events& events, const Signals& signals, int limit_ms) {
  std::array<pollfd, 2> fds = {pollfd{events.fd(), POLLIN, 0}, pollfd{signals.fd(), POLLIN, 0}};
  const int count = ::poll(fds.data(), fds.size(), limit_ms);
  return {count > 0 && fds[0].revents != 0, count > 0 && fds[1].revents != 0, count == 0};
}

}  // namespace fmesh::local
