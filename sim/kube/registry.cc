#include "sim/kube/registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "kube/json.h"
#include "kube/times.h"
#include "sim/kube/defaults.h"
#include "sim/kube/managed_fields.h"
#include "sim/kube/patch.h"

namespace fmesh::sim {
namespace json = boost::json;
using kube::Response;
namespace {

Response not_found(const Target& target) {
  return refuse(404, "NotFound", fmt::format("{} \"{}\" not found", qualified(target.kind->type), target.key.name));
}

Response conflict(const Target& target, std::string_view why) {
  return refuse(409, "Conflict",
                fmt::format("Operation cannot be fulfilled on {} \"{}\": {}", qualified(target.kind->type),
                            target.key.name, why));
}

constexpr std::string_view kModified =
    "the object has been modified; please apply your changes to the latest version and try again";

Response invalid(const KindInfo& kind, const std::string& name, const std::vector<Cause>& causes) {
  json::array list;
  std::string text;
  for (const Cause& cause : causes) {
    list.push_back({{"reason", cause.reason}, {"field", cause.field}, {"message", cause.message}});
    text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", cause.field, cause.message);
  }
  return refuse(422, "Invalid", fmt::format("{}.{} \"{}\" is invalid: {}", kind.type.kind, kind.type.group, name, text),
                json::object{{"causes", std::move(list)}});
}

json::object& metadata_of(json::value& object) {
  json::value& metadata = object.as_object()["metadata"];
  if (!metadata.is_object()) metadata = json::object();
  return metadata.get_object();
}

void copy_member(json::object& to, const json::object& from, std::string_view key) {
  if (const json::value* value = from.if_contains(key)) {
    to[key] = *value;
  } else {
    to.erase(key);
  }
}

// Everything but metadata and status.
json::object spec_of(const json::value& object) {
  json::object rest = object.as_object();
  rest.erase("metadata");
  rest.erase("status");
  return rest;
}

json::value without(const json::value& object, std::string_view metadata_key) {
  json::value copy = object;
  metadata_of(copy).erase(metadata_key);
  return copy;
}

bool no_finalizers(const json::value& object) {
  const json::value* finalizers = kube::find(object, {"metadata", "finalizers"});
  return !finalizers || !finalizers->is_array() || finalizers->get_array().empty();
}

json::object scale_of(const Target& target, const json::value& object) {
  const json::value* replicas = kube::find(object, {"spec", "replicas"});
  std::string selector;
  if (target.kind->custom) {
    selector = kube::string_at(object, {"status", "selector"});
  } else if (const json::value* labels = kube::find(object, {"spec", "selector", "matchLabels"});
             labels && labels->is_object()) {
    for (const auto& [key, value] : labels->get_object())
      selector += fmt::format("{}{}={}", selector.empty() ? "" : ",", std::string_view(key),
                              std::string_view(value.as_string()));
  }
  const json::object& metadata = object.at("metadata").as_object();
  json::object scale_metadata;
  for (const char* key : {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"})
    copy_member(scale_metadata, metadata, key);
  json::object status = {{"replicas", kube::int_at(object, {"status", "replicas"})}};
  if (!selector.empty()) status["selector"] = selector;
  json::object spec;
  if (replicas && replicas->is_int64() && replicas->get_int64() != 0) spec["replicas"] = *replicas;
  return {{"apiVersion", "autoscaling/v1"},
          {"kind", "Scale"},
          {"metadata", scale_metadata},
          {"spec", spec},
          {"status", status}};
}

json::value first_status(const KindInfo& kind) {
  if (kind.type == kube::kStatefulSet) return {{"replicas", 0}, {"availableReplicas", 0}};
  if (kind.type == kube::kService) return {{"loadBalancer", json::object()}};
  if (kind.type == kube::kHorizontalPodAutoscaler) return {{"desiredReplicas", 0}};
  return json::object();
}

std::string verb_of(const kube::Request& request) {
  if (request.method == "POST") return "create";
  if (request.method == "PUT") return "update";
  if (request.method == "DELETE") return "delete";
  if (request.content_type.starts_with("application/apply-patch")) return "apply";
  return "patch";
}

std::string manager_of(const Target& target) {
  const auto found = target.query.find("fieldManager");
  return found == target.query.end() ? "unknown" : found->second;
}

}  // namespace

std::string to_string(const WriteRecord& record) {
  return fmt::format("{:>8} {} {} {} {}{}{} {}{}", record.at_ms, record.actor, record.verb, record.type.kind,
                     record.key.to_string(), record.subresource.empty() ? "" : "/", record.subresource, record.code,
                     record.changed ? "" : " (no change)");
}

Response answer(int code, const json::value& body) { return {code, json::serialize(body), {}}; }

Response refuse(int code, std::string_view reason, std::string_view message, const json::value& details) {
  json::object status = {{"kind", "Status"},    {"apiVersion", "v1"}, {"metadata", json::object()},
                         {"status", "Failure"}, {"message", message}, {"code", code}};
  if (!reason.empty()) status["reason"] = reason;
  if (!details.is_null()) status["details"] = details;
  return answer(code, std::move(status));
}

Response Registry::carry_out(const kube::Request& request, const Target& target, const std::string& actor) {
  if (request.method == "GET") return get(target).response;
  const bool collection = target.key.name.empty();
  if (collection != (request.method == "POST") ||
      (collection && target.kind->type.namespaced && target.key.name_space.empty()))
    return refuse(405, "MethodNotAllowed", "the server does not allow this method on the requested resource");
  Outcome outcome;
  Result<json::value> body = json::object();
  if (!request.body.empty()) body = kube::read_json(request.body);
  if (!body || (request.method != "PATCH" && !body->is_object())) {
    outcome.response = refuse(400, "BadRequest", "the body is no object");
  } else if (request.method == "POST") {
    outcome = create(target, std::move(*body));
  } else if (request.method == "PUT") {
    outcome = update(target, std::move(*body));
  } else if (request.method == "PATCH") {
    outcome = patch(target, request);
  } else if (request.method == "DELETE") {
    outcome = remove(target, *body);
  } else {
    outcome.response = refuse(405, "MethodNotAllowed", "no such method");
  }
  WriteRecord record{.at_ms = clock_.monotonic_ns() / 1'000'000,
                     .actor = actor,
                     .verb = verb_of(request),
                     .type = target.kind->type,
                     .key = target.key,
                     .subresource = target.subresource,
                     .code = outcome.response.status,
                     .changed = outcome.changed};
  if (collection && body)
    record.key.name = kube::string_at(*kube::read_json(outcome.response.body), {"metadata", "name"});
  writes_.push_back(std::move(record));
  return std::move(outcome.response);
}

Registry::Outcome Registry::get(const Target& target) const {
  const JsonPtr object = database_.now().get(*target.kind, target.key);
  if (!object) return {not_found(target), false};
  if (target.subresource == "scale") return {answer(200, scale_of(target, *object)), false};
  return {answer(200, *object), false};
}

std::string Registry::uuid() {
  const uint64_t high = rng_.next(), low = rng_.next();
  return fmt::format("{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}", high >> 32, (high >> 16) & 0xffff, high & 0xfff,
                     (low >> 48) & 0xfff, low & 0xffff'ffff'ffff);
}

Registry::Outcome Registry::create(const Target& target, json::value object, bool by_apply) {
  const json::value applied = by_apply ? object : json::value();
  const KindInfo& kind = *target.kind;
  if (kube::string_at(object, {"kind"}) != kind.type.kind ||
      kube::string_at(object, {"apiVersion"}) != kind.type.api_version())
    return {refuse(400, "BadRequest",
                   fmt::format("the object provided is unrecognized (kind {} of {})", kube::string_at(object, {"kind"}),
                               kube::string_at(object, {"apiVersion"}))),
            false};
  json::object& metadata = metadata_of(object);
  if (!kube::string_at(object, {"metadata", "resourceVersion"}).empty())
    return {refuse(500, "", "resourceVersion should not be set on objects to be created"), false};
  if (kube::string_at(object, {"metadata", "name"}).empty()) {
    std::string name(kube::string_at(object, {"metadata", "generateName"}));
    if (name.empty())
      return {invalid(kind, "", {{"FieldValueRequired", "metadata.name", "name or generateName is required"}}), false};
    static constexpr std::string_view kLetters = "bcdfghjklmnpqrstvwxz2456789";
    for (int i = 0; i < 5; ++i) name += kLetters[rng_.below(kLetters.size())];
    metadata["name"] = name;
  }
  const std::string_view space = kube::string_at(object, {"metadata", "namespace"});
  if (kind.type.namespaced && !space.empty() && space != target.key.name_space)
    return {refuse(400, "BadRequest",
                   "the namespace of the provided object does not match the namespace sent on the request"),
            false};
  if (kind.type.namespaced) metadata["namespace"] = target.key.name_space;
  const kube::ObjectKey key{target.key.name_space, std::string(kube::string_at(object, {"metadata", "name"}))};

  if (terminating_.contains(key.name_space)) {
    const json::value details = {
        {"causes", json::array{{{"reason", "NamespaceTerminating"}, {"field", "metadata.namespace"}}}}};
    return {
        refuse(
            403, "Forbidden",
            fmt::format(
                "{} \"{}\" is forbidden: unable to create new content in namespace {} because it is being terminated",
                qualified(kind.type), key.name, key.name_space),
            details),
        false};
  }
  metadata["uid"] = uuid();
  metadata["creationTimestamp"] = kube::time_text(clock_.wall_ms());
  for (const char* member : {"generation", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields"})
    metadata.erase(member);
  if (kind.generation) metadata["generation"] = 1;
  if (kind.status) object.as_object().erase("status");
  apply_defaults(kind, object);
  if (admission_ && kind.custom) {
    if (const auto causes = admission_(nullptr, object); !causes.empty())
      return {invalid(kind, key.name, causes), false};
  }
  if (const auto causes = validate(kind, object); !causes.empty()) return {invalid(kind, key.name, causes), false};
  if (const JsonPtr there = database_.now().get(kind, key)) {
    const bool going = kube::find(*there, {"metadata", "deletionTimestamp"});
    return {refuse(409, "AlreadyExists",
                   fmt::format("{}{} \"{}\" already exists", going ? "object is being deleted: " : "",
                               qualified(kind.type), key.name)),
            false};
  }
  const std::string time = kube::time_text(clock_.wall_ms());
  if (by_apply) {
    own_applied(kind, object, applied, manager_of(target), "", time);
  } else if (track_owners_) {
    own_changes(kind, json::object(), object, manager_of(target), "", time);
  }
  if (kind.status && !kind.custom) object.as_object()["status"] = first_status(kind);
  return {answer(201, *database_.put(kind, key, std::move(object))), true};
}

Registry::Outcome Registry::update(const Target& target, json::value object) {
  const KindInfo& kind = *target.kind;
  const JsonPtr before = database_.now().get(kind, target.key);
  if (target.subresource != "scale" && (kube::string_at(object, {"kind"}) != kind.type.kind ||
                                        kube::string_at(object, {"apiVersion"}) != kind.type.api_version()))
    return {refuse(400, "BadRequest", "the object provided is unrecognized (must be of the type that the path names)"),
            false};
  if (kube::string_at(object, {"metadata", "name"}) != target.key.name)
    return {refuse(400, "BadRequest", "the name of the object does not match the name on the URL"), false};
  if (!before) {
    if (!kind.create_on_update || !target.subresource.empty()) return {not_found(target), false};
    Target collection = target;
    collection.key.name.clear();
    return create(collection, std::move(object));
  }
  if (target.subresource == "scale") return update_scale(target, before, object);
  return store(target, before, std::move(object), manager_of(target));
}

Registry::Outcome Registry::update_scale(const Target& target, const JsonPtr& before, const json::value& scale) {
  json::value after = *before;
  json::object& metadata = metadata_of(after);
  const std::string_view version = kube::string_at(scale, {"metadata", "resourceVersion"});
  if (!version.empty()) metadata["resourceVersion"] = version;
  const int64_t replicas = kube::int_at(scale, {"spec", "replicas"});
  if (replicas < 0) {
    std::vector<Cause> causes = {{"FieldValueInvalid", "spec.replicas", "must be greater than or equal to 0"}};
    if (target.kind->custom)
      causes.push_back({"FieldValueInvalid", ".spec.replicas", "should be a non-negative integer"});
    return {invalid(*target.kind, target.key.name, causes), false};
  }
  json::value& spec = after.as_object()["spec"];
  if (!spec.is_object()) spec = json::object();
  spec.get_object()["replicas"] = replicas;
  Target main = target;
  main.subresource.clear();
  Outcome outcome = store(main, before, std::move(after), manager_of(target), "scale");
  if (outcome.response.status != 200) return outcome;
  outcome.response = answer(200, scale_of(target, *database_.now().get(*target.kind, target.key)));
  return outcome;
}

Registry::Outcome Registry::store(const Target& target, const JsonPtr& before, json::value after,
                                  const std::string& manager, const std::string& through) {
  const KindInfo& kind = *target.kind;
  const std::string_view uid = kube::string_at(after, {"metadata", "uid"});
  const std::string_view old_uid = kube::string_at(*before, {"metadata", "uid"});
  if (!uid.empty() && uid != old_uid)
    return {conflict(target,
                     fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}", uid, old_uid)),
            false};
  const std::string_view version = kube::string_at(after, {"metadata", "resourceVersion"});
  if (version.empty() && !kind.unconditional)
    return {invalid(kind, target.key.name,
                    {{"FieldValueInvalid", "metadata.resourceVersion",
                      "Invalid value: 0: must be specified for an update"}}),
            false};
  if (!version.empty() && version != kube::string_at(*before, {"metadata", "resourceVersion"}))
    return {conflict(target, kModified), false};

  const json::object& old_members = before->as_object();
  const json::object& old_metadata = old_members.at("metadata").as_object();
  if (target.subresource == "status" && kind.custom) {  // nothing but the status
    json::value whole = *before;
    copy_member(whole.as_object(), after.as_object(), "status");
    if (manager.empty()) copy_member(metadata_of(whole), metadata_of(after), "managedFields");
    after = std::move(whole);
  } else {
    json::object& metadata = metadata_of(after);
    for (const char* key : {"uid", "name", "namespace", "creationTimestamp", "deletionTimestamp",
                            "deletionGracePeriodSeconds", "generation", "resourceVersion"})
      copy_member(metadata, old_metadata, key);
    if (!metadata.contains("managedFields")) copy_member(metadata, old_metadata, "managedFields");
    if (target.subresource == "status") {  // built-in kinds take the metadata from here too
      copy_member(after.as_object(), old_members, "spec");
    } else {
      if (kind.status) copy_member(after.as_object(), old_members, "status");
      apply_defaults(kind, after);
      if (admission_ && kind.custom && through.empty()) {
        if (const auto causes = admission_(*before, after); !causes.empty())
          return {invalid(kind, target.key.name, causes), false};
      }
    }
  }
  auto causes = validate(kind, after);
  for (Cause& cause : validate_update(kind, *before, after)) causes.push_back(std::move(cause));
  if (!causes.empty()) return {invalid(kind, target.key.name, causes), false};
  if (kind.generation && target.subresource != "status" && spec_of(after) != spec_of(*before))
    metadata_of(after)["generation"] = kube::int_at(*before, {"metadata", "generation"}) + 1;
  if (track_owners_ && !manager.empty())
    own_changes(kind, before->as_object(), after, manager, through.empty() ? target.subresource : through,
                kube::time_text(clock_.wall_ms()));
  if (kube::find(*before, {"metadata", "deletionTimestamp"}) && no_finalizers(after)) {
    database_.remove(kind, target.key);
    return {answer(200, after), true};
  }
  if (without(after, "managedFields") == without(*before, "managedFields") && same_owners(after, *before))
    return {answer(200, *before), false};
  return {answer(200, *database_.put(kind, target.key, std::move(after))), true};
}

Registry::Outcome Registry::patch(const Target& target, const kube::Request& request) {
  const Result<json::value> body = kube::read_json(request.body);
  if (request.content_type.starts_with("application/apply-patch")) return apply(target, *body);
  const JsonPtr before = database_.now().get(*target.kind, target.key);
  if (!before) return {not_found(target), false};
  json::value current = target.subresource == "scale" ? json::value(scale_of(target, *before)) : *before;
  const std::string version(kube::string_at(current, {"metadata", "resourceVersion"}));
  if (request.content_type == "application/merge-patch+json") {
    merge_patch(current, *body);
  } else if (request.content_type == "application/json-patch+json") {
    Result<json::value> patched = json_patch(std::move(current), *body);
    if (!patched)
      return {refuse(422, "Invalid",
                     "the server rejected our request due to an error in our request: " + patched.error().text()),
              false};
    current = std::move(*patched);
  } else {
    return {refuse(415, "UnsupportedMediaType", "the body of the request was in an unknown format"), false};
  }
  if (!current.is_object()) return {refuse(422, "Invalid", "the patch leaves no object"), false};
  if (kube::string_at(current, {"metadata", "resourceVersion"}).empty())
    metadata_of(current)["resourceVersion"] = version;
  if (target.subresource == "scale") return update_scale(target, before, current);
  return store(target, before, std::move(current), manager_of(target));
}

Registry::Outcome Registry::apply(const Target& target, const json::value& object) {
  const KindInfo& kind = *target.kind;
  const std::string manager = manager_of(target);
  if (!target.query.contains("fieldManager"))
    return {invalid(kind, target.key.name, {{"FieldValueRequired", "fieldManager", "is required for apply patch"}}),
            false};
  const JsonPtr before = database_.now().get(kind, target.key);
  const bool force = target.query.contains("force") && target.query.at("force") == "true";
  if (!object.is_object() || kube::find(object, {"metadata", "managedFields"}))
    return {refuse(400, "BadRequest", "metadata.managedFields must be nil"), false};
  if (!before) {
    if (!target.subresource.empty()) return {not_found(target), false};
    Target collection = target;
    collection.key.name.clear();
    return create(collection, object, true);
  }
  Applied merged =
      server_side_apply(kind, *before, object, manager, target.subresource, force, kube::time_text(clock_.wall_ms()));
  if (!merged.conflicts.empty()) {
    json::array causes;
    std::string text = "Apply failed with conflicts: ";
    for (const FieldConflict& conflict : merged.conflicts) {
      const std::string message = fmt::format("conflict with \"{}\"", conflict.manager);
      causes.push_back({{"reason", "FieldManagerConflict"}, {"field", conflict.field}, {"message", message}});
      text += fmt::format("{}: {}; ", message, conflict.field);
    }
    return {refuse(409, "Conflict", text, json::object{{"causes", std::move(causes)}}), false};
  }
  return store(target, before, std::move(merged.object), "");
}

Registry::Outcome Registry::remove(const Target& target, const json::value& options) {
  const KindInfo& kind = *target.kind;
  const JsonPtr before = database_.now().get(kind, target.key);
  if (!before) return {not_found(target), false};
  const std::string uid(kube::string_at(*before, {"metadata", "uid"}));
  const std::string version(kube::string_at(*before, {"metadata", "resourceVersion"}));
  const std::string_view wanted_uid = kube::string_at(options, {"preconditions", "uid"});
  const std::string_view wanted_version = kube::string_at(options, {"preconditions", "resourceVersion"});
  if (!wanted_uid.empty() && wanted_uid != uid)
    return {conflict(target, fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}",
                                         wanted_uid, uid)),
            false};
  if (!wanted_version.empty() && wanted_version != version)
    return {conflict(target,
                     fmt::format(
                         "Precondition failed: ResourceVersion in precondition: {}, ResourceVersion in object meta: {}",
                         wanted_version, version)),
            false};

  json::value after = *before;
  json::object& metadata = metadata_of(after);
  const std::string_view policy = kube::string_at(options, {"propagationPolicy"});
  json::array finalizers;
  if (const json::value* there = kube::find(*before, {"metadata", "finalizers"}); there && there->is_array()) {
    for (const json::value& finalizer : there->get_array()) {
      if (!policy.empty() && (finalizer == json::value("orphan") || finalizer == json::value("foregroundDeletion")))
        continue;
      finalizers.push_back(finalizer);
    }
  }
  if (policy == "Foreground") finalizers.emplace_back("foregroundDeletion");
  if (policy == "Orphan") finalizers.emplace_back("orphan");
  if (finalizers.empty()) {
    const JsonPtr last = database_.remove(kind, target.key);
    if (kind.answers_object) return {answer(200, *last), true};
    return {answer(200, {{"kind", "Status"},
                         {"apiVersion", "v1"},
                         {"metadata", json::object()},
                         {"status", "Success"},
                         {"details", {{"name", target.key.name}, {"kind", kind.type.plural}, {"uid", uid}}}}),
            true};
  }
  metadata["finalizers"] = std::move(finalizers);
  if (!metadata.contains("deletionTimestamp")) {
    metadata["deletionTimestamp"] = kube::time_text(clock_.wall_ms());
    metadata["deletionGracePeriodSeconds"] = 0;
    if (kind.generation) metadata["generation"] = kube::int_at(*before, {"metadata", "generation"}) + 1;
  }
  if (after == *before) return {answer(200, *before), false};
  return {answer(200, *database_.put(kind, target.key, std::move(after))), true};
}

}  // namespace fmesh::sim
