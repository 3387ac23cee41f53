#include "local/scaling.h"

#include <algorithm>
#include <cmath>

namespace fmesh::local {
namespace {

// What the figures of this one look ask for, before hysteresis. One fewer stands for "may shrink".
int32_t wanted_now(const ScalingLook& look) {
  if (look.replicas <= 0) return look.backlog_records > 0 ? 1 : 0;
  if (look.backlog_records <= kBacklogSmallRecords) {
    return look.backlog_records * 10 <= kBacklogSmallRecords ? look.replicas - 1 : look.replicas;
  }
  const double per_instance = look.done_per_s / look.replicas;
  if (per_instance <= 0) return look.replicas;
  const double wanted = static_cast<double>(look.backlog_records) / (per_instance * kBacklogTargetSeconds);
  const double grown = std::min(std::ceil(wanted), static_cast<double>(look.replicas) * kGrowFactorMax);
  return std::max(look.replicas, static_cast<int32_t>(grown));
}

// True if one instance fewer would have kept up all the time.
bool can_shrink(const ScalingLook& look, const ScalingState& state) {
  const double needed = state.best_per_instance_s * kShrinkLoadMax * (look.replicas - 1);
  return state.peak_done_per_s <= 0 || state.best_per_instance_s <= 0 || state.peak_done_per_s <= needed;
}

}  // namespace

ScalingDecision decide(const ScalingLook& look, ScalingLimits limits, ScalingState state) {
  if (look.replicas < limits.replicas_min) return {limits.replicas_min, {}};
  if (look.replicas > limits.replicas_max) return {limits.replicas_max, {}};
  if (look.replicas > 0 && look.backlog_records > kBacklogSmallRecords) {
    state.best_per_instance_s = std::max(state.best_per_instance_s, look.done_per_s / look.replicas);
  }
  const int32_t wanted = std::clamp(wanted_now(look), limits.replicas_min, limits.replicas_max);
  const ScalingState calm{0, 0, 0, state.best_per_instance_s};
  if (wanted > look.replicas) {
    const int looks = state.looks_wanting_more + 1;
    if (looks >= kLooksToGrow) return {wanted, calm};
    return {look.replicas, {looks, 0, 0, state.best_per_instance_s}};
  }
  if (wanted < look.replicas) {
    const ScalingState waiting{0, state.looks_wanting_less + 1, std::max(state.peak_done_per_s, look.done_per_s),
                               state.best_per_instance_s};
    if (waiting.looks_wanting_less < kLooksToShrink) return {look.replicas, waiting};
    return {can_shrink(look, waiting) ? wanted : look.replicas, calm};
  }
  return {look.replicas, calm};
}

}  // namespace fmesh::local
