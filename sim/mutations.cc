#include "sim/mutations.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cctype>
#include <limits>
#include <map>

#include "model/schema.h"

namespace fmesh::sim {
namespace json = boost::json;
using model::FieldInfo;
using model::FieldType;
using model::Kinds;

namespace {

constexpr int kManyItems = 40;
constexpr size_t kLongText = 4'000;
constexpr const char* kMapKey = "key";

struct KubernetesPart {
  const char* usual;
  const char* large;
};

// What a field of a Kubernetes type holds, by its name.
const std::map<std::string_view, KubernetesPart>& kubernetes_parts() {
  static const std::map<std::string_view, KubernetesPart> parts = {
      {"affinity",
       {R"({"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":1,"preference":
            {"matchExpressions":[{"key":"k","operator":"Exists"}]}}]}})",
        R"({"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"zone",
            "labelSelector":{"matchLabels":{"a":"b"}}}]}})"}},
      {"tolerations",
       {R"([{"key":"k","operator":"Exists"}])",
        R"([{"key":"k","operator":"Equal","value":"v","effect":"NoExecute","tolerationSeconds":5},{"operator":"Exists"}])"}},
      {"securityContext", {R"({"runAsUser":1})", R"({"runAsUser":0,"runAsGroup":5,"fsGroup":7,"runAsNonRoot":false})"}},
      {"volumes",
       {R"([{"name":"v","emptyDir":{}}])",
        R"([{"name":"v","emptyDir":{"sizeLimit":"1024Mi"}},{"name":"w","configMap":{"name":"c"}},{"name":"x","secret":{"secretName":"s"}}])"}},
      {"imagePullSecrets", {R"([{"name":"p"}])", R"([{"name":"p"},{"name":"q"}])"}},
      {"initContainers",
       {R"([{"name":"before","image":"i","volumeMounts":[{"name":"v","mountPath":"/v"}]}])",
        R"([{"name":"before","image":"i:2","command":["sh","-c","true"]},{"name":"second","image":"j"}])"}},
      {"sidecars",
       {R"([{"name":"beside","image":"i","env":[{"name":"A","value":"1"}]}])",
        R"([{"name":"beside","image":"i","ports":[{"containerPort":1234}],"livenessProbe":{"httpGet":{"path":"/","port":1}}},
            {"name":"second","image":"j","resources":{"limits":{"cpu":"1000m"}}}])"}},
      {"autoScalingMetrics",
       {R"([{"type":"Pods","pods":{"metric":{"name":"m"},"target":{"type":"AverageValue","averageValue":"1000m"}}}])",
        R"([{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":5}}},
            {"type":"Pods","pods":{"metric":{"name":"m"},"target":{"type":"AverageValue","averageValue":"2"}}}])"}},
      {"autoScalingBehavior",
       {R"({"scaleUp":{"policies":[{"type":"Pods","value":1,"periodSeconds":15}]}})",
        R"({"scaleUp":{"stabilizationWindowSeconds":5},"scaleDown":{"selectPolicy":"Disabled"}})"}},
      {"env",
       {R"([{"name":"A","value":"1"},{"name":"B","value":"$(A)2"}])",
        R"([{"name":"A","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}},{"name":"C","value":"3"},
            {"name":"D","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}])"}},
      {"startupProbe",
       {R"({"httpGet":{"path":"/","port":9094},"periodSeconds":7})",
        R"({"httpGet":{"path":"/","port":9094},"failureThreshold":30,"timeoutSeconds":9,"initialDelaySeconds":3})"}},
      {"volumeMounts",
       {R"([{"name":"v","mountPath":"/mine"}])",
        R"([{"name":"v","mountPath":"/mine","readOnly":true},{"name":"v","mountPath":"/other","subPath":"p"}])"}},
      {"volumeClaimTemplates",
       {R"([{"metadata":{"name":"claim"},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}])",
        R"([{"metadata":{"name":"claim"},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"2048Mi"}}}},
            {"metadata":{"name":"second"},"spec":{"accessModes":["ReadWriteMany"],"storageClassName":"fast"}}])"}},
      {"claims", {R"([{"name":"gpu"}])", R"([{"name":"gpu"},{"name":"disk"}])"}},
      {"resourcePolicy",
       {R"({"containerPolicies":[{"containerName":"*","minAllowed":{"cpu":"100m"}}]})",
        R"({"containerPolicies":[{"containerName":"*","minAllowed":{"cpu":"0.1"},"maxAllowed":{"memory":"1024Mi"}}]})"}}};
  return parts;
}

// Text that a rule asks to be of some form; anything else is the field's name.
std::string usual_text(const FieldInfo& field) {
  static const std::map<std::string_view, const char*> texts = {
      {"jarLocation", "http://files/f.jar"},
      {"pyLocation", "function://t/n/f@1"},
      {"goLocation", "https://files/f"},
      {"language", "nodejs"},
      {"imagePullPolicy", "Always"},
      {"whenDeleted", "Delete"},
      {"whenScaled", "Delete"},
      {"batchBuilder", "KEY_BASED"},
      {"producerCryptoFailureAction", "FAIL"},
      {"consumerCryptoFailureAction", "DISCARD"},
      {"builtinAutoscaler", "AverageUtilizationCPUPercent80"}};
  if (const auto found = texts.find(field.name); found != texts.end()) return found->second;
  if (!field.values.empty()) return std::string(field.values.front());
  std::string text(field.name);
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char byte) { return std::tolower(byte); });
  return text;
}

