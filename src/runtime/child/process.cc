#include "runtime/child/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "runtime/child/lines.h"
#include "runtime/child/messages.h"

namespace fmesh::runtime {
namespace {

// Between the last word of a process and its end.
constexpr int64_t kLastWordMs = 500;
constexpr size_t kLastLines = 40;
constexpr int kSocketBufferBytes = 1024 * 1024;

void close_fd(int& fd) {
  if (fd >= 0) ::close(fd);
  fd = -1;
}

Error system_error(const char* what) {
  return Error(ErrorKind::kRetryLater, std::string("start a process: ") + what + ": " + std::strerror(errno));
}

// Above the numbers that the child will use, so that moving them there overwrites none of them.
int above_the_fixed(int fd) {
  const int moved = ::fcntl(fd, F_DUPFD_CLOEXEC, 16);
  ::close(fd);
  return moved;
}

// What is there, without waiting. False at the end.
bool read_some(int fd, std::string& into) {
  char buffer[16 * 1024];
  const ssize_t got = ::read(fd, buffer, sizeof buffer);
  if (got > 0) into.append(buffer, static_cast<size_t>(got));
  return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

bool has_more(int fd) {
  pollfd one{fd, POLLIN, 0};
  return ::poll(&one, 1, 0) == 1 && (one.revents & POLLIN) != 0;
}

}  // namespace

bool Death::from_outside() const { return signal == SIGKILL || signal == SIGTERM; }

std::string Death::text() const {
  if (signal == 0) return "ended itself with exit code " + std::to_string(exit_code);
  const char* const name = ::sigabbrev_np(signal);
  return std::string(from_outside() ? "was ended by " : "died of ") +
         (name != nullptr ? "SIG" + std::string(name) : "signal " + std::to_string(signal));
}

Result<std::unique_ptr<ChildProcess>> ChildProcess::start(const std::string& program, const std::string& argument,
                                                          ChildListener listener) {
  std::unique_ptr<ChildProcess> child(new ChildProcess);
  child->listener_ = std::move(listener);
  int socket = -1, log = -1, output = -1, page = -1;
  Status status = child->open_ends(socket, log, output, page);
  if (status) status = child->spawn(program, argument, socket, log, output, page);
  for (int* fd : {&socket, &log, &output, &page}) close_fd(*fd);
  if (!status) return fail(status.error());
  child->channel_ = std::make_unique<Channel>(child->socket_);
  child->listening_ = std::thread([one = child.get()] { one->listen(); });
  return child;
}

Status ChildProcess::open_ends(int& socket, int& log, int& output, int& page) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return fail(system_error("socketpair"));
  socket_ = ends[0];
  socket = above_the_fixed(ends[1]);
  for (const int end : {socket_, socket}) {
    ::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &kSocketBufferBytes, sizeof kSocketBufferBytes);
  }
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail(system_error("pipe"));
  log_ = ends[0];
  log = above_the_fixed(ends[1]);
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail(system_error("pipe"));
  output_ = ends[0];
  output = above_the_fixed(ends[1]);
  page = above_the_fixed(::memfd_create("fmesh-child", MFD_CLOEXEC));
  if (page < 0 || ::ftruncate(page, kChildPageBytes) != 0) return fail(system_error("memfd_create"));
  void* const shared = ::mmap(nullptr, kChildPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, page, 0);
  if (shared == MAP_FAILED) return fail(system_error("mmap"));
  page_ = new (shared) ChildPage{};
  reset_current();
  stop_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (socket < 0 || log < 0 || output < 0 || stop_ < 0) return fail(system_error("no more file descriptors"));
  for (const int end : {log_, output_}) ::fcntl(end, F_SETFL, O_NONBLOCK);
  return {};
}

