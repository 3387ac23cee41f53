// All objects of a set of files, as `fmesh render` and `fmesh diff` show them: meshes with their children and the
// children's objects. Pure.
#pragma once

#include <boost/json/array.hpp>
#include <map>
#include <string>
#include <tuple>

#include "plan/cluster/cluster_plan.h"

namespace fmesh::plan {

inline constexpr const char* kUidPlaceholder = "{uid}";  // there is no resource yet that has one

// Kind, namespace and name of a Function, Source or Sink.
using ComponentName = std::tuple<model::Kind, std::string, std::string>;

struct RenderOptions {
  ClusterOptions cluster{};
  std::string name_space = "default";        // of resources that name none
  bool admitted = false;                     // specs have what admission fills in; else they are as written
  std::map<ComponentName, int32_t> sizes{};  // replicas that the cluster has and the files do not decide
};

struct Rendered {
  boost::json::array objects;   // by the order of the files; a mesh's children, then their objects
  model::Diagnostics findings;  // what can't be rendered; with an error, `objects` is not whole
};

// A later document of the same kind, namespace and name replaces an earlier one. A resource annotated
// compute.functionmesh.io/managed: "false" gives nothing.
Rendered render_set(const model::ResourceSet& resources, const RenderOptions& options);

// False for compute.functionmesh.io/managed: "false".
bool is_managed(const model::Metadata& metadata);

}  // namespace fmesh::plan
