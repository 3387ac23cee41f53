#include "sim/kube/validate.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <set>

#include "kube/json.h"
#include "model/quantity.h"

namespace fmesh::sim {
namespace json = boost::json;
namespace {

using Causes = std::vector<Cause>;

bool lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool letter_or_digit(char c) { return lower_or_digit(c) || (c >= 'A' && c <= 'Z'); }

bool is_dns_label(std::string_view text) {
  if (text.empty() || text.size() > 63 || text.front() == '-' || text.back() == '-') return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return lower_or_digit(c) || c == '-'; });
}

bool is_dns_subdomain(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  while (true) {
    const size_t dot = text.find('.');
    const std::string_view label = text.substr(0, dot);
    if (label.empty() || label.front() == '-' || label.back() == '-') return false;
    if (!std::all_of(label.begin(), label.end(), [](char c) { return lower_or_digit(c) || c == '-'; })) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

bool is_qualified_part(std::string_view text) {
  if (text.empty() || text.size() > 63 || !letter_or_digit(text.front()) || !letter_or_digit(text.back())) return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return letter_or_digit(c) || c == '-' || c == '_' || c == '.'; });
}

bool is_qualified_name(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return is_qualified_part(text);
  return is_dns_subdomain(text.substr(0, slash)) && is_qualified_part(text.substr(slash + 1));
}

void labels(Causes& causes, const json::value* map, const std::string& field) {
  if (!map || !map->is_object()) return;
  for (const auto& [key, value] : map->get_object()) {
    if (!is_qualified_name(key))
      causes.push_back({"FieldValueInvalid", field, fmt::format("bad label name {}", std::string_view(key))});
    const bool good = value.is_string() && (value.get_string().empty() || is_qualified_part(value.get_string()));
    if (!good)
      causes.push_back({"FieldValueInvalid", field, fmt::format("bad value of label {}", std::string_view(key))});
  }
}

const json::array& list_at(const json::value& value, kube::JsonPath path) {
  static const json::array kNone;
  const json::value* found = kube::find(value, path);
  return found && found->is_array() ? found->get_array() : kNone;
}

// Reports the second of two items that are alike in `key`.
void unique(Causes& causes, const json::array& items, std::string_view key, const std::string& field,
            std::string_view reason = "FieldValueDuplicate") {
  std::set<std::string> seen;
  for (size_t i = 0; i < items.size(); ++i) {
    const json::value* found = kube::find(items[i], {key});
    if (!found || (found->is_string() && found->get_string().empty())) continue;
    const std::string text = kube::write_json(*found);
    if (!seen.insert(text).second)
      causes.push_back(
          {std::string(reason), fmt::format("{}[{}].{}", field, i, key), fmt::format("Duplicate value: {}", text)});
  }
}

void metadata(Causes& causes, const KindInfo& kind, const json::value& object) {
  const std::string_view name = kube::string_at(object, {"metadata", "name"});
  const bool label = kind.type.kind == "Service" || kind.type.kind == "Namespace";
  const bool letter_first = kind.type.kind != "Service" || (!name.empty() && name[0] >= 'a' && name[0] <= 'z');
  if (!(label ? is_dns_label(name) : is_dns_subdomain(name)) || !letter_first)
    causes.push_back({"FieldValueInvalid", "metadata.name", fmt::format("Invalid value: \"{}\"", name)});
  labels(causes, kube::find(object, {"metadata", "labels"}), "metadata.labels");
  const json::value* annotations = kube::find(object, {"metadata", "annotations"});
  size_t bytes = 0;
  if (annotations && annotations->is_object()) {
    for (const auto& [key, value] : annotations->get_object()) {
      bytes += key.size() + (value.is_string() ? value.get_string().size() : 0);
      std::string lower(key);
      std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
      if (!is_qualified_name(lower) || !value.is_string())
        causes.push_back(
            {"FieldValueInvalid", "metadata.annotations", fmt::format("bad annotation {}", std::string_view(key))});
    }
  }
  if (bytes > 256 * 1024)
    causes.push_back({"FieldValueTooLong", "metadata.annotations", "may not be more than 262144 bytes"});
  size_t controllers = 0;
  const json::array& owners = list_at(object, {"metadata", "ownerReferences"});
  for (size_t i = 0; i < owners.size(); ++i) {
    controllers += kube::bool_at(owners[i], {"controller"}) ? 1 : 0;
    for (const char* key : {"apiVersion", "kind", "name", "uid"}) {
      if (kube::string_at(owners[i], {key}).empty())
        causes.push_back({"FieldValueInvalid", fmt::format("metadata.ownerReferences.{}", key), "must not be empty"});
    }
  }
  if (controllers > 1)
    causes.push_back(
        {"FieldValueInvalid", "metadata.ownerReferences", "Only one reference can have Controller set to true"});
}

