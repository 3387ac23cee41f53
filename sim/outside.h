// The outside of a simulated mesh: it writes records to the source streams, remembers which of them the log called
// durable, and after a crash sends again what it was not told about, under the same sequence ids.
//
// Outlives the simulated processes; attach() gives it the log of the next one.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/rng.h"
#include "sim/topology.h"
#include "stream/client.h"

namespace fmesh::sim {

class Outside {
 public:
  Outside(const Topology& topology, uint64_t records_max);

  // Opens a producer per source stream; what was under way before is open again. Errors: those of the log.
  Status attach(stream::Client& client);
  // The process is gone: its answers are void.
  void detach();
  // Writes one entry somewhere, or sends one again. Does nothing if the partition chosen waits for an answer.
  void publish(Rng& rng, int64_t now_ms);
  // True if everything is written and known to be durable.
  bool done() const;
  uint64_t records() const { return records_; }
  const std::map<std::string, std::map<std::string, int>>& acknowledged() const { return acknowledged_; }

 private:
  struct Lane {
    uint64_t next_sequence_id = 1;
    std::vector<std::pair<std::string, std::string>> pending;  // (key, payload) of the entry that is not durable yet
    bool in_flight = false;
  };
  struct Source {
    StreamPlan plan;
    std::shared_ptr<stream::Producer> producer;
    std::vector<Lane> lanes;
  };

  void fill(Lane& lane, size_t number, size_t lanes, Rng& rng);
  void answered(Source& source, Lane& lane, const Result<stream::Receipt>& receipt);

  std::vector<Source> sources_;
  stream::Client* client_ = nullptr;
  uint64_t records_ = 0;
  const uint64_t records_max_;
  std::shared_ptr<int> attachment_;  // answers hold it weakly
  std::map<std::string, std::map<std::string, int>> acknowledged_;
};

}  // namespace fmesh::sim
