// A sink that prints: one line per record on standard output, the payload alone or with key, time and properties as
// JSON.
#pragma once

#include <memory>

#include "connect/config.h"
#include "runtime/connector.h"

namespace fmesh::connect {

ConfigTable console_config();
std::unique_ptr<runtime::Sink> make_console_sink();

}  // namespace fmesh::connect
