// What Python code is given of its host: an object of the type `_fmesh.Host`, on which lib/fmesh_host.py builds the
// context that functions know. Logging and metrics work on every thread; what belongs to a record only on the thread
// that processes it, while it does.
#pragma once

#include <span>

#include "runtime/logic.h"
#include "runtime/python/object_private.h"

namespace fmesh::runtime {

// What a Host object refers to. Owned by a PythonLogic and set by it for each call, with the interpreter lock held.
struct HostLink {
  LogicContext* context = nullptr;  // null: closed
  BatchContext* batch = nullptr;    // null: nothing is being processed
  std::span<const LogicRecord> records;
  unsigned long thread = 0;   // that processes
  size_t* current = nullptr;  // index of the record at work

  const LogicRecord& record() const { return records[*current]; }
};

// A new object of `_fmesh.Host`; null with an exception set. REQUIRES: `link` lives until detach().
Ref make_host_object(HostLink& link);
// From now on the object does nothing: what user code leaves running may still hold it.
void detach(PyObject* host);

}  // namespace fmesh::runtime
