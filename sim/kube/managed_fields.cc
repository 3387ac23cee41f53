#include "sim/kube/managed_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <set>
#include <utility>
#include <vector>

#include "kube/json.h"

namespace fmesh::sim {
namespace json = boost::json;
namespace {

// A path of FieldsV1 steps: "f:spec", "k:{\"name\":\"a\"}", "v:\"x\"", and "." for a list's item itself.
using FieldPath = std::vector<std::string>;
using FieldSet = std::set<FieldPath>;

struct ListRule {
  std::string_view field;
  std::array<std::string_view, 2> keys;  // the second may be empty
};
constexpr std::array kListMaps = {
    ListRule{"containers", {"name", ""}},
    ListRule{"initContainers", {"name", ""}},
    ListRule{"env", {"name", ""}},
    ListRule{"volumes", {"name", ""}},
    ListRule{"volumeMounts", {"mountPath", ""}},
    ListRule{"imagePullSecrets", {"name", ""}},
    ListRule{"ownerReferences", {"uid", ""}},
    ListRule{"conditions", {"type", ""}},
    ListRule{"hostAliases", {"ip", ""}},
    ListRule{"topologySpreadConstraints", {"topologyKey", "whenUnsatisfiable"}},
};
constexpr std::array<std::string_view, 9> kAtomic = {"regarding",       "related",      "selector",
                                                     "nodeSelector",    "fieldRef",     "resourceFieldRef",
                                                     "configMapKeyRef", "secretKeyRef", "volumeClaimTemplates"};

enum class Shape { kLeaf, kStruct, kListMap, kListSet };

struct Walker {
  const KindInfo& kind;

  Shape shape(std::string_view field, const json::value& value, bool in_metadata) const {
    if (value.is_object()) {
      if (value.get_object().empty()) return Shape::kLeaf;
      const bool atomic = !kind.custom && std::find(kAtomic.begin(), kAtomic.end(), field) != kAtomic.end();
      return atomic ? Shape::kLeaf : Shape::kStruct;
    }
    if (!value.is_array() || value.get_array().empty()) return Shape::kLeaf;
    if (in_metadata && field == "finalizers") return Shape::kListSet;
    if (kind.custom && !in_metadata) return Shape::kLeaf;
    return key_fields(field, value.get_array()[0]).empty() ? Shape::kLeaf : Shape::kListMap;
  }

  // Items that have one owner each, not one per field.
  static bool whole_items(std::string_view field) { return field == "ownerReferences" || field == "imagePullSecrets"; }

  // Items with one key can't be told apart, so they are owned together.
  bool twice(std::string_view field, const json::array& array, const std::string& key) const {
    return std::count_if(array.begin(), array.end(),
                         [&](const json::value& item) { return item_key(field, item) == key; }) > 1;
  }

  // Nothing is in it, so nothing is owned of it.
  static bool empty_list_map(std::string_view field, const json::value& value) {
    if (!value.is_array() || !value.get_array().empty()) return false;
    return field == "ports" ||
           std::any_of(kListMaps.begin(), kListMaps.end(), [&](const ListRule& rule) { return rule.field == field; });
  }

  // The server gives these after it noted who owns what.
  bool allocated(std::string_view field) const {
    if (kind.type == kube::kEvent) return field == "deprecatedSource";
    return kind.type == kube::kService && (field == "clusterIPs" || field == "ipFamilies" || field == "ipFamilyPolicy");
  }

  std::vector<std::string_view> key_fields(std::string_view field, const json::value& item) const {
    if (field == "ports") {
      const bool container = kube::find(item, {"containerPort"});
      return {container ? "containerPort" : "port", "protocol"};
    }
    for (const ListRule& rule : kListMaps) {
      if (rule.field != field) continue;
      if (rule.keys[1].empty()) return {rule.keys[0]};
      return {rule.keys[0], rule.keys[1]};
    }
    return {};
  }

  std::string item_key(std::string_view field, const json::value& item) const {
    json::object key;
    for (const std::string_view name : key_fields(field, item)) {
      const json::value* value = kube::find(item, {name});
      if (value) key[name] = *value;
      if (!value && name == "protocol") key[name] = "TCP";  // as the server defaults it
    }
    return "k:" + json::serialize(key);
  }

