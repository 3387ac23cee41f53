// Applies JSON patches as the API server does, for tests: test, add, replace and remove at members of objects.
#pragma once

#include <boost/json.hpp>
#include <string>

#include "kube/json.h"

namespace fmesh::op {

// False if a test does not hold, or a parent is not there.
inline bool apply_json_patch(boost::json::value& object, const boost::json::array& patch) {
  for (const boost::json::value& step : patch) {
    const std::string path(kube::string_at(step, {"path"}));
    const size_t slash = path.rfind('/');
    boost::system::error_code missing;
    boost::json::value* parent = object.find_pointer(path.substr(0, slash), missing);
    if (!parent || !parent->is_object()) return false;
    boost::json::object& members = parent->get_object();
    const std::string_view operation = kube::string_at(step, {"op"});
    const std::string key = path.substr(slash + 1);
    if (operation == "remove") {
      members.erase(key);
    } else if (operation == "test") {
      if (!members.contains(key) || members.at(key) != step.at("value")) return false;
    } else {
      members[key] = step.at("value");
    }
  }
  return true;
}

}  // namespace fmesh::op
