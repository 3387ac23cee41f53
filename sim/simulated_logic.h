// The user's code of a simulation: it does with each record what the FunctionPlan says, fails where the plan says, and
// remembers how often it was asked. sim/ brings its own runtime::make_logic(), so a program that links sim/ runs every
// instance with it.
//
// Single-threaded: one Brain is current at a time.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "sim/topology.h"

namespace fmesh::sim {

// What outlives the instances of a simulation, as the memory of the outside world.
struct Brain {
  const Topology* topology = nullptr;
  std::map<std::pair<std::string, std::string>, int> failures;  // (function, payload) -> attempts that failed
};

// Null: none. REQUIRES: lives until it is replaced.
void set_brain(Brain* brain);

}  // namespace fmesh::sim
