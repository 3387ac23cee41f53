#include "operator/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <set>
#include <string_view>

#include "model/json.h"
#include "model/quantity.h"
#include "plan/cluster/command.h"

namespace fmesh::op {
namespace {

namespace json = boost::json;

using DefaultTable = std::multimap<std::string_view, json::value>;

// What the API server writes where nothing was given (Kubernetes API reference, "Defaults to"). "*" is any value: the
// field is computed, or another name of one that is compared.
constexpr std::pair<std::string_view, std::string_view> kDefaults[] = {
    {"terminationMessagePath", "\"/dev/termination-log\""},
    {"terminationMessagePolicy", "\"File\""},
    {"protocol", "\"TCP\""},
    {"timeoutSeconds", "1"},
    {"periodSeconds", "10"},
    {"successThreshold", "1"},
    {"failureThreshold", "3"},
    {"scheme", "\"HTTP\""},
    {"apiVersion", "\"v1\""},
    {"kind", "\"PersistentVolumeClaim\""},
    {"restartPolicy", "\"Always\""},
    {"dnsPolicy", "\"ClusterFirst\""},
    {"schedulerName", "\"default-scheduler\""},
    {"terminationGracePeriodSeconds", "30"},
    {"defaultMode", "420"},
    {"expirationSeconds", "3600"},
    {"divisor", "\"0\""},
    {"volumeMode", "\"Filesystem\""},
    {"revisionHistoryLimit", "10"},
    {"podManagementPolicy", "\"OrderedReady\""},
    {"updateStrategy", R"({"type":"RollingUpdate","rollingUpdate":{"partition":0}})"},
    {"updateStrategy", R"({"type":"RollingUpdate"})"},
    {"rollingUpdate", R"({"partition":0})"},
    {"persistentVolumeClaimRetentionPolicy", R"({"whenDeleted":"Retain","whenScaled":"Retain"})"},
    {"whenDeleted", "\"Retain\""},
    {"whenScaled", "\"Retain\""},
    {"imagePullPolicy", "*"},
    {"serviceAccount", "*"},
    {"clusterIPs", "*"},
    {"ipFamilies", "*"},
    {"ipFamilyPolicy", "*"},
    {"internalTrafficPolicy", "*"},
    {"sessionAffinity", "\"None\""},
    {"targetPort", "*"},
    {"type", "\"ClusterIP\""},
    {"status", "*"},
    {"creationTimestamp", "*"},
    {"selectPolicy", "\"Max\""},
    {"minReplicas", "1"},
};

const DefaultTable& defaults() {
  static const DefaultTable table = [] {
    DefaultTable parsed;
    for (const auto& [name, text] : kDefaults) parsed.emplace(name, text == "*" ? json::value("*") : json::parse(text));
    return parsed;
  }();
  return table;
}

// Lists whose items have names; their order means nothing.
std::string_view name_member(std::string_view list) {
  static const std::map<std::string_view, std::string_view> names = {{"volumes", "name"},
                                                                     {"volumeMounts", "mountPath"},
                                                                     {"imagePullSecrets", "name"},
                                                                     {"env", "name"},
                                                                     {"ports", "name"}};
  const auto found = names.find(list);
  return found == names.end() ? std::string_view() : found->second;
}

bool holds_quantities(std::string_view key) {
  static const std::set<std::string_view> maps = {"requests", "limits",       "minAllowed", "maxAllowed",
                                                  "capacity", "averageValue", "sizeLimit",  "value"};
  return maps.contains(key);
}

// Nothing, as far as the API server is concerned.
bool is_empty(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return true;
    case json::kind::bool_:
      return !value.get_bool();
    case json::kind::int64:
      return value.get_int64() == 0;
    case json::kind::uint64:
      return value.get_uint64() == 0;
    case json::kind::double_:
      return value.get_double() == 0;
    case json::kind::string:
      return value.get_string().empty();
    case json::kind::array:
      return value.get_array().empty();
    case json::kind::object:
      return value.get_object().empty();
  }
  return false;
}

bool is_default(std::string_view key, const json::value& value) {
  const auto [first, last] = defaults().equal_range(key);
  return std::any_of(first, last, [&](const auto& row) { return row.second == "*" || row.second == value; });
}

// What a person wrote for others to read: compared as it is.
bool is_free(std::string_view key) {
  static const std::set<std::string_view> keys = {"funcConfig", "sourceConfig", "sinkConfig",
                                                  "configs",    "config",       "discoveryTriggererConfig"};
  return keys.contains(key);
}

// Maps whose keys a person chose: no key of theirs is a default.
bool is_exact_map(std::string_view key) {
  static const std::set<std::string_view> keys = {"labels",     "nodeSelector", "matchLabels",
                                                  "selector",   "requests",     "limits",
                                                  "secretsMap", "sourceSpecs",  "customSerdeSources"};
  return keys.contains(key);
}

// Zero is a statement here, not the absence of one.
bool zero_counts(std::string_view key) {
  static const std::set<std::string_view> keys = {"replicas",
                                                  "runAsUser",
                                                  "runAsGroup",
                                                  "fsGroup",
                                                  "runAsNonRoot",
                                                  "allowPrivilegeEscalation",
                                                  "terminationGracePeriodSeconds"};
  return keys.contains(key);
}

std::string as_text(const json::value& value) {
  return value.is_string() ? std::string(value.get_string()) : json::serialize(value);
}

bool same_quantity(const json::value& left, const json::value& right) {
  const auto a = model::parse_quantity(as_text(left));
  const auto b = model::parse_quantity(as_text(right));
  return a && b && *a == *b;
}

bool same_number(const json::value& left, const json::value& right) {
  if (!left.is_number() || !right.is_number()) return false;
  if (left.is_double() || right.is_double()) return left.to_number<double>() == right.to_number<double>();
  return left == right;
}

std::optional<std::vector<std::string>> words(const json::value& value) {
  if (!value.is_array()) return std::nullopt;
  std::vector<std::string> out;
  for (const json::value& word : value.get_array()) {
    if (!word.is_string()) return std::nullopt;
    out.emplace_back(word.get_string());
  }
  return out;
}

// Items by name; of two with one name the later counts, as for a pod's variables. None if an item has no name.
std::optional<std::map<std::string, const json::value*>> by_name(const json::array& items, std::string_view member) {
  std::map<std::string, const json::value*> out;
  for (const json::value& item : items) {
    const json::object* object = item.if_object();
    const json::value* name = object ? object->if_contains(member) : nullptr;
    if (!name || !name->is_string()) return std::nullopt;
    out[std::string(name->get_string())] = &item;
  }
  return out;
}

// An autoscaler's behavior as the API server has it: whoever gives one rule gets the rest (Kubernetes,
// pkg/apis/autoscaling/v2: GenerateHPAScaleUpRules, GenerateHPAScaleDownRules).
json::object complete_behavior(json::object behavior) {
  static const json::value up = json::parse(
      R"({"stabilizationWindowSeconds":0,"selectPolicy":"Max","policies":[
          {"type":"Pods","value":4,"periodSeconds":15},{"type":"Percent","value":100,"periodSeconds":15}]})");
  static const json::value down =
      json::parse(R"({"selectPolicy":"Max","policies":[{"type":"Percent","value":100,"periodSeconds":15}]})");
  for (const char* direction : {"scaleUp", "scaleDown"}) {
    json::value& rules = behavior[direction];
    if (!rules.is_object()) rules.emplace_object();
    const json::value& usual = std::string_view(direction) == "scaleUp" ? up : down;
    for (const auto& rule : usual.get_object()) {
      if (!rules.get_object().contains(rule.key())) rules.get_object().emplace(rule.key(), rule.value());
    }
  }
  return behavior;
}

