#include "model/fields.h"

#include <algorithm>
#include <boost/json.hpp>

#include "model/quantity.h"
#include "model/storage.h"

namespace fmesh::model {

FieldType FieldInfo::type() const {
  const FieldType stored = storage->type;
  if (stored == FieldType::kJson && json_type.ends_with("[]")) return FieldType::kJsonList;
  if (stored == FieldType::kStringMap && json_type == "Quantity") return FieldType::kQuantityMap;
  return stored;
}

const FieldInfo* StructInfo::find(std::string_view field_name, Kinds kind) const {
  for (const FieldInfo& field : fields) {
    if (field.name == field_name && (field.kinds & kind)) return &field;
  }
  return nullptr;
}

std::string type_name(const FieldInfo& field) {
  switch (field.type()) {
    case FieldType::kString:
      return "string";
    case FieldType::kBool:
      return "boolean";
    case FieldType::kInt32:
      return "integer (32 bit)";
    case FieldType::kInt64:
      return "integer (64 bit)";
    case FieldType::kStringList:
      return "list of strings";
    case FieldType::kStringMap:
      return "map of strings";
    case FieldType::kQuantityMap:
      return "map of quantities";
    case FieldType::kStruct:
      return "object";
    case FieldType::kStructList:
      return "list of objects";
    case FieldType::kStructMap:
      return "map of objects";
    case FieldType::kJson:
      return field.json_type.empty() ? "any object" : "Kubernetes " + std::string(field.json_type);
    case FieldType::kJsonList:
      return "list of Kubernetes " + std::string(field.json_type.substr(0, field.json_type.size() - 2));
  }
  return "unknown";
}

void Reader::error(const Node& node, const Path& path, std::string text) {
  Diagnostic diagnostic;
  diagnostic.place = {file_, node.line, node.column};
  diagnostic.length = node.length;
  diagnostic.path = path.to_string();
  diagnostic.field = diagnostic.path;
  diagnostic.text = std::move(text);
  findings_.add(std::move(diagnostic));
}

void Reader::error_at_key(const Entry& entry, const Path& path, std::string text) {
  Node key;
  key.line = entry.line;
  key.column = entry.column;
  key.length = entry.length;
  error(key, path, std::move(text));
}

void Reader::expected(const Node& node, const Path& path, std::string_view what) {
  error(node, path, "expected " + std::string(what) + ", found " + describe(node));
}

void Reader::read(const StructInfo& info, void* object, const Node& node, const Path& path) {
  if (node.type == Node::Type::kNull) return;
  if (node.type != Node::Type::kMapping) return expected(node, path, "a mapping");
  for (const Entry& entry : node.entries) {
    const Path here = path / entry.key;
    const FieldInfo* field = info.find(entry.key, kind_);
    if (!field) {
      std::vector<std::string_view> names;
      for (const FieldInfo& other : info.fields) {
        if (other.kinds & kind_) names.push_back(other.name);
      }
      const std::string_view near = closest(entry.key, names);
      error_at_key(entry, here,
                   near.empty() ? "no such field" : "no such field; did you mean " + std::string(near) + "?");
      continue;
    }
    if (entry.value.type == Node::Type::kNull) continue;  // as if it were not there
    field->storage->read(field->member(object), *field, entry.value, here, *this);
  }
  for (const FieldInfo& field : info.fields) {
    if (!field.required || !(field.kinds & kind_)) continue;
    const Node* given = node.find(field.name);
    if (!given || given->type == Node::Type::kNull) {
      error(node, path / field.name, "is missing; " + std::string(field.meaning));
    }
  }
}

boost::json::value write(const StructInfo& info, const void* object, Kinds kind) {
  boost::json::object out;
  for (const FieldInfo& field : info.fields) {
    if (!(field.kinds & kind)) continue;
    const void* at = field.at(object);
    if (field.storage->present(at)) {
      out.emplace(field.name, field.storage->write(at, kind));
    } else if (field.always_written || field.required) {  // empty, so that the API server takes it
      const bool plain = !field.storage->structure();
      out.emplace(field.name, plain ? field.storage->write(at, kind) : boost::json::value(boost::json::object()));
    }
  }
  return out;
}

void apply_defaults(const StructInfo& info, void* object, Kinds kind) {
  for (const FieldInfo& field : info.fields) {
    if (!(field.kinds & kind)) continue;
    void* at = field.member(object);
    if (!field.default_json.empty() && (field.default_kinds & kind) && !field.storage->present(at)) {
      const DocumentList list = read_json("default", field.default_json);
      Reader reader("default", kind);
      field.storage->read(at, field, *list.documents.at(0), Path::of(field.name), reader);
    }
    if (!field.storage->structure()) continue;
    struct Closure {
      const StructInfo* info;
      Kinds kind;
    } closure{field.storage->structure(), kind};
    field.storage->each(at, &closure, [](void* context, void* inner) {
      const auto* inside = static_cast<const Closure*>(context);
      apply_defaults(*inside->info, inner, inside->kind);
    });
  }
}

// --- reading of plain types ---

void read_string(std::string& out, const FieldInfo& field, const Node& node, const Path& path, Reader& reader) {
  if (node.type != Node::Type::kString) {
    const bool scalar = node.type != Node::Type::kSequence && node.type != Node::Type::kMapping;
    return reader.expected(node, path, scalar ? "a string (put it in quotes)" : "a string");
  }
  const bool allowed = field.values.empty() || node.text.empty() ||
                       std::find(field.values.begin(), field.values.end(), node.text) != field.values.end();
  if (!allowed) {
    std::string list;
    for (const std::string_view value : field.values) list += (list.empty() ? "" : ", ") + std::string(value);
    const std::string_view near = closest(node.text, field.values);
    return reader.error(node, path,
                        "\"" + node.text + "\" is not one of " + list +
                            (near.empty() ? std::string() : "; did you mean " + std::string(near) + "?"));
  }
  out = node.text;
}

bool read_bool(const Node& node, const Path& path, Reader& reader) {
  if (node.text == "y" || node.text == "Y") return true;
  if (node.text == "n" || node.text == "N") return false;
  if (node.type != Node::Type::kBool) {
    reader.expected(node, path, "true or false");
    return false;
  }
  return node.boolean;
}

int64_t read_integer(const FieldInfo& field, const Node& node, const Path& path, Reader& reader, int64_t max) {
  int64_t value = 0;
  if (node.type == Node::Type::kInt) {
    value = node.integer;
  } else if (node.type == Node::Type::kFloat && node.real >= -9e15 && node.real <= 9e15 &&
             node.real == static_cast<double>(static_cast<int64_t>(node.real))) {
    value = static_cast<int64_t>(node.real);
  } else {
    reader.expected(node, path, "a whole number");
    return 0;
  }
  if (value > max || value < -max - 1) {
    reader.error(node, path, node.text + " does not fit; at most " + std::to_string(max));
    return 0;
  }
  if (field.minimum && value < *field.minimum) {
    reader.error(node, path, node.text + " is too small; at least " + std::to_string(*field.minimum));
    return 0;
  }
  return value;
}

bool stands_for_zero(const Node& node) {
  switch (node.type) {
    case Node::Type::kBool:
      return !node.boolean;
    case Node::Type::kInt:
      return node.integer == 0;
    case Node::Type::kFloat:
      return node.real == 0;
    default:
      return node.text == "n" || node.text == "N";
  }
}

void read_string_list(std::vector<std::string>& out, const FieldInfo& field, const Node& node, const Path& path,
                      Reader& reader) {
  if (node.type != Node::Type::kSequence) return reader.expected(node, path, "a list of strings");
  for (size_t index = 0; index < node.items.size(); ++index) {
    read_string(out.emplace_back(), field, node.items[index], path[index], reader);
  }
}

void read_string_map(StringMap& out, const FieldInfo& field, const Node& node, const Path& path, Reader& reader) {
  if (node.type != Node::Type::kMapping) return reader.expected(node, path, "a mapping of strings");
  for (const Entry& entry : node.entries) {
    const Path here = path / entry.key;
    const Node& value = entry.value;
    if (field.type() != FieldType::kQuantityMap) {
      if (value.type == Node::Type::kNull) {
        out[entry.key];  // Go reads null as ""
      } else {
        read_string(out[entry.key], field, value, here, reader);
      }
      continue;
    }
    const bool scalar = value.type == Node::Type::kString || value.type == Node::Type::kInt ||
                        value.type == Node::Type::kUint || value.type == Node::Type::kFloat;
    if (!scalar || !parse_quantity(value.text)) {
      reader.expected(value, here, "a quantity such as 500m, 2 or 1Gi");
    } else {
      out[entry.key] = value.text;
    }
  }
}

Json read_carried(const FieldInfo& field, const Node& node, const Path& path, Reader& reader) {
  if (field.type() == FieldType::kJsonList) {
    if (node.type != Node::Type::kSequence) {
      reader.expected(node, path, "a list");
      return {};
    }
    for (size_t index = 0; index < node.items.size(); ++index) {
      const Node& item = node.items[index];
      if (item.type != Node::Type::kMapping) reader.expected(item, path[index], "a mapping");
    }
  } else if (node.type != Node::Type::kMapping) {
    reader.expected(node, path, "a mapping");
    return {};
  }
  return Json(to_json(node));
}

}  // namespace fmesh::model
