// The Python modules that belong to fmesh, from lib/, as text. The build makes sources.cc of them.
#pragma once

#include <span>
#include <string_view>

namespace fmesh::runtime {

struct PythonSource {
  std::string_view name;  // "pulsar.functions.serde"
  bool is_package;
  std::string_view text;
};

// The first is fmesh_host.
std::span<const PythonSource> python_sources();

}  // namespace fmesh::runtime
