// A Logic whose code runs in a child process, one per instance: user code that crashes, hangs, leaks or collides with
// another version of a module does so alone. A batch crosses to the child as one frame and comes back as one frame of
// effects, so a child that dies halfway has left nothing behind: the instance goes on with a new one, the record at
// which it died fails and is delivered again, and the others of its batch are run again.
//
// The child is started in open() and ended in close().
#pragma once

#include <memory>
#include <string>

#include "runtime/logic.h"

namespace fmesh::runtime {

struct ChildProgram {
  std::string path;       // of the executable; it calls serve_logic() of serve.h
  std::string needs;      // what to do if the system's loader does not start it
  std::string what;       // of its user, for texts: "Python process"
  std::string directory;  // where it may keep files
};

std::unique_ptr<Logic> make_child_logic(const model::InstanceSpec& spec, ChildProgram program);

// The executable `name` that belongs to the running program: beside it, or in lib/fmesh beside its folder.
// Errors: kFixInput.
Result<std::string> find_child_program(const std::string& name);

}  // namespace fmesh::runtime
