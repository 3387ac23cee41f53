#include "sim/kube/patch.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <charconv>
#include <optional>
#include <string>
#include <vector>

#include "kube/json.h"

namespace fmesh::sim {
namespace json = boost::json;
namespace {

std::vector<std::string> pointer(std::string_view text) {
  std::vector<std::string> steps;
  for (const char byte : text) {
    if (byte == '/') {
      steps.emplace_back();
    } else if (!steps.empty()) {
      steps.back() += byte;
    }
  }
  for (std::string& step : steps) {
    for (size_t at = 0; (at = step.find('~', at)) != std::string::npos; ++at) {
      const bool slash = step.compare(at, 2, "~1") == 0;
      if (slash || step.compare(at, 2, "~0") == 0) step.replace(at, 2, slash ? "/" : "~");
    }
  }
  return steps;
}

std::optional<size_t> index_of(const std::string& step, size_t size, bool adding) {
  if (adding && step == "-") return size;
  size_t index = 0;
  const auto [end, error] = std::from_chars(step.data(), step.data() + step.size(), index);
  if (error != std::errc() || end != step.data() + step.size()) return std::nullopt;
  return index < size + (adding ? 1 : 0) ? std::optional(index) : std::nullopt;
}

json::value* walk(json::value* at, const std::vector<std::string>& steps, size_t count) {
  for (size_t i = 0; at && i < count; ++i) {
    if (json::object* object = at->if_object()) {
      at = object->if_contains(steps[i]);
    } else if (json::array* array = at->if_array()) {
      const auto index = index_of(steps[i], array->size(), false);
      at = index ? &(*array)[*index] : nullptr;
    } else {
      at = nullptr;
    }
  }
  return at;
}

bool add(json::value& target, const std::vector<std::string>& steps, json::value value) {
  if (steps.empty()) {
    target = std::move(value);
    return true;
  }
  json::value* parent = walk(&target, steps, steps.size() - 1);
  if (!parent) return false;
  if (json::object* object = parent->if_object()) {
    (*object)[steps.back()] = std::move(value);
    return true;
  }
  json::array* array = parent->if_array();
  const auto index = array ? index_of(steps.back(), array->size(), true) : std::nullopt;
  if (!index) return false;
  array->insert(array->begin() + static_cast<std::ptrdiff_t>(*index), std::move(value));
  return true;
}

bool remove(json::value& target, const std::vector<std::string>& steps) {
  if (steps.empty()) return false;
  json::value* parent = walk(&target, steps, steps.size() - 1);
  if (!parent) return false;
  if (json::object* object = parent->if_object()) return object->erase(steps.back()) > 0;
  json::array* array = parent->if_array();
  const auto index = array ? index_of(steps.back(), array->size(), false) : std::nullopt;
  if (!index) return false;
  array->erase(array->begin() + static_cast<std::ptrdiff_t>(*index));
  return true;
}

Status operate(json::value& target, const json::value& operation) {
  const std::string_view name = kube::string_at(operation, {"op"});
  const std::string_view path_text = kube::string_at(operation, {"path"});
  const std::vector<std::string> path = pointer(path_text);
  const json::value* value = kube::find(operation, {"value"});
  const auto refuse = [&](std::string_view why) {
    return fail(ErrorKind::kFixInput, fmt::format("{} operation at {}: {}", name, path_text, why));
  };
  if (name == "add" || name == "replace" || name == "test") {
    if (!value) return refuse("no value");
    json::value* there = walk(&target, path, path.size());
    if (name == "test") {
      if (there ? *there == *value : value->is_null()) return {};
      return fail(ErrorKind::kRetryNow, fmt::format("testing value {} failed", path_text));
    }
    if (name == "replace") {
      if (there) {
        *there = *value;
        return {};
      }
      // As the server's library has it: a missing member is made, a missing item of a list is an error.
      const json::value* parent = path.empty() ? nullptr : walk(&target, path, path.size() - 1);
      if (!parent || !parent->is_object()) return refuse("it does not exist");
    }
    return add(target, path, *value) ? Status() : refuse("there is nothing to add to");
  }
  if (name == "remove") return remove(target, path) ? Status() : refuse("it does not exist");
  if (name == "move" || name == "copy") {
    const std::vector<std::string> from = pointer(kube::string_at(operation, {"from"}));
    json::value* there = walk(&target, from, from.size());
    if (!there) return refuse("its origin does not exist");
    json::value moved = *there;
    if (name == "move" && !remove(target, from)) return refuse("its origin can't be removed");
    return add(target, path, std::move(moved)) ? Status() : refuse("there is nothing to add to");
  }
  return refuse("no such operation");
}

}  // namespace

void merge_patch(json::value& target, const json::value& patch) {
  if (!patch.is_object()) {
    target = patch;
    return;
  }
  if (!target.is_object()) target = json::object();
  for (const auto& [key, value] : patch.get_object()) {
    if (value.is_null()) {
      target.get_object().erase(key);
    } else {
      merge_patch(target.get_object()[key], value);
    }
  }
}

Result<json::value> json_patch(json::value target, const json::value& patch) {
  if (!patch.is_array()) return fail(ErrorKind::kFixInput, "a JSON patch is a list of operations");
  for (const json::value& operation : patch.get_array()) FMESH_CHECK(operate(target, operation));
  return target;
}

}  // namespace fmesh::sim
