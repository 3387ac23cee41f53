#include "local/child_program.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <utility>

#include "local/listen_guard.h"
#include "runtime/child/lines.h"

namespace fmesh::local {
namespace {

// Between the end of a process and the end of what it wrote: those that it started may hold the pipe open.
constexpr int kLastWordMs = 200;

// What the child tells before it is another program: the step it is at.
struct Report {
  enum Step : int { kGuard, kFailed } step;
  int value;  // kGuard: the descriptor, or -errno; kFailed: errno
  std::array<char, 16> what;
};

void close_fd(int& fd) {
  if (fd >= 0) ::close(fd);
  fd = -1;
}

Error system_error(const std::string& what, int code) {
  return Error(ErrorKind::kRetryLater, "start a process: " + what + ": " + std::strerror(code));
}

// All that the child needs, made before the fork: after it only system calls are allowed.
struct Prepared {
  std::vector<char*> arguments, environment;
  std::vector<std::string> variables;
  const char* directory;
  int output, report, null;
  bool confine;
  pid_t parent;
};

[[noreturn]] void give_up(int report, const char* what) {
  Report last{Report::kFailed, errno, {}};
  std::strncpy(last.what.data(), what, last.what.size() - 1);
  static_cast<void>(!::write(report, &last, sizeof last));
  ::_exit(127);
}

[[noreturn]] void become(const Prepared& prepared) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != prepared.parent) ::_exit(127);
  struct sigaction usual{};
  usual.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) ::sigaction(number, &usual, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (::dup2(prepared.null, 0) < 0 || ::dup2(prepared.output, 1) < 0 || ::dup2(prepared.output, 2) < 0)
    give_up(prepared.report, "dup2");
  if (::chdir(prepared.directory) != 0) give_up(prepared.report, "its folder");
  if (prepared.confine) {
    const Report guard{Report::kGuard, ListenGuard::install(), {}};
    char answer = 0;
    if (::write(prepared.report, &guard, sizeof guard) != sizeof guard || ::read(prepared.report, &answer, 1) != 1)
      ::_exit(127);
  }
  // What else the host has open is not for it.
  ::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
  ::execve(prepared.arguments.front(), prepared.arguments.data(), prepared.environment.data());
  give_up(prepared.report, "exec");
}

// Reads one report; none if the pipe is closed, which exec does.
std::optional<Report> read_report(int fd) {
  Report report{};
  ssize_t got = 0;
  do {
    got = ::read(fd, &report, sizeof report);
  } while (got < 0 && errno == EINTR);
  return got == sizeof report ? std::optional(report) : std::nullopt;
}

}  // namespace

std::unique_ptr<ChildProgram> ChildProgram::start(ChildStart start, ChildProgramListener listener) {
  std::unique_ptr<ChildProgram> program(new ChildProgram);
  program->listener_ = std::move(listener);
  program->stop_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  program->thread_ = std::thread([one = program.get(), start = std::move(start)] { one->run(start); });
  return program;
}

ChildProgram::~ChildProgram() {
  const uint64_t one = 1;
  static_cast<void>(::write(stop_, &one, sizeof one) == sizeof one);
  if (thread_.joinable()) thread_.join();
  close_fd(stop_);
}

void ChildProgram::terminate() const {
  const pid_t pid = pid_.load();
  if (pid > 0) ::kill(pid, SIGTERM);
}

void ChildProgram::run(const ChildStart& start) {
  Status spawned = spawn(start, true);
  // Not where the kernel or a container does not allow the guard: then without.
  if (!spawned && spawned.error().kind() == ErrorKind::kFixInput) spawned = spawn(start, false);
  if (!spawned) {
    listener_.ended(fail(spawned.error()));
    return;
  }
  listener_.started(guard_fd_ >= 0);
  attend();
}

