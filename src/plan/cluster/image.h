// Which image runs a component, and when it is pulled. Pure.
#pragma once

#include <string>

#include "base/result.h"
#include "plan/cluster/cluster_plan.h"

namespace fmesh::plan {

// spec.image, else the runner of the operator's config file, else upstream's, or fmesh's own of this version.
// Errors: kFixInput for a language no runner is known of.
Result<std::string> component_image(const model::Component& component, const RunnerConfig& runner);

// False if a component of fmesh's own runs in the image that fmesh comes with, which has no functions.
bool has_own_image(const model::Component& component, const RunnerConfig& runner);

// spec.imagePullPolicy, else that of the config file, else IfNotPresent. Upstream never looks at the first.
std::string component_pull_policy(const model::ComponentSpec& spec, const RunnerConfig& runner);

}  // namespace fmesh::plan