Status ChildProcess::spawn(const std::string& program, const std::string& argument, int socket, int log, int output,
                           int page) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, 1);
  posix_spawn_file_actions_adddup2(&actions, output, 2);
  posix_spawn_file_actions_adddup2(&actions, socket, kChildSocketFd);
  posix_spawn_file_actions_adddup2(&actions, log, kChildLogFd);
  posix_spawn_file_actions_adddup2(&actions, page, kChildPageFd);
  posix_spawn_file_actions_addclosefrom_np(&actions, kChildPageFd + 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // The host blocks signals that user code may want, and a Ctrl-C is for the host alone, which drains.
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  std::string name = program, shown = argument;
  std::array<char*, 3> arguments = {name.data(), shown.data(), nullptr};
  const int code = ::posix_spawn(&pid_, program.c_str(), &actions, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (code != 0) {
    pid_ = -1;
    return fail(ErrorKind::kRetryLater, "start " + program + ": " + std::strerror(code));
  }
  // glibc 2.36 declares pidfd_open() for C only.
  process_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
  return process_ >= 0 ? Status() : fail(system_error("pidfd_open"));
}

ChildProcess::~ChildProcess() {
  if (pid_ > 0 && !death_) end(0);
  if (listening_.joinable()) bury();
  for (int* fd : {&socket_, &log_, &output_, &process_, &stop_}) close_fd(*fd);
  if (page_ != nullptr) ::munmap(page_, kChildPageBytes);
}

std::optional<Frame> ChildProcess::receive(int limit_ms) {
  while (!death_) {
    if (auto frame = channel_->next()) return frame;
    if (channel_->broken()) {
      end(0);
      break;
    }
    // A process that it started may hold its end of the socket open, so its death is asked for as well.
    std::array<pollfd, 2> fds = {pollfd{socket_, POLLIN, 0}, pollfd{process_, POLLIN, 0}};
    const int ready = ::poll(fds.data(), fds.size(), limit_ms);
    if (ready == 0) return std::nullopt;
    if (ready < 0 || (has_more(socket_) && channel_->fill())) continue;
    end(kLastWordMs);  // its last word has been read
  }
  return std::nullopt;
}

void ChildProcess::signal(int number) const {
  if (!death_) ::kill(pid_, number);
}

void ChildProcess::end(int64_t limit_ms) {
  if (death_) return;
  pollfd one{process_, POLLIN, 0};
  if (::poll(&one, 1, static_cast<int>(limit_ms)) <= 0) ::kill(pid_, SIGKILL);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  death_ = WIFSIGNALED(status) ? Death{WTERMSIG(status), 0} : Death{0, WEXITSTATUS(status)};
  bury();
}

// Everything that the dead process wrote is logged before its death is told.
void ChildProcess::bury() {
  const uint64_t one = 1;
  static_cast<void>(::write(stop_, &one, sizeof one) == sizeof one);
  if (listening_.joinable()) listening_.join();
}

std::vector<std::string> ChildProcess::last_lines() const {
  const std::lock_guard lock(mutex_);
  return {lines_.begin(), lines_.end()};
}

void ChildProcess::listen() {
  std::string frames, output;
  Lines lines;
  const auto take = [this](std::string line) { take_line(std::move(line)); };
  const auto read_lines = [&] {
    const bool more = read_some(output_, output);
    lines.add(output, take);
    output.clear();
    return more;
  };
  std::array<pollfd, 3> fds = {pollfd{log_, POLLIN, 0}, pollfd{output_, POLLIN, 0}, pollfd{stop_, POLLIN, 0}};
  while (fds[2].revents == 0) {
    if (::poll(fds.data(), fds.size(), -1) < 0) continue;
    if (fds[0].revents != 0) {
      if (!read_some(log_, frames)) fds[0].fd = -1;
      take_frames(frames);
    }
    if (fds[1].revents != 0) {
      if (!read_lines()) fds[1].fd = -1;
    }
  }
  while (fds[0].fd >= 0 && has_more(log_) && read_some(log_, frames)) {
  }
  take_frames(frames);
  while (fds[1].fd >= 0 && has_more(output_) && read_lines()) {
  }
  lines.end(take);
}

void ChildProcess::take_frames(std::string& pending) {
  size_t at = 0;
  while (pending.size() - at >= sizeof(uint32_t)) {
    Reader head(std::string_view(pending).substr(at));
    const std::string_view body = head.text();
    if (!head.whole()) break;
    at += sizeof(uint32_t) + body.size();
    Reader in(body);
    if (in.number<LogKind>() == LogKind::kLine) {
      const std::string_view level = in.text();
      const std::string_view text = in.text();
      if (in.whole()) listener_.log(level, text);
    } else {
      const std::string_view name = in.text();
      const auto value = in.number<double>();
      if (in.whole()) listener_.metric(name, value);
    }
  }
  pending.erase(0, at);
}

void ChildProcess::take_line(std::string line) {
  listener_.log("info", line);
  const std::lock_guard lock(mutex_);
  lines_.push_back(std::move(line));
  if (lines_.size() > kLastLines) lines_.pop_front();
}

}  // namespace fmesh::runtime
