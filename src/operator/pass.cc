#include "operator/pass.h"

#include "operator/component_pass.h"
#include "operator/mesh_pass.h"

namespace fmesh::op {

std::unique_ptr<Pass> make_pass(World& world, const Settings& settings, const kube::WorkKey& key) {
  const kube::ResourceType* type = type_of_kind(key.kind);
  if (!type || *type == kube::kBackendConfig) return nullptr;
  const kube::ObjectKey object_key{key.name_space, key.name};
  if (!world.of(*type).get(object_key)) return nullptr;
  if (*type == kube::kFunctionMesh) return std::make_unique<MeshPass>(world, settings, object_key);
  return std::make_unique<ComponentPass>(world, settings, *type, object_key);
}

}  // namespace fmesh::op