json::value part_of(const FieldInfo& field, bool large) {
  const auto found = kubernetes_parts().find(field.name);
  if (found != kubernetes_parts().end()) return json::parse(large ? found->second.large : found->second.usual);
  if (field.type() == FieldType::kJsonList) return json::array{json::object{{"name", std::string(field.name)}}};
  json::object any{{"a", 1}, {"b", json::object{{"c", json::array{"d"}}}}};
  if (large) {
    for (int index = 0; index < kManyItems; ++index) any["n" + std::to_string(index)] = std::string(100, 'x');
    any["b"] = json::array{nullptr, false, 1.5, std::numeric_limits<int64_t>::max(), json::object{{"", ""}}};
  }
  return any;
}

json::array many_texts(const FieldInfo& field) {
  json::array out;
  for (int index = 0; index < kManyItems; ++index)
    out.push_back(json::value(usual_text(field) + std::to_string(index)));
  return out;
}

// With an item of a mesh, the second of a name would be refused.
json::array many_objects(const FieldInfo& field, Kinds kinds) {
  json::array out;
  for (int index = 0; index < 3; ++index) {
    json::object item = usual_value(field, kinds).at(0).as_object();
    if (item.contains("name")) item["name"] = "item-" + std::to_string(index);
    if (item.contains("asVolume")) item["asVolume"] = "/volume-" + std::to_string(index);
    out.push_back(std::move(item));
  }
  return out;
}

int64_t largest_integer(const FieldInfo& field) {
  return field.type() == FieldType::kInt32 ? std::numeric_limits<int32_t>::max() : std::numeric_limits<int64_t>::max();
}

class Walk {
 public:
  void walk(const model::StructInfo& info, Kinds kinds, const model::Path& path, const std::string& pointer) {
    for (const FieldInfo& field : info.fields) {
      if (!(field.kinds & kinds)) continue;
      const Kinds inside = model::kinds_inside(kinds, field.name);
      const model::Path here = path / field.name;
      const std::string place = pointer + "/" + std::string(field.name);
      places.push_back({here, place, &field, inside});
      const model::StructInfo* structure = field.storage->structure();
      if (!structure) continue;
      if (field.type() == FieldType::kStruct) walk(*structure, inside, here, place);
      if (field.type() == FieldType::kStructList) walk(*structure, inside, here[0], place + "/0");
      if (field.type() == FieldType::kStructMap) walk(*structure, inside, here / kMapKey, place + "/" + kMapKey);
    }
  }
  std::vector<FieldPlace> places;
};

std::vector<std::string> steps_of(const std::string& pointer) {
  std::vector<std::string> steps;
  for (size_t at = 0; at < pointer.size();) {
    const size_t next = std::min(pointer.find('/', at + 1), pointer.size());
    steps.push_back(pointer.substr(at + 1, next - at - 1));
    at = next;
  }
  return steps;
}

bool is_index(const std::string& step) {
  return !step.empty() && step.find_first_not_of("0123456789") == std::string::npos;
}

}  // namespace

std::vector<FieldPlace> places_of(model::Kind kind) {
  Walk walk;
  walk.walk(model::spec_info(kind), static_cast<Kinds>(kind), model::Path::of("spec"), "/spec");
  return std::move(walk.places);
}

json::object full_object(const model::StructInfo& info, Kinds kinds) {
  json::object out;
  for (const FieldInfo& field : info.fields) {
    if (field.kinds & kinds) out[field.name] = usual_value(field, model::kinds_inside(kinds, field.name));
  }
  return out;
}

json::value usual_value(const FieldInfo& field, Kinds kinds) {
  switch (field.type()) {
    case FieldType::kString:
      return json::value(usual_text(field));
    case FieldType::kBool:
      return true;
    case FieldType::kInt32:
    case FieldType::kInt64:
      return 3;
    case FieldType::kStringList:
      return json::array{json::value(usual_text(field))};
    case FieldType::kStringMap:
      return json::object{{"app", "x"}, {"k", "y"}};
    case FieldType::kQuantityMap:
      return json::object{{"cpu", "100m"}, {"memory", "1Gi"}};
    case FieldType::kStruct:
      return full_object(*field.storage->structure(), kinds);
    case FieldType::kStructList:
      return json::array{full_object(*field.storage->structure(), kinds)};
    case FieldType::kStructMap:
      return json::object{{kMapKey, full_object(*field.storage->structure(), kinds)}};
    case FieldType::kJson:
    case FieldType::kJsonList:
      return part_of(field, false);
  }
  return nullptr;
}

