#include "operator/component_pass.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "model/defaults.h"
#include "operator/cleaner_leftovers.h"
#include "operator/compare.h"

namespace fmesh::op {
namespace {

namespace json = boost::json;

bool is_true(const model::StringMap& map, const char* name) {
  const auto found = map.find(name);
  return found != map.end() && found->second == "true";
}
bool is_false(const model::StringMap& map, const char* name) {
  const auto found = map.find(name);
  return found != map.end() && found->second == "false";
}

bool has_finalizer(const model::LiveResource& live) {
  return std::find(live.finalizers.begin(), live.finalizers.end(), kCleanupFinalizer) != live.finalizers.end();
}

// Pulsar's functions worker made it, and cleans up itself.
bool of_worker_service(const model::StringMap& labels) {
  return labels.contains("compute.functionmesh.io/pulsar-cluster") || labels.contains("pulsar-cluster");
}

bool wants_cleanup(const model::LiveResource& live) {
  return asks_for_cleanup(live) && !is_false(live.metadata.annotations, kNeedCleanup) &&
         !of_worker_service(live.metadata.labels);
}

}  // namespace

Step ComponentPass::look() {
  resource_ = world_.of(type_).get(key_);
  if (!resource_) return {};
  if (std::optional<Step> done = after_status(world_, *resource_)) return *done;
  if (!live_ || live_version_ != resource_->resource_version()) {
    live_ = model::read_live(resource_->text());
    live_version_ = resource_->resource_version();
    wanted_.reset();
    fine_.clear();
    updated_.clear();  // what is wanted may be another thing now
  }
  if (!live_->component || is_false(live_->metadata.annotations, kManaged)) return {};
  if (live_->being_deleted) return delete_step();
  if (finalizer_refused()) return {.failed = true};
  if (wants_cleanup(*live_) != has_finalizer(*live_)) return finalizer_step(wants_cleanup(*live_));
  look_ = {};
  if (std::optional<Step> step = objects_step()) return std::move(*step);
  if (std::optional<Step> step = old_job_step()) return std::move(*step);
  return status_step();
}

// --- what belongs to it ---

void ComponentPass::find_circumstances() {
  const plan::ClusterOptions& options = settings_.cluster;
  const kube::ObjectPtr global =
      world_.backend_configs.get({options.global_backend_config_namespace, options.global_backend_config});
  const kube::ObjectPtr namespaced = world_.backend_configs.get({key_.name_space, options.namespaced_backend_config});
  const std::string global_revision = global ? global->resource_version() : "";
  const std::string namespaced_revision = namespaced ? namespaced->resource_version() : "";
  if (!wanted_ || look_versions_ != std::pair(global_revision, namespaced_revision)) {
    look_versions_ = {global_revision, namespaced_revision};
    fine_.clear();
    updated_.clear();
    global_ = global ? model::read_live(global->text()).backend_config : std::nullopt;
    namespaced_ = namespaced ? model::read_live(namespaced->text()).backend_config : std::nullopt;
    wanted_ = plan_objects();
  }
  before_ = live_->component_status;
  const bool new_generation = live_->generation != before_.observed_generation;
  // A BackendConfig without autoUpdate changes nothing by itself, neither when it comes nor when it goes.
  const auto silent = [](const std::optional<model::BackendConfig>& config, const std::string& now,
                         const std::string& used, bool used_auto_update) {
    return used != now && !(config ? config->spec.auto_update : used_auto_update);
  };
  const bool paused = settings_.pause_rollout || is_true(live_->metadata.annotations, kPauseRollout);
  const bool other_backend = silent(global_, global_revision, before_.global_backend_config_revision,
                                    before_.global_backend_config_auto_update) ||
                             silent(namespaced_, namespaced_revision, before_.namespaced_backend_config_revision,
                                    before_.namespaced_backend_config_auto_update);
  circumstances_.owner = {std::string(type_.kind), key_.name, live_->uid};
  circumstances_.hold = !new_generation && (paused || other_backend);
  const bool spec_changed = before_.adopted_spec.empty() ? new_generation : before_.adopted_spec != spec_fingerprint();
  circumstances_.adopt = !spec_changed && !is_true(live_->metadata.annotations, kApplyPendingChange);
}

Result<std::vector<Wanted>> ComponentPass::plan_objects() const {
  const plan::BackendConfigs backend{global_ ? &*global_ : nullptr, namespaced_ ? &*namespaced_ : nullptr};
  FMESH_TRY(plan::ClusterObjects objects,
            plan::make_cluster_objects(*live_->component, backend, settings_.cluster, live_->uid));
  const kube::ObjectKey set{key_.name_space, plan::stateful_set_name(live_->kind, key_.name)};
  const kube::ObjectKey service{key_.name_space, plan::service_name(live_->kind, key_.name)};
  const auto keep = [](std::optional<json::object> object) {
    return object ? std::make_shared<const json::object>(std::move(*object)) : nullptr;
  };
  return std::vector<Wanted>{
      {&kube::kStatefulSet, set, keep(std::move(objects.stateful_set))},
      {&kube::kService, service, keep(std::move(objects.service))},
      {&kube::kHorizontalPodAutoscaler, set, keep(std::move(objects.horizontal_pod_autoscaler))},
      {&kube::kVerticalPodAutoscaler, set, keep(std::move(objects.vertical_pod_autoscaler))},
  };
}

// Of the spec without its size, and with what admission fills in when someone changes nothing but the size.
std::string ComponentPass::spec_fingerprint() const {
  model::ComponentSpec spec = live_->component->spec;
  model::apply_component_defaults(spec, live_->kind, live_->metadata.name);
  spec.replicas.reset();
  return fingerprint(
      model::write(model::struct_info<model::ComponentSpec>(), &spec, static_cast<model::Kinds>(live_->kind)));
}

std::optional<Step> ComponentPass::objects_step() {
  find_circumstances();
  if (!*wanted_) {
    look_.problem = wanted_->error().to_string();
    return std::nullopt;
  }
  for (const Wanted& wanted : **wanted_) {
    if (std::optional<Step> step = bring(wanted)) return step;
  }
  return std::nullopt;
}

std::optional<Step> ComponentPass::bring(const Wanted& wanted) {
  const std::string kind(wanted.type->kind);
  const kube::ObjectPtr live = world_.of(*wanted.type).get(wanted.key);
  if (const auto known = fine_.find(kind); known != fine_.end() && known->second == live) {
    look_.seen[kind] = {.wanted = wanted.object != nullptr, .exists = live != nullptr, .in_order = live != nullptr};
    return std::nullopt;
  }
  Deed deed = decide(world_, wanted, circumstances_);
  Seen& seen = look_.seen[kind];
  seen.wanted = wanted.object != nullptr;
  seen.exists = live != nullptr;
  if (const auto refused = refused_.find({kind, wanted.key.name}); refused != refused_.end()) {
    seen.in_order = false;
    seen.text = refused->second;
    return std::nullopt;
  }
  if (deed.kind == Deed::Kind::kWrite && deed.write.verb == WriteVerb::kUpdate && !updated_.insert(kind).second) {
    // It was just written and still differs: someone else changes it back.
    world_.settled[live->uid()] = settled_state(live->json().get_object(), *wanted.object);
    notes_.push_back(
        {true, "ChangedByOthers",
         fmt::format("{} {} is changed by another admission controller after each update; it stays as it is", kind,
                     wanted.key.name)});
    deed = {};
  }
  switch (deed.kind) {
    case Deed::Kind::kNothing:
      fine_[kind] = live;
      seen.in_order = seen.exists;
      return std::nullopt;
    case Deed::Kind::kWrite:
      return Step{.kind = Step::Kind::kWrite, .write = std::move(deed.write)};
    case Deed::Kind::kHeld:
      if (*wanted.type == kube::kStatefulSet) look_.pending = std::move(deed.difference);
      seen.in_order = false;
      seen.held = true;
      return std::nullopt;
    case Deed::Kind::kWait:
      look_.again_after_ms = kWaitForOthersMs;
      [[fallthrough]];
    case Deed::Kind::kBlocked:
      seen.in_order = false;
      seen.text = deed.text;
      return std::nullopt;
  }
  return std::nullopt;
}

// Upstream kept a pod waiting for the cleanup; the operator cleans up by itself.
std::optional<Step> ComponentPass::old_job_step() {
  const std::string name = plan::stateful_set_name(live_->kind, key_.name) + "-cleanup";
  const kube::ObjectPtr job = world_.jobs.get({key_.name_space, name});
  if (!job || job->being_deleted() || refused_.contains({"Job", name})) return std::nullopt;
  const json::value value = job->json();
  const json::value* owner = value.get_object().at("metadata").get_object().if_contains("labels");
  owner = owner && owner->is_object() ? owner->get_object().if_contains("owner") : nullptr;
  if (!owner || !owner->is_string() || owner->get_string() != json::string_view(live_->uid)) return std::nullopt;
  Write write{WriteVerb::kDelete,
              kube::kJob,
              job->key(),
              kube::remove(kube::kJob, job->key(), {job->uid(), ""}, kube::Propagation::kBackground),
              job->uid(),
              "Deleted",
              fmt::format("Job {} of the former operator deleted: the cleanup no longer needs a pod", name)};
  return Step{.kind = Step::Kind::kWrite, .write = std::move(write)};
}

// --- status ---

Step ComponentPass::status_step() {
  const kube::ObjectPtr set =
      world_.stateful_sets.get({key_.name_space, plan::stateful_set_name(live_->kind, key_.name)});
  StatusInput input{*live_, before_, look_, set, look_versions_.first, look_versions_.second, circumstances_.hold};
  input.global_auto_update = global_ && global_->spec.auto_update;
  input.namespaced_auto_update = namespaced_ && namespaced_->spec.auto_update;
  if (set && circumstances_.adopt) input.adopted_spec = is_marked(set) ? "" : spec_fingerprint();
  return write_status(world_, type_, resource_, to_json(make_component_status(input)), end(look_.again_after_ms));
}

// --- the end ---

Step ComponentPass::finalizer_step(bool wanted) {
  json::array finalizers;
  for (const std::string& name : live_->finalizers) {
    if (name != kCleanupFinalizer) finalizers.emplace_back(name);
  }
  if (wanted) finalizers.emplace_back(kCleanupFinalizer);
  const json::value patch = {
      {"metadata", {{"resourceVersion", resource_->resource_version()}, {"finalizers", std::move(finalizers)}}}};
  return {.kind = Step::Kind::kWrite,
          .write = {WriteVerb::kFinalizer, type_, key_, kube::patch(type_, key_, kube::PatchKind::kMerge, patch),
                    live_->uid, "", ""}};
}

// Consumers go first, then what they left in Pulsar, then the resource.
Step ComponentPass::delete_step() {
  if (finalizer_refused()) return {.failed = true};
  if (!has_finalizer(*live_)) {
    world_.deleting_since_ns.erase(live_->uid);
    return {};
  }
  // Nothing else takes it along: it has no owner.
  if (std::optional<Step> step = old_job_step()) return std::move(*step);
  if (!wants_cleanup(*live_) || cleaned_) return finalizer_step(false);
  const auto since = world_.deleting_since_ns.try_emplace(live_->uid, world_.now_ns()).first;
  const int64_t left_ms = settings_.cleanup_deadline_ms - (world_.now_ns() - since->second) / 1'000'000;
  const bool late = left_ms <= 0;
  const kube::ObjectPtr set =
      world_.stateful_sets.get({key_.name_space, plan::stateful_set_name(live_->kind, key_.name)});
  if (set && set->owner_uid() == live_->uid && !late) {
    if (set->being_deleted()) return {.again_after_ms = std::min(kWaitForOthersMs, left_ms)};
    return {.kind = Step::Kind::kWrite,
            .write = {WriteVerb::kDelete, kube::kStatefulSet, set->key(),
                      kube::remove(kube::kStatefulSet, set->key(), {set->uid(), ""}, kube::Propagation::kForeground),
                      set->uid(), "Deleted",
                      fmt::format("StatefulSet {} deleted: its consumers leave before the cleanup", set->key().name)}};
  }
  if (cleanup_failed_) {
    if (!late) return {.again_after_ms = left_ms, .failed = true};
    notes_.push_back({true, "CleanupFailed",
                      fmt::format("gave up after {} s, subscriptions, topics or packages may be left in Pulsar: {}",
                                  settings_.cleanup_deadline_ms / 1000, *cleanup_failed_)});
    return finalizer_step(false);
  }
  return {.kind = Step::Kind::kCleanup, .cleanup_limit_ms = std::max(left_ms, kCleanupLastTryMs)};
}

void ComponentPass::cleaned(const Status& outcome) {
  if (outcome) {
    cleaned_ = true;
    notes_.push_back({false, "CleanedUp", "what it left in Pulsar is removed"});
  } else {
    cleanup_failed_ = outcome.error().text();
    notes_.push_back({true, "CleanupRetried", outcome.error().text()});
  }
}

}  // namespace fmesh::op
