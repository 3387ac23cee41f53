// One run of the simulator: real instances on the real log and journal, on a disk in memory that fails and loses power,
// under a clock and loops that are stepped by hand, all in an order that one seed decides. At the end everything has to
// drain within a bound of simulated time, and what the streams hold is compared with what they must hold.
//
// Single-threaded: each run owns its world; only one exists at a time.
#pragma once

#include <cstdint>
#include <string>

namespace fmesh::sim {

struct SimulationResult {
  uint64_t seed = 0;
  std::string broken;  // the promise that did not hold; empty: all held
  uint64_t trace_hash = 0;
  uint64_t records = 0, power_losses = 0, kills = 0, disk_faults = 0, restarts = 0, duplicates = 0;
  int64_t simulated_ms = 0;
};

struct SimulationOptions {
  std::string state_directory;  // a real folder that is empty: the state's SQLite file is not on the simulated disk
  bool print_trace = false;     // to stderr
};

SimulationResult simulate(uint64_t seed, const SimulationOptions& options);

}  // namespace fmesh::sim
