#include "model/schema.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cctype>

namespace fmesh::model {
namespace json = boost::json;

const StructInfo& spec_info(Kind kind) {
  if (kind == Kind::kFunctionMesh) return struct_info<MeshSpec>();
  if (kind == Kind::kBackendConfig) return struct_info<BackendConfigSpec>();
  return struct_info<ComponentSpec>();
}

const StructInfo* status_info(Kind kind) {
  if (kind == Kind::kBackendConfig) return nullptr;
  return kind == Kind::kFunctionMesh ? &struct_info<MeshStatus>() : &struct_info<ComponentStatus>();
}

namespace {

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char byte) { return std::tolower(byte); });
  return text;
}

constexpr const char* kPreserve = "x-kubernetes-preserve-unknown-fields";

// What `kubectl explain` and editors show of a field: its meaning, and a default that the schema itself does not say.
std::string description(const FieldInfo& field, Kinds kind) {
  std::string out(field.meaning);
  std::string_view given = field.default_note;
  if (given.empty() && (field.default_kinds & kind)) given = field.default_json;
  if (!given.empty()) out.append(". Default: ").append(given);
  return out;
}

class SchemaMaker {
 public:
  json::object structure(const StructInfo& info, Kinds kind) {
    json::object properties;
    json::array required;
    for (const FieldInfo& field : info.fields) {
      if (!(field.kinds & kind)) continue;
      json::object property{{"description", description(field, kind)}};
      for (auto& [name, value] : schema(field, kind)) property.emplace(name, std::move(value));
      properties.emplace(field.name, std::move(property));
      if (field.required) required.push_back(json::value(field.name));
    }
    json::object out{{"type", "object"}};
    if (!required.empty()) out.emplace("required", std::move(required));
    if (!properties.empty()) out.emplace("properties", std::move(properties));
    return out;
  }

 private:
  json::object schema(const FieldInfo& field, Kinds kind) {
    const FieldType type = field.type();
    switch (type) {
      case FieldType::kString:
        return limited(field, {{"type", "string"}});
      case FieldType::kBool:
        return {{"type", "boolean"}};
      case FieldType::kInt32:
        return limited(field, {{"type", "integer"}, {"format", "int32"}});
      case FieldType::kInt64:
        return limited(field, {{"type", "integer"}, {"format", "int64"}});
      case FieldType::kStringList:
        return list(limited(field, {{"type", "string"}}));
      case FieldType::kStringMap:
        return map({{"type", "string"}});
      case FieldType::kQuantityMap:
        return map(quantity());
      case FieldType::kStruct:
        return inner(field, kind);
      case FieldType::kStructList:
        return list(inner(field, kind));
      case FieldType::kStructMap:
        return map(inner(field, kind));
      case FieldType::kJson:
        return any_object();
      case FieldType::kJsonList:
        return list(any_object());
    }
    return any_object();
  }

  json::object inner(const FieldInfo& field, Kinds kind) {
    return structure(*field.storage->structure(), kinds_inside(kind, field.name));
  }

  static json::object limited(const FieldInfo& field, json::object out) {
    if (field.minimum) out.emplace("minimum", *field.minimum);
    // Only this default is the API server's; the others are the webhook's, as upstream has them.
    if (field.name == "minReplicas" && !field.default_json.empty())
      out.emplace("default", json::parse(field.default_json));
    if (!field.values.empty()) {
      json::array values;
      for (const std::string_view value : field.values) values.push_back(json::value(value));
      out.emplace("enum", std::move(values));
    }
    return out;
  }
  static json::object list(json::object items) { return {{"type", "array"}, {"items", std::move(items)}}; }
  static json::object map(json::object values) {
    return {{"type", "object"}, {"additionalProperties", std::move(values)}};
  }
  static json::object any_object() { return {{"type", "object"}, {kPreserve, true}}; }
  static json::object quantity() {
    return {{"anyOf", json::array{json::object{{"type", "integer"}}, json::object{{"type", "string"}}}},
            {"pattern",
             "^(\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?(([0-9]+(\\.[0-9]*)?)|("
             "\\.[0-9]+"
             "))))?$"},
            {"x-kubernetes-int-or-string", true}};
  }
};

const char* short_name(Kind kind) {
  switch (kind) {
    case Kind::kFunction:
      return "fn";
    case Kind::kSource:
      return "src";
    case Kind::kSink:
      return "snk";
    case Kind::kFunctionMesh:
      return "fm";
    case Kind::kBackendConfig:
      return "bc";
  }
  return "";
}

