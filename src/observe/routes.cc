#include "observe/routes.h"

namespace fmesh::observe {
namespace {

constexpr RouteParameter kRecordsQuery[] = {
    {"from", "string", "Where to begin: earliest (the default), latest, or a message id ledger:entry:partition"},
    {"limit", "integer", "At most this many records, 10 by default, up to 10000"},
    {"follow", "boolean",
     "true: the records appended from now on, one JSON object per line, until the connection closes"},
};
constexpr RouteParameter kLogsQuery[] = {
    {"lines", "integer", "At most this many of the last lines, 100 by default, up to 10000"},
    {"follow", "boolean", "true: also every new line, one JSON object per line, until the connection closes"},
};

constexpr std::string_view kJson = "application/json";
constexpr Route kRoutes[] = {
    {RouteId::kHealth, "GET", "/healthz", false, "200 while the process runs", "text/plain", {}, ""},
    {RouteId::kReady,
     "GET",
     "/readyz",
     false,
     "200 once every instance has started; 503 and the reason before",
     "text/plain",
     {},
     ""},
    {RouteId::kMetrics,
     "GET",
     "/metrics",
     false,
     "Counters in Prometheus' text format",
     "text/plain; version=0.0.4; charset=utf-8",
     {},
     ""},
    {RouteId::kMesh,
     "GET",
     "/api/v1/mesh",
     false,
     "The mesh, its components with rates, and its instances",
     kJson,
     {},
     ""},
    {RouteId::kGraph,
     "GET",
     "/api/v1/graph",
     false,
     "Components as nodes, streams as edges, with rates",
     kJson,
     {},
     ""},
    {RouteId::kInstances, "GET", "/api/v1/instances", false, "Every instance with its counters", kJson, {}, ""},
    {RouteId::kScale,
     "POST",
     "/api/v1/components/{name}/scale",
     true,
     "Sets how many instances a component has",
     kJson,
     {},
     R"({"replicas": 2})"},
    {RouteId::kStreams,
     "GET",
     "/api/v1/streams",
     false,
     "Every stream with its subscriptions and their backlog",
     kJson,
     {},
     ""},
    {RouteId::kRecords, "GET", "/api/v1/streams/{name}/records", false, "Looks at records without taking them", kJson,
     kRecordsQuery, ""},
    {RouteId::kPublish,
     "POST",
     "/api/v1/streams/{name}/records",
     true,
     "Appends records; answers once they are durable",
     kJson,
     {},
     R"({"records": [{"key": "k1", "value": {"id": 1}}, {"text": "plain"}, {"base64": "AAE="}]})"},
    {RouteId::kSeek,
     "POST",
     "/api/v1/streams/{name}/seek",
     true,
     "Moves a subscription to a message id or a publish time",
     kJson,
     {},
     R"({"subscription": "public/default/orders", "id": "earliest"})"},
    {RouteId::kStream, "GET", "/api/v1/streams/{name}", false, "One stream", kJson, {}, ""},
    {RouteId::kCreateStream,
     "PUT",
     "/api/v1/streams/{name}",
     true,
     "Makes a stream",
     kJson,
     {},
     R"({"partitions": 4, "retentionSizeBytes": 1073741824, "retentionTimeMs": 86400000})"},
    {RouteId::kRemoveStream,
     "DELETE",
     "/api/v1/streams/{name}",
     true,
     "Deletes a stream that nobody reads",
     kJson,
     {},
     ""},
    {RouteId::kLogs, "GET", "/api/v1/logs/{name}", false, "What a component logged", kJson, kLogsQuery, ""},
    {RouteId::kOpenApi, "GET", "/api/v1/openapi.json", false, "This description", kJson, {}, ""},
};

}  // namespace

std::span<const Route> routes() { return kRoutes; }

PathMatch match_path(std::string_view pattern, std::string_view path) {
  const size_t brace = pattern.find('{');
  if (brace == std::string_view::npos) return {pattern == path, ""};
  const std::string_view before = pattern.substr(0, brace);
  const std::string_view after = pattern.substr(pattern.find('}') + 1);
  if (path.size() <= before.size() + after.size() || !path.starts_with(before) || !path.ends_with(after)) return {};
  return {true, path.substr(before.size(), path.size() - before.size() - after.size())};
}

}  // namespace fmesh::observe
