// Every rule a set of resources has to meet before it is run or sent to a cluster: the rules of each resource, then the
// rules between them.
#pragma once

#include "model/resource_set.h"
#include "model/validate.h"

namespace fmesh::plan {

// Defaults must have been applied (model::read_files does). The answer holds the findings of reading
// (resources.findings) too, in the order of file and line, so that a person sees every error of a file at once.
model::Diagnostics check(const model::ResourceSet& resources, model::Target target,
                         const model::BuiltinNames& builtins = {});

}  // namespace fmesh::plan
