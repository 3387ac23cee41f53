// A source that takes records by POST. A request is answered once its records are durable, so a client that got 200 has
// nothing to fear; one that got anything else sends again.
#pragma once

#include <memory>

#include "connect/config.h"
#include "runtime/connector.h"

namespace fmesh::connect {

ConfigTable http_source_config();
std::unique_ptr<runtime::Source> make_http_source();

}  // namespace fmesh::connect
