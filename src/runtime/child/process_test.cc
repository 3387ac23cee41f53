// Children that are shell scripts: what a host learns of a process that does as it likes.
#include "runtime/child/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <vector>

namespace fmesh::runtime {
namespace {

class ChildProcessTest : public testing::Test {
 protected:
  void SetUp() override {
    script_ = std::filesystem::temp_directory_path() / ("fmesh-child-" + std::to_string(::getpid()) + ".sh");
  }
  void TearDown() override { std::filesystem::remove(script_); }

  std::unique_ptr<ChildProcess> start(const std::string& script) {
    std::ofstream(script_) << script;
    lines_.clear();
    auto child = ChildProcess::start("/bin/sh", script_,
                                     {[this](std::string_view level, std::string_view text) {
                                        lines_.push_back(std::string(level) + ": " + std::string(text));
                                      },
                                      [](std::string_view, double) {}});
    EXPECT_TRUE(child);
    return std::move(*child);
  }
  // How it ends, if it says nothing that is a frame.
  static std::string end_of(ChildProcess& child) {
    for (int i = 0; i < 100 && !child.death(); ++i) EXPECT_FALSE(child.receive(100));
    return child.death() ? child.death()->text() : "lives";
  }

  std::filesystem::path script_;
  std::vector<std::string> lines_;
};

TEST_F(ChildProcessTest, SaysHowAProcessEnded) {
  EXPECT_EQ(end_of(*start("exit 7")), "ended itself with exit code 7");
  EXPECT_EQ(end_of(*start("kill -SEGV $$")), "died of SIGSEGV");
  const auto killed = start("kill -KILL $$");
  EXPECT_EQ(end_of(*killed), "was ended by SIGKILL");
  EXPECT_TRUE(killed->death()->from_outside());
}

TEST_F(ChildProcessTest, LogsEverythingThatWasWrittenBeforeTheEnd) {
  const auto child = start("i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done; printf 'no end' >&2; exit 1");
  end_of(*child);
  ASSERT_EQ(lines_.size(), 501U);
  EXPECT_EQ(lines_[499], "info: line 499");
  EXPECT_EQ(lines_[500], "info: no end");
  EXPECT_EQ(child->last_lines().back(), "no end");
}

TEST_F(ChildProcessTest, AProcessThatTalksNonsenseIsEnded) {
  // A frame of four gigabytes.
  const auto child = start("printf '\\377\\377\\377\\377 and more' >&3; exec sleep 60");
  EXPECT_EQ(end_of(*child), "was ended by SIGKILL");
}

TEST_F(ChildProcessTest, ADeathIsSeenAlthoughAnotherProcessHoldsTheSocket) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(end_of(*start("sleep 20 & exit 3")), "ended itself with exit code 3");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

TEST_F(ChildProcessTest, AProcessThatDoesNotEndIsKilled) {
  const auto child = start("trap '' TERM; while true; do sleep 1; done");
  EXPECT_FALSE(child->receive(50));
  EXPECT_FALSE(child->death());
  child->end(50);
  EXPECT_EQ(child->death()->text(), "was ended by SIGKILL");
  EXPECT_FALSE(child->receive(1));
}

TEST_F(ChildProcessTest, AProgramThatIsNotThereIsAnError) {
  const auto child = ChildProcess::start("/nowhere/program", "", {});
  ASSERT_FALSE(child);
  EXPECT_THAT(child.error().text(), testing::HasSubstr("/nowhere/program: No such file"));
}

TEST(Channel, PutsFramesTogetherHoweverTheyCome) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const std::string large(3'000'000, 'x');
  std::thread sender([&] {
    for (int i = 0; i < 20; ++i) {
      EXPECT_TRUE(send_frame(ends[1], FrameKind::kBatch, large));
      EXPECT_TRUE(send_frame(ends[1], FrameKind::kDone, "small"));
      EXPECT_TRUE(send_frame(ends[1], FrameKind::kClose, ""));
    }
    // The same, a byte at a time.
    const std::string bytes(
        "\3\0\0\0\x13"
        "abc",
        8);
    for (const char byte : bytes) EXPECT_EQ(::send(ends[1], &byte, 1, 0), 1);
    ::shutdown(ends[1], SHUT_WR);
  });
  Channel channel(ends[0]);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(channel.receive()->body, large);
    EXPECT_EQ(channel.receive()->body, "small");
    EXPECT_EQ(channel.receive()->kind, FrameKind::kClose);
  }
  const auto last = channel.receive();
  ASSERT_TRUE(last);
  EXPECT_EQ(last->kind, FrameKind::kDone);
  EXPECT_EQ(last->body, "abc");
  EXPECT_FALSE(channel.receive());
  sender.join();
  ::close(ends[0]);
  EXPECT_FALSE(send_frame(ends[1], FrameKind::kDone, "x"));
  ::close(ends[1]);
}

}  // namespace
}  // namespace fmesh::runtime
