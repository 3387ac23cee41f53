// What must exist on a cluster for one resource: the Kubernetes objects, as upstream's operator makes them, with its
// defects mended (docs/compatibility.md). Pure: a resource, the BackendConfigs and the operator's settings in, objects
// out. `fmesh render`, `fmesh diff` and the operator share it.
//
// Objects are in the order of fields that Kubernetes prints, and the same input gives the same bytes.
#pragma once

#include <boost/json/value.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/resource_set.h"

namespace fmesh::plan {

// The operator's config file (facts of upstream: keys are Go field names, matched without regard to case).
struct RunnerConfig {
  std::string java_image{}, python_image{}, go_image{};  // empty: upstream's default
  std::string fmesh_image{};                             // empty: fmesh of this version
  std::map<std::string, std::string> generic_images{};   // by language
  std::vector<std::string> image_pull_secrets{};
  std::string image_pull_policy{};  // empty: IfNotPresent
  std::map<std::string, std::string> labels{}, annotations{};
  std::vector<std::string> warnings{};  // keys without effect, with their places
};

struct ClusterOptions {
  RunnerConfig runner{};
  bool init_containers = false;      // packages are fetched by an init container
  bool add_default_affinity = true;  // spread the pods of a component over nodes
  bool run_as_non_root = false;
  bool vpa_served = true;  // the cluster has autoscaling.k8s.io/v1
  std::string global_backend_config{}, global_backend_config_namespace = "default";
  std::string namespaced_backend_config = "backend-config";
};

// Null where there is none.
struct BackendConfigs {
  const model::BackendConfig* global = nullptr;
  const model::BackendConfig* namespaced = nullptr;
};

// Where an object's owner reference points.
struct Owner {
  std::string kind, name, uid;
};

// The objects of one component. Every one has metadata with name, namespace, labels and ownerReferences.
struct ClusterObjects {
  boost::json::object stateful_set, service;
  std::optional<boost::json::object> horizontal_pod_autoscaler, vertical_pod_autoscaler;
};

// The spec is taken as the API server has it, i.e. with what admission filled in when the resource was written, and no
// more: a default of admission that an older resource does not have would be a change of its pods. What upstream can't
// do without (name, tenant, replicas ...) is taken at its default.
// Errors: kFixInput for what can't be rendered: no runtime, no pulsarConfig, a native component whose code is nowhere,
// a pod that can't be created (a name or mount path given twice, a mount without a volume).
Result<ClusterObjects> make_cluster_objects(const model::Component& component, const BackendConfigs& backend,
                                            const ClusterOptions& options, const std::string& uid);

// The Function, Source or Sink that stands for item `component` of a mesh, which `mesh` owns: named <mesh>-<item>, its
// spec as the user wrote it. REQUIRES: no defaults are applied.
boost::json::object make_mesh_child(const model::Component& component, const Owner& mesh);

// Names that other rooms need: StatefulSet, HPA and VPA have one name, the Service another.
std::string stateful_set_name(model::Kind kind, const std::string& resource_name);  // "orders-function"
std::string service_name(model::Kind kind, const std::string& resource_name);       // "orders-function-headless"
std::string child_name(const std::string& mesh, const std::string& item);           // "mesh-item"
// The labels of every object of a component, which are the selector of its pods too.
model::StringMap component_labels(model::Kind kind, const std::string& name_space, const std::string& resource_name);

// The operator's config file. Errors: kFixInput with the place.
Result<RunnerConfig> read_runner_config(const std::string& file, const std::string& text);

}  // namespace fmesh::plan