void container(Causes& causes, const json::value& container, const std::set<std::string>& volumes,
               const std::string& field) {
  const std::string_view name = kube::string_at(container, {"name"});
  if (!is_dns_label(name))
    causes.push_back({name.empty() ? "FieldValueRequired" : "FieldValueInvalid", field + ".name", "not a DNS label"});
  if (kube::string_at(container, {"image"}).empty())
    causes.push_back({"FieldValueRequired", field + ".image", "Required value"});
  unique(causes, list_at(container, {"ports"}), "name", field + ".ports");
  unique(causes, list_at(container, {"volumeMounts"}), "mountPath", field + ".volumeMounts", "FieldValueInvalid");
  const json::array& env = list_at(container, {"env"});
  for (size_t i = 0; i < env.size(); ++i) {
    if (kube::string_at(env[i], {"name"}).empty())
      causes.push_back({"FieldValueRequired", fmt::format("{}.env[{}].name", field, i), "Required value"});
    if (!kube::string_at(env[i], {"value"}).empty() && kube::find(env[i], {"valueFrom"}))
      causes.push_back({"FieldValueInvalid", fmt::format("{}.env[{}].valueFrom", field, i),
                        "may not be specified when `value` is not empty"});
  }
  const json::array& mounts = list_at(container, {"volumeMounts"});
  for (size_t i = 0; i < mounts.size(); ++i) {
    const std::string volume(kube::string_at(mounts[i], {"name"}));
    if (!volumes.contains(volume))
      causes.push_back({"FieldValueNotFound", fmt::format("{}.volumeMounts[{}].name", field, i),
                        fmt::format("Not found: \"{}\"", volume)});
  }
  const json::value* limits = kube::find(container, {"resources", "limits"});
  const json::value* requests = kube::find(container, {"resources", "requests"});
  if (!limits || !requests || !limits->is_object() || !requests->is_object()) return;
  for (const auto& [resource, quantity] : requests->get_object()) {
    const json::value* limit = limits->get_object().if_contains(resource);
    if (!limit || !limit->is_string() || !quantity.is_string()) continue;
    const auto asked = model::parse_quantity(std::string_view(quantity.get_string()));
    const auto most = model::parse_quantity(std::string_view(limit->get_string()));
    if (asked && most && *asked > *most)
      causes.push_back({"FieldValueInvalid", field + ".resources.requests",
                        fmt::format("must be less than or equal to {} limit", std::string_view(resource))});
  }
}

void pod(Causes& causes, const json::value& spec, const json::array& claims, const std::string& field) {
  std::set<std::string> volumes;
  for (const json::value& volume : list_at(spec, {"volumes"}))
    volumes.insert(std::string(kube::string_at(volume, {"name"})));
  for (const json::value& claim : claims) volumes.insert(std::string(kube::string_at(claim, {"metadata", "name"})));
  unique(causes, list_at(spec, {"volumes"}), "name", field + ".volumes");
  const json::array& containers = list_at(spec, {"containers"});
  if (containers.empty()) causes.push_back({"FieldValueRequired", field + ".containers", "Required value"});
  for (const char* list : {"containers", "initContainers"}) {
    const json::array& items = list_at(spec, {list});
    for (size_t i = 0; i < items.size(); ++i)
      container(causes, items[i], volumes, fmt::format("{}.{}[{}]", field, list, i));
  }
  unique(causes, containers, "name", field + ".containers");
  const json::array& initial = list_at(spec, {"initContainers"});
  unique(causes, initial, "name", field + ".initContainers");
  for (size_t i = 0; i < initial.size(); ++i) {
    const auto same = [&](const json::value& other) {
      return kube::string_at(other, {"name"}) == kube::string_at(initial[i], {"name"});
    };
    if (std::any_of(containers.begin(), containers.end(), same))
      causes.push_back({"FieldValueDuplicate", fmt::format("{}.initContainers[{}].name", field, i), "Duplicate value"});
  }
}

void stateful_set(Causes& causes, const json::value& object) {
  const json::value* selector = kube::find(object, {"spec", "selector", "matchLabels"});
  const json::value* pod_labels = kube::find(object, {"spec", "template", "metadata", "labels"});
  if (!selector || !selector->is_object() || selector->get_object().empty()) {
    causes.push_back({"FieldValueRequired", "spec.selector", "Required value"});
  } else {
    for (const auto& [key, value] : selector->get_object()) {
      const json::value* label = pod_labels ? kube::find(*pod_labels, {key}) : nullptr;
      if (label && *label == value) continue;
      causes.push_back(
          {"FieldValueInvalid", "spec.template.metadata.labels", "`selector` does not match template `labels`"});
      break;
    }
  }
  labels(causes, pod_labels, "spec.template.labels");
  if (kube::int_at(object, {"spec", "replicas"}) < 0)
    causes.push_back({"FieldValueInvalid", "spec.replicas", "must be greater than or equal to 0"});
  const json::value* spec = kube::find(object, {"spec", "template", "spec"});
  if (!spec) {
    causes.push_back({"FieldValueRequired", "spec.template.spec.containers", "Required value"});
    return;
  }
  if (kube::string_at(*spec, {"restartPolicy"}) != "Always")
    causes.push_back({"FieldValueNotSupported", "spec.template.spec.restartPolicy", "supported values: \"Always\""});
  pod(causes, *spec, list_at(object, {"spec", "volumeClaimTemplates"}), "spec.template.spec");
}

