// A sink that sends records by POST, one or many per request. What the other side refuses for good is told apart from
// what is worth another try, record by record where it matters.
#pragma once

#include <memory>

#include "connect/config.h"
#include "runtime/connector.h"

namespace fmesh::connect {

ConfigTable http_sink_config();
std::unique_ptr<runtime::Sink> make_http_sink();

}  // namespace fmesh::connect
