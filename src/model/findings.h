// Collects the findings about one component: takes paths relative to its spec and adds the exact path, the place in the
// file and upstream's spelling of the field. Lives for one pass of rules; belongs to whoever runs them.
#pragma once

#include <string>
#include <string_view>

#include "model/resource_set.h"

namespace fmesh::model {

class Findings {
 public:
  explicit Findings(const Component& component) : component_(component) {}

  // `path` is relative to the spec; `field` is upstream's spelling, empty if it is "spec." + path.
  void error(const Path& path, std::string text, std::string field = {}) {
    add(Severity::kError, path, std::move(text), std::move(field));
  }
  void warning(const Path& path, std::string text) { add(Severity::kWarning, path, std::move(text), {}); }
  void error(std::string_view path, std::string text, std::string field = {}) {
    error(Path::of(path), std::move(text), std::move(field));
  }
  void warning(std::string_view path, std::string text) { warning(Path::of(path), std::move(text)); }
  void add(Severity severity, const Path& path, std::string text, std::string field);
  Diagnostics take() { return std::move(list_); }

 private:
  const Component& component_;
  Diagnostics list_;
};

}  // namespace fmesh::model
