// What one seed simulates: a few streams and functions, how they are joined, what each function promises, and which
// records fail in it. All of it is a pure function of the seed and of the records' payloads, so that what has to come
// out can be told without running anything.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/rng.h"
#include "model/instance_spec.h"

namespace fmesh::sim {

// A payload grows by "/name" at each function; at this depth a function swallows it, so that cycles end.
inline constexpr int kDepthMax = 4;

struct StreamPlan {
  std::string topic;  // full name
  int32_t partitions = 0;
  bool is_source = false;  // the simulated outside writes to it
};

struct FunctionPlan {
  std::string name;
  std::vector<std::string> inputs;
  std::string output;
  std::string side;         // where every fourth record is published instead; empty: nowhere
  std::string dead_letter;  // empty: failures are tried for ever
  int max_retries = -1;
  model::ProcessingGuarantees guarantee = model::ProcessingGuarantees::kAtLeastOnce;
  model::DetailsSubscriptionType subscription = model::DetailsSubscriptionType::kShared;
  bool retain_ordering = false;
  bool counts = false;     // adds 1 to a counter per key
  bool blocking = false;   // runs on a worker
  int window_records = 0;  // 0: no window
  int parallelism_max = 1;
  uint64_t salt = 0;
  uint64_t transient_percent = 0, permanent_percent = 0;

  // True if the records of a key leave in the order they came in.
  bool keeps_key_order() const;
  bool exactly_once() const { return guarantee == model::ProcessingGuarantees::kEffectivelyOnce; }
  // True if every attempt at this record fails.
  bool fails_for_ever(const std::string& payload) const;
  // How many attempts fail before one succeeds.
  int failures_first(const std::string& payload) const;
  // Where the record's output goes; empty: nowhere.
  const std::string& destination(const std::string& payload) const;
  model::InstanceSpec spec(int32_t instance_id, int32_t instance_count) const;
};

struct Topology {
  std::vector<StreamPlan> streams;
  std::vector<FunctionPlan> functions;
};

Topology make_topology(Rng& rng);
int depth_of(const std::string& payload);

}  // namespace fmesh::sim
