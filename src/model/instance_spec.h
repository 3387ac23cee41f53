// An instance spec: FunctionDetails plus what it takes to host it here. The plan makes these, `local` hands them to
// `runtime` in this process; a pod gets the same through its arguments. A value type.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "model/function_details.h"

namespace fmesh::model {

// Which host runs the component (architecture: "How a resource chooses its host").
enum class HostKind {
  kNative,   // a function library behind the C ABI (genericRuntime.language: cpp)
  kBuiltin,  // identity, filter, map
  kSource,   // a built-in source connector
  kSink,     // a built-in sink connector
  kPython,   // embedded CPython
  kStock,    // Pulsar's own instance, a child process
};

struct InstanceSpec {
  FunctionDetails details;
  HostKind host = HostKind::kNative;
  std::string component;       // how people call it: its name in the mesh, or the resource's name
  std::string library_path;    // kNative: the shared library, absolute; kPython: the module or package
  std::string base_directory;  // where relative paths in configurations start: the folder of the YAML file
  std::map<std::string, std::string> secrets;  // by name, resolved; never printed
  int32_t instance_id = 0;
  int32_t instance_count = 1;
  bool operator==(const InstanceSpec&) const = default;
};

}  // namespace fmesh::model
