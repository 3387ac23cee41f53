#include "operator/pass.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "operator/component_pass.h"
#include "operator/mesh_pass.h"
#include "operator/status.h"

namespace fmesh::op {

namespace json = boost::json;
namespace {

constexpr size_t kScratchBytes = 32 * 1024;  // a resource as a tree; larger ones take more

}  // namespace

Step Pass::next() {
  Step step = look();
  if (step.kind == Step::Kind::kWrite) under_way_.insert(name_of(step.write));
  return step;
}

void Pass::answered(const Write& write, const kube::Outcome& outcome) {
  under_way_.erase(name_of(write));
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
  refused_[name_of(write)] = text;
  notes_.push_back({true, "Refused", text});
}

Step Pass::end(int64_t again_after_ms) const {
  Step done{.again_after_ms = again_after_ms};
  if (refused_.empty()) return done;
  done.failed = forbidden_;
  if (!forbidden_) done.again_after_ms = kRefusedAgainMs;
  return done;
}

Step Pass::write_status(World& world, const kube::ResourceType& type, const kube::ObjectPtr& resource,
                        json::value status, Step done) {
  if (status_refused_) return done;
  json::monotonic_resource memory(kScratchBytes);
  json::value now = resource->json(&memory);
  json::object& object = now.get_object();
  const json::value* there = object.if_contains("status");
  if (there && !status_differs(status, *there)) return done;
  const auto known = world.settled.find(resource->uid() + "/status");
  if (known != world.settled.end() && known->second == settled_status(status, there)) return done;
  status_ = status;
  done_ = std::move(done);
  object.insert_or_assign("status", std::move(status));
  const kube::ObjectKey& key = resource->key();
  return {.kind = Step::Kind::kWrite,
          .write = {WriteVerb::kStatus, type, key, kube::update(type, key, now, "status"), resource->uid(), "", ""}};
}

std::optional<Step> Pass::after_status(World& world, const kube::Object& resource) {
  if (!status_written_) return std::nullopt;
  note_settled_status(world, status_, resource);
  return done_;
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
