// The pass of a FunctionMesh: its children come and go as its items do, and their state adds up to its own. Children do
// not need each other, so their writes may be under way at the same time. Private to pass.cc and its tests.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "model/live.h"
#include "operator/pass.h"
#include "operator/status.h"

namespace fmesh::op {

class MeshPass final : public Pass {
 public:
  MeshPass(World& world, const Settings& settings, kube::ObjectKey key)
      : world_(world), settings_(settings), key_(std::move(key)) {}

  // It grows with the mesh.
  size_t steps_max() const override { return kStepsMax + kStepsPerChildMax * children_max_; }
  void cleaned(const Status&) override {}

 private:
  // What an item of the mesh asks for, computed once per version of the mesh.
  struct Child {
    Wanted wanted;
    model::Kind kind = model::Kind::kFunction;
    std::string item;
  };
  // A child as it was when it was last looked at.
  struct Known {
    kube::ObjectPtr live;
    std::optional<model::ComponentStatus> status;
    bool in_order = false;
  };

  Step look() override;
  void find_children();
  std::optional<Step> children_step();
  std::optional<Step> orphans_step();
  std::optional<Step> bring(const Wanted& wanted, ChildSeen& seen);
  Step status_step();

  World& world_;
  const Settings& settings_;
  kube::ObjectKey key_;

  kube::ObjectPtr resource_;
  std::optional<model::LiveResource> live_;
  std::string live_version_;
  std::vector<Child> wanted_;
  std::set<ObjectName> names_;  // of wanted_
  std::string problem_;         // of the items
  size_t children_max_ = 0;     // wanted or there

  // Of the look at hand.
  std::vector<ChildSeen> children_;
  int64_t again_after_ms_ = 0;

  // Of this pass.
  std::set<ObjectName> updated_;
  std::map<ObjectName, Known> known_;
};

}  // namespace fmesh::op
