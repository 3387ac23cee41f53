// The bases of the resource mutator: grown field by field, as long as admission and the plan agree.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <map>

#include "model/live.h"
#include "model/schema.h"
#include "operator/admission.h"
#include "plan/cluster/cluster_plan.h"
#include "sim/resource_mutator.h"

namespace fmesh::sim {
namespace json = boost::json;
using model::Kind;

namespace {

struct Seedling {
  std::string name;
  Kind kind;
  std::string spec;       // the least that is admitted
  std::string only_list;  // of a mesh: the fields of its other lists are left to their own base
};

constexpr const char* kJavaFunction =
    R"({"name":"first","className":"C","input":{"topics":["in"]},"java":{"jar":"/f.jar"},"pulsar":{"pulsarConfig":"p"}})";
constexpr const char* kPythonFunction =
    R"({"name":"first","className":"C","input":{"topics":["in"]},"python":{"py":"/f.py"},"pulsar":{"pulsarConfig":"p"}})";
constexpr const char* kGoFunction =
    R"({"name":"first","input":{"topics":["in"]},"golang":{"go":"/f"},"pulsar":{"pulsarConfig":"p"}})";
constexpr const char* kGenericFunction =
    R"({"name":"first","input":{"topics":["in"]},"genericRuntime":{"functionFile":"/f.js","language":"nodejs"},
        "pulsar":{"pulsarConfig":"p"}})";
constexpr const char* kJavaSource =
    R"({"name":"first","className":"C","output":{"topic":"out"},"sourceConfig":{},"java":{"jar":"/f.nar"},
        "pulsar":{"pulsarConfig":"p"}})";
constexpr const char* kJavaSink =
    R"({"name":"first","className":"C","input":{"topics":["in"]},"sinkConfig":{},"java":{"jar":"/f.nar"},
        "pulsar":{"pulsarConfig":"p"}})";

std::vector<Seedling> seedlings(Kind kind) {
  const std::vector<Seedling> functions = {{"java", kind, kJavaFunction, ""},
                                           {"python", kind, kPythonFunction, ""},
                                           {"golang", kind, kGoFunction, ""},
                                           {"genericRuntime", kind, kGenericFunction, ""}};
  switch (kind) {
    case Kind::kFunction:
      return functions;
    case Kind::kSource:
      return {{"java", kind, kJavaSource, ""}};
    case Kind::kSink:
      return {{"java", kind, kJavaSink, ""}};
    case Kind::kBackendConfig:
      return {{"autoUpdate", kind, R"({"autoUpdate":true})", ""}};
    case Kind::kFunctionMesh:
      break;
  }
  std::vector<Seedling> meshes;
  const auto add = [&](const std::string& list, const Seedling& item) {
    meshes.push_back({list + " " + item.name, kind, fmt::format(R"({{"{}":[{}]}})", list, item.spec), list});
  };
  for (const Seedling& function : functions) add("functions", function);
  add("sources", {"java", kind, kJavaSource, ""});
  add("sinks", {"java", kind, kJavaSink, ""});
  return meshes;
}

// Whether it is admitted without a warning, or with `warnings_max` of them, and can be rendered.
bool takes(const json::value& resource, size_t warnings_max) {
  const op::AdmissionAnswer answer = op::admit_create(resource);
  return answer.allowed && answer.warnings.size() <= warnings_max && problem_of_rendering(answer.object).empty();
}

class Growth {
 public:
  explicit Growth(const Seedling& seedling)
      : seedling_(seedling), places_(places_of(seedling.kind)), resource_(new_resource(seedling.kind, seedling.spec)) {
    warnings_ = op::admit_create(resource_).warnings.size();
  }

