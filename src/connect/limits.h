// What bounds every connector. Constants.
#pragma once

#include <cstddef>

#include "stream/entry.h"

namespace fmesh::connect {

// A record has to fit an entry with its key, properties and framing.
inline constexpr size_t kRecordMaxBytes = stream::kEntrySizeMaxBytes - 64 * 1024;

}  // namespace fmesh::connect
