// The CRDs: structural OpenAPI schemas made from the field tables, with what else the API server wants to know of each
// kind (subresources, printer columns). Parts of a pod are carried whole instead of described field by field, which
// keeps each CRD small enough for `kubectl apply`. Pure.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>

#include "model/fields.h"

namespace fmesh::model {

inline constexpr Kind kKinds[] = {Kind::kFunction, Kind::kSource, Kind::kSink, Kind::kFunctionMesh,
                                  Kind::kBackendConfig};

// A CustomResourceDefinition (apiextensions.k8s.io/v1), structural, with status and scale subresources.
boost::json::value make_crd(Kind kind);
// The same as YAML.
std::string make_crd_yaml(Kind kind);

// The tables of a kind's spec and status; status of a BackendConfig has no fields: null.
const StructInfo& spec_info(Kind kind);
const StructInfo* status_info(Kind kind);
// Whose fields are inside `field`: the items of a mesh are components of their own kind.
Kinds kinds_inside(Kinds kinds, std::string_view field);
// functionmeshes, ...
std::string plural(Kind kind);
// What it is, in a sentence.
std::string_view kind_meaning(Kind kind);

}  // namespace fmesh::model
