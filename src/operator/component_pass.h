// The pass of a Function, Source or Sink; the three differ by data only. Private to pass.cc and its tests.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "model/fields.h"
#include "model/live.h"
#include "operator/pass.h"
#include "operator/status.h"

namespace fmesh::op {

class ComponentPass final : public Pass {
 public:
  ComponentPass(World& world, const Settings& settings, const kube::ResourceType& type, kube::ObjectKey key)
      : world_(world), settings_(settings), type_(type), key_(std::move(key)) {}

  void cleaned(const Status& outcome) override;

 private:
  Step look() override;
  void find_circumstances();
  Result<std::vector<Wanted>> plan_objects() const;
  std::string spec_fingerprint() const;
  std::optional<Step> objects_step();
  std::optional<Step> bring(const Wanted& wanted);
  std::optional<Step> old_job_step();
  Step status_step();
  Step finalizer_step(bool wanted);
  bool finalizer_refused() const { return refused_.contains({std::string(type_.kind), key_.name}); }
  Step delete_step();

  World& world_;
  const Settings& settings_;
  const kube::ResourceType& type_;
  kube::ObjectKey key_;

  // Of the resource as it is now.
  kube::ObjectPtr resource_;
  std::optional<model::LiveResource> live_;
  std::string live_version_;
  std::optional<model::BackendConfig> global_, namespaced_;
  std::pair<std::string, std::string> look_versions_;  // of the two BackendConfigs
  std::optional<Result<std::vector<Wanted>>> wanted_;
  model::ComponentStatus before_;
  Circumstances circumstances_;
  Look look_;

  // Of this pass.
  std::map<std::string, kube::ObjectPtr> fine_;  // kind -> the object that was in order
  std::set<std::string> updated_;                // kinds
  bool cleaned_ = false;
  std::optional<std::string> cleanup_failed_;
};

}  // namespace fmesh::op
