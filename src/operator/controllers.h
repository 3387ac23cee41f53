// The controllers of a cluster as one thing: watches fill the world, the runner acts on it. Who starts it says when it
// may write: not before everything is known, and only as the leader.
//
// Belongs to its loop; may be let go of at any moment, and begun anew.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "kube/reflector.h"
#include "operator/runner.h"

namespace fmesh::op {

class Controllers {
 public:
  // `settings` outlives it. `may_write` is asked before each pass and each write; null: always.
  Controllers(Loop& loop, kube::Api& api, Settings& settings, Rng& rng, Cleaner& cleaner, Notes& notes,
              std::function<bool()> may_write = {});
  ~Controllers();

  // Looks which APIs are served, then watches. What stands in the way is told to `trouble`, each text once.
  void start(std::function<void(const std::string&)> trouble, std::function<void()> synced);
  bool synced() const { return synced_; }
  // Takes effect once synced.
  void set_leading(bool leading);

  World& world() { return world_; }
  Runner& runner() { return runner_; }

 private:
  void discover();
  void discover_autoscaler(bool first);
  void watch(const kube::ResourceType& type);
  void await_sync();
  bool all_synced() const;
  void again_after(int64_t delay_ms, std::function<void()> task);
  void tell(const std::string& trouble);
  bool autoscaler_served(const Result<kube::Response>& answer) const;

  Loop& loop_;
  kube::Api& api_;
  Settings& settings_;
  Rng& rng_;
  World world_;
  Runner runner_;
  std::vector<std::unique_ptr<kube::Reflector>> reflectors_;
  std::function<void(const std::string&)> trouble_;
  std::function<void()> on_synced_;
  std::set<std::string> told_;  // troubles, until all is well
  bool synced_ = false, leading_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace fmesh::op
