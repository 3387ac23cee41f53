#include "kube/object.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "kube/json.h"

namespace fmesh::kube {
namespace json = boost::json;
namespace {

constexpr std::string_view kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";

// The same metadata without what no reader asks for and what may be larger than all the rest.
json::object slim_metadata(const json::object& metadata) {
  json::object slim;
  slim.reserve(metadata.size());
  for (const auto& [key, value] : metadata) {
    if (key == "managedFields") continue;
    const json::object* annotations = key == "annotations" ? value.if_object() : nullptr;
    if (!annotations || !annotations->contains(kLastApplied)) {
      slim[key] = value;
      continue;
    }
    json::object kept = *annotations;
    kept.erase(kLastApplied);
    if (!kept.empty()) slim[key] = std::move(kept);
  }
  return slim;
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
  std::string& text = object->text_;
  for (const auto& [key, part] : *whole) {
    text += text.empty() ? '{' : ',';
    text += write_json(key);
    text += ':';
    text += key == "metadata" ? write_json(slim_metadata(part.get_object())) : write_json(part);
  }
  text += '}';
  object->text_.shrink_to_fit();
  return ObjectPtr(std::move(object));
}

json::value Object::json(json::storage_ptr storage) const {
  Result<json::value> value = read_json(text_, std::move(storage));
  return value ? std::move(*value) : json::value();  // our own text: always readable
}

}  // namespace fmesh::kube
