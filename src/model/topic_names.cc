// The rules of stream names, as stream::TopicName has them; this room must not include stream.
#include "model/resource_set.h"

namespace fmesh::model {
namespace {

struct Parts {
  std::string_view scheme = "persistent";
  std::string_view tenant = "public", name_space = "default", local;
  bool valid = false;
};

Parts split(std::string_view name) {
  Parts parts;
  const size_t mark = name.find("://");
  const bool full = mark != std::string_view::npos;
  if (full) {
    parts.scheme = name.substr(0, mark);
    if (parts.scheme != "persistent" && parts.scheme != "non-persistent") return parts;
    name.remove_prefix(mark + 3);
  }
  const size_t first = name.find('/');
  if (first == std::string_view::npos) {
    parts.local = name;
    parts.valid = !full && !name.empty();
    return parts;
  }
  const size_t second = name.find('/', first + 1);
  if (second == std::string_view::npos) return parts;
  parts.tenant = name.substr(0, first);
  parts.name_space = name.substr(first + 1, second - first - 1);
  parts.local = name.substr(second + 1);
  parts.valid = !parts.tenant.empty() && !parts.name_space.empty() && !parts.local.empty() &&
                parts.local.find('/') == std::string_view::npos;
  return parts;
}

}  // namespace

bool is_topic_name(std::string_view name) { return split(name).valid; }

std::string full_topic_name(std::string_view name) {
  const Parts parts = split(name);
  if (!parts.valid) return std::string(name);
  return std::string(parts.scheme) + "://" + std::string(parts.tenant) + "/" + std::string(parts.name_space) + "/" +
         std::string(parts.local);
}

std::string short_topic_name(std::string_view name) {
  const Parts parts = split(name);
  if (!parts.valid || parts.scheme != "persistent") return std::string(name);
  if (parts.tenant == "public" && parts.name_space == "default") return std::string(parts.local);
  return std::string(parts.tenant) + "/" + std::string(parts.name_space) + "/" + std::string(parts.local);
}

}  // namespace fmesh::model
