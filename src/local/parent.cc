#include "local/parent.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "base/clock.h"

namespace fmesh::local {
namespace {

constexpr std::array kForwarded = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

int64_t monotonic_ms() { return SystemClock().monotonic_ns() / 1'000'000; }

sigset_t watched_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  for (const int signal : kForwarded) sigaddset(&set, signal);
  return set;
}

// What the crash handler left, without a trailing newline; the file is emptied for the next host.
std::string take_note(int fd) {
  std::array<char, 4096> buffer;
  const ssize_t size = fd < 0 ? 0 : ::pread(fd, buffer.data(), buffer.size(), 0);
  if (size <= 0) return "";
  std::string note(buffer.data(), static_cast<size_t>(size));
  if (::ftruncate(fd, 0) != 0) return note;
  static_cast<void>(::lseek(fd, 0, SEEK_SET));
  while (!note.empty() && (note.back() == '\n' || note.back() == '\0')) note.pop_back();
  return note;
}

struct Ended {
  int status = 0;
  bool told_to_stop = false;
};

// Waits for the child, passing signals on. `told_to_stop`: an ending signal was seen, so no new host is wanted.
Ended wait_for(pid_t child, const sigset_t& signals) {
  Ended ended;
  while (true) {
    siginfo_t info{};
    const int signal = ::sigwaitinfo(&signals, &info);
    if (signal < 0) continue;
    if (signal == SIGCHLD) {
      if (::waitpid(child, &ended.status, WNOHANG) == child) return ended;
      continue;
    }
    if (signal == SIGINT || signal == SIGTERM || signal == SIGHUP || signal == SIGQUIT) ended.told_to_stop = true;
    ::kill(child, signal);
  }
}

// Sleeps, unless told to stop. True if so.
bool wait_or_stop(int64_t delay_ms, const sigset_t& signals) {
  const int64_t end = monotonic_ms() + delay_ms;
  while (true) {
    const int64_t left = end - monotonic_ms();
    if (left <= 0) return false;
    const timespec time{left / 1000, left % 1000 * 1'000'000};
    const int signal = ::sigtimedwait(&signals, nullptr, &time);
    if (signal > 0 && signal != SIGCHLD) return true;
  }
}

[[noreturn]] void be_host(const std::function<int(HostStart)>& host, HostStart start, const sigset_t& before,
                          pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(0);  // it died before the line above
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  const int code = host(start);
  std::fflush(nullptr);
  ::_exit(code);
}

// The first line of a crash note says what happened where, the second is for parse_suspect().
std::string headline(const std::string& note) { return note.substr(0, note.find('\n')); }

// What happened where, without the signal and what other threads did.
std::string_view place_of(std::string_view note) {
  note = note.substr(0, note.find('\n'));
  return note.substr(0, note.find(" ("));
}

// What a person can do about a record that kills the host.
void print_way_out(const std::string& note, int deaths) {
  const std::string place(place_of(note));
  std::fprintf(stderr,
               "fmesh: the host died %d times like this: %s.\n"
               "  Correct the function and build it: the mesh goes on from what is durable.\n",
               deaths, place.c_str());
  const auto suspect = runtime::parse_suspect(note);
  if (!suspect) return;
  const std::string topic = suspect->topic;
  std::fprintf(
      stderr,
      "  Look at the record and the next: fmesh stream peek %s --from %s -n 2\n"
      "  Pass over it: fmesh stream seek %s --subscription NAME --id ID, with the id of the next\n"
      "  (fmesh stream ls shows the subscription). With maxMessageRetry, which effectively_once does not have, such\n"
      "  a record goes to the dead-letter stream and the run goes on.\n",
      topic.c_str(), stream::to_string(suspect->id).c_str(), topic.c_str());
}

void add_suspect(std::vector<runtime::Suspect>& suspects, const std::string& note) {
  auto suspect = runtime::parse_suspect(note);
  if (!suspect) return;
  const auto known = std::ranges::find_if(suspects, [&](const runtime::Suspect& one) {
    return one.component == suspect->component && one.topic == suspect->topic && one.id == suspect->id;
  });
  if (known != suspects.end()) {
    ++known->deaths;
    return;
  }
  if (suspects.size() >= kSuspectsMax) suspects.erase(suspects.begin());
  suspects.push_back(*std::move(suspect));
}

}  // namespace

int Deaths::count(std::string_view note) {
  const std::string_view place = place_of(note);
  if (place.empty()) return 0;
  if (counts_.size() >= kPlacesMax) counts_.clear();
  const auto found = counts_.find(place);
  return found != counts_.end() ? ++found->second : (counts_[std::string(place)] = 1);
}

int64_t restart_delay_ms(int restarts_in_a_row) {
  if (restarts_in_a_row <= 0) return 0;
  return std::min(kRestartBackoffMaxMs, kRestartBackoffMinMs << std::min(restarts_in_a_row - 1, 20));
}

int run_with_parent(const std::function<int(HostStart)>& host, ParentOptions options) {
  const sigset_t signals = watched_signals();
  sigset_t before;
  ::sigprocmask(SIG_BLOCK, &signals, &before);
  HostStart start;
  start.crash_note_fd = ::memfd_create("fmesh-crash-note", MFD_CLOEXEC);
  const pid_t parent = ::getpid();
  int in_a_row = 0;
  Deaths deaths;
  while (true) {
    std::fflush(nullptr);
    const int64_t started = monotonic_ms();
    const pid_t child = ::fork();
    if (child < 0) {
      std::fprintf(stderr, "fmesh: start the host: %s\n", std::strerror(errno));
      return 1;
    }
    if (child == 0) be_host(host, start, before, parent);
    const Ended ended = wait_for(child, signals);
    const bool replace = WIFEXITED(ended.status) && WEXITSTATUS(ended.status) == kExitReplaceHost;
    if (WIFEXITED(ended.status) && !replace) return WEXITSTATUS(ended.status);
    const std::string note = take_note(start.crash_note_fd);
    if (ended.told_to_stop) return replace ? 1 : 128 + WTERMSIG(ended.status);

    const bool was_well = monotonic_ms() - started >= kRestartForgetMs;
    in_a_row = was_well ? 1 : in_a_row + 1;
    if (was_well) deaths.forget();
    const int64_t delay = std::min(restart_delay_ms(in_a_row), options.backoff_max_ms);
    add_suspect(start.suspects, note);
    const int deaths_here = replace ? 0 : deaths.count(note);
    const bool is_last = options.has_end && deaths_here >= kDeathsAtOneRecordMax;
    if (replace) {
      std::fprintf(stderr, "fmesh: too many instances hold their worker past the timeout; the host is replaced\n");
    } else {
      std::fprintf(stderr, "fmesh: the host died: %s (signal %d)%s%s", ::strsignal(WTERMSIG(ended.status)),
                   WTERMSIG(ended.status), note.empty() ? "" : ": ", headline(note).c_str());
      if (!is_last)
        std::fprintf(stderr, "; it starts again from the durable state in %lld ms", static_cast<long long>(delay));
      std::fputc('\n', stderr);
    }
    if (deaths_here > 0 && deaths_here % kDeathsAtOneRecordMax == 0) print_way_out(note, deaths_here);
    if (is_last) return kExitPoisonRecord;
    if (wait_or_stop(delay, signals)) return 1;
    ++start.restarts;
  }
}

}  // namespace fmesh::local
