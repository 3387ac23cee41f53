// Fills in what a person left out. Most defaults are data (default_json in the field tables); here are those that
// depend on other fields.
#pragma once

#include "model/resource_set.h"

namespace fmesh::model {

// `resource_name` is the default of spec.name.
void apply_component_defaults(ComponentSpec& spec, Kind kind, const std::string& resource_name);

// Of these only what no pod can do without: name, tenant, namespace, cluster name, replicas. For resources that no
// admission saw: what else they leave out is left out, so that their pods stay as they are.
void apply_essential_defaults(ComponentSpec& spec, const std::string& resource_name);

}  // namespace fmesh::model
