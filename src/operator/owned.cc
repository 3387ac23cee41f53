#include "operator/owned.h"

#include <fmt/format.h>

#include <array>
#include <boost/json.hpp>
#include <string>
#include <vector>

#include "model/defaults.h"
#include "model/fields.h"
#include "model/live.h"
#include "operator/compare.h"
#include "operator/settings.h"

namespace fmesh::op {
namespace {

namespace json = boost::json;

// A StatefulSet has to be made anew to change one of these; its pods stay and are taken over.
constexpr std::array<std::string_view, 3> kImmutable = {"serviceName", "podManagementPolicy", "volumeClaimTemplates"};
constexpr char kMarkSeparator = ' ';         // in the mark, between the fingerprint and names of annotations
constexpr size_t kScratchBytes = 32 * 1024;  // a StatefulSet as a tree; larger ones spill to the heap
// `kubectl rollout restart` leaves this; taking it away would restart the pods once more.
constexpr std::string_view kRestartedAt = "kubectl.kubernetes.io/restartedAt";

json::object& child(json::object& parent, std::string_view name) {
  json::value& value = parent[name];
  if (!value.is_object()) value.emplace_object();
  return value.get_object();
}

const json::object* object_at(const json::object& parent, std::initializer_list<std::string_view> path) {
  const json::object* at = &parent;
  for (const std::string_view name : path) {
    const json::value* value = at->if_contains(name);
    at = value ? value->if_object() : nullptr;
    if (!at) return nullptr;
  }
  return at;
}

bool marked(const json::object& live) {
  const json::object* annotations = object_at(live, {"metadata", "annotations"});
  return annotations && annotations->contains(kApplied);
}

const json::object* template_annotations(const json::object& object) {
  return object_at(object, {"spec", "template", "metadata", "annotations"});
}

// Says what was wanted, and which annotations of pods are ours: those of others stay.
void mark(json::object& object, const json::object& wanted) {
  std::string text = fingerprint(wanted);
  if (const json::object* annotations = template_annotations(wanted)) {
    for (const auto& member : *annotations) text.append(1, kMarkSeparator).append(member.key());
  }
  child(child(object, "metadata"), "annotations").insert_or_assign(kApplied, text);
}

// Annotations of pods that we wrote and that are no longer wanted.
std::vector<std::string> dropped_annotations(const json::object& wanted, const json::object& live) {
  std::vector<std::string> dropped;
  const json::object* there = template_annotations(live);
  const json::object* annotations = object_at(live, {"metadata", "annotations"});
  const json::value* mark = annotations ? annotations->if_contains(kApplied) : nullptr;
  if (!there || !mark || !mark->is_string()) return dropped;
  const json::object* still = template_annotations(wanted);
  const std::string text(mark->get_string());
  for (size_t at = text.find(kMarkSeparator); at != std::string::npos;) {
    const size_t next = text.find(kMarkSeparator, at + 1);
    const std::string key = text.substr(at + 1, next == std::string::npos ? next : next - at - 1);
    if (there->contains(key) && !(still && still->contains(key))) dropped.push_back(key);
    at = next;
  }
  return dropped;
}

std::string title(const Wanted& wanted) { return fmt::format("{} {}", wanted.type->kind, wanted.key.name); }

class Decision {
 public:
  Decision(const World& world, const Wanted& wanted, const Circumstances& circumstances)
      : world_(world), wanted_(wanted), circumstances_(circumstances) {}

  Deed decide() {
    live_ = world_.of(*wanted_.type).get(wanted_.key);
    if (!wanted_.object) return live_ && ours() ? removal() : Deed{};
    if (!live_) return creation();
    if (live_->being_deleted()) return wait(fmt::format("{} is being deleted", title(wanted_)));
    if (!live_->owner_uid().empty() && !ours()) return foreign();
    return change();
  }

 private:
  bool ours() const { return live_->owner_uid() == circumstances_.owner.uid; }
  bool is_stateful_set() const { return *wanted_.type == kube::kStatefulSet; }
  bool is_child() const { return wanted_.type->group == kube::kFunction.group; }

  static Deed wait(std::string text) { return {.kind = Deed::Kind::kWait, .text = std::move(text)}; }

  Deed writing(WriteVerb verb, kube::Request request, std::string reason, std::string text) const {
    Deed deed{.kind = Deed::Kind::kWrite, .text = text};
    deed.write = {verb,
                  *wanted_.type,
                  wanted_.key,
                  std::move(request),
                  live_ ? live_->uid() : std::string(),
                  std::move(reason),
                  std::move(text)};
    return deed;
  }

  Deed creation() const {
    json::value object = *wanted_.object;
    mark(object.get_object(), *wanted_.object);
    return writing(WriteVerb::kCreate, kube::create(*wanted_.type, wanted_.key.name_space, object), "Created",
                   fmt::format("{} created", title(wanted_)));
  }

  Deed removal() const {
    if (live_->being_deleted()) return {};
    return writing(WriteVerb::kDelete,
                   kube::remove(*wanted_.type, wanted_.key, {live_->uid(), ""}, kube::Propagation::kBackground),
                   "Deleted", fmt::format("{} deleted: it is no longer wanted", title(wanted_)));
  }

