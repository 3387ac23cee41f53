// The pass of a FunctionMesh: its children come and go as its items do, and their state adds up to its own. Private to
// pass.cc and its tests.
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

  Step next() override;
  void cleaned(const Status&) override {}

 private:
  std::optional<Step> children_step();
  std::optional<Step> orphans_step(const std::set<ObjectName>& wanted);
  std::optional<Step> bring(const Wanted& wanted, ChildSeen& seen);
  Step status_step();

  World& world_;
  const Settings& settings_;
  kube::ObjectKey key_;

  kube::ObjectPtr resource_;
  std::optional<model::LiveResource> live_;
  std::string live_version_;

  // Of the look at hand.
  std::vector<ChildSeen> children_;
  std::string problem_;
  int64_t again_after_ms_ = 0;
  boost::json::value status_;  // that was written last
  Step done_;

  // Of this pass.
  std::set<ObjectName> updated_;
  std::set<ObjectName> in_order_;  // looked at already
};

}  // namespace fmesh::op
