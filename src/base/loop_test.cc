#include "base/loop.h"

#include <gtest/gtest.h>

#include <future>

namespace fmesh {
namespace {

TEST(ThreadLoop, RunsTasksInTheOrderTheyWerePosted) {
  SystemClock clock;
  std::vector<int> seen;
  std::promise<void> done;
  ThreadLoop loop(clock, "test");
  for (int i = 0; i < 100; ++i) loop.post([&seen, i] { seen.push_back(i); });
  loop.post([&done] { done.set_value(); });
  done.get_future().wait();
  ASSERT_EQ(seen.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(seen[static_cast<size_t>(i)], i);
}

TEST(ManualLoop, RunsATimerWhenItsTimeHasComeAndNotBefore) {
  ManualClock clock;
  ManualLoop loop(clock);
  int ran = 0;
  loop.post_after(10, [&] { ++ran; });
  const uint64_t dropped = loop.post_after(10, [&] { ran += 100; });
  loop.cancel(dropped);
  clock.advance_ms(9);
  loop.run_ready();
  EXPECT_EQ(ran, 0);
  clock.advance_ms(1);
  loop.run_ready();
  EXPECT_EQ(ran, 1);
  loop.post_after(500, [&] { ++ran; });
  EXPECT_FALSE(loop.advance_to_next(499));
  EXPECT_TRUE(loop.advance_to_next(500));
  EXPECT_EQ(ran, 2);
}

}  // namespace
}  // namespace fmesh