  void extract(std::string_view field, const json::value& value, const FieldPath& path, FieldSet& set) const {
    if (empty_list_map(field, value) || allocated(field)) return;
    const bool in_metadata = !path.empty() && path[0] == "f:metadata";
    switch (shape(field, value, in_metadata)) {
      case Shape::kLeaf:
        set.insert(path);
        break;
      case Shape::kStruct:
        for (const auto& [key, part] : value.get_object()) {
          FieldPath next = path;
          next.push_back("f:" + std::string(key));
          extract(key, part, next, set);
        }
        break;
      case Shape::kListMap:
        for (const json::value& item : value.get_array()) {
          FieldPath next = path;
          next.push_back(item_key(field, item));
          if (whole_items(field) || twice(field, value.get_array(), next.back())) {
            set.insert(std::move(next));
            continue;
          }
          FieldPath self = next;
          self.emplace_back(".");
          set.insert(std::move(self));
          if (item.is_object()) {
            for (const auto& [key, part] : item.get_object()) {
              FieldPath deeper = next;
              deeper.push_back("f:" + std::string(key));
              extract(key, part, deeper, set);
            }
          }
        }
        break;
      case Shape::kListSet:
        for (const json::value& item : value.get_array()) {
          FieldPath next = path;
          next.push_back("v:" + json::serialize(item));
          set.insert(std::move(next));
        }
        break;
    }
  }

  FieldSet fields(const json::value& object) const {
    FieldSet set;
    if (!object.is_object()) return set;
    for (const auto& [key, part] : object.get_object()) {
      if (key == "apiVersion" || key == "kind") continue;
      if (key != "metadata") {
        extract(key, part, {"f:" + std::string(key)}, set);
        continue;
      }
      if (!part.is_object()) continue;
      for (const auto& [name, value] : part.get_object()) {
        if (name == "labels" || name == "annotations" || name == "ownerReferences" || name == "finalizers")
          extract(name, value, {"f:metadata", "f:" + std::string(name)}, set);
      }
    }
    return set;
  }

  // The value at a path; null if there is none.
  const json::value* at(const json::value& root, const FieldPath& path) const {
    const json::value* value = &root;
    std::string_view field;
    for (const std::string& step : path) {
      if (step == ".") return value;
      if (step.starts_with("f:")) {
        field = std::string_view(step).substr(2);
        value = kube::find(*value, {field});
      } else {
        value = item(value->if_array(), field, step);
      }
      if (!value) return nullptr;
    }
    return value;
  }

  const json::value* item(const json::array* array, std::string_view field, const std::string& step) const {
    if (!array) return nullptr;
    for (const json::value& candidate : *array) {
      const std::string key = step.starts_with("v:") ? "v:" + json::serialize(candidate) : item_key(field, candidate);
      if (key == step) return &candidate;
    }
    return nullptr;
  }

  void erase(json::value& root, const FieldPath& path) const {
    const bool whole_item = path.back() == ".";
    const size_t parents = path.size() - (whole_item ? 2 : 1);
    const FieldPath parent_path(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(parents));
    auto* parent = const_cast<json::value*>(at(root, parent_path));
    if (!parent) return;
    const std::string& step = path[parents];
    if (step.starts_with("f:")) {
      if (json::object* object = parent->if_object()) object->erase(std::string_view(step).substr(2));
      return;
    }
    json::array* array = parent->if_array();
    const std::string_view field = parents > 0 ? std::string_view(path[parents - 1]).substr(2) : std::string_view();
    const json::value* found = item(array, field, step);
    if (found) array->erase(array->begin() + (found - array->data()));
  }

