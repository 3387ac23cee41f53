// The volumes of a component's pod and where they are mounted: the user's, and those that TLS, OAuth2, encryption, logs
// and packages need. Upstream's names, save where two of them would be the same. Pure.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <optional>

#include "base/result.h"
#include "plan/cluster/cluster_plan.h"
#include "plan/cluster/command.h"

namespace fmesh::plan {

struct PodVolumes {
  boost::json::array volumes;                     // of the pod, in upstream's order
  boost::json::array mounts;                      // of the main container
  std::optional<boost::json::object> downloader;  // of the command, with the user's mounts and the names chosen here
};

// Errors: kFixInput for a Secret without name or key.
Result<PodVolumes> plan_volumes(const model::Component& component, const PodCommand& command);

}  // namespace fmesh::plan
