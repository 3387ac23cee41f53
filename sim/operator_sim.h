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

inline constexpr int64_t kStaleViewMs = 60'000;

// Time travel: after `step` steps of the person and some rest, the operator begins anew and is shown the state of
// `revision` for kStaleViewMs. 0: never.
struct StaleView {
  size_t step = 0;
  int64_t revision = 0;
};

// Of what happens between the steps `from` and `to` no watch tells a word while it happens; afterwards only what did
// not cancel itself out is told. 0: never.
struct HiddenSteps {
  size_t from = 0, to = 0;
};

struct OperatorSimOptions {
  uint64_t seed = 1;
  FaultRates faults;        // until the person is done; then all is well
  size_t stop_after = 0;    // the operator's Nth write; 0: never
  bool patient = true;      // the person waits for quiet before each step; else steps come at any time
  int64_t lag_max_ms = 20;  // of each of the replicas that serve the watches
  size_t replicas = 3;
  StaleView stale;
  HiddenSteps hidden;
};

struct OperatorSimOutcome {
  std::string state;                            // of all objects in the end, masked
  std::map<std::string, int> creates, deletes;  // by "kind ns/name", of the operator, that changed something
  size_t writes = 0;                            // of the operator
  std::vector<int64_t> revisions;               // after each step, when all was quiet; of a patient person
  size_t late_writes = 0;                       // after everything was quiet: there must be none
  bool quiet = false;                           // it came to rest
  std::vector<std::string> log;                 // writes, for messages
};

OperatorSimOutcome run_operator_sim(const Scenario& scenario, const OperatorSimOptions& options);

}  // namespace fmesh::sim
