// A resource as the API server holds it: with uid, generation, finalizers and status, and whatever else is in it. What
// does not belong is a finding, never a refusal, since a controller has to go on with the rest. Values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/resource_set.h"

namespace fmesh::model {

struct LiveResource {
  Kind kind = Kind::kFunction;
  Metadata metadata;
  std::string uid, resource_version;
  int64_t generation = 0;
  bool being_deleted = false;
  std::vector<std::string> finalizers;

  // Which of these is there follows from the kind; none if the text is no resource of ours. Defaults of admission are
  // not applied: what is not stored was left out on purpose, or before there was admission, and pods have to stay.
  std::optional<Component> component;  // Function, Source, Sink; essential defaults are applied (defaults.h)
  std::optional<Mesh> mesh;            // FunctionMesh
  std::vector<Component> items;        // of the mesh: names "<mesh>-<item>", in its namespace; specs as written
  std::optional<BackendConfig> backend_config;

  ComponentStatus component_status;  // as it is there; empty without one
  MeshStatus mesh_status;
  Diagnostics findings;
};

LiveResource read_live(std::string_view json_text);
// The status alone of a Function, Source or Sink.
ComponentStatus read_component_status(std::string_view json_text);

}  // namespace fmesh::model
