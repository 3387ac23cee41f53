// How this folder says that a component can't be rendered. Inside this folder only.
#pragma once

#include <string>

#include "base/result.h"
#include "model/resource_set.h"

namespace fmesh::plan {

// "Function orders: spec.pod.volumes: <text>" (kFixInput) at its place. `field` is relative to the spec, plain keys and
// [index] steps; empty: the spec itself.
std::unexpected<Error> refuse_field(const model::Component& component, std::string_view field, const std::string& text);

}  // namespace fmesh::plan
