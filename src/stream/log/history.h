// A history answers, for any place in a partition, about how much lies before it and when it was written, in bounded
// memory: a sample every `stride` entries, and when there are too many, every other sample goes and the stride doubles.
// Retention and figures use it as it is; what must be exact (a seek) counts on from the nearest sample.
//
// Changed on the committer only, under the lock of the log.
#pragma once

#include <cstdint>
#include <vector>

#include "stream/log/cursor.h"
#include "stream/log/table_codec.h"

namespace fmesh::stream::log {

// 256 samples of 32 bytes: 8 KiB for the busiest partition.
inline constexpr size_t kHistorySamplesMax = 256;
// Entries between two samples of a small partition.
inline constexpr uint64_t kStrideMin = 16;

class History {
 public:
  struct Sample {
    uint64_t entry = 0;
    Volume before;
    int64_t written_ms = 0;
  };

  // REQUIRES: entries come in order.
  void append(uint64_t entry, Volume before, int64_t written_ms);
  // Forgets what lies before `entry`, except the sample that leads to it.
  void forget_before(uint64_t entry);

  // The last sample at or before `entry`; entry 0 of an empty history.
  Sample at_or_before(uint64_t entry) const;
  // The first sample at or after `entry`; null if there is none, which means the end of the partition.
  const Sample* at_or_after(uint64_t entry) const;
  // The last sampled entry with at most `bytes` from it to a place that `end_bytes` lie before; the oldest if all fit.
  // The result is at most one stride too old.
  uint64_t first_within(uint64_t bytes, uint64_t end_bytes) const;
  // The oldest entry written at or after `time_ms`, at most one stride too old.
  uint64_t first_since(int64_t time_ms) const;

  void write(TableWriter& out) const;
  static History read(TableReader& in);

 private:
  uint64_t stride_ = kStrideMin;
  std::vector<Sample> samples_;
};

}  // namespace fmesh::stream::log
