// Patches of RFC 7386 (merge) and RFC 6902 (JSON patch) on JSON values. Pure functions.
#pragma once

#include <boost/json/fwd.hpp>

#include "base/result.h"

namespace fmesh::sim {

void merge_patch(boost::json::value& target, const boost::json::value& patch);
// All operations or none. Errors: kFixInput: an operation that can't be done; kRetryNow: a test that does not hold.
Result<boost::json::value> json_patch(boost::json::value target, const boost::json::value& patch);

}  // namespace fmesh::sim