void autoscaler(Causes& causes, const json::value& object) {
  const int64_t smallest = kube::int_at(object, {"spec", "minReplicas"});
  const int64_t largest = kube::int_at(object, {"spec", "maxReplicas"});
  if (smallest < 1) {
    causes.push_back({"FieldValueInvalid", "spec.minReplicas", "must be greater than or equal to 1"});
    causes.push_back({"FieldValueForbidden", "spec.metrics", "must specify at least one Object or External metric"});
  }
  if (largest < 1) causes.push_back({"FieldValueInvalid", "spec.maxReplicas", "must be greater than 0"});
  if (largest < smallest)
    causes.push_back({"FieldValueInvalid", "spec.maxReplicas", "must be greater than or equal to `minReplicas`"});
  for (const char* key : {"kind", "name"}) {
    if (kube::string_at(object, {"spec", "scaleTargetRef", key}).empty())
      causes.push_back({"FieldValueRequired", fmt::format("spec.scaleTargetRef.{}", key), "Required value"});
  }
}

void service(Causes& causes, const json::value& object) {
  const json::array& ports = list_at(object, {"spec", "ports"});
  unique(causes, ports, "name", "spec.ports");
  for (size_t i = 0; i < ports.size(); ++i) {
    const int64_t port = kube::int_at(ports[i], {"port"});
    if (port < 1 || port > 65535)
      causes.push_back({"FieldValueInvalid", fmt::format("spec.ports[{}].port", i), "must be between 1 and 65535"});
    const json::value* target = kube::find(ports[i], {"targetPort"});
    if (target && target->is_int64() && (target->get_int64() < 1 || target->get_int64() > 65535))
      causes.push_back(
          {"FieldValueInvalid", fmt::format("spec.ports[{}].targetPort", i), "must be between 1 and 65535"});
    if (ports.size() > 1 && kube::string_at(ports[i], {"name"}).empty())
      causes.push_back({"FieldValueRequired", fmt::format("spec.ports[{}].name", i), "Required value"});
  }
  if (ports.empty() && kube::string_at(object, {"spec", "clusterIP"}) != "None")
    causes.push_back({"FieldValueRequired", "spec.ports", "Required value"});
}

// What our CRDs' schemas ask for.
void custom(Causes& causes, const KindInfo& kind, const json::value& object) {
  if (!kind.scale || !kube::find(object, {"status"})) return;
  for (const char* field : {"conditions", "replicas", "selector"}) {
    if (!kube::find(object, {"status", field}))
      causes.push_back({"FieldValueRequired", fmt::format("status.{}", field), "Required value"});
  }
}

}  // namespace

Causes validate(const KindInfo& kind, const json::value& object) {
  Causes causes;
  metadata(causes, kind, object);
  const std::string_view name = kind.type.kind;
  if (name == "StatefulSet") stateful_set(causes, object);
  if (name == "HorizontalPodAutoscaler") autoscaler(causes, object);
  if (name == "Service") service(causes, object);
  if (kind.custom) custom(causes, kind, object);
  if (name == "Pod") {
    const json::value* spec = kube::find(object, {"spec"});
    pod(causes, spec ? *spec : json::value(), {}, "spec");
  }
  return causes;
}

Causes validate_update(const KindInfo& kind, const json::value& before, const json::value& after) {
  Causes causes;
  const std::string_view name = kind.type.kind;
  if (name == "StatefulSet") {
    static constexpr std::array<std::string_view, 7> kMayChange = {"replicas",
                                                                   "ordinals",
                                                                   "template",
                                                                   "updateStrategy",
                                                                   "revisionHistoryLimit",
                                                                   "minReadySeconds",
                                                                   "persistentVolumeClaimRetentionPolicy"};
    json::value old_spec = *kube::find(before, {"spec"}), new_spec = *kube::find(after, {"spec"});
    for (const std::string_view field : kMayChange) {
      old_spec.as_object().erase(field);
      new_spec.as_object().erase(field);
    }
    if (old_spec != new_spec)
      causes.push_back(
          {"FieldValueForbidden", "spec",
           "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
           "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"});
  }
  if (name == "Service" &&
      kube::string_at(before, {"spec", "clusterIP"}) != kube::string_at(after, {"spec", "clusterIP"}))
    causes.push_back({"FieldValueInvalid", "spec.clusterIPs[0]", "may not change once set"});
  // Finalizers of what is being deleted may only go.
  if (kube::find(before, {"metadata", "deletionTimestamp"})) {
    const json::array& old_ones = list_at(before, {"metadata", "finalizers"});
    for (const json::value& finalizer : list_at(after, {"metadata", "finalizers"})) {
      if (std::find(old_ones.begin(), old_ones.end(), finalizer) == old_ones.end())
        causes.push_back({"FieldValueForbidden", "metadata.finalizers",
                          "no new finalizers can be added if the object is being deleted"});
    }
  }
  return causes;
}

}  // namespace fmesh::sim
