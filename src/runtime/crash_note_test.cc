#include "runtime/crash_note.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <thread>
#include <vector>

namespace fmesh::runtime {
namespace {

LogicRecord record_at(int64_t entry) {
  LogicRecord record;
  record.topic = "persistent://public/default/orders";
  record.id = {7, entry, -1, 2};
  return record;
}

// Runs `crash` on a thread of its own, as a worker would, at the second of two records.
template <class Crash>
void crash_at_second_record(Crash crash) {
  install_crash_handler(STDERR_FILENO, STDERR_FILENO);
  std::thread([&] {
    const std::vector<LogicRecord> records = {record_at(40), record_at(41)};
    size_t current = 0;
    const WorkNote note{"poison", 3, records, &current};
    const WorkNoteScope scope(note);
    current = 1;
    crash();
  }).join();
}

// The compiler must not see through it.
volatile int depth_max = 0;
int overflow(volatile char* outer) {
  volatile char frame[4096];
  frame[0] = outer != nullptr ? outer[0] : 0;
  return depth_max == 1 ? 0 : overflow(frame) + frame[0];
}

class CrashNoteDeathTest : public ::testing::Test {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "the sanitizer handles signals itself";
#endif
    GTEST_FLAG_SET(death_test_style, "threadsafe");
  }
};

TEST_F(CrashNoteDeathTest, NamesFunctionInstanceRecordAndSignal) {
  EXPECT_EXIT(
      crash_at_second_record([] { raise(SIGSEGV); }), testing::KilledBySignal(SIGSEGV),
      "function poison, instance 3, crashed at record 7:41:-1:2 of persistent://public/default/orders .SIGSEGV.*\n"
      "record poison 7:41:-1:2 persistent://public/default/orders\n");
}

TEST_F(CrashNoteDeathTest, KeepsTheSignalOfAnAbort) {
  EXPECT_EXIT(crash_at_second_record([] { abort(); }), testing::KilledBySignal(SIGABRT), "record 7:41:-1:2 .*SIGABRT");
}

TEST_F(CrashNoteDeathTest, SpeaksAfterAStackOverflow) {
  EXPECT_EXIT(crash_at_second_record([] { overflow(nullptr); }), testing::KilledBySignal(SIGSEGV), "function poison");
}

TEST_F(CrashNoteDeathTest, SaysThatNoUserCodeRanAfterTheScopeEnded) {
  EXPECT_EXIT(
      {
        crash_at_second_record([] {});
        raise(SIGBUS);
      },
      testing::KilledBySignal(SIGBUS), "outside of user code");
}

TEST(Suspect, IsReadFromWhatTheHandlerWrote) {
  const auto suspect = parse_suspect("function f, instance 0, crashed at ...\nrecord f 1:2:-1:3 persistent://a/b/c\n");
  ASSERT_TRUE(suspect);
  EXPECT_EQ(suspect->component, "f");
  EXPECT_EQ(suspect->topic, "persistent://a/b/c");
  EXPECT_EQ(suspect->id, (stream::MessageId{1, 2, -1, 3}));
  for (const char* note : {"", "record f 1:2:3 t", "x\nrecord f", "x\nrecord f 1:2", "x\nrecord f one t"})
    EXPECT_FALSE(parse_suspect(note)) << note;
}

}  // namespace
}  // namespace fmesh::runtime
