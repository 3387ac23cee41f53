#include "plan/cluster/names.h"

#include "plan/cluster/cluster_plan.h"

namespace fmesh::plan {
namespace {

std::string component_word(model::Kind kind) {
  switch (kind) {
    case model::Kind::kSource:
      return "source";
    case model::Kind::kSink:
      return "sink";
    default:
      return "function";
  }
}

}  // namespace

std::string stateful_set_name(model::Kind kind, const std::string& resource_name) {
  return resource_name + "-" + component_word(kind);
}

std::string service_name(model::Kind kind, const std::string& resource_name) {
  return stateful_set_name(kind, resource_name) + "-headless";
}

std::string container_name(model::Kind kind) { return "pulsar-" + component_word(kind); }

std::string name_space_of(const model::Component& component) {
  return component.metadata.name_space.empty() ? "default" : component.metadata.name_space;
}

std::string child_name(const std::string& mesh, const std::string& item) { return mesh + "-" + item; }

model::StringMap component_labels(model::Kind kind, const std::string& name_space, const std::string& resource_name) {
  const std::string component = component_word(kind);
  const std::string name = stateful_set_name(kind, resource_name);
  model::StringMap labels{{"app.kubernetes.io/instance", name},
                          {"app.kubernetes.io/name", name},
                          {"component", component},
                          {"compute.functionmesh.io/component", component},
                          {"compute.functionmesh.io/name", resource_name},
                          {"compute.functionmesh.io/namespace", name_space},
                          {"name", resource_name},
                          {"namespace", name_space}};
  if (kind == model::Kind::kFunction) {
    labels["app"] = "function-mesh";
    labels["compute.functionmesh.io/app"] = "function-mesh";
  }
  return labels;
}

}  // namespace fmesh::plan
