// The operator's numbers in Prometheus' text format, under upstream's names and those that dashboards of
// controller-runtime expect. Series of a resource go when the resource goes.
//
// record() and forget() on the operator's loop; text() from any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
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
  Metrics();
  ~Metrics();
  // A pass ended.
  void record(const kube::WorkKey& key, double duration_ms, bool failed);
  // The resource is gone.
  void forget(const kube::WorkKey& key);
  void set(const Gauges& gauges);
  std::string text() const;

 private:
  struct Families;
  std::unique_ptr<Families> families_;
};

}  // namespace fmesh::op
