// How many instances a component should have, between its minReplicas and maxReplicas, from its backlog and what it
// gets done. Pure: one look at the figures in, a decision out; the state that keeps it from swinging is a value the
// caller keeps.
//
// Growing is quick (two looks in a row that ask for more) and steps are bounded; shrinking waits for many looks in a
// row, since an instance too many costs little here. A component that gets nothing done is not given more instances:
// what holds it up is then not their number.
#pragma once

#include <cstdint>

namespace fmesh::local {

// A backlog that the present instances work off within this time is fine.
inline constexpr double kBacklogTargetSeconds = 2.0;
// Below this many records nothing is ever added: starting an instance costs more.
inline constexpr int64_t kBacklogSmallRecords = 1'000;
inline constexpr int kLooksToGrow = 2;
inline constexpr int kLooksToShrink = 120;
// Fewer instances must still do the highest rate of that time with this share of what one was seen to do at its best.
inline constexpr double kShrinkLoadMax = 0.7;
// At most this factor more per decision.
inline constexpr int32_t kGrowFactorMax = 2;

struct ScalingLimits {
  int32_t replicas_min = 1;
  int32_t replicas_max = 1;
};

struct ScalingLook {
  int32_t replicas = 1;         // now
  int64_t backlog_records = 0;  // of the component's subscription
  double done_per_s = 0;        // records processed per second by all instances together
};

struct ScalingState {
  int looks_wanting_more = 0;
  int looks_wanting_less = 0;
  double peak_done_per_s = 0;      // highest rate while wanting less
  double best_per_instance_s = 0;  // what one instance did when there was a backlog; 0: never seen
};

struct ScalingDecision {
  int32_t replicas = 1;
  ScalingState state;
};

// REQUIRES: 0 <= replicas_min <= replicas_max.
ScalingDecision decide(const ScalingLook& look, ScalingLimits limits, ScalingState state);

}  // namespace fmesh::local
