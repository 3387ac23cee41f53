#include "kube/json.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "model/json.h"

namespace fmesh::kube {
namespace json = boost::json;

Result<json::value> read_json(std::string_view text, json::storage_ptr storage) {
  json::parse_options options;
  options.max_depth = kJsonDepthMax;
  json::error_code error;
  try {
    json::value value = json::parse(text, error, std::move(storage), options);
    if (!error) return value;
  } catch (const std::exception& exception) {  // too large for Boost.JSON
    return fail(ErrorKind::kRetryLater, fmt::format("the API server's JSON can't be read: {}", exception.what()));
  }
  return fail(ErrorKind::kRetryLater,
              fmt::format("the API server sent {} bytes that are no JSON: {}", text.size(), error.message()));
}

std::string write_json(const json::value& value) { return model::write_json(value); }

const json::value* find(const json::value& value, JsonPath path) {
  const json::value* at = &value;
  for (const std::string_view key : path) {
    const json::object* object = at->if_object();
    if (!object) return nullptr;
    at = object->if_contains(key);
    if (!at) return nullptr;
  }
  return at;
}

json::value* find(json::value& value, JsonPath path) {
  return const_cast<json::value*>(find(static_cast<const json::value&>(value), path));
}

std::string_view string_at(const json::value& value, JsonPath path) {
  const json::value* found = find(value, path);
  if (!found || !found->is_string()) return {};
  return {found->get_string().data(), found->get_string().size()};
}

int64_t int_at(const json::value& value, JsonPath path) {
  const json::value* found = find(value, path);
  if (!found) return 0;
  if (const int64_t* number = found->if_int64()) return *number;
  return 0;
}

bool bool_at(const json::value& value, JsonPath path) {
  const json::value* found = find(value, path);
  return found && found->is_bool() && found->get_bool();
}

}  // namespace fmesh::kube
