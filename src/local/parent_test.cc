#include "local/parent.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace fmesh::local {
namespace {

// Runs `body` in a child process of the test, so that forking and signals do not touch the test program itself.
template <class Body>
int exit_code_of(Body body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(Parent, PassesTheExitCodeThrough) {
  EXPECT_EQ(exit_code_of([] { return run_with_parent([](HostStart) { return 7; }); }), 7);
}

TEST(Parent, StartsAHostThatDiedAgainAndCountsIt) {
  EXPECT_EQ(exit_code_of([] {
              return run_with_parent([](HostStart start) {
                if (start.restarts < 2) raise(SIGKILL);
                return static_cast<int>(start.restarts);
              });
            }),
            2);
}

TEST(Parent, ReplacesAHostThatAsksForIt) {
  EXPECT_EQ(exit_code_of([] {
              return run_with_parent([](HostStart start) { return start.restarts == 0 ? kExitReplaceHost : 3; });
            }),
            3);
}

TEST(Parent, EmptiesTheCrashNoteForTheNextHost) {
  EXPECT_EQ(exit_code_of([] {
              return run_with_parent([](HostStart start) {
                if (start.restarts == 0) {
                  if (write(start.crash_note_fd, "orders, record 1:2", 18) != 18) return 9;
                  raise(SIGABRT);
                }
                return static_cast<int>(lseek(start.crash_note_fd, 0, SEEK_END));
              });
            }),
            0);
}

// A host that dies at `place(restarts)` with each start, as the crash handler would note it.
template <class Place>
int die_again_and_again(ParentOptions options, Place place) {
  return exit_code_of([&] {
    return run_with_parent(
        [&](HostStart start) {
          const std::string note = place(start.restarts);
          if (note.empty()) return static_cast<int>(40 + start.restarts);
          if (write(start.crash_note_fd, note.data(), note.size()) != static_cast<ssize_t>(note.size())) return 9;
          raise(SIGKILL);
          return 8;
        },
        options);
  });
}

TEST(Parent, EndsARunThatHasAnEndWhenOneRecordKillsTheHostAgainAndAgain) {
  const auto one_record = [](int64_t) {
    return std::string("function f, crashed at record 1:2 (SIGSEGV)\nrecord f 1:2:-1 topic\n");
  };
  EXPECT_EQ(die_again_and_again({.has_end = true, .backoff_max_ms = 1}, one_record), kExitPoisonRecord);
}

TEST(Parent, GoesOnWhenTheRecordsDifferOrTheRunHasNoEnd) {
  const auto other_records = [](int64_t restarts) {
    if (restarts == kDeathsAtOneRecordMax) return std::string();
    return "function f, crashed at record 1:" + std::to_string(restarts) + " (SIGSEGV)\n";
  };
  EXPECT_EQ(die_again_and_again({.has_end = true, .backoff_max_ms = 1}, other_records), 40 + kDeathsAtOneRecordMax);
  const auto one_record = [](int64_t restarts) {
    return std::string(restarts == kDeathsAtOneRecordMax ? "" : "function f, crashed at record 1:2 (SIGSEGV)\n");
  };
  EXPECT_EQ(die_again_and_again({.backoff_max_ms = 1}, one_record), 40 + kDeathsAtOneRecordMax);
}

TEST(Parent, CountsDeathsByFunctionAndRecordWhateverTheSignal) {
  Deaths deaths;
  EXPECT_EQ(deaths.count("function f, crashed at record 1:2 (SIGSEGV)\nrecord f 1:2:-1 topic"), 1);
  EXPECT_EQ(deaths.count("function g, crashed at record 1:2 (SIGSEGV)"), 1);
  EXPECT_EQ(deaths.count("function f, crashed at record 1:2 (SIGABRT)"), 2);
  EXPECT_EQ(deaths.count(""), 0);
  deaths.forget();
  EXPECT_EQ(deaths.count("function f, crashed at record 1:2 (SIGABRT)"), 1);
}

TEST(Parent, TellsTheNextHostAtWhichRecordsTheLastOnesDied) {
  EXPECT_EQ(exit_code_of([] {
              return run_with_parent(
                  [](HostStart start) {
                    if (start.restarts < 3) {
                      const std::string note =
                          start.restarts == 1 ? "f\nrecord f 1:9:-1 t\n" : "f\nrecord f 1:2:-1 t\n";
                      if (write(start.crash_note_fd, note.data(), note.size()) < 0) return 9;
                      raise(SIGKILL);
                    }
                    const auto& suspects = start.suspects;
                    return suspects.size() == 2 && suspects[0].deaths == 2 && suspects[1].id.entry == 9 ? 0 : 8;
                  },
                  {.backoff_max_ms = 1});
            }),
            0);
}

TEST(Parent, PassesSignalsOnAndDoesNotRestartThen) {
  EXPECT_EQ(exit_code_of([] {
              return run_with_parent([](HostStart start) {
                if (start.restarts != 0) return 9;
                kill(getppid(), SIGTERM);
                pause();
                return 8;
              });
            }),
            128 + SIGTERM);
}

TEST(Parent, WaitsLongerAfterEachCrashUpToItsBound) {
  EXPECT_EQ(restart_delay_ms(1), kRestartBackoffMinMs);
  EXPECT_EQ(restart_delay_ms(2), 2 * kRestartBackoffMinMs);
  EXPECT_EQ(restart_delay_ms(1'000'000), kRestartBackoffMaxMs);
}

}  // namespace
}  // namespace fmesh::local
