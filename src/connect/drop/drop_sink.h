// A sink that lets everything go: for benchmarks, and for streams that must be read. The instance counts what passed.
#pragma once

#include <memory>

#include "runtime/connector.h"

namespace fmesh::connect {

std::unique_ptr<runtime::Sink> make_drop_sink();

}  // namespace fmesh::connect
