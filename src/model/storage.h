// How the walkers reach each C++ type that fields are stored in: one Storage per type, chosen at compile time by
// field<>(). Only the tables of fields.cc and their neighbours include this.
#pragma once

#include <boost/json.hpp>
#include <limits>
#include <type_traits>

#include "model/fields.h"

namespace fmesh::model {

void read_string(std::string& out, const FieldInfo& field, const Node& node, const Path& path, Reader& reader);
bool read_bool(const Node& node, const Path& path, Reader& reader);
// 0 after an error.
int64_t read_integer(const FieldInfo& field, const Node& node, const Path& path, Reader& reader, int64_t max);
// Whether 0 or false is what `node` says, and not the mark of an error.
bool stands_for_zero(const Node& node);
void read_string_list(std::vector<std::string>& out, const FieldInfo& field, const Node& node, const Path& path,
                      Reader& reader);
void read_string_map(StringMap& out, const FieldInfo& field, const Node& node, const Path& path, Reader& reader);
Json read_carried(const FieldInfo& field, const Node& node, const Path& path, Reader& reader);

template <class T>
struct StorageOf {  // a struct of ours
  static constexpr FieldType kType = FieldType::kStruct;
  static const StructInfo* structure() { return &struct_info<T>(); }
  static bool present(const T& value) { return value != T{}; }
  static void read(T& value, const FieldInfo&, const Node& node, const Path& path, Reader& reader) {
    reader.read(struct_info<T>(), &value, node, path);
  }
  static boost::json::value write(const T& value, Kinds kind) { return model::write(struct_info<T>(), &value, kind); }
  static void each(T& value, void* closure, void (*visit)(void*, void*)) { visit(closure, &value); }
};

template <class T>
struct PlainStorage {
  static const StructInfo* structure() { return nullptr; }
  static bool present(const T& value) { return value != T{}; }
  static void each(T&, void*, void (*)(void*, void*)) {}
};

template <>
struct StorageOf<std::string> : PlainStorage<std::string> {
  static constexpr FieldType kType = FieldType::kString;
  static void read(std::string& value, const FieldInfo& field, const Node& node, const Path& path, Reader& reader) {
    read_string(value, field, node, path, reader);
  }
  static boost::json::value write(const std::string& value, Kinds) { return boost::json::value(value); }
};

template <>
struct StorageOf<bool> : PlainStorage<bool> {
  static constexpr FieldType kType = FieldType::kBool;
  static void read(bool& value, const FieldInfo&, const Node& node, const Path& path, Reader& reader) {
    value = read_bool(node, path, reader);
  }
  static boost::json::value write(const bool& value, Kinds) { return value; }
};

template <class T>
  requires(std::is_same_v<T, int32_t> || std::is_same_v<T, int64_t>)
struct StorageOf<T> : PlainStorage<T> {
  static constexpr FieldType kType = std::is_same_v<T, int32_t> ? FieldType::kInt32 : FieldType::kInt64;
  static void read(T& value, const FieldInfo& field, const Node& node, const Path& path, Reader& reader) {
    value = static_cast<T>(read_integer(field, node, path, reader, std::numeric_limits<T>::max()));
  }
  static boost::json::value write(const T& value, Kinds) { return value; }
};

template <class T>
struct StorageOf<std::optional<T>> {
  using Inner = StorageOf<T>;
  static constexpr FieldType kType = Inner::kType;
  static const StructInfo* structure() { return Inner::structure(); }
  static bool present(const std::optional<T>& value) { return value.has_value(); }
  static void read(std::optional<T>& value, const FieldInfo& field, const Node& node, const Path& path,
                   Reader& reader) {
    Inner::read(value.emplace(), field, node, path, reader);
    if constexpr (std::is_arithmetic_v<T>) {
      if (!*value && !stands_for_zero(node)) value.reset();  // what can't be read was not given; 0 replicas would be
    }
  }
  static boost::json::value write(const std::optional<T>& value, Kinds kind) { return Inner::write(*value, kind); }
  static void each(std::optional<T>& value, void* closure, void (*visit)(void*, void*)) {
    if (value) Inner::each(*value, closure, visit);
  }
};

template <>
struct StorageOf<std::vector<std::string>> : PlainStorage<std::vector<std::string>> {
  static constexpr FieldType kType = FieldType::kStringList;
  static void read(std::vector<std::string>& value, const FieldInfo& field, const Node& node, const Path& path,
                   Reader& reader) {
    read_string_list(value, field, node, path, reader);
  }
  static boost::json::value write(const std::vector<std::string>& value, Kinds) {
    return boost::json::array(value.begin(), value.end());
  }
};

template <>
struct StorageOf<StringMap> : PlainStorage<StringMap> {
  static constexpr FieldType kType = FieldType::kStringMap;
  static void read(StringMap& value, const FieldInfo& field, const Node& node, const Path& path, Reader& reader) {
    read_string_map(value, field, node, path, reader);
  }
  static boost::json::value write(const StringMap& value, Kinds) {
    boost::json::object object;
    for (const auto& [key, text] : value) object.emplace(key, text);
    return object;
  }
};

template <>
struct StorageOf<Json> : PlainStorage<Json> {
  static constexpr FieldType kType = FieldType::kJson;
  static bool present(const Json& value) { return value.present(); }
  static void read(Json& value, const FieldInfo& field, const Node& node, const Path& path, Reader& reader) {
    value = read_carried(field, node, path, reader);
  }
  static boost::json::value write(const Json& value, Kinds) { return value.value(); }
};

template <class T>
struct StorageOf<std::vector<T>> {
  static constexpr FieldType kType = FieldType::kStructList;
  static const StructInfo* structure() { return &struct_info<T>(); }
  static bool present(const std::vector<T>& value) { return !value.empty(); }
  static void read(std::vector<T>& value, const FieldInfo&, const Node& node, const Path& path, Reader& reader) {
    if (node.type != Node::Type::kSequence) return reader.expected(node, path, "a list");
    for (size_t index = 0; index < node.items.size(); ++index) {
      reader.read(struct_info<T>(), &value.emplace_back(), node.items[index], path[index]);
    }
  }
  static boost::json::value write(const std::vector<T>& value, Kinds kind) {
    boost::json::array array;
    for (const T& item : value) array.push_back(model::write(struct_info<T>(), &item, kind));
    return array;
  }
  static void each(std::vector<T>& value, void* closure, void (*visit)(void*, void*)) {
    for (T& item : value) visit(closure, &item);
  }
};

template <class T>
struct StorageOf<std::map<std::string, T>> {
  static constexpr FieldType kType = FieldType::kStructMap;
  static const StructInfo* structure() { return &struct_info<T>(); }
  static bool present(const std::map<std::string, T>& value) { return !value.empty(); }
  static void read(std::map<std::string, T>& value, const FieldInfo&, const Node& node, const Path& path,
                   Reader& reader) {
    if (node.type != Node::Type::kMapping) return reader.expected(node, path, "a mapping");
    for (const Entry& entry : node.entries) {
      reader.read(struct_info<T>(), &value[entry.key], entry.value, path / entry.key);
    }
  }
  static boost::json::value write(const std::map<std::string, T>& value, Kinds kind) {
    boost::json::object object;
    for (const auto& [key, item] : value) object.emplace(key, model::write(struct_info<T>(), &item, kind));
    return object;
  }
  static void each(std::map<std::string, T>& value, void* closure, void (*visit)(void*, void*)) {
    for (auto& [key, item] : value) visit(closure, &item);
  }
};

template <class T>
inline constexpr Storage kStorage = {
    .type = StorageOf<T>::kType,
    .structure = &StorageOf<T>::structure,
    .present = [](const void* at) { return StorageOf<T>::present(*static_cast<const T*>(at)); },
    .read = [](void* at, const FieldInfo& field, const Node& node, const Path& path,
               Reader& reader) { StorageOf<T>::read(*static_cast<T*>(at), field, node, path, reader); },
    .write = [](const void* at, Kinds kind) { return StorageOf<T>::write(*static_cast<const T*>(at), kind); },
    .each = [](void* at, void* closure,
               void (*visit)(void*, void*)) { StorageOf<T>::each(*static_cast<T*>(at), closure, visit); },
};

template <class Owner, class T>
T member_type(T Owner::*);
template <class Owner, class T>
Owner owner_type(T Owner::*);

// Describes the member `Member`; `more` gives what is not the usual.
template <auto Member>
FieldInfo field(std::string_view name, std::string_view meaning, FieldInfo more = {}) {
  using Owner = decltype(owner_type(Member));
  using T = decltype(member_type(Member));
  more.name = name;
  more.meaning = meaning;
  more.storage = &kStorage<T>;
  more.member = [](void* object) -> void* { return &(static_cast<Owner*>(object)->*Member); };
  return more;
}

}  // namespace fmesh::model
