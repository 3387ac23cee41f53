#include "runtime/window.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"

namespace fmesh::runtime {
namespace {

WindowOptions by_count(int64_t length, int64_t slide) {
  WindowOptions options;
  options.length_count = length;
  options.slide_count = slide;
  return options;
}

WindowOptions by_event_time(int64_t length, int64_t slide, int64_t lag) {
  WindowOptions options;
  options.length_ms = length;
  options.slide_ms = slide;
  options.event_time = true;
  options.max_lag_ms = lag;
  return options;
}

TEST(Windows, TumblingCountTakesEachRecordOnceAndReleasesItThere) {
  Windows windows(by_count(3, 3));
  std::vector<Windows::Fired> fired;
  for (uint64_t i = 0; i < 7; ++i) {
    ASSERT_TRUE(windows.add(i, 0, "a", 1));
    for (auto& window : windows.fire(0)) fired.push_back(window);
  }
  ASSERT_EQ(fired.size(), 2u);
  EXPECT_EQ(fired[0].records, (std::vector<uint64_t>{0, 1, 2}));
  EXPECT_EQ(fired[1].records, (std::vector<uint64_t>{3, 4, 5}));
  EXPECT_EQ(fired[1].released, fired[1].records);
  EXPECT_EQ(windows.open_records(), 1u);
}

TEST(Windows, SlidingCountGoesOnBehindARestartAsIfThereWasNone) {
  // What is unacknowledged is delivered again; the stored progress says how much of it was in a window already.
  Windows first(by_count(4, 2));
  std::vector<uint64_t> unreleased;
  std::string progress;
  for (uint64_t i = 0; i < 5; ++i) {
    first.add(i, 0, "a", 1);
    unreleased.push_back(i);
    for (auto& window : first.fire(0)) {
      progress = window.progress;
      for (uint64_t gone : window.released) std::erase(unreleased, gone);
    }
  }
  Windows second(by_count(4, 2));
  second.resume(progress);
  std::vector<Windows::Fired> fired;
  for (uint64_t again : unreleased) {
    second.add(again, 0, "a", 1);
    for (auto& window : second.fire(0)) fired.push_back(window);
  }
  EXPECT_TRUE(fired.empty());
  second.add(5, 0, "a", 1);
  fired = second.fire(0);
  ASSERT_EQ(fired.size(), 1u);
  EXPECT_EQ(fired[0].records, (std::vector<uint64_t>{2, 3, 4, 5}));
}

TEST(Windows, EventTimeEqualsBruteForceWhateverTheOrderWithinTheLag) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Rng rng(seed);
    const auto slide = static_cast<int64_t>(1 + rng.below(20));
    const auto length = slide * static_cast<int64_t>(1 + rng.below(4));
    const auto lag = static_cast<int64_t>(rng.below(30));
    Windows windows(by_event_time(length, slide, lag));
    std::vector<int64_t> times;
    int64_t now = 1000;
    for (int i = 0; i < 60; ++i) {
      now += static_cast<int64_t>(rng.below(8));
      times.push_back(now - static_cast<int64_t>(rng.below(static_cast<uint64_t>(lag) + 1)));
    }
    std::vector<Windows::Fired> fired;
    for (uint64_t i = 0; i < times.size(); ++i) {
      ASSERT_TRUE(windows.add(i, times[i], "a", 1)) << "replay: seed " << seed;
      for (auto& window : windows.fire(0)) fired.push_back(window);
    }
    for (auto& window : windows.close_all()) fired.push_back(window);
    EXPECT_EQ(windows.open_records(), 0u);
    std::map<int64_t, std::vector<uint64_t>> expected;
    for (uint64_t i = 0; i < times.size(); ++i)
      for (int64_t end = (times[i] + slide - 1) / slide * slide; end < times[i] + length; end += slide)
        expected[end].push_back(i);
    ASSERT_EQ(fired.size(), expected.size()) << "replay: seed " << seed;
    for (auto& window : fired) {
      std::sort(window.records.begin(), window.records.end());
      EXPECT_EQ(window.records, expected[window.end_ms]) << "replay: seed " << seed << ", end " << window.end_ms;
    }
  }
}

TEST(Windows, ARecordIsLateOnceNoOpenWindowTakesIt) {
  Windows windows(by_event_time(10, 10, 0));
  EXPECT_TRUE(windows.add(1, 105, "a", 1));
  EXPECT_TRUE(windows.add(2, 125, "a", 1));
  ASSERT_EQ(windows.fire(0).size(), 1u);  // (100, 110]
  EXPECT_FALSE(windows.add(3, 110, "a", 1));
  EXPECT_TRUE(windows.add(4, 111, "a", 1));
}

TEST(Windows, TheWatermarkWaitsForEveryInput) {
  Windows windows(by_event_time(10, 10, 0));
  windows.add(1, 5, "a", 2);
  windows.add(2, 500, "a", 2);
  EXPECT_TRUE(windows.fire(0).empty());
  windows.add(3, 12, "b", 2);
  EXPECT_EQ(windows.fire(0).size(), 1u);
}

TEST(WindowOptions, RefusesWhatHasNoOneLength) {
  EXPECT_TRUE(WindowOptions::from_user_config(R"({"__WINDOWCONFIGS__":{"windowLengthCount":3}})")->has_value());
  EXPECT_FALSE(WindowOptions::from_user_config(R"({"a":1})")->has_value());
  EXPECT_FALSE(WindowOptions::from_user_config(R"({"__WINDOWCONFIGS__":{}})"));
  EXPECT_FALSE(
      WindowOptions::from_user_config(R"({"__WINDOWCONFIGS__":{"windowLengthCount":3,"windowLengthDurationMs":5}})"));
}

}  // namespace
}  // namespace fmesh::runtime
