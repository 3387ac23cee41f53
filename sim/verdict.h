// What has to hold once a simulation has drained: a pure comparison of the topology, what the outside was told is
// durable, and what the streams and counters hold.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "sim/topology.h"

namespace fmesh::sim {

struct KeptRecord {
  std::string payload, key;
  int32_t partition = 0;
};

struct Holdings {
  std::map<std::string, std::vector<KeptRecord>> streams;          // by topic, in order per partition
  std::map<std::string, std::map<std::string, int64_t>> counters;  // function -> key -> count
  std::map<std::string, std::map<std::string, int>> acknowledged;  // source topic -> payload -> 1
};

struct Verdict {
  std::string broken;       // empty: all promises held
  uint64_t duplicates = 0;  // outputs beyond one per input, where that is allowed
};

// What the outside was told is durable is there once.
std::string check_sources(const Holdings& holdings);
Verdict check_all(const Topology& topology, const Holdings& holdings);

}  // namespace fmesh::sim
