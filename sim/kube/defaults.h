// What a real API server makes of an object before it stores it: fields that are empty go, defaults come, quantities
// are written the shortest way. Only for the kinds and fields that fmesh and upstream write; a table, checked against a
// real server (tests/e2e). Pure functions.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>

#include "sim/kube/kinds.h"

namespace fmesh::sim {

// "1000m" -> "1", "0.5Gi" -> "512Mi"; what is no quantity stays as it is.
std::string canonical_quantity(std::string_view text);
void apply_defaults(const KindInfo& kind, boost::json::value& object);

}  // namespace fmesh::sim
