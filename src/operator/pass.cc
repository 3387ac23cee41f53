#include "operator/pass.h"

#include <fmt/format.h>

#include "operator/component_pass.h"
#include "operator/mesh_pass.h"

namespace fmesh::op {

void Pass::answered(const Write& write, const kube::Outcome& outcome) {
  if (outcome.verdict == kube::Verdict::kOk) {
    if (write.verb == WriteVerb::kStatus) status_written_ = true;
    if (!write.reason.empty()) notes_.push_back({false, write.reason, write.text});
    return;
  }
  if (outcome.verdict != kube::Verdict::kInvalid && outcome.verdict != kube::Verdict::kForbidden) return;
  if (write.verb == WriteVerb::kStatus) {
    status_refused_ = true;
    return;
  }
  forbidden_ = forbidden_ || outcome.verdict == kube::Verdict::kForbidden;
  const std::string text =
      fmt::format("{} {} refused by the API server: {}", write.type.kind, write.key.name, outcome.message);
  refused_[{std::string(write.type.kind), write.key.name}] = text;
  notes_.push_back({true, "Refused", text});
}

std::unique_ptr<Pass> make_pass(World& world, const Settings& settings, const kube::WorkKey& key) {
  const kube::ResourceType* type = type_of_kind(key.kind);
  if (!type || *type == kube::kBackendConfig) return nullptr;
  const kube::ObjectKey object_key{key.name_space, key.name};
  if (!world.of(*type).get(object_key)) return nullptr;
  if (*type == kube::kFunctionMesh) return std::make_unique<MeshPass>(world, settings, object_key);
  return std::make_unique<ComponentPass>(world, settings, *type, object_key);
}

}  // namespace fmesh::op
