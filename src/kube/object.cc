#include "kube/object.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "kube/json.h"
#include "model/json.h"

namespace fmesh::kube {
namespace json = boost::json;
namespace {

constexpr size_t kTextBytes = 8 * 1024;  // of an object, mostly
constexpr std::string_view kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";

// Appends `object` without the members that `left_out` names, and without those that `written` did not write.
template <class LeftOut, class Write>
void append_members(std::string& text, const json::object& object, LeftOut left_out, Write write) {
  char before = '{';
  for (const auto& [key, value] : object) {
    if (left_out(key, value)) continue;
    text += before;
    before = ',';
    model::append_json(text, static_cast<std::string_view>(key));
    text += ':';
    write(key, value);
  }
  text += before == '{' ? "{}" : "}";
}

bool is_last_applied(std::string_view key, const json::value&) { return key == kLastApplied; }

// Metadata without what no reader asks for and what may be larger than all the rest.
void append_metadata(std::string& text, const json::object& metadata) {
  const auto left_out = [](std::string_view key, const json::value& value) {
    if (key == "managedFields") return true;
    const json::object* annotations = key == "annotations" ? value.if_object() : nullptr;
    return annotations && annotations->size() == 1 && annotations->contains(kLastApplied);
  };
  append_members(text, metadata, left_out, [&](std::string_view key, const json::value& value) {
    if (key != "annotations" || !value.is_object()) return model::append_json(text, value);
    append_members(text, value.get_object(), is_last_applied,
                   [&](std::string_view, const json::value& inner) { model::append_json(text, inner); });
  });
}

}  // namespace

std::string ResourceType::api_version() const {
  return group.empty() ? std::string(version) : fmt::format("{}/{}", group, version);
}

std::string ObjectKey::to_string() const { return name_space.empty() ? name : fmt::format("{}/{}", name_space, name); }

Result<ObjectPtr> Object::make(const json::value& value) {
  const json::object* whole = value.if_object();
  const json::value* metadata = find(value, {"metadata"});
  const std::string_view name = string_at(value, {"metadata", "name"});
  if (!whole || !metadata || name.empty()) {
    return fail(ErrorKind::kBug,
                fmt::format("found {} of kind \"{}\" without metadata.name, expected a Kubernetes object",
                            json::to_string(value.kind()), string_at(value, {"kind"})));
  }
  auto object = std::make_shared<Object>();
  object->key_ = {std::string(string_at(*metadata, {"namespace"})), std::string(name)};
  object->uid_ = string_at(*metadata, {"uid"});
  object->resource_version_ = string_at(*metadata, {"resourceVersion"});
  object->generation_ = int_at(*metadata, {"generation"});
  object->counts_ = {int_at(value, {"spec", "replicas"}), int_at(value, {"status", "readyReplicas"}),
                     int_at(value, {"status", "observedGeneration"})};
  const json::value* deletion = find(*metadata, {"deletionTimestamp"});
  object->being_deleted_ = deletion && !deletion->is_null();
  const json::value* owners = find(*metadata, {"ownerReferences"});
  if (owners && owners->is_array()) {
    for (const json::value& owner : owners->get_array()) {
      if (!bool_at(owner, {"controller"})) continue;
      object->owner_uid_ = string_at(owner, {"uid"});
      object->owner_kind_ = string_at(owner, {"kind"});
      object->owner_name_ = string_at(owner, {"name"});
      break;
    }
  }
  std::string text;
  text.reserve(kTextBytes);
  append_members(
      text, *whole, [](std::string_view, const json::value&) { return false; },
      [&](std::string_view key, const json::value& part) {
        if (key == "metadata") return append_metadata(text, part.get_object());
        model::append_json(text, part);
      });
  object->text_ = std::string(text);  // as large as it has to be
  return ObjectPtr(std::move(object));
}

json::value Object::json(json::storage_ptr storage) const {
  Result<json::value> value = read_json(text_, std::move(storage));
  return value ? std::move(*value) : json::value();  // our own text: always readable
}

}  // namespace fmesh::kube
