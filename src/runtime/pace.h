// How many records code that may block is given at once. A function that takes 1 us for a record gets thousands, one
// that waits 100 ms for another service gets one: so that what is done becomes durable soon, a drain ends soon, and
// other instances find something to do. Pure; the caller measures.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fmesh::runtime {

// What a run should take: long against the 20 us that a run costs on top of its records.
inline constexpr int64_t kRunTargetNs = 10'000'000;
// The same for code that takes batches, such as a sink with one request for many records: here few large runs are
// wanted, and only those that go on for seconds are cut.
inline constexpr int64_t kBatchRunTargetNs = 5'000'000'000;
// A run is at most so many times larger than the one before, as the records behind may cost more.
inline constexpr size_t kRunGrowthMax = 8;

class Pace {
 public:
  explicit Pace(bool takes_batches);
  // Records of the next run.
  size_t records() const { return records_; }
  void observe(size_t run_records, int64_t elapsed_ns);

 private:
  int64_t target_ns_;
  size_t records_;
};

}  // namespace fmesh::runtime
