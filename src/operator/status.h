// Status of a resource, computed from what a pass saw. Upstream's conditions and fields, and what people ask first: is
// it ready, how many pods are, and if not, why. Pure; equal worlds give equal bytes, so that nothing is written when
// nothing changed.
#pragma once

#include <boost/json/value.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kube/object.h"
#include "model/live.h"
#include "operator/world.h"

namespace fmesh::op {

// One object that the resource owns, or should.
struct Seen {
  bool wanted = false, exists = false, in_order = false, held = false;
  std::string text{};  // why it is not in order
};

struct Look {
  std::map<std::string, Seen> seen;  // by kind
  std::optional<boost::json::value> pending;
  std::string problem;  // nothing can be made of the resource
  int64_t again_after_ms = 0;
};

struct StatusInput {
  const model::LiveResource& live;
  const model::ComponentStatus& before;
  const Look& look;
  const kube::ObjectPtr& stateful_set;
  std::string global_revision{}, namespaced_revision{};  // of the BackendConfigs
  bool held = false;
  std::string adopted_spec{};
  bool global_auto_update = false, namespaced_auto_update = false;  // of the BackendConfigs
};

model::ComponentStatus make_component_status(const StatusInput& input);

// One child of a mesh.
struct ChildSeen {
  model::Kind kind = model::Kind::kFunction;
  std::string item{};
  bool exists = false;
  bool orphaned = false;  // no longer in the mesh, not yet gone
  std::string text{};     // why it is not in order
  std::optional<model::ComponentStatus> status{};
};

model::MeshStatus make_mesh_status(const model::LiveResource& live, const std::vector<ChildSeen>& children,
                                   bool applied, const std::string& problem);

boost::json::value to_json(const model::ComponentStatus& status);
boost::json::value to_json(const model::MeshStatus& status);
// Both as the API server keeps them: zero and absent are the same.
bool status_differs(const boost::json::value& wanted, const boost::json::value& live);
// An older CRD drops our fields from a status. What was `written`, and what the API server made of it, is remembered in
// World::settled, so that it is not written again and again. `resource` is the answer.
void note_settled_status(World& world, const boost::json::value& written, const kube::Object& resource);
std::string settled_status(const boost::json::value& wanted, const boost::json::value* there);
// fmesh wrote this object.
bool is_marked(const kube::ObjectPtr& object);

}  // namespace fmesh::op
