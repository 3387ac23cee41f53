// What holds of every component's objects, whatever its resource says; for tests and fuzzers.
#pragma once

#include <boost/json.hpp>
#include <set>
#include <string>

#include "plan/cluster/cluster_plan.h"

namespace fmesh::plan {

inline std::string text_in(const boost::json::value& value, const char* name) {
  const boost::json::object* object = value.if_object();
  const boost::json::value* found = object ? object->if_contains(name) : nullptr;
  return found && found->is_string() ? std::string(found->get_string()) : std::string();
}

inline const boost::json::array& list_in(const boost::json::value& value, const char* name) {
  static const boost::json::array none;
  const boost::json::object* object = value.if_object();
  const boost::json::value* found = object ? object->if_contains(name) : nullptr;
  return found && found->is_array() ? found->get_array() : none;
}

// The first promise that `objects` break; empty: none.
inline std::string broken_promise(const ClusterObjects& objects, const model::Component& component) {
  const boost::json::value set = objects.stateful_set;
  const boost::json::value& pod = set.at_pointer("/spec/template/spec");
  std::set<std::string> volumes, containers;
  for (const boost::json::value& volume : list_in(pod, "volumes")) {
    if (!volumes.insert(text_in(volume, "name")).second) return "two volumes named " + text_in(volume, "name");
  }
  if (component.spec.volume_claim_templates.present()) {
    for (const boost::json::value& claim : component.spec.volume_claim_templates.value().as_array()) {
      const boost::json::object* object = claim.if_object();
      if (object && object->contains("metadata")) volumes.insert(text_in(object->at("metadata"), "name"));
    }
  }
  for (const char* kind : {"initContainers", "containers"}) {
    for (const boost::json::value& container : list_in(pod, kind)) {
      if (!containers.insert(text_in(container, "name")).second) return "two containers of one name";
      std::set<std::string> variables, paths;
      for (const boost::json::value& mount : list_in(container, "volumeMounts")) {
        if (!volumes.contains(text_in(mount, "name"))) return "no volume for " + boost::json::serialize(mount);
        if (!paths.insert(text_in(mount, "mountPath")).second) return "two mounts at " + text_in(mount, "mountPath");
      }
      if (std::string_view(kind) == "initContainers") continue;  // as written
      for (const boost::json::value& variable : list_in(container, "env")) {
        const std::string name = text_in(variable, "name");
        if (!name.empty() && !variables.insert(name).second) return "variable " + name + " twice";
      }
    }
  }
  const boost::json::object& labels = set.at_pointer("/spec/template/metadata/labels").as_object();
  for (const auto& label : set.at_pointer("/spec/selector/matchLabels").as_object()) {
    if (!labels.contains(label.key()) || labels.at(label.key()) != label.value()) return "selector is not in labels";
  }
  if (boost::json::value(objects.service).at_pointer("/spec/selector") !=
      set.at_pointer("/spec/selector/matchLabels")) {
    return "the Service selects others than the StatefulSet";
  }
  if (objects.horizontal_pod_autoscaler) {
    const boost::json::value hpa = *objects.horizontal_pod_autoscaler;
    if (list_in(hpa.at("spec"), "metrics").empty()) return "no metrics";
  }
  return {};
}

}  // namespace fmesh::plan
