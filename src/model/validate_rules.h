// The groups of rules that validate_component() goes through; one function per group of fields, in validate_runtime.cc
// and validate_streams.cc. Pure; they only add to the findings.
#pragma once

#include "model/findings.h"
#include "model/validate.h"

namespace fmesh::model {

void check_names(const Component& component, const ValidateOptions& options, Findings& findings);
void check_runtime(const Component& component, const ValidateOptions& options, Findings& findings);
void check_scaling(const Component& component, Findings& findings);
// Guarantees, retries, ordering, timeouts.
void check_delivery(const Component& component, const ValidateOptions& options, Findings& findings);
// Inputs, output, log, dead letters.
void check_streams(const Component& component, const ValidateOptions& options, Findings& findings);
void check_window(const Component& component, Findings& findings);
// What only pods need: Pulsar, resources, state service.
void check_cluster(const Component& component, Findings& findings);
// What a pod of fmesh's image can't do (validate_native.cc); nothing for other pods.
void check_native_pod(const Component& component, Findings& findings);

}  // namespace fmesh::model
