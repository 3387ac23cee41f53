// JSON for people and programs: Boost.JSON values written with numbers as people write them (0.1, not 1E-1), compact or
// indented. Pure.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "observe/mesh_view.h"

namespace fmesh::observe {

std::string to_text(const boost::json::value& value);
// Two spaces per level, a newline at the end.
std::string to_pretty_text(const boost::json::value& value);
// Errors: kFixInput with what is wrong and at which byte.
Result<boost::json::value> parse_json(std::string_view text);

boost::json::value to_json(const MeshState& state);
boost::json::value to_json(const ComponentView& component);
boost::json::value to_json(const InstanceView& instance);
boost::json::value to_json(const StreamView& stream);
// A payload that is JSON is shown as it is under `value`; other text under `text`; bytes under `base64`; a tombstone is
// `deleted`.
boost::json::value to_json(const RecordLine& record);
boost::json::value to_json(const LogEntry& line);
// The graph: nodes are components, edges are streams with their rates.
boost::json::value graph_json(const MeshState& state);

// The reverse, for commands that read what the API answered. Absent members keep their defaults.
MeshState mesh_from_json(const boost::json::value& value);
std::vector<StreamView> streams_from_json(const boost::json::value& value);
LogEntry log_from_json(const boost::json::value& value);
RecordLine record_from_json(const boost::json::value& value);

std::string to_base64(std::string_view bytes);
std::optional<std::string> from_base64(std::string_view text);

}  // namespace fmesh::observe
