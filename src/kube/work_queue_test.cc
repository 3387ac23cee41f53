#include "kube/work_queue.h"

#include <gtest/gtest.h>

namespace fmesh::kube {
namespace {

constexpr int64_t kMs = 1'000'000;

WorkKey key(const std::string& name) { return {"Function", "ns", name}; }

class WorkQueueTest : public testing::Test {
 protected:
  std::string take(int64_t now_ns = 0) {
    const auto taken = queue.take(now_ns);
    return taken ? taken->name : "-";
  }
  Rng rng{7};
  WorkQueue queue{rng, {.first_ms = 100, .max_ms = 1000}};
};

TEST_F(WorkQueueTest, AKeyAddedOftenIsHandedOutOnce) {
  queue.add(key("a"), Urgency::kChange);
  queue.add(key("a"), Urgency::kChange);
  EXPECT_EQ(queue.waiting(), 1U);
  EXPECT_EQ(queue.next_at_ns(), 0);
  EXPECT_EQ(take(), "a");
  EXPECT_EQ(take(), "-");
  EXPECT_EQ(queue.running(), 1U);
}

TEST_F(WorkQueueTest, AKeyIsNeverHandedOutTwiceAtATime) {
  queue.add(key("a"), Urgency::kChange);
  EXPECT_EQ(take(), "a");
  queue.add(key("a"), Urgency::kChange);
  queue.add_at(key("a"), 0);
  EXPECT_EQ(take(100 * kMs), "-");
  EXPECT_FALSE(queue.next_at_ns()) << "would be asked again and again for nothing";
  queue.done(key("a"));
  EXPECT_EQ(take(100 * kMs), "a");
  queue.done(key("a"));
  EXPECT_EQ(take(100 * kMs), "-");
}

TEST_F(WorkQueueTest, ChangesGoBeforeResyncsAndEachInOrderOfArrival) {
  for (const char* name : {"r1", "r2", "r3"}) queue.add(key(name), Urgency::kResync);
  queue.add(key("c1"), Urgency::kChange);
  queue.add(key("c2"), Urgency::kChange);
  queue.add(key("r3"), Urgency::kChange);  // now it is a change: it keeps its place in time
  queue.add(key("c1"), Urgency::kResync);  // stays a change
  std::string order;
  for (int i = 0; i < 5; ++i) order += take() + ",";
  EXPECT_EQ(order, "r3,c1,c2,r1,r2,");
}

TEST_F(WorkQueueTest, TheEarlierTimeWins) {
  queue.add_at(key("a"), 50 * kMs);
  queue.add_at(key("a"), 20 * kMs);
  queue.add_at(key("a"), 90 * kMs);
  EXPECT_EQ(queue.next_at_ns(), 20 * kMs);
  EXPECT_EQ(take(20 * kMs - 1), "-");
  EXPECT_EQ(take(20 * kMs), "a");
  queue.done(key("a"));
  EXPECT_FALSE(queue.next_at_ns());
  queue.add_at(key("b"), 50 * kMs);
  queue.add(key("b"), Urgency::kChange);
  EXPECT_EQ(take(30 * kMs), "b");
  queue.done(key("b"));
  EXPECT_FALSE(queue.next_at_ns()) << "the look it was waiting for has happened";
}

TEST_F(WorkQueueTest, FailuresWaitLongerWithJitterAndABoundAndSuccessForgetsThem) {
  int64_t at_most = 100;
  for (int i = 0; i < 12; ++i) {
    queue.add(key("a"), Urgency::kChange);
    ASSERT_EQ(take(i * 10'000 * kMs), "a");
    const int64_t delay_ms = queue.failed(key("a"), i * 10'000 * kMs, 0);
    queue.done(key("a"));
    EXPECT_LE(delay_ms, at_most);
    EXPECT_GE(delay_ms, at_most / 2);
    EXPECT_EQ(queue.next_at_ns(), i * 10'000 * kMs + delay_ms * kMs);
    at_most = std::min<int64_t>(at_most * 2, 1000);
  }
  EXPECT_EQ(queue.failures(key("a")), 12U);
  queue.succeeded(key("a"));
  EXPECT_EQ(queue.failures(key("a")), 0U);
  EXPECT_LE(queue.failed(key("a"), 0, 0), 100);
}

TEST_F(WorkQueueTest, WhatFailedTogetherDoesNotComeBackTogether) {
  std::set<int64_t> delays;
  for (int i = 0; i < 50; ++i) delays.insert(queue.failed(key(std::to_string(i)), 0, 0));
  EXPECT_GT(delays.size(), 20U);
}

TEST_F(WorkQueueTest, RetryAfterHoldsWhateverIsAddedMeanwhile) {
  queue.add(key("a"), Urgency::kChange);
  EXPECT_EQ(take(), "a");
  queue.add(key("a"), Urgency::kChange);
  EXPECT_GE(queue.failed(key("a"), 0, 5000), 5000);
  queue.done(key("a"));
  queue.add(key("a"), Urgency::kChange);
  queue.add_at(key("a"), 1);
  EXPECT_EQ(take(4999 * kMs), "-");
  EXPECT_EQ(queue.next_at_ns(), 5000 * kMs);
  EXPECT_EQ(take(5000 * kMs), "a");
  queue.done(key("a"));
  queue.add(key("a"), Urgency::kChange);
  EXPECT_EQ(take(5001 * kMs), "a") << "the hold was for once";
}

TEST_F(WorkQueueTest, AChangeEndsTheWaitAfterAFailure) {
  queue.add(key("a"), Urgency::kChange);
  EXPECT_EQ(take(), "a");
  queue.failed(key("a"), 0, 0);
  queue.done(key("a"));
  EXPECT_EQ(take(1), "-");
  queue.add(key("a"), Urgency::kChange);
  EXPECT_EQ(take(1), "a");
}

// A model: whatever happens, no key runs twice at a time, and no addition is lost.
TEST_F(WorkQueueTest, NoAdditionIsLostAndNoKeyRunsTwiceAtATime) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Rng steps(seed);
    WorkQueue queue(steps, {.first_ms = 10, .max_ms = 100});
    std::set<std::string> running, owed;
    int64_t now = 0;
    for (int i = 0; i < 400; ++i) {
      const std::string name(1, static_cast<char>('a' + steps.below(5)));
      switch (steps.below(5)) {
        case 0:
          queue.add(key(name), steps.below(2) == 0 ? Urgency::kChange : Urgency::kResync);
          owed.insert(name);
          break;
        case 1:
          queue.add_at(key(name), now + static_cast<int64_t>(steps.below(50)) * kMs);
          owed.insert(name);
          break;
        case 2:
          if (const auto taken = queue.take(now)) {
            ASSERT_TRUE(running.insert(taken->name).second) << "seed " << seed;
            owed.erase(taken->name);
          }
          break;
        case 3:
          if (running.contains(name)) {
            if (steps.below(2) == 0) {
              queue.failed(key(name), now, static_cast<int64_t>(steps.below(2) * 20));
              owed.insert(name);
            }
            queue.done(key(name));
            running.erase(name);
          }
          break;
        default:
          now += static_cast<int64_t>(steps.below(30)) * kMs;
      }
    }
    for (const std::string& name : running) queue.done(key(name));
    now += 1'000'000 * kMs;
    while (const auto taken = queue.take(now)) owed.erase(taken->name);
    EXPECT_TRUE(owed.empty()) << "seed " << seed << ": " << *owed.begin();
    EXPECT_EQ(queue.waiting(), 0U);
  }
}

}  // namespace
}  // namespace fmesh::kube
