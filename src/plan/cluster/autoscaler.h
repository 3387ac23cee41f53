// What scales a component: the HorizontalPodAutoscaler (v2) for replicas, the VerticalPodAutoscaler for resources. Both
// aim at the resource itself, through its scale subresource, so that the operator stays the only writer of pods. Pure.
#pragma once

#include <boost/json/object.hpp>

#include "plan/cluster/cluster_plan.h"

namespace fmesh::plan {

// The spec. Metrics and behaviour are always complete, so that nothing is left to the API server's defaults.
// REQUIRES: maxReplicas is given.
boost::json::object make_hpa_spec(const model::Component& component);
// REQUIRES: pod.vpa is given.
boost::json::object make_vpa_spec(const model::Component& component);

}  // namespace fmesh::plan
