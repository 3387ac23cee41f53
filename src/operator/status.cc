#include "operator/status.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "model/fields.h"
#include "operator/compare.h"
#include "operator/settings.h"
#include "plan/cluster/cluster_plan.h"

namespace fmesh::op {
namespace {

namespace json = boost::json;
using model::ResourceCondition;

// Upstream's names: the key of the condition is the object's kind.
struct ConditionName {
  const char* kind;
  const char* condition;
};
constexpr ConditionName kConditions[] = {{"StatefulSet", "StatefulSetReady"},
                                         {"Service", "ServiceReady"},
                                         {"HorizontalPodAutoscaler", "HPAReady"},
                                         {"VerticalPodAutoscaler", "VPAReady"}};

constexpr size_t kScratchBytes = 32 * 1024;  // an object as a tree; larger ones take more

std::string selector_text(const model::StringMap& labels) {
  std::string text;
  for (const auto& [name, value] : labels) text += (text.empty() ? "" : ",") + name + "=" + value;
  return text;
}

ResourceCondition condition_of(const ConditionName& name, const Seen& seen, bool all_ready) {
  if (!seen.exists) return {name.condition, "False", "Create"};
  if (!seen.in_order) return {name.condition, "False", "Update"};
  const bool waits = std::string_view(name.kind) == "StatefulSet" && !all_ready;
  return {name.condition, "True", waits ? "Wait" : "NoAction"};
}

struct Readiness {
  std::string reason, message;
};

Readiness why_not_ready(const StatusInput& input, int64_t ready, int64_t wanted, bool set_exists) {
  if (!input.look.problem.empty()) return {"Invalid", input.look.problem};
  for (const auto& [kind, seen] : input.look.seen) {
    if (!seen.text.empty()) return {seen.exists ? "Blocked" : "NotCreated", seen.text};
  }
  if (!set_exists) return {"NotCreated", "the StatefulSet is not there yet"};
  if (ready < wanted) return {"PodsNotReady", fmt::format("{} of {} pods ready", ready, wanted)};
  if (input.look.pending) {
    const char* way = input.adopted_spec.empty() ? "it is applied with the next change of the resource"
                                                 : "it is applied with the next change of the resource, or with the "
                                                   "annotation compute.functionmesh.io/apply-pending-change: \"true\"";
    return {"ChangePending", fmt::format("a change is pending: {}; {}", list_changes(*input.look.pending), way)};
  }
  if (wanted == 0) return {"ScaledToZero", "no pod is wanted"};
  return {"Ready", ""};
}

std::string cut(std::string text, size_t size_max) {
  if (text.size() > size_max) text = text.substr(0, size_max) + "...";
  return text;
}

}  // namespace

bool is_marked(const kube::ObjectPtr& object) {
  return object->text().find(fmt::format("\"{}\":", kApplied)) != std::string::npos;
}

model::ComponentStatus make_component_status(const StatusInput& input) {
  model::ComponentStatus status;
  const kube::Object::Counts set = input.stateful_set ? input.stateful_set->counts() : kube::Object::Counts{};
  const int64_t wanted = set.replicas, ready = set.ready_replicas;
  // Readiness of an older generation says nothing of the pods that are wanted now.
  const bool rolled = !input.stateful_set || set.observed_generation >= input.stateful_set->generation();
  const bool all_ready = ready >= wanted && rolled;
  bool applied = input.look.problem.empty();
  for (const ConditionName& name : kConditions) {
    const auto seen = input.look.seen.find(name.kind);
    if (seen == input.look.seen.end() || (!seen->second.wanted && seen->second.text.empty())) continue;
    // What was taken over as it is counts as being in order.
    Seen state = seen->second;
    if (state.held && !input.adopted_spec.empty()) state.in_order = true;
    status.conditions[name.kind] = condition_of(name, state, all_ready);
    applied = applied && (state.in_order || state.held);
  }
  status.replicas = static_cast<int32_t>(wanted);
  status.ready_replicas = static_cast<int32_t>(ready);
  if (input.stateful_set) {
    status.selector = selector_text(
        plan::component_labels(input.live.kind, input.live.metadata.name_space, input.live.metadata.name));
  }
  status.observed_generation = applied ? input.live.generation : input.before.observed_generation;
  status.global_backend_config_revision =
      input.held ? input.before.global_backend_config_revision : input.global_revision;
  status.namespaced_backend_config_revision =
      input.held ? input.before.namespaced_backend_config_revision : input.namespaced_revision;
  status.global_backend_config_auto_update =
      input.held ? input.before.global_backend_config_auto_update : input.global_auto_update;
  status.namespaced_backend_config_auto_update =
      input.held ? input.before.namespaced_backend_config_auto_update : input.namespaced_auto_update;
  if (input.look.pending) status.pending_change = cut(json::serialize(*input.look.pending), kShownDifferenceMaxBytes);
  status.adopted_spec = input.adopted_spec;
  const Readiness why = why_not_ready(input, ready, wanted, input.stateful_set != nullptr);
  status.ready = fmt::format("{}/{}", ready, wanted);
  status.reason = why.reason;
  status.message = cut(why.message, kMessageMaxBytes);
  return status;
}

model::MeshStatus make_mesh_status(const model::LiveResource& live, const std::vector<ChildSeen>& children,
                                   bool applied, const std::string& problem) {
  model::MeshStatus status;
  size_t ready = 0, wanted = 0;
  bool all_made = problem.empty() && applied;
  std::string waits;
  for (const ChildSeen& child : children) {
    auto& conditions = child.kind == model::Kind::kSource ? status.source_conditions
                       : child.kind == model::Kind::kSink ? status.sink_conditions
                                                          : status.function_conditions;
    const std::string name = std::string(model::to_string(child.kind)) + "Ready";
    if (child.orphaned) {
      conditions.try_emplace(child.item, ResourceCondition{"Orphaned", "True", "Delete"});
      continue;
    }
    ++wanted;
    const auto is_true = [&](const char* kind) {
      if (!child.status) return false;
      const auto found = child.status->conditions.find(kind);
      return found != child.status->conditions.end() && found->second.status == "True";
    };
    const bool made = child.exists && is_true("StatefulSet") && is_true("Service");
    all_made = all_made && made;
    conditions[child.item] = {name, made ? "True" : "False", made ? "NoAction" : child.exists ? "Wait" : "Create"};
    const bool child_ready = made && child.status->ready_replicas >= child.status->replicas;
    if (child_ready) ++ready;
    if (waits.empty() && !child_ready) {
      const std::string text = !child.text.empty() ? child.text : child.status ? child.status->message : "";
      waits = fmt::format("{}{}{}", child.item, text.empty() ? " is not ready" : ": ", text);
    }
  }
  status.observed_generation = applied && problem.empty() ? live.generation : live.mesh_status.observed_generation;
  status.condition = {"MeshReady", all_made ? "True" : "False", all_made ? "NoAction" : "Wait"};
  status.ready = fmt::format("{}/{}", ready, wanted);
  status.reason = !problem.empty() ? "Invalid" : ready == wanted ? "Ready" : "ComponentsNotReady";
  status.message = cut(!problem.empty() ? problem : waits, kMessageMaxBytes);
  return status;
}

json::value to_json(const model::ComponentStatus& status) {
  return model::write(model::struct_info<model::ComponentStatus>(), &status, model::kComponents);
}
json::value to_json(const model::MeshStatus& status) {
  return model::write(model::struct_info<model::MeshStatus>(), &status,
                      static_cast<model::Kinds>(model::Kind::kFunctionMesh));
}

bool status_differs(const json::value& wanted, const json::value& live) {
  json::object left = wanted.get_object();
  json::object right = live.is_object() ? live.get_object() : json::object();
  const auto drop_empty = [](json::object& object) {
    for (auto member = object.begin(); member != object.end();) {
      const json::value& value = member->value();
      const bool empty = value.is_null() || (value.is_string() && value.get_string().empty()) ||
                         (value.is_int64() && value.get_int64() == 0) ||
                         (value.is_object() && value.get_object().empty());
      member = empty ? object.erase(member) : std::next(member);
    }
  };
  drop_empty(left);
  drop_empty(right);
  return left != right;
}

std::string settled_status(const json::value& wanted, const json::value* there) {
  return fingerprint(wanted) + (there ? fingerprint(*there) : "");
}

void note_settled_status(World& world, const json::value& written, const kube::Object& resource) {
  json::monotonic_resource memory(kScratchBytes);
  const json::value now = resource.json(&memory);
  const json::value* there = now.get_object().if_contains("status");
  if (there && status_differs(written, *there)) {
    world.settled[resource.uid() + "/status"] = settled_status(written, there);
  }
}

}  // namespace fmesh::op
