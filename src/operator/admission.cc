#include "operator/admission.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "kube/json.h"
#include "model/defaults.h"
#include "model/fields.h"
#include "model/findings.h"
#include "model/json.h"
#include "model/live.h"
#include "model/quantity.h"
#include "model/validate.h"

namespace fmesh::op {
namespace {

namespace json = boost::json;
using model::Component;
using model::Diagnostic;
using model::Diagnostics;
using model::FieldInfo;
using model::FieldType;
using model::Kind;
using model::Kinds;
using model::Path;
using model::Severity;

// The random part that the API server gives to a name made from generateName.
constexpr const char* kGeneratedSuffix = "00000";
constexpr Kinds kMeshParts[] = {model::kSo, model::kF, model::kSi};
constexpr const char* kMeshPartNames[] = {"sources", "functions", "sinks"};

std::string_view kind_of(const json::value& object) { return kube::string_at(object, {"kind"}); }

bool is_component(std::string_view kind) { return kind == "Function" || kind == "Source" || kind == "Sink"; }

Kinds component_kind(std::string_view kind) {
  return kind == "Function" ? model::kF : kind == "Source" ? model::kSo : model::kSi;
}

// --- unknown fields ---

class Pruner {
 public:
  Pruner(Kinds kind, std::vector<std::string>& warnings) : kind_(kind), warnings_(warnings) {}

  void prune(const model::StructInfo& info, json::value& value, const Path& path) {
    json::object* object = value.if_object();
    if (!object) return;
    std::vector<std::string> unknown;
    for (auto& [key, inner] : *object) {
      const FieldInfo* field = info.find(key, kind_);
      if (field) {
        prune_field(*field, inner, path / key);
      } else {
        unknown.emplace_back(key);
      }
    }
    for (const std::string& key : unknown) {
      warn(info, key, path / key);
      object->erase(key);
    }
  }

 private:
  void prune_field(const FieldInfo& field, json::value& value, const Path& path) {
    const FieldType type = field.type();
    if (type == FieldType::kStruct) {
      prune(*field.storage->structure(), value, path);
    } else if (type == FieldType::kStructList && value.is_array()) {
      for (size_t index = 0; index < value.get_array().size(); ++index) {
        prune(*field.storage->structure(), value.get_array()[index], path[index]);
      }
    } else if (type == FieldType::kStructMap && value.is_object()) {
      for (auto& [key, inner] : value.get_object()) prune(*field.storage->structure(), inner, path / key);
    }
  }

  void warn(const model::StructInfo& info, const std::string& key, const Path& path) {
    std::vector<std::string_view> names;
    for (const FieldInfo& field : info.fields) {
      if (field.kinds & kind_) names.push_back(field.name);
    }
    const std::string_view near = model::closest(key, names);
    warnings_.push_back(fmt::format("{}: no such field, it is removed{}", path.to_string(),
                                    near.empty() ? std::string() : fmt::format("; did you mean {}?", near)));
  }

