// What the BackendConfigs of a cluster give to every pod: the global one and the namespace's, merged. A value; where a
// component says something itself, the component wins.
#pragma once

#include <boost/json/array.hpp>
#include <optional>
#include <string>

#include "plan/cluster/cluster_plan.h"

namespace fmesh::plan {

struct BackendPolicy {
  model::StringMap env, labels, annotations, node_selector;
  model::Json affinity, security_context;
  boost::json::array tolerations, image_pull_secrets;  // of the global one first; a component's own come behind
  std::optional<int64_t> termination_grace_period_seconds;
  std::string service_account_name;
  std::optional<model::Liveness> liveness;
  model::Json startup_probe;
};

// The namespace's BackendConfig wins over the global one, key by key. What is not in BackendPolicy (volumes,
// containers, pod.env, autoscaling) has no effect in a BackendConfig, as upstream.
BackendPolicy merge_backend(const BackendConfigs& configs);

}  // namespace fmesh::plan
