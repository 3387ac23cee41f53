// The operator's real controllers on the simulated API server, under a seed: a person does what people do, faults
// happen, the process dies after any write and begins anew. What is left in the end must be what an undisturbed run
// leaves.
//
// One thread; a run is a pure function of its options.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "sim/kube/api_server.h"

namespace fmesh::sim {

// One thing that a person does: a request, named for messages.
struct PersonStep {
  std::string name;
  kube::Request request;
};

struct Scenario {
  std::string name;
  std::vector<PersonStep> steps;
};

// Every kind of change that a person makes, each in a scenario of its own.
const std::vector<Scenario>& operator_scenarios();

struct OperatorSimOptions {
  uint64_t seed = 1;
  FaultRates faults;      // until the person is done; then all is well
  size_t stop_after = 0;  // the operator's Nth write; 0: never
  bool patient = true;    // the person waits for quiet before each step; else steps come at any time
  bool autoscale = false;
};

struct OperatorSimOutcome {
  std::string state;                            // of all objects in the end, masked
  std::map<std::string, int> creates, deletes;  // by "kind ns/name", of the operator, that changed something
  size_t writes = 0;                            // of the operator
  size_t late_writes = 0;                       // after everything was quiet: there must be none
  bool quiet = false;                           // it came to rest
  std::vector<std::string> log;                 // writes, for messages
};

OperatorSimOutcome run_operator_sim(const Scenario& scenario, const OperatorSimOptions& options);

}  // namespace fmesh::sim
