// Whether a live object is what was wanted, in the eyes of Kubernetes: quantities by value, API-server defaults taken
// for what they are, lists with names by name, commands by meaning. The answer is the patch that would be needed, so
// that a person can read it; nothing secret is in it.
//
// Pure; any thread.
#pragma once

#include <boost/json/value.hpp>
#include <optional>
#include <string>
#include <vector>

namespace fmesh::op {

// Who writes into `live` what was not given: the API server into its own kinds, nobody into those of a CRD.
enum class Defaults { kOfServer, kNone };

// The members of `wanted` that `live` has differently, and null for what `live` has beyond `wanted` and beyond
// `defaults`; none if there is nothing. Commands, arguments and values of variables are not shown (kHidden).
std::optional<boost::json::value> difference(const boost::json::value& wanted, const boost::json::value& live,
                                             Defaults defaults = Defaults::kOfServer);

inline constexpr const char* kHidden = "(not shown)";
// Longer patches are cut in status and events; the API server takes 1.5 MiB for a whole object.
inline constexpr size_t kShownDifferenceMaxBytes = 8 * 1024;

// "containers[pulsar-function].image, replicas": the leaves of a difference, for an event's text; at most `count_max`.
std::string list_changes(const boost::json::value& difference, size_t count_max = 5);

// 16 hex digits that name a JSON value; members in any order give the same.
std::string fingerprint(const boost::json::value& value);

}  // namespace fmesh::op
