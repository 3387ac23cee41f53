// Names inside a component's objects that only this folder needs; those that other rooms need are in cluster_plan.h.
#pragma once

#include <string>

#include "model/resource_set.h"

namespace fmesh::plan {

std::string container_name(model::Kind kind);  // "pulsar-function"
// "default" if none is given.
std::string name_space_of(const model::Component& component);

}  // namespace fmesh::plan
