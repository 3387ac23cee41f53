// An instance spec: FunctionDetails plus what it takes to host it here. The plan makes these, `local` hands them to
// `runtime` in this process; a pod gets the same through its arguments. A value type.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

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

// What Pulsar's own instance is told besides its details.
struct StockSpec {
  std::string package_location;  // where a pod downloads the package from; empty: it has it
  std::vector<std::string> java_options;
  std::string extra_dependencies_dir, entry_class, instance_path;  // Java; empty: the usual ones
  std::string log_level;                                           // as written; empty: the runtime's own
  int64_t memory_limit_bytes = 0;                                  // 0: none
  std::optional<int32_t> pending_async_requests;
  std::string cluster_name;
  std::string state_url;  // of BookKeeper's state service; empty: it keeps no state
  std::string state_class;
  std::map<std::string, std::string> environment;
  bool operator==(const StockSpec&) const = default;
};

struct InstanceSpec {
  FunctionDetails details;
  HostKind host = HostKind::kNative;
  std::string component;  // how people call it: its name in the mesh, or the resource's name
  // kNative: the shared library, absolute; kPython: the module or package; kStock: the package as it is written, in
  // base_directory or in Pulsar's folder.
  std::string library_path;
  std::string base_directory;  // where relative paths in configurations start: the folder of the YAML file
  std::map<std::string, std::string> secrets;  // by name, resolved; never printed
  std::optional<StockSpec> stock;              // kStock
  int32_t instance_id = 0;
  int32_t instance_count = 1;
  bool operator==(const InstanceSpec&) const = default;
};

}  // namespace fmesh::model