using Difference = std::optional<json::value>;

class Comparison {
 public:
  explicit Comparison(Defaults defaults) : completed_(defaults == Defaults::kOfServer) {}

  // `key` names the member that holds both, `around` the one that holds it.
  Difference compare(const json::value& wanted, const json::value& live, std::string_view key,
                     std::string_view around) const {
    if (is_nothing(wanted, key) && is_nothing(live, key)) return std::nullopt;
    if (is_free(key)) return wanted == live ? std::nullopt : Difference(json::value(kHidden));
    if (wanted.is_object() && live.is_object()) {
      if (completed_ && key == "behavior") {
        return objects(complete_behavior(wanted.get_object()), live.get_object(), key);
      }
      return objects(wanted.get_object(), live.get_object(), key);
    }
    if (wanted.is_array() && live.is_array()) return arrays(wanted, live, key, around);
    if (wanted == live || same_number(wanted, live)) return std::nullopt;
    if ((holds_quantities(key) || holds_quantities(around)) && same_quantity(wanted, live)) return std::nullopt;
    return shown(wanted, key);
  }

 private:
  // The same as if it were not there. In our own kinds a number or a truth value is written only if it was given.
  bool is_nothing(const json::value& value, std::string_view key) const {
    if (!is_empty(value)) return false;
    const bool zero = value.is_number() || value.is_bool();
    return !zero || (completed_ && !zero_counts(key));
  }

  static json::value shown(const json::value& wanted, std::string_view key) {
    if (key == "command" || key == "args" || key == "value") return kHidden;
    return wanted;
  }

