// The pod template of a component's StatefulSet. Pure.
#pragma once

#include <boost/json/object.hpp>

#include "base/result.h"
#include "plan/cluster/backend.h"
#include "plan/cluster/cluster_plan.h"
#include "plan/cluster/command.h"

namespace fmesh::plan {

// What the template is made from.
struct PodInput {
  const model::Component& component;
  const BackendPolicy& backend;
  const ClusterOptions& options;
  const PodCommand& command;
};

// {metadata, spec}. Its labels hold all selector labels, whatever anyone else says of them.
Result<boost::json::object> make_pod_template(const PodInput& input);

// A pod that the API server or the kubelet would refuse, which a StatefulSet shows only as "FailedCreate": a name or
// mount path given twice, a mount without a volume.
Status check_pod_template(const model::Component& component, const boost::json::object& pod_template);

}  // namespace fmesh::plan
