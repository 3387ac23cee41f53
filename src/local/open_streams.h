// How a process of `local` comes to its streams where they are not in a log of its own: the command knows the cluster
// and who asks, `local` knows on which loop it lives.
#pragma once

#include <functional>
#include <memory>

#include "base/clock.h"
#include "base/loop.h"
#include "base/result.h"
#include "stream/client.h"

namespace fmesh::local {

// `loop` follows what the store needs followed; it runs as long as the client lives.
using OpenStreams = std::function<Result<std::unique_ptr<stream::Client>>(const Clock& clock, Loop& loop)>;

}  // namespace fmesh::local