  // A field with all that is in it, or else as much of it as is taken.
  void add(const FieldPlace& place, size_t more_warnings = 0) {
    if (!belongs(place) || has(place)) return;
    json::value grown = resource_;
    put_at(grown, place.pointer, usual_value(*place.field, place.kinds));
    if (takes(grown, warnings_ + more_warnings)) {
      resource_ = std::move(grown);
      warnings_ = op::admit_create(resource_).warnings.size();
      return;
    }
    complete(place);
  }
  void add_all() {
    // A field may only fit beside one that comes later.
    for (size_t before = 0, size = 1; size != before; size = json::serialize(resource_).size()) {
      before = json::serialize(resource_).size();
      for (const FieldPlace& place : places_) add(place);
    }
  }
  bool has(const FieldPlace& place) const { return value_at(resource_, place.pointer) != nullptr; }
  json::value take() { return std::move(resource_); }

 private:
  bool belongs(const FieldPlace& place) const { return place.pointer.starts_with("/spec/" + seedling_.only_list); }
  // The fields of an object that is refused as a whole are tried one by one: they follow in the list of places.
  // Required ones come with the first.
  void complete(const FieldPlace& place) {
    const model::StructInfo* info = place.field->storage->structure();
    if (!info || place.field->type() != model::FieldType::kStruct) return;
    json::value grown = resource_;
    json::object required;
    for (const model::FieldInfo& field : info->fields) {
      if (field.required && (field.kinds & place.kinds)) required[field.name] = usual_value(field, place.kinds);
    }
    if (required.empty()) return;
    put_at(grown, place.pointer, required);
    if (takes(grown, warnings_)) resource_ = std::move(grown);
  }

  const Seedling& seedling_;
  std::vector<FieldPlace> places_;
  json::value resource_;
  size_t warnings_ = 0;
};

std::vector<MutatorBase> grow(Kind kind) {
  std::vector<MutatorBase> bases;
  const std::vector<Seedling> all = seedlings(kind);
  const std::string kind_name = model::to_string(kind);
  for (const Seedling& seedling : all) {
    Growth growth(seedling);
    growth.add_all();
    bases.push_back({kind, kind_name + " " + seedling.name, growth.take()});
  }
  // What excludes others gets a base of its own, in which it comes first.
  for (const FieldPlace& place : places_of(kind)) {
    const auto holds = [&](const MutatorBase& base) { return value_at(base.resource, place.pointer) != nullptr; };
    if (std::any_of(bases.begin(), bases.end(), holds)) continue;
    for (const Seedling& seedling : all) {
      if (!place.pointer.starts_with("/spec/" + seedling.only_list)) continue;
      Growth growth(seedling);
      growth.add(place, 2);
      const bool alone = growth.has(place);
      growth.add_all();
      if (!alone) growth.add(place, 2);
      if (!growth.has(place)) continue;
      bases.push_back(
          {kind, fmt::format("{} {} with {}", kind_name, seedling.name, place.path.to_string()), growth.take()});
      break;
    }
  }
  return bases;
}

}  // namespace

json::value new_resource(Kind kind, const std::string& spec) {
  const bool backend = kind == Kind::kBackendConfig;
  return {{"apiVersion", "compute.functionmesh.io/v1alpha1"},
          {"kind", model::to_string(kind)},
          {"metadata", {{"name", backend ? "backend-config" : "r"}, {"namespace", kMutatorNamespace}}},
          {"spec", json::parse(spec)}};
}

std::string problem_of_rendering(const json::value& resource) {
  const model::LiveResource live = model::read_live(json::serialize(resource));
  std::vector<model::Component> components = live.items;
  if (live.component) components.push_back(*live.component);
  plan::BackendConfigs backend;
  if (live.backend_config) {
    backend.namespaced = &*live.backend_config;
    components.push_back(*model::read_live(json::serialize(new_resource(Kind::kFunction, kJavaFunction))).component);
  }
  for (const model::Component& component : components) {
    const auto objects = plan::make_cluster_objects(component, backend, {}, "0e6f6b8c-1111-2222-3333-444455556666");
    if (!objects) return objects.error().to_string();
  }
  return {};
}

json::value function_beside() { return new_resource(Kind::kFunction, kJavaFunction); }

const std::vector<MutatorBase>& mutator_bases(Kind kind) {
  static std::map<Kind, std::vector<MutatorBase>> known;
  const auto found = known.find(kind);
  return found != known.end() ? found->second : known[kind] = grow(kind);
}

}  // namespace fmesh::sim
