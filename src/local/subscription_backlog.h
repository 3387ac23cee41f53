// How much of a component's input is not acknowledged yet, as the store knows it. From any thread.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "model/instance_spec.h"
#include "stream/store.h"

namespace fmesh::local {

// Records, over all streams that `spec` reads.
Result<int64_t> subscription_backlog(stream::Store& store, const model::InstanceSpec& spec);
// The same of a cluster, which has to be asked for all its streams.
Result<int64_t> subscription_backlog(stream::Client& client, const model::InstanceSpec& spec);

}  // namespace fmesh::local
