// The rules of connectors' configurations as findings with their place in the file, so that `fmesh validate` and the
// start of a mesh tell what is wrong before anything runs. Pure.
#pragma once

#include "model/resource_set.h"

namespace fmesh::connect {

// The configurations of all built-in sources and sinks. Secrets are taken as present; files, addresses and other sides
// are not looked at.
model::Diagnostics check_connectors(const model::ResourceSet& resources);

}  // namespace fmesh::connect
