// The other half of child_logic.h: what the executable of a child process does. It runs one Logic on the thread that
// calls, with a context and batches that stand for the instance in the host.
//
// State is read from the host and kept for the rest of the batch; what a batch changes goes back with its other
// effects, in one frame.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "runtime/logic.h"

namespace fmesh::runtime {

// Makes the logic that a host asks for. `directory`: where it may keep files; `current`: where it keeps the index of
// the record at work.
using LogicMaker = std::function<std::unique_ptr<Logic>(const std::string& directory, size_t* current)>;

// A host sends it to a child that does not come back; the child may say where it is. See kStuckAfterMs.
extern const int kDumpSignal;

// The first word of a child: only what was built together talks to each other.
std::string hello();

// Returns the exit code once the host says so or is gone. REQUIRES: the descriptors of process.h are open; no other
// thread runs.
int serve_logic(const LogicMaker& make);

}  // namespace fmesh::runtime