  void merge(std::string_view field, json::value& live, const json::value& applied, bool in_metadata) const {
    switch (shape(field, applied, in_metadata)) {
      case Shape::kLeaf:
        if (applied.is_object() && applied.get_object().empty() && live.is_object()) return;
        if (empty_list_map(field, applied) && live.is_array()) return;
        live = applied;
        return;
      case Shape::kStruct:
        if (!live.is_object()) live = json::object();
        for (const auto& [key, part] : applied.get_object())
          merge(key, live.get_object()[key], part, in_metadata || key == "metadata");
        return;
      case Shape::kListMap:
      case Shape::kListSet:
        if (!live.is_array()) live = json::array();
        for (const json::value& part : applied.get_array()) {
          const bool set = shape(field, applied, in_metadata) == Shape::kListSet;
          const std::string step = set ? "v:" + json::serialize(part) : item_key(field, part);
          auto* found = const_cast<json::value*>(item(&live.get_array(), field, step));
          if (!found) {
            live.get_array().push_back(part);
          } else if (whole_items(field)) {
            *found = part;
          } else if (part.is_object()) {
            for (const auto& [key, value] : part.get_object()) merge(key, found->as_object()[key], value, in_metadata);
          }
        }
        return;
    }
  }
};

json::object to_fields(const FieldSet& set) {
  json::object root;
  for (const FieldPath& path : set) {
    json::object* at = &root;
    for (const std::string& step : path) {
      json::value& next = (*at)[step];
      if (!next.is_object()) next = json::object();
      at = &next.get_object();
    }
  }
  return root;
}

void from_fields(const json::object& fields, FieldPath& path, FieldSet& set) {
  if (fields.empty() && !path.empty()) set.insert(path);
  for (const auto& [step, below] : fields) {
    path.emplace_back(step);
    // "f:labels": {".": {}, ...}: the map itself, which only matters for items of lists.
    const bool self_of_map = step == "." && !(path.size() > 1 && path[path.size() - 2].starts_with("k:"));
    if (!self_of_map && below.is_object()) from_fields(below.get_object(), path, set);
    path.pop_back();
  }
}

struct Entry {
  std::string manager, operation, subresource, api_version, time;
  FieldSet set;
};

std::vector<Entry> entries_of(const json::value& object) {
  std::vector<Entry> entries;
  const json::value* list = kube::find(object, {"metadata", "managedFields"});
  if (!list || !list->is_array()) return entries;
  for (const json::value& item : list->get_array()) {
    Entry entry{.manager = std::string(kube::string_at(item, {"manager"})),
                .operation = std::string(kube::string_at(item, {"operation"})),
                .subresource = std::string(kube::string_at(item, {"subresource"})),
                .api_version = std::string(kube::string_at(item, {"apiVersion"})),
                .time = std::string(kube::string_at(item, {"time"})),
                .set = {}};
    FieldPath path;
    const json::value* fields = kube::find(item, {"fieldsV1"});
    if (fields && fields->is_object()) from_fields(fields->get_object(), path, entry.set);
    if (!entry.set.empty()) entries.push_back(std::move(entry));
  }
  return entries;
}

void write_entries(json::value& object, const std::vector<Entry>& entries) {
  json::array list;
  for (const Entry& entry : entries) {
    if (entry.set.empty()) continue;
    json::object item = {{"manager", entry.manager},        {"operation", entry.operation},
                         {"apiVersion", entry.api_version}, {"time", entry.time},
                         {"fieldsType", "FieldsV1"},        {"fieldsV1", to_fields(entry.set)}};
    if (!entry.subresource.empty()) item["subresource"] = entry.subresource;
    list.push_back(std::move(item));
  }
  json::object& metadata = object.as_object()["metadata"].as_object();
  metadata.erase("managedFields");
  if (!list.empty()) metadata["managedFields"] = std::move(list);
}

Entry& entry_for(std::vector<Entry>& entries, const KindInfo& kind, const std::string& manager, const char* operation,
                 const std::string& subresource) {
  for (Entry& entry : entries) {
    if (entry.manager == manager && entry.operation == operation && entry.subresource == subresource) return entry;
  }
  entries.push_back({manager, operation, subresource, kind.type.api_version(), "", {}});
  return entries.back();
}

// ".spec.template.spec.containers[name=\"main\"].image"
std::string readable(const FieldPath& path) {
  std::string text;
  for (const std::string& step : path) {
    if (step.starts_with("f:")) {
      text += "." + step.substr(2);
    } else if (step.starts_with("v:")) {
      text += "[=" + step.substr(2) + "]";
    } else if (step != ".") {
      std::string keys;
      const json::value key = json::parse(step.substr(2));
      for (const auto& [name, value] : key.as_object())
        keys += fmt::format("{}{}={}", keys.empty() ? "" : ",", std::string_view(name), json::serialize(value));
      text += "[" + keys + "]";
    }
  }
  return text;
}

bool owned_below(const FieldSet& set, const FieldPath& prefix) {
  const auto at = set.lower_bound(prefix);
  return at != set.end() && at->size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), at->begin());
}

}  // namespace

