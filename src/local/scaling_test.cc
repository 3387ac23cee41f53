#include "local/scaling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace fmesh::local {
namespace {

// A component that works off `per_instance` records per second and instance, stepped once a second.
struct Simulated {
  double per_instance = 1'000;
  double backlog = 0;
  int32_t replicas = 1;
  ScalingState state;
  ScalingLimits limits{1, 8};
  int changes = 0, reversals = 0, last_direction = 0;

  void step(double arriving) {
    backlog += arriving;
    const double done = std::min(backlog, per_instance * replicas);
    backlog -= done;
    const ScalingDecision decision = decide({replicas, static_cast<int64_t>(backlog), done}, limits, state);
    state = decision.state;
    if (decision.replicas == replicas) return;
    const int direction = decision.replicas > replicas ? 1 : -1;
    ++changes;
    if (last_direction != 0 && direction != last_direction) ++reversals;
    last_direction = direction;
    replicas = decision.replicas;
  }
};

TEST(Scaling, GrowsWithinFiveSecondsOfATenfoldRate) {
  Simulated mesh;
  for (int s = 0; s < 10; ++s) mesh.step(500);
  EXPECT_EQ(mesh.replicas, 1);
  int seconds = 0;
  while (mesh.replicas == 1 && seconds < 60) {
    mesh.step(5'000);
    ++seconds;
  }
  EXPECT_LE(seconds, 5);
  for (int s = 0; s < 30; ++s) mesh.step(5'000);
  EXPECT_GE(mesh.replicas, 5);
  EXPECT_LT(mesh.backlog, 20'000);
}

TEST(Scaling, NeverLeavesItsLimits) {
  for (int32_t min = 0; min <= 3; ++min) {
    for (int32_t max = min; max <= 4; ++max) {
      for (int32_t now = 0; now <= 6; ++now) {
        for (const int64_t backlog : {0, 1, 999, 100'000}) {
          ScalingState state;
          for (int look = 0; look < 40; ++look) {
            const ScalingDecision decision = decide({now, backlog, 10}, {min, max}, state);
            state = decision.state;
            EXPECT_GE(decision.replicas, min);
            EXPECT_LE(decision.replicas, max);
          }
        }
      }
    }
  }
}

TEST(Scaling, DoesNotSwingUnderANoisySine) {
  Simulated mesh;
  for (int s = 0; s < 600; ++s) {
    const double noise = (s * 7919 % 13 - 6) * 50;
    mesh.step(2'500 + 1'500 * std::sin(s * 2 * 3.14159 / 60) + noise);
  }
  EXPECT_LE(mesh.reversals, 1);
}

TEST(Scaling, AddsNothingToAComponentThatGetsNothingDone) {
  ScalingState state;
  for (int look = 0; look < 20; ++look) {
    const ScalingDecision decision = decide({2, 1'000'000, 0}, {1, 8}, state);
    state = decision.state;
    EXPECT_EQ(decision.replicas, 2);
  }
}

TEST(Scaling, ShrinksToItsMinimumWhenIdle) {
  Simulated mesh;
  mesh.replicas = 4;
  for (int s = 0; s < kLooksToShrink * 3; ++s) mesh.step(0);
  EXPECT_EQ(mesh.replicas, 1);
}

}  // namespace
}  // namespace fmesh::local