// Errors: kFixInput if it can't be confined.
Status ChildProgram::spawn(const ChildStart& start, bool confine) {
  Prepared prepared;
  for (char** one = environ; *one != nullptr; ++one) {
    const std::string_view text = *one;
    if (!start.environment.contains(std::string(text.substr(0, text.find('='))))) prepared.environment.push_back(*one);
  }
  for (const auto& [name, value] : start.environment) prepared.variables.push_back(name + "=" + value);
  for (std::string& variable : prepared.variables) prepared.environment.push_back(variable.data());
  prepared.environment.push_back(nullptr);
  for (const std::string& argument : start.arguments) prepared.arguments.push_back(const_cast<char*>(argument.c_str()));
  prepared.arguments.push_back(nullptr);
  prepared.directory = start.directory.c_str();
  prepared.confine = confine;
  prepared.parent = ::getpid();
  int output[2] = {-1, -1}, report[2] = {-1, -1};
  if (::pipe2(output, O_CLOEXEC) != 0) return fail(system_error("pipe", errno));
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, report) != 0) {
    const int code = errno;
    for (int* fd : {&output[0], &output[1]}) close_fd(*fd);
    return fail(system_error("socketpair", code));
  }
  prepared.output = output[1];
  prepared.report = report[1];
  prepared.null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const pid_t pid = ::fork();
  if (pid == 0) become(prepared);
  const int fork_error = errno;
  for (int* fd : {&output[1], &report[1], &prepared.null}) close_fd(*fd);
  const auto abandon = [&](Error error) -> Status {
    if (pid > 0) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
    for (int* fd : {&output[0], &report[0], &guard_fd_, &process_}) close_fd(*fd);
    return fail(std::move(error));
  };
  if (pid < 0) return abandon(system_error("fork", fork_error));
  std::optional<Report> told = read_report(report[0]);
  if (confine && told && told->step == Report::kGuard) {
    if (told->value >= 0) guard_fd_ = descriptor_of(pid, told->value);
    if (guard_fd_ < 0) return abandon(Error(ErrorKind::kFixInput, "it can't be kept to this machine"));
    const char go_on = 1;
    if (::write(report[0], &go_on, 1) != 1) return abandon(system_error("write", errno));
    told = read_report(report[0]);
  }
  if (told) return abandon(system_error(start.arguments.front() + ": " + told->what.data(), told->value));
  process_ = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (process_ < 0) return abandon(system_error("pidfd_open", errno));
  close_fd(report[0]);
  output_ = output[0];
  ::fcntl(output_, F_SETFL, O_NONBLOCK);
  pid_ = pid;
  return {};
}

// Until it is gone.
void ChildProgram::attend() {
  runtime::Lines lines;
  const auto take = [this](const std::string& line) { listener_.line(line); };
  const auto read_output = [&] {
    std::array<char, 16 * 1024> buffer;
    const ssize_t got = ::read(output_, buffer.data(), buffer.size());
    if (got > 0) lines.add({buffer.data(), static_cast<size_t>(got)}, take);
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
  };
  const pid_t pid = pid_.load();
  {
    std::optional<ListenGuard> guard;
    if (guard_fd_ >= 0) guard.emplace(std::exchange(guard_fd_, -1));
    std::array<pollfd, 4> fds = {pollfd{output_, POLLIN, 0}, pollfd{process_, POLLIN, 0}, pollfd{stop_, POLLIN, 0},
                                 pollfd{guard ? guard->fd() : -1, POLLIN, 0}};
    while (fds[1].revents == 0 && fds[2].revents == 0) {
      if (::poll(fds.data(), fds.size(), -1) < 0) continue;
      if (fds[0].revents != 0 && !read_output()) fds[0].fd = -1;
      if ((fds[3].revents & POLLIN) != 0) guard->answer();
      if ((fds[3].revents & ~POLLIN) != 0) fds[3].fd = -1;
    }
  }
  pid_ = -1;
  ::kill(-pid, SIGKILL);  // and all that it started
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  pollfd rest{output_, POLLIN, 0};
  while (::poll(&rest, 1, kLastWordMs) == 1 && read_output()) {
  }
  lines.end(take);
  for (int* fd : {&output_, &process_}) close_fd(*fd);
  listener_.ended(WIFSIGNALED(status) ? runtime::Death{WTERMSIG(status), 0} : runtime::Death{0, WEXITSTATUS(status)});
}

int64_t cpu_ns_of(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string text;
  if (!std::getline(file, text)) return 0;
  // The name, which may hold anything, is in brackets; times are fields 14 and 15.
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return 0;
  int64_t ticks = 0;
  size_t at = name_end + 1;
  for (int field = 3; field <= 15; ++field) {
    const size_t end = text.find(' ', at + 1);
    if (end == std::string::npos) return 0;
    if (field >= 14) ticks += std::strtoll(text.c_str() + at + 1, nullptr, 10);
    at = end;
  }
  return ticks * (1'000'000'000 / ::sysconf(_SC_CLK_TCK));
}

}  // namespace fmesh::local