void own_changes(const KindInfo& kind, const json::object& before, json::value& after, const std::string& manager,
                 const std::string& subresource, const std::string& time) {
  const Walker walker{kind};
  const json::value old(before);
  const FieldSet had = walker.fields(old), has = walker.fields(after);
  FieldSet changed;
  for (const FieldPath& path : has) {
    if (!had.contains(path) || (path.back() != "." && *walker.at(old, path) != *walker.at(after, path)))
      changed.insert(path);
  }
  std::vector<Entry> entries = entries_of(after);
  for (Entry& entry : entries) {
    std::erase_if(entry.set, [&](const FieldPath& path) {
      return changed.contains(path) || (had.contains(path) && !has.contains(path));
    });
  }
  if (!changed.empty()) {
    Entry& mine = entry_for(entries, kind, manager, "Update", subresource);
    mine.set.merge(changed);
    mine.time = time;
  }
  write_entries(after, entries);
}

void own_applied(const KindInfo& kind, json::value& stored, const json::value& applied, const std::string& manager,
                 const std::string& subresource, const std::string& time) {
  std::vector<Entry> entries = entries_of(stored);
  Entry& mine = entry_for(entries, kind, manager, "Apply", subresource);
  mine.set = Walker{kind}.fields(applied);
  mine.time = time;
  write_entries(stored, entries);
}

Applied server_side_apply(const KindInfo& kind, const json::value& live, const json::value& applied,
                          const std::string& manager, const std::string& subresource, bool force,
                          const std::string& time) {
  const Walker walker{kind};
  const FieldSet wanted = walker.fields(applied);
  std::vector<Entry> entries = entries_of(live);
  Applied result;
  for (Entry& entry : entries) {
    if (entry.manager == manager && entry.operation == "Apply" && entry.subresource == subresource) continue;
    for (const FieldPath& path : wanted) {
      if (path.back() == "." || !entry.set.contains(path)) continue;
      const json::value* there = walker.at(live, path);
      if (there && *there == *walker.at(applied, path)) continue;
      if (force) {
        entry.set.erase(path);
      } else {
        result.conflicts.push_back({entry.manager, readable(path)});
      }
    }
  }
  if (!result.conflicts.empty()) return result;

  json::value& merged = result.object;
  merged = live;
  for (const auto& [key, part] : applied.get_object()) {
    if (key == "apiVersion" || key == "kind") continue;
    walker.merge(key, merged.as_object()[key], part, key == "metadata");
  }
  Entry& mine = entry_for(entries, kind, manager, "Apply", subresource);
  for (const FieldPath& path : mine.set) {
    if (wanted.contains(path)) continue;
    FieldPath prefix = path;
    if (prefix.back() == ".") prefix.pop_back();
    if (owned_below(wanted, prefix)) continue;  // a leaf became a struct, or the item stays
    const bool shared = std::any_of(entries.begin(), entries.end(), [&](const Entry& entry) {
      return &entry != &mine && owned_below(entry.set, prefix);
    });
    if (!shared) walker.erase(merged, path);
  }
  if (mine.set != wanted) mine.time = time;
  mine.set = wanted;
  write_entries(merged, entries);
  return result;
}

bool same_owners(const json::value& left, const json::value& right) {
  const auto key = [](const json::value& object) {
    std::set<std::pair<std::string, FieldSet>> owners;
    for (Entry& entry : entries_of(object))
      owners.insert({entry.manager + "/" + entry.operation + "/" + entry.subresource, std::move(entry.set)});
    return owners;
  };
  return key(left) == key(right);
}

}  // namespace fmesh::sim
