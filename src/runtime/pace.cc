#include "runtime/pace.h"

#include <algorithm>

namespace fmesh::runtime {
namespace {

// More records than any poll brings.
constexpr size_t kRunRecordsMax = 1'000'000;

}  // namespace

Pace::Pace(bool takes_batches)
    : target_ns_(takes_batches ? kBatchRunTargetNs : kRunTargetNs), records_(takes_batches ? kRunRecordsMax : 1) {}

void Pace::observe(size_t run_records, int64_t elapsed_ns) {
  if (run_records == 0) return;
  const int64_t record_ns = std::max<int64_t>(elapsed_ns / static_cast<int64_t>(run_records), 1);
  const auto fitting = static_cast<size_t>(std::max<int64_t>(target_ns_ / record_ns, 1));
  records_ = std::min({fitting, std::max(records_, run_records) * kRunGrowthMax, kRunRecordsMax});
}

}  // namespace fmesh::runtime
