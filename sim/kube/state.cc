// ApiServer's state as text in which two runs can be compared.
#include <fmt/format.h>

#include <boost/json.hpp>
#include <map>

#include "kube/json.h"
#include "sim/kube/api_server.h"

namespace fmesh::sim {
namespace json = boost::json;
namespace {

void replace_all(std::string& text, const std::string& what, const std::string& with) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size())
    text.replace(at, what.size(), with);
}

// "2026-01-31T23:59:59Z" and with a fraction.
void mask_times(std::string& text) {
  static constexpr std::string_view kShape = "dddd-dd-ddTdd:dd:dd";
  for (size_t at = 0; at + kShape.size() < text.size(); ++at) {
    size_t i = 0;
    while (i < kShape.size() &&
           (kShape[i] == 'd' ? text[at + i] >= '0' && text[at + i] <= '9' : text[at + i] == kShape[i]))
      ++i;
    if (i < kShape.size()) continue;
    const size_t end = text.find('Z', at + i);
    if (end == std::string::npos || end - at > 32) continue;
    text.replace(at, end + 1 - at, "{time}");
  }
}

// Objects compare without regard to the order of their members.
json::value sorted(const json::value& value) {
  if (const json::array* array = value.if_array()) {
    json::array copy;
    for (const json::value& item : *array) copy.push_back(sorted(item));
    return copy;
  }
  const json::object* object = value.if_object();
  if (!object) return value;
  std::map<std::string, json::value> members;
  for (const auto& [key, part] : *object) members.emplace(key, sorted(part));
  json::object copy;
  for (auto& [key, part] : members) copy[key] = std::move(part);
  return copy;
}

json::value masked(const json::value& object) {
  json::value copy = sorted(object);
  json::object& metadata = copy.as_object()["metadata"].as_object();
  const int64_t generation = kube::int_at(copy, {"metadata", "generation"});
  for (const char* key : {"resourceVersion", "creationTimestamp", "managedFields", "generation"}) metadata.erase(key);
  json::value* status = kube::find(copy, {"status"});
  if (status && status->is_object()) {
    json::object& members = status->get_object();
    for (const char* key : {"currentRevision", "updateRevision", "collisionCount"}) members.erase(key);
    if (json::value* observed = members.if_contains("observedGeneration"))
      *observed = *observed == generation ? json::value("current") : json::value("behind");
  }
  return copy;
}

}  // namespace

std::string ApiServer::masked_state() const {
  std::string text;
  std::map<std::string, std::string> names;  // by uid
  for (const KindInfo& kind : kinds()) {
    if (kind.type == kube::kLease || kind.type == kube::kEvent || kind.type == kube::kCoreEvent) continue;
    for (const auto& [key, object] : database_.now().of(kind)) {
      names[std::string(kube::string_at(*object, {"metadata", "uid"}))] =
          fmt::format("{{{} {}}}", kind.type.kind, key.to_string());
      text += fmt::format("{} {} {}\n", kind.type.kind, key.to_string(), json::serialize(masked(*object)));
    }
  }
  for (const auto& [uid, name] : names) replace_all(text, uid, name);
  mask_times(text);
  return text;
}

}  // namespace fmesh::sim
