// The one table of the control API: every path, what it takes and what it answers. The handler dispatches on it, the
// OpenAPI document is written from it, and a test holds docs/reference/openapi.json against it. Constant data.
#pragma once

#include <span>
#include <string_view>

namespace fmesh::observe {

enum class RouteId {
  kHealth,
  kReady,
  kMetrics,
  kMesh,
  kGraph,
  kInstances,
  kScale,
  kStreams,
  kStream,
  kCreateStream,
  kRemoveStream,
  kRecords,
  kPublish,
  kSeek,
  kLogs,
  kOpenApi,
};

struct RouteParameter {
  std::string_view name;
  std::string_view type;  // string, integer, boolean
  std::string_view meaning;
};

struct Route {
  RouteId id;
  std::string_view method;
  std::string_view path;  // may hold one {name}, which may itself hold slashes
  bool writes;            // changes something: needs a token over TCP
  std::string_view summary;
  std::string_view content_type;
  std::span<const RouteParameter> query;
  std::string_view body;  // an example of the JSON body; empty: none
};

std::span<const Route> routes();

// The name in `path` if it has the shape of `pattern`, "" if the pattern holds no name.
struct PathMatch {
  bool matches = false;
  std::string_view name;
};
PathMatch match_path(std::string_view pattern, std::string_view path);

// Bounds of what one request may ask for.
inline constexpr int64_t kRecordsPerRequestMax = 10'000;
inline constexpr int64_t kLogLinesPerRequestMax = 10'000;
inline constexpr size_t kFollowersMax = 64;  // open `follow` answers; each holds a connection and a cursor

}  // namespace fmesh::observe
