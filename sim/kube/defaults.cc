#include "sim/kube/defaults.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <functional>
#include <span>
#include <utility>

#include "kube/json.h"
#include "model/quantity.h"

namespace fmesh::sim {
namespace json = boost::json;
namespace {

// Fields of these names are maps, where an empty text is a value like others.
bool is_map(std::string_view key) {
  static constexpr std::array<std::string_view, 8> kMaps = {"labels", "annotations", "matchLabels", "nodeSelector",
                                                            "data",   "stringData",  "binaryData",  "selector"};
  return std::find(kMaps.begin(), kMaps.end(), key) != kMaps.end();
}

// Fields of these names are left out when they are 0 or false: they are no pointers in the server's types.
bool zero_is_absent(std::string_view key) {
  static constexpr std::array<std::string_view, 17> kFields = {"initialDelaySeconds",
                                                               "timeoutSeconds",
                                                               "periodSeconds",
                                                               "successThreshold",
                                                               "failureThreshold",
                                                               "minReadySeconds",
                                                               "hostPort",
                                                               "nodePort",
                                                               "hostNetwork",
                                                               "hostPID",
                                                               "hostIPC",
                                                               "stdin",
                                                               "stdinOnce",
                                                               "tty",
                                                               "readOnly",
                                                               "publishNotReadyAddresses",
                                                               "automountNothing"};
  return std::find(kFields.begin(), kFields.end(), key) != kFields.end();
}

bool is_zero(const json::value& value) {
  if (value.is_bool()) return !value.get_bool();
  return value.is_int64() && value.get_int64() == 0;
}

// As encoding into the server's types and back does.
void drop_empty(json::value& value) {
  if (json::array* array = value.if_array()) {
    for (json::value& item : *array) drop_empty(item);
    return;
  }
  json::object* object = value.if_object();
  if (!object) return;
  for (auto member = object->begin(); member != object->end();) {
    json::value& part = member->value();
    const std::string_view key = member->key();
    const bool map = is_map(key) && part.is_object();
    if (!map) drop_empty(part);
    const bool empty = part.is_null() || (part.is_array() && part.get_array().empty()) ||
                       (part.is_string() && part.get_string().empty()) || (map && part.get_object().empty()) ||
                       (zero_is_absent(key) && is_zero(part));
    member = empty ? object->erase(member) : member + 1;
  }
}

using Visit = std::function<void(json::object&)>;

// Calls `visit` with every object at "a.b[].c".
void each_at(json::value& root, std::string_view path, const Visit& visit) {
  if (path.empty()) {
    if (json::object* object = root.if_object()) visit(*object);
    return;
  }
  const size_t dot = path.find('.');
  std::string_view step = path.substr(0, dot);
  const std::string_view rest = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
  const bool list = step.ends_with("[]");
  if (list) step.remove_suffix(2);
  json::value* next = kube::find(root, {step});
  if (!next) return;
  if (!list) return each_at(*next, rest, visit);
  if (json::array* array = next->if_array()) {
    for (json::value& item : *array) each_at(item, rest, visit);
  }
}

struct Default {
  std::string_view parent, key, value;  // JSON
};

void apply_table(json::value& root, std::string_view prefix, std::span<const Default> table) {
  for (const Default& row : table) {
    const std::string parent = row.parent.empty() || prefix.empty() ? fmt::format("{}{}", prefix, row.parent)
                                                                    : fmt::format("{}.{}", prefix, row.parent);
    each_at(root, parent, [&](json::object& object) {
      if (!object.contains(row.key)) object[row.key] = json::parse(row.value);
    });
  }
}

constexpr std::array kPodDefaults = {
    Default{"", "dnsPolicy", "\"ClusterFirst\""},
    Default{"", "restartPolicy", "\"Always\""},
    Default{"", "schedulerName", "\"default-scheduler\""},
    Default{"", "securityContext", "{}"},
    Default{"", "terminationGracePeriodSeconds", "30"},
    Default{"volumes[].secret", "defaultMode", "420"},
    Default{"volumes[].configMap", "defaultMode", "420"},
    Default{"volumes[].downwardAPI", "defaultMode", "420"},
    Default{"volumes[].projected", "defaultMode", "420"},
    Default{"volumes[].hostPath", "type", "\"\""},
    Default{"volumes[].downwardAPI.items[].fieldRef", "apiVersion", "\"v1\""},
    Default{"volumes[].projected.sources[].serviceAccountToken", "expirationSeconds", "3600"},
    Default{"volumes[].projected.sources[].downwardAPI.items[].fieldRef", "apiVersion", "\"v1\""},
};
constexpr std::array kContainerDefaults = {
    Default{"", "resources", "{}"},
    Default{"", "terminationMessagePath", "\"/dev/termination-log\""},
    Default{"", "terminationMessagePolicy", "\"File\""},
    Default{"ports[]", "protocol", "\"TCP\""},
    Default{"env[].valueFrom.fieldRef", "apiVersion", "\"v1\""},
    Default{"livenessProbe.httpGet", "scheme", "\"HTTP\""},
    Default{"readinessProbe.httpGet", "scheme", "\"HTTP\""},
    Default{"startupProbe.httpGet", "scheme", "\"HTTP\""},
    Default{"lifecycle.postStart.httpGet", "scheme", "\"HTTP\""},
    Default{"lifecycle.preStop.httpGet", "scheme", "\"HTTP\""},
};
constexpr std::array kProbeDefaults = {
    Default{"", "timeoutSeconds", "1"},
    Default{"", "periodSeconds", "10"},
    Default{"", "successThreshold", "1"},
    Default{"", "failureThreshold", "3"},
};
constexpr std::array kStatefulSetDefaults = {
    Default{"", "replicas", "1"},
    Default{"", "podManagementPolicy", "\"OrderedReady\""},
    Default{"", "revisionHistoryLimit", "10"},
    Default{"", "persistentVolumeClaimRetentionPolicy", R"({"whenDeleted": "Retain", "whenScaled": "Retain"})"},
    Default{"", "updateStrategy", "{}"},
    Default{"updateStrategy", "type", "\"RollingUpdate\""},
    Default{"volumeClaimTemplates[]", "apiVersion", "\"v1\""},
    Default{"volumeClaimTemplates[]", "kind", "\"PersistentVolumeClaim\""},
    Default{"volumeClaimTemplates[]", "spec", "{}"},
    Default{"volumeClaimTemplates[].spec", "resources", "{}"},
    Default{"volumeClaimTemplates[].spec", "volumeMode", "\"Filesystem\""},
    Default{"volumeClaimTemplates[]", "status", R"({"phase": "Pending"})"},
};
constexpr std::array kServiceDefaults = {
    Default{"", "sessionAffinity", "\"None\""},
    Default{"", "type", "\"ClusterIP\""},
    Default{"", "internalTrafficPolicy", "\"Cluster\""},
    Default{"", "ipFamilyPolicy", "\"SingleStack\""},
    Default{"", "ipFamilies", "[\"IPv4\"]"},
    Default{"ports[]", "protocol", "\"TCP\""},
};
constexpr std::array kJobDefaults = {
    Default{"", "backoffLimit", "6"},
    Default{"", "completionMode", "\"NonIndexed\""},
    Default{"", "completions", "1"},
    Default{"", "parallelism", "1"},
    Default{"", "manualSelector", "false"},
    Default{"", "suspend", "false"},
    Default{"", "podReplacementPolicy", "\"TerminatingOrFailed\""},
};

std::string join(std::string_view left, std::string_view right) {
  return left.empty() ? std::string(right) : fmt::format("{}.{}", left, right);
}

void canonical_resources(json::value& object, const std::string& resources) {
  for (const char* list : {"requests", "limits"}) {
    each_at(object, join(resources, list), [](json::object& quantities) {
      for (auto& member : quantities) {
        if (member.value().is_string()) {
          member.value() = canonical_quantity(member.value().get_string());
        } else if (member.value().is_int64()) {
          member.value() = canonical_quantity(std::to_string(member.value().get_int64()));
        }
      }
    });
  }
}

// A quantity that is only limited is requested as well; in pods, not in templates.
void request_what_is_limited(json::object& resources) {
  json::value* limits = resources.if_contains("limits");
  if (!limits || !limits->is_object() || limits->get_object().empty()) return;
  json::value& requests = resources["requests"];
  if (!requests.is_object()) requests = json::object();
  const json::object copy = resources.at("limits").as_object();
  for (const auto& [name, quantity] : copy) {
    if (!requests.get_object().contains(name)) requests.get_object()[name] = quantity;
  }
}

std::string_view pull_policy(std::string_view image) {
  const size_t name = image.rfind('/') == std::string_view::npos ? 0 : image.rfind('/');
  if (image.find('@') != std::string_view::npos) return "IfNotPresent";
  const size_t colon = image.find(':', name);
  return colon == std::string_view::npos || image.substr(colon + 1) == "latest" ? "Always" : "IfNotPresent";
}

void pod_defaults(json::value& object, const std::string& spec) {
  apply_table(object, spec, kPodDefaults);
  for (const char* containers : {"containers[]", "initContainers[]"}) {
    const std::string path = join(spec, containers);
    apply_table(object, path, kContainerDefaults);
    for (const char* probe : {"livenessProbe", "readinessProbe", "startupProbe"})
      apply_table(object, join(path, probe), kProbeDefaults);
    canonical_resources(object, join(path, "resources"));
    each_at(object, path, [](json::object& container) {
      if (!container.contains("imagePullPolicy"))
        container["imagePullPolicy"] = pull_policy(kube::string_at(json::value(container), {"image"}));
    });
  }
  each_at(object, spec, [](json::object& pod) {
    const char* names[2] = {"serviceAccountName", "serviceAccount"};  // one field under two names
    for (int i = 0; i < 2; ++i) {
      if (pod.contains(names[i]) && !pod.contains(names[1 - i])) pod[names[1 - i]] = json::value(pod.at(names[i]));
    }
  });
  each_at(object, join(spec, "volumes[]"), [](json::object& volume) {
    if (volume.size() == 1 && volume.contains("name")) volume["emptyDir"] = json::object();
  });
  each_at(object, join(spec, "volumes[].emptyDir"), [](json::object& directory) {
    if (json::value* limit = directory.if_contains("sizeLimit"); limit && limit->is_string())
      *limit = canonical_quantity(limit->get_string());
  });
}

void autoscaler_defaults(json::value& object) {
  each_at(object, "spec", [](json::object& spec) {
    if (!spec.contains("minReplicas")) spec["minReplicas"] = 1;
    if (!spec.contains("metrics")) {
      spec["metrics"] = json::parse(R"([{"type": "Resource", "resource":
          {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}])");
    }
  });
  each_at(object, "spec.behavior", [](json::object& behavior) {
    if (!behavior.contains("scaleUp") && !behavior.contains("scaleDown")) return;
    for (const bool up : {true, false}) {
      json::value& rules = behavior[up ? "scaleUp" : "scaleDown"];
      if (!rules.is_object()) rules = json::object();
      json::object& rule = rules.get_object();
      if (!rule.contains("selectPolicy")) rule["selectPolicy"] = "Max";
      if (up && !rule.contains("stabilizationWindowSeconds")) rule["stabilizationWindowSeconds"] = 0;
      if (!rule.contains("policies")) {
        rule["policies"] = json::parse(up ? R"([{"type": "Pods", "value": 4, "periodSeconds": 15},
                                                {"type": "Percent", "value": 100, "periodSeconds": 15}])"
                                          : R"([{"type": "Percent", "value": 100, "periodSeconds": 15}])");
      }
    }
  });
  for (const char* source : {"resource", "pods", "object", "external", "containerResource"}) {
    each_at(object, fmt::format("spec.metrics[].{}.target", source), [](json::object& target) {
      for (const char* key : {"averageValue", "value"}) {
        json::value* quantity = target.if_contains(key);
        if (quantity && quantity->is_string()) *quantity = canonical_quantity(quantity->get_string());
      }
    });
  }
}

