// Functions that need no compiler: identity passes records on, filter and map apply a jq expression to JSON payloads
// (https://jqlang.github.io/jq/manual/v1.6/). They never block, so they run on the instance's loop.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "runtime/logic.h"

namespace fmesh::runtime {

// `spec.details.class_name` is identity, filter or map; funcConfig holds "expression", "key" and "onError".
// Errors: kFixInput naming the field: an unknown name, a missing or malformed expression.
Result<std::unique_ptr<Logic>> make_builtin_logic(const model::InstanceSpec& spec);

}  // namespace fmesh::runtime
