// The other inhabitants of a cluster: the garbage collector, a minimal StatefulSet controller and a stand-in for the
// autoscaler. Each does one write at a time, each some time after the one before, so that everyone else gets in
// between.
//
// Belongs to the simulator's one thread.
#pragma once

#include <boost/json/fwd.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/loop.h"
#include "base/rng.h"
#include "kube/requests.h"
#include "sim/kube/database.h"

namespace fmesh::sim {

struct ControllerOptions {
  bool garbage_collector = true;
  int64_t garbage_delay_min_ms = 0;    // before each of its steps
  int64_t garbage_delay_max_ms = 300;  // and at most so much more
  bool stateful_sets = true;
  int64_t ready_delay_max_ms = 2'000;  // from a change of the spec to its status, and from there to readiness
  bool pods = false;                   // StatefulSets have pods: made, adopted, replaced when the template changes
  // Every so often every HorizontalPodAutoscaler sets its target to some number within its bounds; 0: never.
  int64_t autoscale_every_ms = 0;
};

class Controllers {
 public:
  // Carries a request out at once, in the name of `actor`.
  using CarryOut = std::function<kube::Response(const kube::Request&, const std::string& actor)>;

  Controllers(const Database& database, Loop& loop, Rng& rng, ControllerOptions options, CarryOut carry_out);
  ~Controllers();
  // Something was committed.
  void poke();
  void stop_autoscaling() { options_.autoscale_every_ms = 0; }
  // Nothing to collect and no status to write at this moment.
  bool idle() const;

 private:
  struct Action {
    kube::Request request;
    std::string actor;
  };
  struct Found {
    const KindInfo* kind = nullptr;
    kube::ObjectKey key;
    JsonPtr object;
  };
  // What is to be done next; none: nothing.
  std::optional<Action> next_garbage() const;
  std::optional<Action> collect(const Found& found) const;
  std::optional<Action> finish_foreground(const Found& owner) const;
  std::optional<Action> finish_orphaning(const Found& owner) const;
  std::vector<Found> dependents(const std::string& uid) const;
  bool exists(const boost::json::value& reference, const std::string& name_space) const;
  std::optional<Action> next_status() const;
  std::optional<Action> next_pod(const Found& set) const;
  void autoscale();
  void schedule(bool& scheduled, int64_t delay_min_ms, int64_t delay_max_ms,
                std::function<std::optional<Action>()> next);

  const Database& database_;
  Loop& loop_;
  Rng& rng_;
  ControllerOptions options_;
  CarryOut carry_out_;
  bool garbage_scheduled_ = false, status_scheduled_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace fmesh::sim
