#include "plan/cluster/refuse.h"

#include <charconv>

namespace fmesh::plan {
namespace {

// "pod.volumes[1].name" behind `path`.
model::Path extend(model::Path path, std::string_view field) {
  while (!field.empty()) {
    if (field.front() == '[') {
      size_t index = 0;
      const size_t end = field.find(']');
      std::from_chars(field.data() + 1, field.data() + end, index);
      path = path[index];
      field.remove_prefix(end + 1);
    } else {
      if (field.front() == '.') field.remove_prefix(1);
      const size_t end = std::min(field.find_first_of(".["), field.size());
      path = path / field.substr(0, end);
      field.remove_prefix(end);
    }
  }
  return path;
}

}  // namespace

std::unexpected<Error> refuse_field(const model::Component& component, std::string_view field,
                                    const std::string& text) {
  const std::string where = field.empty() ? std::string() : "spec." + std::string(field) + ": ";
  return fail(ErrorKind::kFixInput,
              std::string(model::to_string(component.kind)) + " " + component.metadata.name + ": " + where + text,
              component.origin.place(extend(component.path, field)));
}

}  // namespace fmesh::plan
