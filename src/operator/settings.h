// What the operator was told on its command line, in its environment and config file; names are upstream's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plan/cluster/cluster_plan.h"

namespace fmesh::op {

struct Settings {
  plan::ClusterOptions cluster;
  bool pause_rollout = false;
  bool meshes = true;                           // ENABLE_FUNCTION_MESH_CONTROLLER
  std::vector<std::string> watched_namespaces;  // empty: all
  // Resources looked after at the same time, and writes under way; one pass has at most half of these.
  size_t passes_max = 16;
  int64_t cleanup_deadline_ms = 120'000;  // from deletion; then the finalizer goes, with a warning
};

// Control annotations (upstream's, and ours).
inline constexpr const char* kManaged = "compute.functionmesh.io/managed";
inline constexpr const char* kPauseRollout = "compute.functionmesh.io/pause-rollout";
inline constexpr const char* kNeedCleanup = "compute.functionmesh.io/need-cleanup";
// "true" on a resource: the pending change of a StatefulSet that was taken over is applied now.
inline constexpr const char* kApplyPendingChange = "compute.functionmesh.io/apply-pending-change";
// On what fmesh wrote: the fingerprint of what it wanted. Its absence tells a StatefulSet of upstream's.
inline constexpr const char* kApplied = "compute.functionmesh.io/applied";
// Ours, "true" on a resource: the package that it names goes with it.
inline constexpr const char* kCleanupPackage = "compute.functionmesh.io/cleanup-package";
inline constexpr const char* kCleanupFinalizer = "cleanup.subscription.finalizer";

// How long things wait that nothing will tell us about.
inline constexpr int64_t kWaitForOthersMs = 5'000;   // garbage collection, an object that is going
inline constexpr int64_t kRefusedAgainMs = 300'000;  // what the API server called invalid is tried again
inline constexpr int64_t kMeshStatusDelayMs = 300;   // a mesh sums its children's changes up for so long
inline constexpr int64_t kCleanupLastTryMs = 1'000;  // for the try at a cleanup's deadline
inline constexpr int64_t kCleanupTurnMs = 1'000;     // until the next look whether there is room for a cleanup
inline constexpr size_t kCleanupsMax = 32;           // at the same time
inline constexpr size_t kMessageMaxBytes = 1024;     // of status.message; kubectl prints it in a column
inline constexpr size_t kStepsMax = 24;              // of one pass; more is a loop
// Writes that the watches have not told yet; with more, nothing new is begun. A watch that falls behind by
// kOwnWriteMaxMs would make the operator write on what it no longer knows.
inline constexpr size_t kUnseenWritesMax = 512;
inline constexpr int64_t kUnseenLookMs = 20;    // until the next look whether a watch caught up
inline constexpr size_t kStepsPerChildMax = 4;  // of a mesh, beyond that

}  // namespace fmesh::op
