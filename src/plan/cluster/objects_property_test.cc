// Whatever stands in a resource: it is refused, or its objects hold together. Every field of the schema is left out,
// made smallest, largest and of another type, alone and several at once.
#include <map>
#include <random>
#include <set>

#include "model/schema.h"
#include "plan/cluster/object_promises_testing.h"
#include "plan/cluster/objects_test_support.h"
#include "sim/mutations.h"

namespace fmesh::plan {
namespace {

namespace json = boost::json;

// The component of `spec`, as far as it can be read.
model::Component read_component(const std::string& kind, const json::object& spec) {
  const json::object document{{"apiVersion", "compute.functionmesh.io/v1alpha1"},
                              {"kind", kind},
                              {"metadata", {{"name", "orders"}, {"namespace", "shop"}}},
                              {"spec", spec}};
  const model::ResourceSet set = model::read_text("a.json", json::serialize(document));
  return set.components.empty() ? model::Component() : model::without_defaults(set.components.at(0));
}

json::value parse(const char* text) { return json::parse(text); }

// What of Kubernetes' types may come into the way of what the plan adds by itself.
void put_in_the_way(json::value& value) {
  static const std::map<std::string_view, const char*> parts = {
      {"volumes", R"([{"name":"v","emptyDir":{}},{"name":"s-k","emptyDir":{}}])"},
      {"sidecars", R"([{"name":"beside","image":"i","env":[{"name":"A","value":"1"},{"name":"A","value":"$(A)2"}]}])"},
      {"autoScalingMetrics", R"([{"type":"Pods","pods":{"metric":{"name":"m"}}}])"},
      {"env", R"([{"name":"A","value":"1"},{"name":"POD_NAME","value":"x"},{"name":"A","value":"2"}])"},
      {"startupProbe", R"({"httpGet":{"port":1},"periodSeconds":0})"},
      {"volumeClaimTemplates", R"([{"metadata":{"name":"claim"},"spec":{}}])"}};
  if (json::array* items = value.if_array()) {
    for (json::value& item : *items) put_in_the_way(item);
  }
  json::object* object = value.if_object();
  if (!object) return;
  for (auto& member : *object) {
    const auto found = parts.find(std::string_view(member.key()));
    if (found != parts.end()) {
      member.value() = parse(found->second);
    } else {
      put_in_the_way(member.value());
    }
  }
}

// A resource in which every field is given.
json::object full(model::Kind kind) {
  json::value spec = sim::full_object(model::spec_info(kind), static_cast<model::Kinds>(kind));
  put_in_the_way(spec);
  return std::move(spec.get_object());
}

// What may stand in a field instead: smallest, largest, of another type.
std::vector<json::value> others() {
  const std::string large(5000, 'x');
  json::array many;
  json::object map;
  for (int index = 0; index < 60; ++index) {
    const std::string name = "n" + std::to_string(index % 40);
    many.push_back(
        json::object{{"name", name}, {"value", "$(n1)$$(n2)"}, {"mountPath", "/" + name}, {"env", json::array{3}}});
    map[name] = json::object{{"name", name}, {"path", large.substr(0, 70)}, {"key", "k"}};
  }
  const json::array list{nullptr,
                         false,
                         0,
                         -1,
                         2147483647,
                         9223372036854775807,
                         1.5,
                         "",
                         "a",
                         large,
                         "%",
                         "a'\"\\ $(x) ${y} `z` \n\xC3\xBC",
                         json::array(),
                         json::array{json::object()},
                         json::array{"a", ""},
                         json::array{nullptr, 1, json::array()},
                         many,
                         json::object(),
                         json::object{{"", ""}, {"a/b", "c"}},
                         map,
                         json::object{{"name", 3}, {"metadata", {{"name", "v"}}}}};
  return {list.begin(), list.end()};
}

struct Base {
  std::string kind;
  json::object spec;
};

// One that has every field, for each kind and runtime.
std::vector<Base> bases() {
  std::vector<Base> out;
  for (const model::Kind kind : {model::Kind::kFunction, model::Kind::kSource, model::Kind::kSink}) {
    for (const char* runtime : {"java", "python", "golang", "genericRuntime"}) {
      if (kind != model::Kind::kFunction && std::string_view(runtime) != "java") continue;
      json::object spec = full(kind);
      for (const char* other : {"java", "python", "golang", "genericRuntime"}) {
        if (std::string_view(other) != runtime) spec.erase(other);
      }
      if (json::value* generic = spec.if_contains("genericRuntime")) generic->as_object()["language"] = "nodejs";
      out.push_back({model::to_string(kind), std::move(spec)});
    }
  }
  return out;
}

// Pointers to every field of `spec`: "/pod/labels".
void list_fields(const json::value& value, const std::string& here, std::vector<std::string>& out) {
  if (!here.empty()) out.push_back(here);
  if (const json::object* object = value.if_object()) {
    for (const auto& member : *object) list_fields(member.value(), here + "/" + std::string(member.key()), out);
  } else if (const json::array* array = value.if_array()) {
    for (size_t index = 0; index < array->size(); ++index) {
      list_fields((*array)[index], here + "/" + std::to_string(index), out);
    }
  }
}

void take_out(json::value& spec, const std::string& pointer) {
  const size_t slash = pointer.rfind('/');
  boost::system::error_code error;
  json::value* parent = slash == 0 ? &spec : spec.find_pointer(pointer.substr(0, slash), error);
  if (parent && parent->is_object()) parent->get_object().erase(pointer.substr(slash + 1));
}

void put(json::value& spec, const std::string& pointer, const json::value& value) {
  boost::system::error_code error;
  if (json::value* found = spec.find_pointer(pointer, error)) *found = value;
}

struct Tally {
  int rendered = 0, refused = 0;
};

void check(const std::string& kind, const json::value& spec, const std::string& what, Tally& tally) {
  const model::Component component = read_component(kind, spec.get_object());
  SCOPED_TRACE(what);
  static const model::BackendConfig backend =
      backend_config("env: {A: '1', LOGGING_LEVEL: x}, pod: {labels: {app: x}}");
  const bool init = what.size() % 2 == 0;
  const auto objects = make_cluster_objects(component, {&backend, nullptr}, {.init_containers = init}, kTestUid);
  if (!objects) {
    ++tally.refused;
    EXPECT_EQ(objects.error().kind(), ErrorKind::kFixInput) << what;
    return;
  }
  ++tally.rendered;
  ASSERT_EQ(broken_promise(*objects, component), "") << kind << " " << what;
}

TEST(ObjectsProperty, AFullResourceOfEachKindAndRuntimeIsRendered) {
  for (const Base& base : bases()) {
    const model::Component component = read_component(base.kind, base.spec);
    EXPECT_EQ(broken_promise(objects_of(component), component), "");
    EXPECT_EQ(broken_promise(objects_of(component, {.init_containers = true}), component), "");
  }
}

TEST(ObjectsProperty, WhateverAFieldHoldsObjectsHoldTogetherOrTheResourceIsRefused) {
  const std::vector<json::value> values = others();
  Tally tally;
  size_t turn = 0;
  std::set<std::string> functions;  // fields
  for (const Base& base : bases()) {
    std::vector<std::string> fields;
    list_fields(base.spec, "", fields);
    const bool all = base.spec.contains("java");
    if (base.kind == "Function") functions.insert(fields.begin(), fields.end());
    for (const std::string& field : fields) {
      const bool runtime =
          field.starts_with("/python") || field.starts_with("/golang") || field.starts_with("/generic");
      if (!all && !runtime) continue;  // the rest is the same for every runtime
      if (base.kind != "Function" && functions.contains(field) && turn++ % 4 != 0)
        continue;  // and mostly for the kinds
      json::value spec = base.spec;
      take_out(spec, field);
      check(base.kind, spec, field + " absent", tally);
      // A quarter of the values for each, all of them for its neighbours together: all for all would take too long.
      for (size_t index = turn++ % 4; index < values.size(); index += 4) {
        spec = base.spec;
        put(spec, field, values[index]);
        check(base.kind, spec, field + " = " + json::serialize(values[index]).substr(0, 80), tally);
        if (HasFatalFailure()) return;
      }
    }
  }
  EXPECT_GT(tally.rendered, 1000);
  EXPECT_GT(tally.refused, 20);
}

TEST(ObjectsProperty, SeveralFieldsAtOnceToo) {
  const std::vector<json::value> values = others();
  const std::vector<Base> all = bases();
  std::mt19937 random(7);
  Tally tally;
  for (int round = 0; round < 500; ++round) {
    const Base& base = all[random() % all.size()];
    json::value spec = base.spec;
    std::string what = "round " + std::to_string(round) + ":";
    for (int change = 0; change < 6; ++change) {
      std::vector<std::string> fields;
      list_fields(spec, "", fields);
      const std::string& field = fields[random() % fields.size()];
      what += " " + field;
      if (random() % 2 == 0) {
        take_out(spec, field);
      } else {
        put(spec, field, values[random() % values.size()]);
      }
    }
    check(base.kind, spec, what, tally);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(tally.rendered, 100);
}

}  // namespace
}  // namespace fmesh::plan