void service_defaults(json::value& object) {
  apply_table(object, "spec", kServiceDefaults);
  each_at(object, "spec", [&](json::object& spec) {
    if (!spec.contains("clusterIP")) spec["clusterIP"] = "10.96.0.10";
    if (!spec.contains("clusterIPs")) spec["clusterIPs"] = json::array{spec.at("clusterIP")};
  });
  each_at(object, "spec.ports[]", [](json::object& port) {
    if (!port.contains("targetPort") && port.contains("port")) port["targetPort"] = json::value(port.at("port"));
  });
}

// Of our CRDs' schemas.
void custom_defaults(json::value& object) {
  for (const char* component : {"spec", "spec.functions[]", "spec.sources[]", "spec.sinks[]"}) {
    const bool mesh = kube::string_at(object, {"kind"}) == "FunctionMesh";
    const std::string_view kind = kube::string_at(object, {"kind"});
    if (mesh == (std::string_view(component) == "spec")) continue;
    if (!mesh && kind != "Function" && kind != "Source" && kind != "Sink") continue;
    each_at(object, component, [](json::object& spec) { spec.emplace("minReplicas", 1); });
  }
}

}  // namespace

std::string canonical_quantity(std::string_view text) {
  const auto parsed = model::parse_quantity(text);
  if (!parsed) return std::string(text);
  __int128 nanos = parsed->nanos;
  if (nanos == 0) return "0";
  constexpr __int128 kNano = 1'000'000'000;
  const bool binary = text.ends_with('i') && nanos % kNano == 0 && (nanos / kNano >= 1024 || nanos / kNano <= -1024);
  if (binary) {
    static constexpr std::array<std::string_view, 7> kSuffixes = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
    auto units = static_cast<int64_t>(nanos / kNano);
    size_t suffix = 0;
    while (units % 1024 == 0 && suffix + 1 < kSuffixes.size()) {
      units /= 1024;
      ++suffix;
    }
    return fmt::format("{}{}", units, kSuffixes[suffix]);
  }
  const bool exponents = text.find_first_of("eE") != std::string_view::npos && !text.ends_with('E');
  static constexpr std::array<std::pair<int, std::string_view>, 10> kScales = {
      {{-9, "n"}, {-6, "u"}, {-3, "m"}, {0, ""}, {3, "k"}, {6, "M"}, {9, "G"}, {12, "T"}, {15, "P"}, {18, "E"}}};
  size_t scale = 0;
  while (nanos % 1000 == 0 && scale + 1 < kScales.size()) {
    nanos /= 1000;
    ++scale;
  }
  const auto mantissa = static_cast<int64_t>(nanos);
  if (exponents)
    return kScales[scale].first == 0 ? fmt::format("{}", mantissa)
                                     : fmt::format("{}e{}", mantissa, kScales[scale].first);
  return fmt::format("{}{}", mantissa, kScales[scale].second);
}