  const Kinds kind_;
  std::vector<std::string>& warnings_;
};

void prune_object(json::object& object, std::vector<std::string>& warnings) {
  static const std::set<std::string_view> kKnown = {"apiVersion", "kind", "metadata", "spec", "status"};
  std::vector<std::string> unknown;
  for (const auto& [key, value] : object) {
    if (!kKnown.contains(std::string_view(key))) unknown.emplace_back(key);
  }
  for (const std::string& key : unknown) {
    warnings.push_back(key + ": no such field, it is removed");
    object.erase(key);
  }
}

void prune_spec(std::string_view kind, json::value& spec, std::vector<std::string>& warnings) {
  const auto& component = model::struct_info<model::ComponentSpec>();
  if (is_component(kind)) return Pruner(component_kind(kind), warnings).prune(component, spec, Path::of("spec"));
  if (kind != "FunctionMesh") return;
  for (size_t part = 0; part < std::size(kMeshParts); ++part) {
    json::value* items = kube::find(spec, {kMeshPartNames[part]});
    if (!items || !items->is_array()) continue;
    const Path path = Path::of("spec") / kMeshPartNames[part];
    for (size_t index = 0; index < items->get_array().size(); ++index) {
      Pruner(kMeshParts[part], warnings).prune(component, items->get_array()[index], path[index]);
    }
  }
}

// --- reading ---

// What the rules need of an object; the API server looks after the rest of its metadata.
json::value readable(const json::value& object) {
  json::object out, metadata;
  for (const char* key : {"apiVersion", "kind", "spec"}) {
    if (const json::value* found = kube::find(object, {key})) out[key] = *found;
  }
  if (const json::value* given = kube::find(object, {"metadata"}); given && given->is_object()) {
    for (const char* key : {"name", "namespace", "labels", "annotations"}) {
      if (const json::value* found = kube::find(*given, {key})) metadata[key] = *found;
    }
    const std::string_view prefix = kube::string_at(*given, {"generateName"});
    const json::value* name = kube::find(*given, {"name"});
    if (!prefix.empty() && (!name || name->is_null())) metadata["name"] = std::string(prefix) + kGeneratedSuffix;
  }
  out["metadata"] = std::move(metadata);
  return out;
}

// With all defaults: admission judges what will be stored.
model::LiveResource read(const json::value& object) {
  model::LiveResource live = model::read_live(model::write_json(readable(object)));
  const auto fill = [](Component& component) {
    model::apply_component_defaults(component.spec, component.kind, component.metadata.name);
  };
  if (live.component) fill(*live.component);
  for (Component& item : live.items) fill(item);
  return live;
}

void make_canonical(model::StringMap& quantities) {
  for (auto& [name, text] : quantities) text = model::canonical_quantity(text);
}

bool same_spec(const json::value& before, const json::value& object) {
  const json::value* old_spec = kube::find(before, {"spec"});
  const json::value* new_spec = kube::find(object, {"spec"});
  return old_spec && new_spec && *old_spec == *new_spec;
}

bool being_deleted(const json::value& object) {
  return !kube::string_at(object, {"metadata", "deletionTimestamp"}).empty();
}

// --- rules ---

Diagnostics check_component(const Component* before, const Component& component) {
  const model::ValidateOptions options{.target = model::Target::kCluster, .builtins = {}};
  return before ? model::validate_update(*before, component, options) : model::validate_component(component, options);
}

// Two items of one kind would be one resource. Those of different kinds share a full name in Pulsar, which upstream
// allows and which may be meant.
void check_names_differ(const std::vector<Component>& items, const std::set<std::string>& known, Diagnostics& out) {
  std::map<std::pair<Kind, std::string>, const Component*> resources;
  std::map<std::string, const Component*> names;
  for (const Component& item : items) {
    if (item.spec.name.empty()) continue;
    model::Findings findings(item);
    const auto [same, fresh] = resources.emplace(std::pair(item.kind, item.spec.name), &item);
    const auto [other, fresh_name] = names.emplace(item.spec.name, &item);
    if (!fresh) {
      findings.add(known.contains(item.path.to_string()) ? Severity::kWarning : Severity::kError, Path::of("name"),
                   fmt::format("{} is taken by {}; both would be {} {}", item.spec.name, same->second->path.to_string(),
                               to_string(item.kind), item.metadata.name),
                   {});
    } else if (!fresh_name) {
      findings.warning("name",
                       fmt::format("{} has the same name; both read with one subscription if they share a topic",
                                   other->second->path.to_string()));
    }
    out.append(findings.take());
  }
}

// The items whose name was given twice already.
std::set<std::string> names_taken_before(const std::vector<Component>& before, const std::vector<Component>& items) {
  std::map<std::pair<Kind, std::string>, int> count;
  for (const Component& item : before) ++count[{item.kind, item.spec.name}];
  std::set<std::string> out;
  for (const Component& item : items) {
    const auto found = count.find({item.kind, item.spec.name});
    if (found != count.end() && found->second > 1) out.insert(item.path.to_string());
  }
  return out;
}

Diagnostics check_mesh(const model::LiveResource* before, const model::LiveResource& mesh) {
  Diagnostics out;
  std::map<std::pair<Kind, std::string>, const Component*> known;
  const std::vector<Component> none;
  for (const Component& item : before ? before->items : none) known[{item.kind, item.spec.name}] = &item;
  for (const Component& item : mesh.items) {
    const auto found = known.find({item.kind, item.spec.name});
    out.append(check_component(found == known.end() ? nullptr : found->second, item));
  }
  check_names_differ(mesh.items, names_taken_before(before ? before->items : none, mesh.items), out);
  return out;
}

// Rules hold for what could be read; where that failed, they would only tell of what follows from it.
bool told_by_reading(const Diagnostics& reading, const Diagnostic& finding) {
  const auto inside = [](const std::string& outer, const std::string& inner) {
    return inner.starts_with(outer) &&
           (inner.size() == outer.size() || inner[outer.size()] == '.' || inner[outer.size()] == '[');
  };
  return std::any_of(reading.list().begin(), reading.list().end(), [&](const Diagnostic& one) {
    return one.severity == Severity::kError && (inside(one.path, finding.path) || inside(finding.path, one.path));
  });
}

std::vector<std::string> split(const std::string& fields) {
  std::vector<std::string> out;
  for (size_t begin = 0; begin <= fields.size();) {
    const size_t end = std::min(fields.find(',', begin), fields.size());
    out.push_back(fields.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

AdmissionAnswer answer_of(const json::value& object, const Diagnostics& findings) {
  AdmissionAnswer answer;
  answer.object = object;
  std::vector<std::string> lines;
  for (const Diagnostic& one : findings.list()) {
    const std::string line = one.path.empty() ? one.text : one.path + ": " + one.text;
    if (one.severity != Severity::kError) {
      answer.warnings.push_back(line);
      continue;
    }
    lines.push_back(line);
    for (const std::string& field : split(one.field)) answer.errors.push_back({field, one.path, one.text});
  }
  if (lines.empty()) return answer;
  answer.allowed = false;
  answer.message = fmt::format("{} \"{}\" is invalid: {}", kind_of(object),
                               kube::string_at(object, {"metadata", "name"}), fmt::join(lines, "; "));
  return answer;
}

AdmissionAnswer validate(const json::value* before, const json::value& object) {
  if (being_deleted(object)) return answer_of(object, {});
  const model::LiveResource now = read(object);
  std::optional<model::LiveResource> earlier;
  if (before && before->is_object()) earlier = read(*before);
  if (earlier && earlier->kind != now.kind) earlier.reset();

  Diagnostics findings;
  for (Diagnostic one : now.findings.list()) {
    const auto same = [&](const Diagnostic& other) { return other.path == one.path && other.text == one.text; };
    const bool known = earlier && std::any_of(earlier->findings.list().begin(), earlier->findings.list().end(), same);
    if (known && one.severity == Severity::kError) one.severity = Severity::kWarning;
    findings.add(std::move(one));
  }
  Diagnostics rules;
  if (now.component) {
    rules = check_component(earlier && earlier->component ? &*earlier->component : nullptr, *now.component);
  } else if (now.mesh) {
    rules = check_mesh(earlier ? &*earlier : nullptr, now);
  } else if (!now.backend_config && findings.ok()) {
    Diagnostic none;
    none.path = none.field = "kind";
    none.text =
        fmt::format("expected Function, Source, Sink, FunctionMesh or BackendConfig, found \"{}\"", kind_of(object));
    findings.add(std::move(none));
  }
  for (const Diagnostic& one : rules.list()) {
    if (!told_by_reading(now.findings, one)) findings.add(one);
  }
  return answer_of(object, findings);
}

AdmissionAnswer both_steps(const json::value& before, const json::value& object) {
  AdmissionAnswer mutated = mutate(before, object);
  AdmissionAnswer answer = before.is_null() ? validate_create(mutated.object) : validate_update(before, mutated.object);
  answer.warnings.insert(answer.warnings.begin(), mutated.warnings.begin(), mutated.warnings.end());
  return answer;
}

}  // namespace

AdmissionAnswer mutate(const json::value& before, const json::value& object) {
  AdmissionAnswer answer;
  answer.object = object;
  const json::value* spec = kube::find(object, {"spec"});
  if (!spec || !spec->is_object() || being_deleted(object) || same_spec(before, object)) return answer;
  const std::string_view kind = kind_of(object);
  prune_object(answer.object.get_object(), answer.warnings);
  json::value& out = *kube::find(answer.object, {"spec"});
  prune_spec(kind, out, answer.warnings);
  if (!is_component(kind)) return answer;

  model::LiveResource live = read(answer.object);
  // What has a wrong type or value stays, for the schema and validate to refuse.
  if (!live.component || !live.findings.ok()) return answer;
  model::ComponentSpec& filled = live.component->spec;
  make_canonical(filled.resources.requests);
  make_canonical(filled.resources.limits);
  const bool name_given = kube::find(out, {"name"}) != nullptr;
  out = model::write(model::struct_info<model::ComponentSpec>(), &filled, component_kind(kind));
  // The name is not known yet.
  if (!name_given && kube::string_at(object, {"metadata", "name"}).empty()) out.get_object().erase("name");
  return answer;
}

AdmissionAnswer validate_create(const json::value& object) { return validate(nullptr, object); }

AdmissionAnswer validate_update(const json::value& before, const json::value& object) {
  return validate(&before, object);
}

AdmissionAnswer admit_create(const json::value& object) { return both_steps(nullptr, object); }

AdmissionAnswer admit_update(const json::value& before, const json::value& object) {
  return both_steps(before, object);
}

}  // namespace fmesh::op
