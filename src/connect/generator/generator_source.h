// A source that makes records from a template: for trying a mesh, for tests and for benchmarks. A record depends on the
// seed and its sequence number alone, so a restart goes on exactly where the last durable record was.
#pragma once

#include <memory>

#include "connect/config.h"
#include "runtime/connector.h"

namespace fmesh::connect {

ConfigTable generator_config();
std::unique_ptr<runtime::Source> make_generator_source();

}  // namespace fmesh::connect