void apply_defaults(const KindInfo& kind, json::value& object) {
  if (json::value* metadata = kube::find(object, {"metadata"})) drop_empty(*metadata);
  if (kind.custom) return custom_defaults(object);
  if (json::value* spec = kube::find(object, {"spec"})) drop_empty(*spec);
  const std::string_view name = kind.type.kind;
  if (name == "StatefulSet") {
    apply_table(object, "spec", kStatefulSetDefaults);
    each_at(object, "spec.updateStrategy", [](json::object& strategy) {
      if (strategy.at("type") != json::value("RollingUpdate")) return;
      json::value& rolling = strategy["rollingUpdate"];
      if (!rolling.is_object()) rolling = json::object();
      if (!rolling.get_object().contains("partition")) rolling.get_object()["partition"] = 0;
    });
    each_at(object, "spec.template", [](json::object& pod) { pod.emplace("metadata", json::object()); });
    canonical_resources(object, "spec.volumeClaimTemplates[].spec.resources");
    pod_defaults(object, "spec.template.spec");
  } else if (name == "Job") {
    apply_table(object, "spec", kJobDefaults);
    pod_defaults(object, "spec.template.spec");
  } else if (name == "Pod") {
    pod_defaults(object, "spec");
    for (const char* list : {"spec.containers[].resources", "spec.initContainers[].resources"})
      each_at(object, list, request_what_is_limited);
  } else if (name == "Service") {
    service_defaults(object);
  } else if (name == "HorizontalPodAutoscaler") {
    autoscaler_defaults(object);
  } else if (name == "Event" && kind.type.group == "events.k8s.io") {
    object.as_object().emplace("deprecatedSource", json::object());
  } else if (name == "Secret") {
    object.as_object().emplace("type", "Opaque");
  }
}

}  // namespace fmesh::sim