  // It belongs to an owner that is gone and had our name, or to a stranger.
  Deed foreign() const {
    if (live_->owner_kind() == circumstances_.owner.kind && live_->owner_name() == circumstances_.owner.name) {
      return wait(fmt::format("{} of a deleted {} of the same name is being collected", title(wanted_),
                              circumstances_.owner.kind));
    }
    return {.kind = Deed::Kind::kBlocked,
            .text = fmt::format("{} exists and belongs to {} {}; rename this {}, or delete the other", title(wanted_),
                                live_->owner_kind(), live_->owner_name(), circumstances_.owner.kind)};
  }

  // Whether nothing of `wanted` has to be taken from what lives.
  bool reachable_as_it_is(const json::object& live) const {
    if (is_child()) return false;
    if (!is_stateful_set()) return true;
    const json::object* live_selector = object_at(live, {"spec", "selector"});
    const json::object* selector = object_at(*wanted_.object, {"spec", "selector"});
    return live_selector && selector && *live_selector == *selector;
  }

  // `wanted` with what can't or need not change taken from what lives.
  json::object reachable(const json::object& live) const {
    json::object wanted = *wanted_.object;
    json::object& spec = child(wanted, "spec");
    if (is_child()) {
      // Its size belongs to the autoscaler, or to whoever scales it, unless the mesh states it.
      const json::object* live_spec = object_at(live, {"spec"});
      const json::value* size = live_spec ? live_spec->if_contains("replicas") : nullptr;
      if (size && (spec.contains("maxReplicas") || !spec.contains("replicas")))
        spec.insert_or_assign("replicas", *size);
    }
    if (!is_stateful_set()) return wanted;
    const json::object* selector = object_at(live, {"spec", "selector"});
    if (!selector) return wanted;
    // A selector can't change. The pods of an older one carry its labels too, so that it keeps finding them.
    spec.insert_or_assign("selector", *selector);
    if (const json::object* labels = object_at(*selector, {"matchLabels"})) {
      json::object& template_labels = child(child(child(spec, "template"), "metadata"), "labels");
      for (const auto& label : *labels) template_labels.insert_or_assign(label.key(), label.value());
    }
    return wanted;
  }

  // The spec as it is to be compared: one of our own kinds with what admission fills in, which is put into `made`.
  const json::value& spec_of(const json::object& object, json::value& made) const {
    const json::value* spec = object.if_contains("spec");
    if (!spec) return made;
    if (!is_child()) return *spec;
    const model::LiveResource live = model::read_live(json::serialize(object));
    if (!live.component) return *spec;
    model::ComponentSpec admitted = live.component->spec;
    model::apply_component_defaults(admitted, live.kind, live.metadata.name);
    made = model::write(model::struct_info<model::ComponentSpec>(), &admitted, static_cast<model::Kinds>(live.kind));
    return made;
  }

  static bool same_spec(const json::object& wanted, const json::object& live) {
    const json::value* left = wanted.if_contains("spec");
    const json::value* right = live.if_contains("spec");
    return left && right && *left == *right;
  }

  // What differs and matters: the spec, our labels, the owner.
  std::optional<json::value> differs(const json::object& wanted, const json::object& live) const {
    json::object out;
    if (!same_spec(wanted, live)) {
      json::value left = json::object(), right = json::object();
      const bool custom = is_child() || *wanted_.type == kube::kVerticalPodAutoscaler;
      const Defaults defaults = custom ? Defaults::kNone : Defaults::kOfServer;
      if (auto found = difference(spec_of(wanted, left), spec_of(live, right), defaults)) {
        out.emplace("spec", std::move(*found));
      }
    }
    for (const std::string& name : dropped_annotations(wanted, live)) {
      child(child(child(child(out, "spec"), "template"), "metadata"), "annotations").insert_or_assign(name, nullptr);
    }
    json::object labels;
    const json::object* live_labels = object_at(live, {"metadata", "labels"});
    if (const json::object* wanted_labels = object_at(wanted, {"metadata", "labels"})) {
      for (const auto& label : *wanted_labels) {
        const json::value* there = live_labels ? live_labels->if_contains(label.key()) : nullptr;
        if (!there || *there != label.value()) labels.emplace(label.key(), label.value());
      }
    }
    if (!labels.empty()) out.emplace("metadata", json::object{{"labels", std::move(labels)}});
    if (out.empty()) return std::nullopt;
    return out;
  }

  Deed change() const {
    std::array<unsigned char, kScratchBytes> scratch;
    json::monotonic_resource memory(scratch.data(), scratch.size());
    const json::value live_value = live_->json(&memory);
    const json::object& live = live_value.get_object();
    const bool as_it_is = reachable_as_it_is(live);
    const json::object changed = as_it_is ? json::object() : reachable(live);
    const json::object& wanted = as_it_is ? *wanted_.object : changed;
    std::optional<json::value> found = differs(wanted, live);
    if (!found && ours()) return {};
    if (found && circumstances_.adopt && ours() && is_stateful_set() && !marked(live))
      return adopted(wanted, live, *found);
    if (found && circumstances_.hold) return {.kind = Deed::Kind::kHeld, .difference = std::move(found)};
    if (found && ours() && settled(live)) return {};
    if (found && is_stateful_set() && immutable(*found)) return anew(*found);
    return update(wanted, live, found);
  }

