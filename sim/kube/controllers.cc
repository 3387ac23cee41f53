#include "sim/kube/controllers.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "base/hash.h"
#include "kube/json.h"

namespace fmesh::sim {
namespace json = boost::json;
namespace {

constexpr const char* kGarbage = "garbage-collector";
constexpr const char* kStatefulSets = "statefulset-controller";

const json::array& array_at(const json::value& object, kube::JsonPath path) {
  static const json::array kNone;
  const json::value* found = kube::find(object, path);
  return found && found->is_array() ? found->get_array() : kNone;
}

// Nobody owns these, and there may be many.
bool never_owned(const KindInfo& kind) {
  return kind.type == kube::kEvent || kind.type == kube::kCoreEvent || kind.type == kube::kLease;
}

bool going(const json::value& object) { return kube::find(object, {"metadata", "deletionTimestamp"}); }

bool has_finalizer(const json::value& object, std::string_view name) {
  const json::array& finalizers = array_at(object, {"metadata", "finalizers"});
  return std::any_of(finalizers.begin(), finalizers.end(),
                     [&](const json::value& finalizer) { return finalizer == json::value(name); });
}

// The object without what `drop` says of a list in its metadata.
template <class Drop>
kube::Request without(const KindInfo& kind, const kube::ObjectKey& key, const json::value& object, const char* list,
                      Drop drop) {
  json::value after = object;
  json::array kept;
  for (const json::value& item : array_at(object, {"metadata", list})) {
    if (!drop(item)) kept.push_back(item);
  }
  json::object& metadata = after.as_object()["metadata"].as_object();
  if (kept.empty()) {
    metadata.erase(list);
  } else {
    metadata[list] = std::move(kept);
  }
  return kube::update(kind.type, key, after);
}

std::string revision_of(const json::value& set) {
  const json::value* pod = kube::find(set, {"spec", "template"});
  return fmt::format("{}-{:x}", kube::string_at(set, {"metadata", "name"}),
                     pod ? std::hash<std::string>()(json::serialize(*pod)) & 0xffffffff : 0);
}

}  // namespace

Controllers::Controllers(const Database& database, Loop& loop, Rng& rng, ControllerOptions options, CarryOut carry_out)
    : database_(database), loop_(loop), rng_(rng), options_(options), carry_out_(std::move(carry_out)) {
  if (options_.autoscale_every_ms > 0) autoscale();
}

Controllers::~Controllers() { *alive_ = false; }

void Controllers::poke() {
  if (options_.garbage_collector)
    schedule(garbage_scheduled_, options_.garbage_delay_min_ms, options_.garbage_delay_max_ms,
             [this] { return next_garbage(); });
  if (options_.stateful_sets)
    schedule(status_scheduled_, 0, options_.ready_delay_max_ms, [this] { return next_status(); });
}

void Controllers::schedule(bool& scheduled, int64_t delay_min_ms, int64_t delay_max_ms,
                           std::function<std::optional<Action>()> next) {
  if (scheduled) return;
  scheduled = true;
  const auto delay_ms =
      1 + delay_min_ms + static_cast<int64_t>(rng_.below(static_cast<uint64_t>(std::max<int64_t>(delay_max_ms, 1))));
  loop_.post_after(delay_ms, [this, alive = alive_, &scheduled, next = std::move(next)] {
    if (!*alive) return;
    scheduled = false;
    if (const auto action = next()) carry_out_(action->request, action->actor);  // which pokes again
  });
}

bool Controllers::idle() const {
  return !(options_.garbage_collector && next_garbage()) && !(options_.stateful_sets && next_status());
}

// --- the garbage collector ---

std::vector<Controllers::Found> Controllers::dependents(const std::string& uid) const {
  std::vector<Found> found;
  for (const KindInfo& kind : kinds()) {
    if (never_owned(kind)) continue;
    for (const auto& [key, object] : database_.now().of(kind)) {
      for (const json::value& reference : array_at(*object, {"metadata", "ownerReferences"})) {
        if (kube::string_at(reference, {"uid"}) == uid) found.push_back({&kind, key, object});
      }
    }
  }
  return found;
}

bool Controllers::exists(const json::value& reference, const std::string& name_space) const {
  for (const KindInfo& kind : kinds()) {
    if (kube::string_at(reference, {"kind"}) != kind.type.kind ||
        kube::string_at(reference, {"apiVersion"}) != kind.type.api_version())
      continue;
    const kube::ObjectKey key{kind.type.namespaced ? name_space : "",
                              std::string(kube::string_at(reference, {"name"}))};
    const JsonPtr owner = database_.now().get(kind, key);
    return owner && kube::string_at(*owner, {"metadata", "uid"}) == kube::string_at(reference, {"uid"});
  }
  return true;  // of a kind that it does not know: it does nothing
}

std::optional<Controllers::Action> Controllers::next_garbage() const {
  for (const KindInfo& kind : kinds()) {
    if (never_owned(kind)) continue;
    for (const auto& [key, object] : database_.now().of(kind)) {
      const Found found{&kind, key, object};
      std::optional<Action> action;
      if (going(*object)) {
        if (has_finalizer(*object, "orphan")) action = finish_orphaning(found);
        if (!action && has_finalizer(*object, "foregroundDeletion")) action = finish_foreground(found);
      } else {
        action = collect(found);
      }
      if (action) return action;
    }
  }
  return std::nullopt;
}

std::optional<Controllers::Action> Controllers::collect(const Found& found) const {
  const json::array& references = array_at(*found.object, {"metadata", "ownerReferences"});
  if (references.empty()) return std::nullopt;
  const auto gone = [&](const json::value& reference) { return !exists(reference, found.key.name_space); };
  const auto count = std::count_if(references.begin(), references.end(), gone);
  if (count == 0) return std::nullopt;
  if (static_cast<size_t>(count) < references.size())
    return Action{without(*found.kind, found.key, *found.object, "ownerReferences", gone), kGarbage};
  const kube::Preconditions preconditions{std::string(kube::string_at(*found.object, {"metadata", "uid"})), ""};
  return Action{kube::remove(found.kind->type, found.key, preconditions, kube::Propagation::kBackground), kGarbage};
}

std::optional<Controllers::Action> Controllers::finish_foreground(const Found& owner) const {
  const std::string uid(kube::string_at(*owner.object, {"metadata", "uid"}));
  bool blocked = false;
  for (const Found& dependent : dependents(uid)) {
    for (const json::value& reference : array_at(*dependent.object, {"metadata", "ownerReferences"}))
      blocked =
          blocked || (kube::string_at(reference, {"uid"}) == uid && kube::bool_at(reference, {"blockOwnerDeletion"}));
    if (going(*dependent.object)) continue;
    const kube::Preconditions preconditions{std::string(kube::string_at(*dependent.object, {"metadata", "uid"})), ""};
    return Action{kube::remove(dependent.kind->type, dependent.key, preconditions, kube::Propagation::kForeground),
                  kGarbage};
  }
  if (blocked) return std::nullopt;
  return Action{without(*owner.kind, owner.key, *owner.object, "finalizers",
                        [](const json::value& item) { return item == json::value("foregroundDeletion"); }),
                kGarbage};
}

std::optional<Controllers::Action> Controllers::finish_orphaning(const Found& owner) const {
  const std::string uid(kube::string_at(*owner.object, {"metadata", "uid"}));
  for (const Found& dependent : dependents(uid)) {
    const auto ours = [&](const json::value& reference) { return kube::string_at(reference, {"uid"}) == uid; };
    return Action{without(*dependent.kind, dependent.key, *dependent.object, "ownerReferences", ours), kGarbage};
  }
  return Action{without(*owner.kind, owner.key, *owner.object, "finalizers",
                        [](const json::value& item) { return item == json::value("orphan"); }),
                kGarbage};
}

// --- StatefulSets ---

std::optional<Controllers::Action> Controllers::next_status() const {
  const KindInfo& kind = *kind_of(kube::kStatefulSet);
  for (const auto& [key, object] : database_.now().of(kind)) {
    if (going(*object)) continue;
    if (options_.pods) {
      if (auto action = next_pod({&kind, key, object})) return action;
    }
    const json::value* old = kube::find(*object, {"status"});
    const int64_t replicas = kube::int_at(*object, {"spec", "replicas"});
    const int64_t generation = kube::int_at(*object, {"metadata", "generation"});
    const std::string revision = revision_of(*object);
    const int64_t ready = kube::int_at(*object, {"status", "readyReplicas"});
    const bool observed = kube::int_at(*object, {"status", "observedGeneration"}) == generation;
    json::object status = old && old->is_object() ? old->get_object() : json::object();
    const std::string before = json::serialize(status);
    // First it says that it saw the change, later that all is ready.
    const bool rolled = kube::string_at(*object, {"status", "updateRevision"}) == revision;
    const int64_t ready_now =
        observed ? replicas : std::min(ready, rolled ? replicas : std::max<int64_t>(replicas - 1, 0));
    status["observedGeneration"] = generation;
    status["replicas"] = replicas;
    status["updateRevision"] = revision;
    const auto count = [&](const char* field, int64_t value) {
      if (value == 0 && std::string_view(field) != "availableReplicas") {
        status.erase(field);
      } else {
        status[field] = value;
      }
    };
    count("readyReplicas", ready_now);
    count("availableReplicas", ready_now);
    count("updatedReplicas", observed || rolled ? replicas : 0);
    count("currentReplicas", observed || rolled ? replicas : 0);
    if (observed || !status.contains("currentRevision")) status["currentRevision"] = revision;
    if (json::serialize(status) == before) continue;
    json::value after = *object;
    after.as_object()["status"] = std::move(status);
    return Action{kube::update(kind.type, key, after, "status"), kStatefulSets};
  }
  return std::nullopt;
}

// Pods are theirs by their selector: adopted where they have no controller, made where they are missing, replaced where
// they follow an older template.
std::optional<Controllers::Action> Controllers::next_pod(const Found& set) const {
  const KindInfo& pods = *kind_of(kube::kPod);
  const std::string uid(kube::string_at(*set.object, {"metadata", "uid"}));
  const std::string revision = revision_of(*set.object);
  const int64_t replicas = kube::int_at(*set.object, {"spec", "replicas"});
  const json::object reference = {{"apiVersion", "apps/v1"}, {"kind", "StatefulSet"},
                                  {"name", set.key.name},    {"uid", uid},
                                  {"controller", true},      {"blockOwnerDeletion", true}};
  for (int64_t i = 0; i < replicas; ++i) {
    const kube::ObjectKey key{set.key.name_space, fmt::format("{}-{}", set.key.name, i)};
    const JsonPtr pod = database_.now().get(pods, key);
    if (!pod) {
      json::value made = *kube::find(*set.object, {"spec", "template"});
      made.as_object()["apiVersion"] = "v1";
      made.as_object()["kind"] = "Pod";
      json::object& metadata = made.as_object()["metadata"].as_object();
      metadata["name"] = key.name;
      metadata["ownerReferences"] = json::array{reference};
      json::value& labels = metadata["labels"];
      labels.as_object()["controller-revision-hash"] = revision;
      return Action{kube::create(kube::kPod, key.name_space, made), kStatefulSets};
    }
    const json::array& owners = array_at(*pod, {"metadata", "ownerReferences"});
    if (going(*pod)) continue;
    if (owners.empty()) {
      json::value adopted = *pod;
      adopted.as_object()["metadata"].as_object()["ownerReferences"] = json::array{reference};
      return Action{kube::update(kube::kPod, key, adopted), kStatefulSets};
    }
    const bool ours = kube::string_at(owners[0], {"uid"}) == uid;
    if (ours && kube::string_at(*pod, {"metadata", "labels", "controller-revision-hash"}) != revision)
      return Action{kube::remove(kube::kPod, key, {}, kube::Propagation::kBackground), kStatefulSets};
  }
  const kube::ObjectKey surplus{set.key.name_space, fmt::format("{}-{}", set.key.name, replicas)};
  const JsonPtr pod = database_.now().get(pods, surplus);
  if (pod && !going(*pod))
    return Action{kube::remove(kube::kPod, surplus, {}, kube::Propagation::kBackground), kStatefulSets};
  return std::nullopt;
}

// --- autoscalers ---

void Controllers::autoscale() {
  loop_.post_after(options_.autoscale_every_ms, [this, alive = alive_] {
    if (!*alive || options_.autoscale_every_ms == 0) return;
    const KindInfo& kind = *kind_of(kube::kHorizontalPodAutoscaler);
    const ObjectMap autoscalers = database_.now().of(kind);
    for (const auto& [key, object] : autoscalers) {
      const int64_t smallest = kube::int_at(*object, {"spec", "minReplicas"});
      const int64_t largest = kube::int_at(*object, {"spec", "maxReplicas"});
      const int64_t replicas =
          smallest +
          static_cast<int64_t>(rng_.below(static_cast<uint64_t>(std::max<int64_t>(largest - smallest, 0) + 1)));
      for (const KindInfo& target : kinds()) {
        if (!target.scale || kube::string_at(*object, {"spec", "scaleTargetRef", "kind"}) != target.type.kind) continue;
        const kube::ObjectKey target_key{key.name_space,
                                         std::string(kube::string_at(*object, {"spec", "scaleTargetRef", "name"}))};
        json::value patch = {{"spec", {{"replicas", replicas}}}};
        carry_out_(kube::patch(target.type, target_key, kube::PatchKind::kMerge, patch, "scale"), "autoscaler");
      }
    }
    autoscale();
  });
}

}  // namespace fmesh::sim