json::value smallest_value(const FieldInfo& field, Kinds) {
  switch (field.type()) {
    case FieldType::kString:
      return "";
    case FieldType::kBool:
      return false;
    case FieldType::kInt32:
    case FieldType::kInt64:
      return field.minimum.value_or(-largest_integer(field) - 1);
    case FieldType::kStringList:
    case FieldType::kStructList:
    case FieldType::kJsonList:
      return json::array();
    case FieldType::kStringMap:
    case FieldType::kQuantityMap:
    case FieldType::kStruct:
    case FieldType::kStructMap:
    case FieldType::kJson:
      return json::object();
  }
  return nullptr;
}

json::value largest_value(const FieldInfo& field, Kinds kinds) {
  switch (field.type()) {
    case FieldType::kString:
      return field.values.empty() ? json::value(std::string(kLongText, 'x')) : json::value(field.values.back());
    case FieldType::kBool:
      return true;
    case FieldType::kInt32:
    case FieldType::kInt64:
      return largest_integer(field);
    case FieldType::kStringList:
      return many_texts(field);
    case FieldType::kStringMap: {
      json::object map;
      for (int index = 0; index < kManyItems; ++index) map["n" + std::to_string(index)] = std::string(60, 'x');
      return map;
    }
    case FieldType::kQuantityMap:
      return json::object{{"cpu", "1000"}, {"memory", "1024Gi"}, {"ephemeral-storage", 5}, {"example.com/gpu", "3"}};
    case FieldType::kStruct:
      return full_object(*field.storage->structure(), kinds);
    case FieldType::kStructList:
      return many_objects(field, kinds);
    case FieldType::kStructMap: {
      json::object map;
      for (int index = 0; index < kManyItems; ++index)
        map["key-" + std::to_string(index)] = full_object(*field.storage->structure(), kinds);
      return map;
    }
    case FieldType::kJson:
    case FieldType::kJsonList:
      return part_of(field, true);
  }
  return nullptr;
}

std::vector<WrongValue> wrong_values(const FieldInfo& field) {
  const json::value text = "text", number = 7, truth = true, list = json::array(), map = json::object();
  switch (field.type()) {
    case FieldType::kString: {
      std::vector<WrongValue> wrong = {{number, ""}, {truth, ""}, {list, ""}, {map, ""}};
      if (!field.values.empty()) wrong.push_back({"none of these", ""});
      return wrong;
    }
    case FieldType::kBool:
      return {{text, ""}, {number, ""}, {list, ""}, {map, ""}};
    case FieldType::kInt32:
    case FieldType::kInt64: {
      std::vector<WrongValue> wrong = {{text, ""}, {truth, ""}, {list, ""}, {map, ""}, {1.5, ""}, {1e300, ""}};
      if (field.type() == FieldType::kInt32) wrong.push_back({largest_integer(field) + 1, ""});
      if (field.minimum) wrong.push_back({*field.minimum - 1, ""});
      return wrong;
    }
    case FieldType::kStringList:
      return {{text, ""}, {number, ""}, {map, ""}, {json::array{number}, "[0]"}, {json::array{"a", list}, "[1]"}};
    case FieldType::kStringMap:
      return {
          {text, ""}, {number, ""}, {list, ""}, {json::object{{"k", number}}, ".k"}, {json::object{{"k", map}}, ".k"}};
    case FieldType::kQuantityMap:
      return {{text, ""},
              {number, ""},
              {list, ""},
              {json::object{{"cpu", truth}}, ".cpu"},
              {json::object{{"cpu", "much"}}, ".cpu"}};
    case FieldType::kStruct:
      return {{text, ""}, {number, ""}, {list, ""}};
    case FieldType::kStructList:
      return {{text, ""}, {number, ""}, {map, ""}, {json::array{text}, "[0]"}};
    case FieldType::kStructMap:
      return {{text, ""}, {number, ""}, {list, ""}, {json::object{{"k", text}}, ".k"}};
    case FieldType::kJson:
      return {{text, ""}, {number, ""}, {list, ""}};
    case FieldType::kJsonList:
      return {{text, ""}, {number, ""}, {map, ""}, {json::array{text}, "[0]"}};
  }
  return {};
}

void put_at(json::value& resource, const std::string& pointer, const json::value& value) {
  json::value* at = &resource;
  for (const std::string& step : steps_of(pointer)) {
    if (is_index(step)) {
      if (!at->is_array()) *at = json::array();
      json::array& items = at->get_array();
      const size_t index = std::stoul(step);
      if (items.size() <= index) items.resize(index + 1);
      at = &items[index];
    } else {
      if (!at->is_object()) *at = json::object();
      at = &at->get_object()[step];
    }
  }
  *at = value;
}

bool take_at(json::value& resource, const std::string& pointer) {
  const size_t slash = pointer.rfind('/');
  boost::system::error_code error;
  json::value* parent = resource.find_pointer(pointer.substr(0, slash), error);
  return parent && parent->is_object() && parent->get_object().erase(pointer.substr(slash + 1)) > 0;
}

const json::value* value_at(const json::value& resource, const std::string& pointer) {
  boost::system::error_code error;
  return resource.find_pointer(pointer, error);
}

}  // namespace fmesh::sim
