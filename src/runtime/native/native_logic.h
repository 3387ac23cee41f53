// The host of function libraries: a Logic whose user code stands behind the C ABI of fmesh/abi.h. It translates records
// and effects, knows where the code is if it crashes, and trusts nothing that comes back: an index out of the batch or
// an exception that crosses the border fails records, not the process.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "model/instance_spec.h"
#include "runtime/logic.h"

namespace fmesh::runtime {

// Loads `spec.library_path` and finds `spec.details.class_name` in it.
// Errors: those of load_library() and find_function(), and a function that takes windows without a windowConfig, or the
// reverse.
Result<std::unique_ptr<Logic>> make_native_logic(const model::InstanceSpec& spec, const std::string& cache_directory);

}  // namespace fmesh::runtime
