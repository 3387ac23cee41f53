#include "operator/world.h"

namespace fmesh::op {

World::World(const Clock& clock)
    : functions(clock),
      sources(clock),
      sinks(clock),
      meshes(clock),
      backend_configs(clock),
      stateful_sets(clock),
      services(clock),
      horizontal_autoscalers(clock),
      vertical_autoscalers(clock),
      jobs(clock),
      clock_(clock) {}

kube::Store& World::of(const kube::ResourceType& type) {
  if (type == kube::kFunction) return functions;
  if (type == kube::kSource) return sources;
  if (type == kube::kSink) return sinks;
  if (type == kube::kFunctionMesh) return meshes;
  if (type == kube::kBackendConfig) return backend_configs;
  if (type == kube::kStatefulSet) return stateful_sets;
  if (type == kube::kService) return services;
  if (type == kube::kHorizontalPodAutoscaler) return horizontal_autoscalers;
  if (type == kube::kVerticalPodAutoscaler) return vertical_autoscalers;
  return jobs;
}

size_t World::unseen() const {
  size_t count = 0;
  for (const kube::ResourceType& type : kinds()) count += of(type).unseen();
  return count;
}

const std::vector<kube::ResourceType>& World::kinds() {
  static const std::vector<kube::ResourceType> kinds = {kube::kFunction,
                                                        kube::kSource,
                                                        kube::kSink,
                                                        kube::kFunctionMesh,
                                                        kube::kBackendConfig,
                                                        kube::kStatefulSet,
                                                        kube::kService,
                                                        kube::kHorizontalPodAutoscaler,
                                                        kube::kVerticalPodAutoscaler,
                                                        kube::kJob};
  return kinds;
}

const kube::ResourceType* type_of_kind(std::string_view kind) {
  for (const kube::ResourceType& type : World::kinds()) {
    if (type.kind == kind && type.group == kube::kFunction.group) return &type;
  }
  return nullptr;
}

}  // namespace fmesh::op
