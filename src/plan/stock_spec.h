// What a component says about Pulsar's own instance besides its FunctionDetails: options of its runtime, memory, log
// level, environment. Pure.
#pragma once

#include "base/result.h"
#include "model/instance_spec.h"
#include "model/resource_set.h"

namespace fmesh::plan {

// Errors: kFixInput if the component needs a runtime that Pulsar's distribution does not have, or a value that only a
// cluster knows; without a place.
Result<model::StockSpec> make_stock_spec(const model::Component& component);

// The jar, NAR, Python file or Go program as the resource names it.
std::string stock_package(const model::ComponentSpec& spec);

}  // namespace fmesh::plan
