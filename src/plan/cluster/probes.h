// Probes with every field that the API server would fill in, so that what is sent is what comes back. Pure.
#pragma once

#include <boost/json/object.hpp>
#include <optional>

#include "model/spec.h"

namespace fmesh::plan {

// REQUIRES: period_seconds > 0. An HTTP probe of the metrics port; its timeout is its period, as upstream.
boost::json::object liveness_probe(const model::Liveness& liveness);
// Of a container that serves /healthz and /readyz at the metrics port. Alive: not stuck, not failed for good. Ready: it
// reads its inputs and can write its output.
boost::json::object native_liveness_probe(const std::optional<model::Liveness>& liveness);
boost::json::object native_readiness_probe();
// A probe as a person wrote it.
boost::json::value complete_probe(const model::Json& probe);

}  // namespace fmesh::plan
