// The one interpreter of the process.
#pragma once

#include "base/result.h"
#include "runtime/python/object_private.h"

namespace fmesh::runtime {

// Starts it, once, with fmesh's own modules at hand; the calling thread does not keep the lock.
// Errors: kFixInput if Python finds no home.
Status start_python();

// Calls a function of lib/fmesh_host.py. Null with an exception set if it fails. REQUIRES: the lock.
Ref call_host_module(const char* function, PyObject* arguments);

// The exception that is set, described for people: "ValueError: bad amount; at f.py:7 in process (return int(x))". It
// is set no more. REQUIRES: the lock.
std::string take_exception();

}  // namespace fmesh::runtime