  // Another admission controller made this of what we wrote last; writing again would change nothing.
  bool settled(const json::object& live) const {
    const auto known = world_.settled.find(live_->uid());
    return known != world_.settled.end() && known->second == settled_state(live, *wanted_.object);
  }

 public:
  static std::string settled_state(const json::object& live, const json::object& wanted) {
    const json::value* spec = live.if_contains("spec");
    return fingerprint(wanted) + fingerprint(spec ? *spec : json::value());
  }

 private:
  static bool immutable(const json::value& found) {
    const json::value* spec = found.get_object().if_contains("spec");
    if (!spec || !spec->is_object()) return false;
    for (const std::string_view name : kImmutable) {
      if (spec->get_object().contains(name)) return true;
    }
    return false;
  }

  Deed anew(json::value found) const {
    Deed deed = writing(
        WriteVerb::kDelete, kube::remove(*wanted_.type, wanted_.key, {live_->uid(), ""}, kube::Propagation::kOrphan),
        "Recreating",
        fmt::format("{} is made anew, its pods stay: {} can't be changed", title(wanted_), list_changes(found)));
    deed.difference = std::move(found);
    return deed;
  }

  // Made by upstream's operator, and nobody changed the resource since: only its size follows.
  Deed adopted(const json::object& wanted, const json::object& live, json::value found) const {
    const json::value* size = object_at(wanted, {"spec"})->if_contains("replicas");
    const json::object* live_spec = object_at(live, {"spec"});
    const json::value* live_size = live_spec ? live_spec->if_contains("replicas") : nullptr;
    if (size && live_size && difference(json::object{{"replicas", *size}}, json::object{{"replicas", *live_size}})) {
      json::object object = live;
      child(object, "spec").insert_or_assign("replicas", *size);
      return writing(WriteVerb::kUpdate, kube::update(*wanted_.type, wanted_.key, object), "Scaled",
                     fmt::format("{} scaled to {}", title(wanted_), json::serialize(*size)));
    }
    return {.kind = Deed::Kind::kHeld, .difference = std::move(found)};
  }

  Deed update(const json::object& wanted, const json::object& live, const std::optional<json::value>& found) const {
    json::object object = live;
    object.erase("status");
    json::object& metadata = child(object, "metadata");
    if (const json::object* labels = object_at(wanted, {"metadata", "labels"})) {
      for (const auto& label : *labels) child(metadata, "labels").insert_or_assign(label.key(), label.value());
    }
    if (const json::object* wanted_metadata = object_at(wanted, {"metadata"})) {
      if (const json::value* owners = wanted_metadata->if_contains("ownerReferences")) {
        metadata.insert_or_assign("ownerReferences", *owners);
      }
    }
    mark(object, *wanted_.object);
    put_spec(object, wanted, live);
    return writing(WriteVerb::kUpdate, kube::update(*wanted_.type, wanted_.key, object), "Updated",
                   found ? fmt::format("{} updated: {}", title(wanted_), list_changes(*found))
                         : fmt::format("{} taken over", title(wanted_)));
  }

  void put_spec(json::object& object, const json::object& wanted, const json::object& live) const {
    const json::object* wanted_spec = object_at(wanted, {"spec"});
    if (!wanted_spec) return;
    if (*wanted_.type == kube::kService) {
      // The rest of a Service's spec is the API server's.
      for (const auto& member : *wanted_spec) child(object, "spec").insert_or_assign(member.key(), member.value());
      return;
    }
    object.insert_or_assign("spec", *wanted_spec);
    if (!is_stateful_set()) return;
    json::object& spec = child(object, "spec");
    const json::object* live_template = object_at(live, {"spec", "template"});
    const json::value* wanted_template = wanted_spec->if_contains("template");
    if (!live_template || !wanted_template) return;
    if (!difference(*wanted_template, *live_template) && dropped_annotations(wanted, live).empty()) {
      spec.insert_or_assign("template", *live_template);  // the same in other words: no pod restarts
      return;
    }
    const json::object* annotations = object_at(*live_template, {"metadata", "annotations"});
    const json::value* restarted = annotations ? annotations->if_contains(kRestartedAt) : nullptr;
    if (restarted) {
      child(child(child(spec, "template"), "metadata"), "annotations").insert_or_assign(kRestartedAt, *restarted);
    }
  }

  const World& world_;
  const Wanted& wanted_;
  const Circumstances& circumstances_;
  kube::ObjectPtr live_;
};

}  // namespace

Deed decide(const World& world, const Wanted& wanted, const Circumstances& circumstances) {
  return Decision(world, wanted, circumstances).decide();
}

std::string settled_state(const json::object& live, const json::object& wanted) {
  return Decision::settled_state(live, wanted);
}

}  // namespace fmesh::op
