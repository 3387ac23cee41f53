#include "local/child_program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <future>
#include <mutex>
#include <optional>
#include <thread>

namespace fmesh::local {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

// A program with what it told.
struct Told {
  std::mutex mutex;
  std::vector<std::string> lines;
  std::promise<bool> started;
  std::promise<Result<runtime::Death>> ended;
};

std::unique_ptr<ChildProgram> run(Told& told, std::vector<std::string> arguments,
                                  std::map<std::string, std::string> environment = {}) {
  ChildProgramListener listener;
  listener.line = [&told](std::string_view line) {
    const std::lock_guard lock(told.mutex);
    told.lines.emplace_back(line);
  };
  listener.started = [&told](bool confined) { told.started.set_value(confined); };
  listener.ended = [&told](Result<runtime::Death> death) { told.ended.set_value(std::move(death)); };
  return ChildProgram::start({std::move(arguments), std::move(environment), "/"}, std::move(listener));
}

std::unique_ptr<ChildProgram> shell(Told& told, const std::string& text) { return run(told, {"/bin/sh", "-c", text}); }

TEST(ChildProgram, GivesArgumentsAndEnvironmentAndReadsLines) {
  Told told;
  const auto program = run(told, {"/bin/sh", "-c", "echo \"$1 $NAME\"; pwd; printf end >&2; exit 3", "x", "a b"},
                           {{"NAME", "it's"}, {"HOME", "/none"}});
  const auto death = told.ended.get_future().get();
  ASSERT_TRUE(death) << death.error().to_string();
  EXPECT_EQ(death->signal, 0);
  EXPECT_EQ(death->exit_code, 3);
  EXPECT_THAT(told.lines, ElementsAre("a b it's", "/", "end"));
}

TEST(ChildProgram, SaysWhatCouldNotBeStarted) {
  Told told;
  const auto program = run(told, {"/no/such/program"});
  const auto death = told.ended.get_future().get();
  ASSERT_FALSE(death);
  EXPECT_THAT(death.error().text(), HasSubstr("/no/such/program: exec: No such file or directory"));
}

TEST(ChildProgram, EndsWhenAskedAndTellsTheSignal) {
  Told told;
  const auto program = shell(told, "echo here; exec sleep 60");
  told.started.get_future().wait();
  program->terminate();
  const auto death = told.ended.get_future().get();
  ASSERT_TRUE(death);
  EXPECT_EQ(death->signal, SIGTERM);
}

TEST(ChildProgram, TakesWhatItStartedWithIt) {
  Told told;
  auto program = shell(told, "trap '' TERM; sleep 60 & echo $!; wait");
  told.started.get_future().wait();
  std::optional<pid_t> grandchild;
  for (int i = 0; i < 500 && !grandchild; ++i) {
    std::this_thread::sleep_for(10ms);
    const std::lock_guard lock(told.mutex);
    if (!told.lines.empty()) grandchild = std::stoi(told.lines.front());
  }
  ASSERT_TRUE(grandchild);
  program.reset();
  ASSERT_TRUE(told.ended.get_future().get());
  bool gone = false;
  for (int i = 0; i < 500 && !gone; ++i) {
    std::this_thread::sleep_for(10ms);
    // It may be a zombie that nobody waited for yet: without processor time and gone for every purpose.
    gone = ::kill(*grandchild, 0) != 0 || cpu_ns_of(*grandchild) == 0;
  }
  EXPECT_TRUE(gone);
}

TEST(ChildProgram, KeepsWhatListensEverywhereToThisMachine) {
  Told told;
  const auto program = run(told, {"/usr/bin/env", "python3", "-c", R"(
import socket
def bound(family, address, kind=socket.SOCK_STREAM, only6=0):
    s = socket.socket(family, kind)
    if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only6)
    s.bind((address, 0))
    if kind == socket.SOCK_STREAM: s.listen()
    return s
for s in (bound(socket.AF_INET, '0.0.0.0'), bound(socket.AF_INET6, '::'), bound(socket.AF_INET6, '::', only6=1),
          bound(socket.AF_INET, '127.0.0.2'), bound(socket.AF_INET, '0.0.0.0', socket.SOCK_DGRAM)):
    print(s.getsockname()[0])
s = socket.socket(); s.listen(); print(s.getsockname()[0])
six = bound(socket.AF_INET6, '::')
socket.create_connection(('127.0.0.1', six.getsockname()[1])); print('reached')
)"});
  if (!told.started.get_future().get()) GTEST_SKIP() << "this system has no seccomp notification";
  const auto death = told.ended.get_future().get();
  ASSERT_TRUE(death);
  EXPECT_THAT(told.lines,
              ElementsAre("127.0.0.1", "::ffff:127.0.0.1", "::1", "127.0.0.2", "0.0.0.0", "127.0.0.1", "reached"));
}

}  // namespace
}  // namespace fmesh::local
