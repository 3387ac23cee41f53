#include "operator/trim.h"

#include <array>
#include <boost/json.hpp>

namespace fmesh::op {
namespace {

namespace json = boost::json;

void trim_stateful_set(json::value& value) {
  json::object* object = value.if_object();
  json::value* status = object ? object->if_contains("status") : nullptr;
  if (!status || !status->is_object()) return;
  json::object kept;
  for (const char* name : {"readyReplicas", "observedGeneration"}) {
    if (const json::value* member = status->get_object().if_contains(name)) kept.emplace(name, *member);
  }
  *status = std::move(kept);
}

void drop_status(json::value& value) {
  if (json::object* object = value.if_object()) object->erase("status");
}

// Only who owns it and its labels matter.
void trim_job(json::value& value) {
  if (json::object* object = value.if_object()) {
    object->erase("spec");
    object->erase("status");
  }
}

}  // namespace

std::string label_selector(const kube::ResourceType& type) {
  // Upstream's objects have it too, its cleanup Jobs as well.
  return type.group == kube::kFunction.group ? "" : "compute.functionmesh.io/component";
}

std::function<void(json::value&)> trim_for(const kube::ResourceType& type) {
  if (type == kube::kStatefulSet) return trim_stateful_set;
  if (type == kube::kJob) return trim_job;
  if (type.group == kube::kFunction.group) return {};
  return drop_status;
}

}  // namespace fmesh::op
