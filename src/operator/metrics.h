// The operator's numbers in Prometheus' text format, under upstream's names and those that dashboards of
// controller-runtime expect. Series of a resource go when the resource goes.
//
// Kept and written by hand: a client library's families take 5 KiB for each of ten thousand resources, and more CPU for
// a scrape than the operator needs for all the rest.
//
// Any thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "kube/work_queue.h"

namespace fmesh::op {

struct Gauges {
  uint64_t queue_depth = 0, running = 0;
  uint64_t writes = 0;
  bool leader = false;
};

class Metrics {
 public:
  // A pass ended.
  void record(const kube::WorkKey& key, double duration_ms, bool failed);
  // The resource is gone.
  void forget(const kube::WorkKey& key);
  void set(const Gauges& gauges);
  // Version 0.0.4 of the format.
  std::string text() const;

 private:
  // Upper bounds of the buckets of a latency: upstream's, in milliseconds. One more takes what is above.
  static constexpr std::array<int, 6> kLatencyBucketsMs = {10, 100, 1000, 10000, 30000, 60000};

  struct Series {
    std::array<uint32_t, kLatencyBucketsMs.size() + 1> buckets{};
    double sum_ms = 0;
  };
  struct Total {
    uint64_t success = 0, error = 0;
  };

  mutable std::mutex mutex_;
  std::map<kube::WorkKey, Series> series_;
  std::map<std::string, Total> totals_{{"Function", {}}, {"Source", {}}, {"Sink", {}}, {"FunctionMesh", {}}};
  Gauges gauges_;
};

}  // namespace fmesh::op
