#include <boost/json.hpp>

#include "observe/api.h"
#include "observe/json.h"

namespace fmesh::observe {
namespace {

namespace json = boost::json;

json::object error_response(std::string_view meaning) {
  return json::object{
      {"description", meaning},
      {"content", json::object{{"application/json",
                                json::object{{"schema", json::object{{"$ref", "#/components/schemas/Error"}}}}}}}};
}

json::object responses_of(const Route& route) {
  const std::string_view schema = route.content_type.starts_with("text/") ? "string" : "object";
  json::object content{{route.content_type, json::object{{"schema", json::object{{"type", schema}}}}}};
  for (const RouteParameter& parameter : route.query) {
    if (parameter.name == "follow")
      content["application/x-ndjson"] = json::object{{"schema", json::object{{"type", "string"}}}};
  }
  json::object responses{{"200", json::object{{"description", route.summary}, {"content", std::move(content)}}}};
  if (!route.query.empty() || !route.body.empty() || route.path.contains('{'))
    responses["400"] = error_response("A parameter, the name or the body is wrong");
  responses["401"] = error_response(route.writes ? "A token is needed, over TCP"
                                                 : "A token is needed, where the server listens beyond loopback");
  responses["403"] = error_response("The Host does not name this machine, or the Origin is another");
  if (route.path.contains('{')) responses["404"] = error_response("No such stream or component");
  if (route.id == RouteId::kReady) {
    responses["503"] = json::object{
        {"description", "Not ready, with the reason"},
        {"content", json::object{{"text/plain", json::object{{"schema", json::object{{"type", "string"}}}}}}}};
  }
  responses["default"] = error_response("503: come back later; 500: fmesh failed; 413, 431: the request is too large");
  return responses;
}

json::object describe(const Route& route) {
  json::array parameters;
  if (route.path.contains('{')) {
    parameters.push_back(json::object{
        {"name", "name"},
        {"in", "path"},
        {"required", true},
        {"description", route.path.contains("/streams/") ? "A stream: name, tenant/namespace/name or its full name"
                                                         : "A component by its name"},
        {"schema", json::object{{"type", "string"}}}});
  }
  for (const RouteParameter& parameter : route.query) {
    parameters.push_back(json::object{{"name", parameter.name},
                                      {"in", "query"},
                                      {"description", parameter.meaning},
                                      {"schema", json::object{{"type", parameter.type}}}});
  }
  json::object operation{{"summary", route.summary}};
  if (!parameters.empty()) operation["parameters"] = std::move(parameters);
  if (!route.body.empty()) {
    const auto example = parse_json(route.body);
    operation["requestBody"] = json::object{
        {"content", json::object{{"application/json", json::object{{"schema", json::object{{"type", "object"}}},
                                                                   {"example", example.value_or(nullptr)}}}}}};
  }
  operation["responses"] = responses_of(route);
  if (route.writes) operation["security"] = json::array{json::object{{"token", json::array{}}}};
  return operation;
}

}  // namespace

std::string openapi_text() {
  json::object paths;
  for (const Route& route : routes()) {
    json::value& path = paths[route.path];
    if (path.is_null()) path = json::object{};
    std::string method;
    for (const char c : route.method) method += static_cast<char>(c | 0x20);
    path.as_object()[method] = describe(route);
  }
  const json::object token{{"type", "http"}, {"scheme", "bearer"}};
  const json::object error{{"type", "object"},
                           {"required", json::array{"error"}},
                           {"properties", json::object{{"error", json::object{{"type", "string"}}}}}};
  return to_pretty_text(json::object{{"openapi", "3.0.3"},
                                     {"info", json::object{{"title", "fmesh control API"}, {"version", "v1"}}},
                                     {"paths", std::move(paths)},
                                     {"components", json::object{{"securitySchemes", json::object{{"token", token}}},
                                                                 {"schemas", json::object{{"Error", error}}}}}});
}

}  // namespace fmesh::observe
