// Reading the JSON of the API server: strict (RFC 8259, well-formed UTF-8, bounded depth), and short ways to what lies
// deep in it. A key that is given twice counts as it does for the API server: the last one wins. Pure functions.
#pragma once

#include <boost/json/fwd.hpp>
#include <boost/json/storage_ptr.hpp>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fmesh::kube {

inline constexpr size_t kJsonDepthMax = 200;  // custom resources may nest; recursion over a value is bounded by it

// Errors: kRetryLater: what came is no JSON, or was cut off.
// `storage`: where the value lives; a monotonic resource makes short-lived values cheap.
Result<boost::json::value> read_json(std::string_view text, boost::json::storage_ptr storage = {});
std::string write_json(const boost::json::value& value);

using JsonPath = std::initializer_list<std::string_view>;
// The value at a path of keys; null if a part of it is missing or no object.
const boost::json::value* find(const boost::json::value& value, JsonPath path);
boost::json::value* find(boost::json::value& value, JsonPath path);
// Empty or 0 if it is missing or of another type. The view lives as long as `value`.
std::string_view string_at(const boost::json::value& value, JsonPath path);
int64_t int_at(const boost::json::value& value, JsonPath path);
bool bool_at(const boost::json::value& value, JsonPath path);

}  // namespace fmesh::kube
