// Python functions: a Logic over CPython. The interpreter of the process is started with the first one and stays. A
// batch takes the interpreter lock once. The logic may live in a child process of its own (child/serve.h), as it does
// under `fmesh run`, or in the process of an instance; with two components in one process, they would see each other's
// modules.
//
// No Python.h here: what includes this needs no Python.
#pragma once

#include <memory>
#include <string>

#include "runtime/logic.h"

namespace fmesh::runtime {

struct PythonOptions {
  std::string directory;      // where packages are unpacked
  size_t* current = nullptr;  // where to keep the index of the record at work; lives longer
  int dump_signal = 0;        // at which the process says where its threads are; 0: none
};

// Errors: none; what is wrong with the code is found by open().
std::unique_ptr<Logic> make_python_logic(const PythonOptions& options);

// Ends the interpreter, if there is one: runs what user code wants to run at exit. REQUIRES: all logics are gone; none
// comes after.
void end_python();

}  // namespace fmesh::runtime
