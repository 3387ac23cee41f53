#include "runtime/pace.h"

#include <gtest/gtest.h>

namespace fmesh::runtime {
namespace {

constexpr int64_t kMs = 1'000'000;

TEST(Pace, BeginsWithOneRecordAndGrowsInSteps) {
  Pace pace(false);
  EXPECT_EQ(pace.records(), 1u);
  for (const size_t expected : {8u, 64u, 512u, 4'096u}) {
    pace.observe(pace.records(), 1'000 * static_cast<int64_t>(pace.records()) / 100);
    EXPECT_EQ(pace.records(), expected);
  }
}

TEST(Pace, GivesSlowCodeOneRecordAtATime) {
  Pace pace(false);
  pace.observe(1, 20 * kMs);
  EXPECT_EQ(pace.records(), 1u);
  pace.observe(1, kMs);
  EXPECT_EQ(pace.records(), 8u);
  pace.observe(8, 800 * kMs);
  EXPECT_EQ(pace.records(), 1u);
}

TEST(Pace, AShortRunAtTheEndOfABatchDoesNotSlowTheNext) {
  Pace pace(false);
  while (pace.records() < 1'000) pace.observe(pace.records(), static_cast<int64_t>(pace.records()) * 1'000);
  const size_t before = pace.records();
  pace.observe(3, 3'000);
  EXPECT_GE(pace.records(), before);
}

TEST(Pace, GivesBatchesWholeUnlessTheyTakeSeconds) {
  Pace pace(true);
  EXPECT_GE(pace.records(), 4'096u);
  pace.observe(4'096, 40'960 * kMs);
  EXPECT_EQ(pace.records(), 500u);
  pace.observe(500, 100 * kMs);
  EXPECT_EQ(pace.records(), 4'000u);
}

}  // namespace
}  // namespace fmesh::runtime
