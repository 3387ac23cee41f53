#include "kube/program.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>
#include <utility>

namespace fmesh::kube {
namespace {

constexpr int kLookMs = 20;  // how often the end of the program, the time and `cancelled` are looked at
constexpr int kSignalBase = 128;

// One end of a pipe, closed with it.
class End {
 public:
  End() = default;
  explicit End(int fd) : fd_(fd) {}
  End(End&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  End& operator=(End&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~End() { close(); }
  int fd() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

struct Pipe {
  End reader, writer;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(ErrorKind::kRetryLater, std::strerror(errno));
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return Pipe{End(ends[0]), End(ends[1])};
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

class Child {
 public:
  static Result<Child> start(const ProgramCall& call) {
    Child child;
    FMESH_TRY(Pipe output, make_pipe());
    FMESH_TRY(Pipe words, make_pipe());
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    if (!call.reads_terminal) posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, output.writer.fd(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, words.writer.fd(), STDERR_FILENO);
    posix_spawnattr_t how;
    posix_spawnattr_init(&how);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&how, &none);
    posix_spawnattr_setsigdefault(&how, &all);
    // One that reads the terminal stays in our group, where it may; any other gets one of its own, so that what it
    // started ends with it.
    child.grouped_ = !call.reads_terminal;
    posix_spawnattr_setpgroup(&how, 0);
    const int group = child.grouped_ ? POSIX_SPAWN_SETPGROUP : 0;
    posix_spawnattr_setflags(&how, static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | group));
    std::vector<std::string> words_of_command = {call.command};
    words_of_command.insert(words_of_command.end(), call.arguments.begin(), call.arguments.end());
    const int code = ::posix_spawnp(&child.pid_, call.command.c_str(), &files, &how, pointers(words_of_command).data(),
                                    pointers(call.environment).data());
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&how);
    if (code != 0) {
      child.pid_ = -1;
      return fail(ErrorKind::kFixInput, std::strerror(code));
    }
    child.output_ = std::move(output.reader);
    child.words_ = std::move(words.reader);
    return child;
  }

  Child(Child&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)),
        grouped_(other.grouped_),
        output_(std::move(other.output_)),
        words_(std::move(other.words_)),
        result_(std::move(other.result_)) {}
  Child& operator=(Child&&) = delete;
  ~Child() {
    if (pid_ < 0) return;
    ::kill(grouped_ ? -pid_ : pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  // True once it ended and all it said was read.
  bool wait_a_little() {
    std::array<pollfd, 2> ends{{{output_.fd(), POLLIN, 0}, {words_.fd(), POLLIN, 0}}};
    if (output_.open() || words_.open()) {
      ::poll(ends.data(), ends.size(), kLookMs);
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    int status = 0;
    const bool ended = ::waitpid(pid_, &status, WNOHANG) == pid_;
    read_all();
    if (!ended) return false;
    pid_ = -1;
    result_.code = WIFEXITED(status) ? WEXITSTATUS(status) : kSignalBase + WTERMSIG(status);
    return true;
  }
  bool too_much() const { return result_.output.size() > kProgramOutputMaxBytes; }
  ProgramResult take_result() { return std::move(result_); }

 private:
  Child() = default;

  void read_all() {
    std::array<char, 4096> bytes{};
    while (output_.open() && !too_much()) {
      const ssize_t count = ::read(output_.fd(), bytes.data(), bytes.size());
      if (count == 0) output_.close();
      if (count <= 0) break;
      result_.output.append(bytes.data(), static_cast<size_t>(count));
    }
    while (words_.open()) {
      const ssize_t count = ::read(words_.fd(), bytes.data(), bytes.size());
      if (count == 0) words_.close();
      if (count <= 0) break;
      [[maybe_unused]] const ssize_t shown = ::write(STDERR_FILENO, bytes.data(), static_cast<size_t>(count));
      std::string& last = result_.last_words;
      last.append(bytes.data(), static_cast<size_t>(count));
      if (last.size() > kLastWordsMaxBytes) last.erase(0, last.size() - kLastWordsMaxBytes);
    }
  }

  pid_t pid_ = -1;
  bool grouped_ = false;
  End output_, words_;
  ProgramResult result_;
};

}  // namespace

Result<ProgramResult> run_program(const ProgramCall& call, const Clock& clock, const std::atomic<bool>& cancelled) {
  const int64_t end_ns = clock.monotonic_ns() + call.limit_ms * 1'000'000;
  FMESH_TRY(Child child, Child::start(call));
  while (!child.wait_a_little()) {
    if (cancelled) return fail(ErrorKind::kClosed, "broken off");
    if (child.too_much()) {
      return fail(ErrorKind::kRetryLater, fmt::format("it printed more than {} bytes", kProgramOutputMaxBytes));
    }
    if (clock.monotonic_ns() > end_ns) {
      return fail(ErrorKind::kRetryLater, fmt::format("it took longer than {} s", call.limit_ms / 1000));
    }
  }
  return child.take_result();
}

}  // namespace fmesh::kube