json::array printer_columns(Kind kind) {
  const auto column = [](const char* name, const char* type, const char* path) {
    return json::object{{"name", name}, {"type", type}, {"jsonPath", path}};
  };
  json::array columns;
  const bool component = kind == Kind::kFunction || kind == Kind::kSource || kind == Kind::kSink;
  if (component || kind == Kind::kFunctionMesh) columns.push_back(column("Ready", "string", ".status.ready"));
  if (component) {
    columns.push_back(column("Replicas", "integer", ".spec.replicas"));
    columns.push_back(column("Image", "string", ".spec.image"));
  }
  columns.push_back(column("Age", "date", ".metadata.creationTimestamp"));
  if (kind != Kind::kBackendConfig) columns.push_back(column("Message", "string", ".status.message"));
  return columns;
}

json::object version(Kind kind) {
  SchemaMaker maker;
  const Kinds kinds = static_cast<Kinds>(kind);
  json::object spec{{"description", "What is wanted"}};
  for (auto& [name, value] : maker.structure(spec_info(kind), kinds)) spec.emplace(name, std::move(value));
  json::object status{{"description", "What the operator found; written by it"}, {"type", "object"}};
  if (status_info(kind)) {
    for (auto& [name, value] : maker.structure(*status_info(kind), kinds)) status.emplace(name, std::move(value));
  }
  json::object root{{"description", kind_meaning(kind)},
                    {"type", "object"},
                    {"properties", json::object{{"apiVersion", json::object{{"type", "string"}}},
                                                {"kind", json::object{{"type", "string"}}},
                                                {"metadata", json::object{{"type", "object"}}},
                                                {"spec", std::move(spec)},
                                                {"status", std::move(status)}}}};
  if (kind != Kind::kFunctionMesh) root.emplace(kPreserve, true);
  json::object subresources{{"status", json::object()}};
  if (kind != Kind::kFunctionMesh) {
    subresources.emplace("scale", json::object{{"specReplicasPath", ".spec.replicas"},
                                               {"statusReplicasPath", ".status.replicas"},
                                               {"labelSelectorPath", ".status.selector"}});
  }
  return {{"name", "v1alpha1"},
          {"served", true},
          {"storage", true},
          {"schema", json::object{{"openAPIV3Schema", std::move(root)}}},
          {"subresources", std::move(subresources)},
          {"additionalPrinterColumns", printer_columns(kind)}};
}

}  // namespace

std::string_view kind_meaning(Kind kind) {
  switch (kind) {
    case Kind::kFunction:
      return "Reads streams, applies user logic, writes a stream.";
    case Kind::kSource:
      return "A connector that brings records into a stream.";
    case Kind::kSink:
      return "A connector that takes records out of streams.";
    case Kind::kFunctionMesh:
      return "Functions, sources and sinks joined by streams, with one life.";
    case Kind::kBackendConfig:
      return "Pod settings that are merged into every component of a namespace or cluster.";
  }
  return {};
}

Kinds kinds_inside(Kinds kinds, std::string_view field) {
  if (kinds != static_cast<Kinds>(Kind::kFunctionMesh)) return kinds;
  return field == "functions" ? kF : field == "sources" ? kSo : field == "sinks" ? kSi : kinds;
}

std::string plural(Kind kind) {
  const std::string singular = lower(to_string(kind));
  return singular + (singular.ends_with("sh") ? "es" : "s");
}

json::value make_crd(Kind kind) {
  const std::string name = to_string(kind);
  return json::object{{"apiVersion", "apiextensions.k8s.io/v1"},
                      {"kind", "CustomResourceDefinition"},
                      {"metadata", json::object{{"name", plural(kind) + ".compute.functionmesh.io"}}},
                      {"spec", json::object{{"group", "compute.functionmesh.io"},
                                            {"names", json::object{{"kind", name},
                                                                   {"listKind", name + "List"},
                                                                   {"plural", plural(kind)},
                                                                   {"singular", lower(name)},
                                                                   {"shortNames", json::array{short_name(kind)}},
                                                                   {"categories", json::array{"fmesh"}}}},
                                            {"scope", "Namespaced"},
                                            {"versions", json::array{version(kind)}}}}};
}

std::string make_crd_yaml(Kind kind) { return write_yaml(make_crd(kind)); }

}  // namespace fmesh::model