  Difference objects(const json::object& wanted, const json::object& live, std::string_view key) const {
    json::object out;
    for (const auto& member : wanted) {
      const json::value* there = live.if_contains(member.key());
      if (!there && is_nothing(member.value(), member.key())) continue;
      const json::value nothing;
      if (Difference found = compare(member.value(), there ? *there : nothing, member.key(), key)) {
        out.emplace(member.key(), std::move(*found));
      }
    }
    for (const auto& member : live) {
      if (wanted.contains(member.key()) || is_nothing(member.value(), member.key())) continue;
      if (completed_ && may_be_added(key, member)) continue;
      out.emplace(member.key(), nullptr);
    }
    if (out.empty()) return std::nullopt;
    return out;
  }

  // By the API server, or, as for annotations, by others.
  static bool may_be_added(std::string_view key, const json::key_value_pair& member) {
    if (key == "annotations" || member.key() == "annotations") return true;
    return !is_exact_map(key) && is_default(member.key(), member.value());
  }

  Difference arrays(const json::value& wanted, const json::value& live, std::string_view key,
                    std::string_view around) const {
    if (key == "command") {
      if (wanted == live) return std::nullopt;
      const auto left = words(wanted);
      const auto right = words(live);
      if (left && right && plan::same_command(*left, *right)) return std::nullopt;
      return json::value(kHidden);
    }
    const json::array& left = wanted.get_array();
    const json::array& right = live.get_array();
    if (const std::string_view member = name_member(key); !member.empty()) {
      const auto left_names = by_name(left, member);
      const auto right_names = by_name(right, member);
      if (left_names && right_names) return named(*left_names, *right_names, member, key);
    }
    if (left.size() != right.size()) return shown(wanted, key);
    json::array out;
    for (size_t i = 0; i < left.size(); ++i) {
      Difference found = compare(left[i], right[i], key, around);
      if (!found) continue;
      if (found->is_object()) put_name(*found, left[i], "name");
      out.push_back(std::move(*found));
    }
    if (out.empty()) return std::nullopt;
    return out;
  }

  Difference named(const std::map<std::string, const json::value*>& wanted,
                   const std::map<std::string, const json::value*>& live, std::string_view member,
                   std::string_view key) const {
    json::array out;
    for (const auto& [name, item] : wanted) {
      const auto there = live.find(name);
      const json::value nothing = json::object();
      Difference found = compare(*item, there == live.end() ? nothing : *there->second, key, {});
      if (!found) continue;
      if (found->is_object()) put_name(*found, *item, member);
      out.push_back(std::move(*found));
    }
    for (const auto& [name, item] : live) {
      if (!wanted.contains(name)) out.push_back(json::object{{member, name}, {"$patch", "delete"}});
    }
    if (out.empty()) return std::nullopt;
    return out;
  }

  static void put_name(json::value& found, const json::value& item, std::string_view member) {
    if (!item.is_object()) return;
    if (const json::value* name = item.get_object().if_contains(member)) {
      found.get_object().insert_or_assign(member, *name);
    }
  }

  const bool completed_;  // by the API server's defaults
};

void collect(const json::value& value, const std::string& path, size_t count_max, std::vector<std::string>& out) {
  if (out.size() > count_max) return;
  if (value.is_object()) {
    for (const auto& member : value.get_object()) {
      if (member.key() == "name" && value.get_object().size() > 1) continue;
      collect(member.value(), path.empty() ? std::string(member.key()) : path + "." + std::string(member.key()),
              count_max, out);
    }
    return;
  }
  if (value.is_array()) {
    for (const json::value& item : value.get_array()) {
      const json::object* object = item.if_object();
      const json::value* name = object ? object->if_contains("name") : nullptr;
      collect(item, name && name->is_string() ? fmt::format("{}[{}]", path, as_text(*name)) : path, count_max, out);
    }
    return;
  }
  if (out.empty() || out.back() != path) out.push_back(path);
}

}  // namespace

std::optional<json::value> difference(const json::value& wanted, const json::value& live, Defaults defaults) {
  return Comparison(defaults).compare(wanted, live, {}, {});
}

std::string list_changes(const json::value& difference, size_t count_max) {
  std::vector<std::string> paths;
  collect(difference, "", count_max, paths);
  std::string out;
  for (size_t i = 0; i < paths.size() && i < count_max; ++i) out += (i > 0 ? ", " : "") + paths[i];
  return paths.size() > count_max ? out + ", and more" : out;
}

std::string fingerprint(const json::value& value) {
  // FNV-1a, 64 bit (Fowler, Noll, Vo): stable over versions and machines.
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : model::write_json(value, {.order = model::KeyOrder::kSorted})) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  }
  return fmt::format("{:016x}", hash);
}

}  // namespace fmesh::op
