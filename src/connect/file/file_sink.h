// A sink that writes one line per record to a file, or to numbered files in turn. Its position is the length of what
// counts: after a restart the file is cut back to it, so that each record stands in the file once.
#pragma once

#include <memory>

#include "connect/config.h"
#include "runtime/connector.h"

namespace fmesh::connect {

ConfigTable file_sink_config();
std::unique_ptr<runtime::Sink> make_file_sink();

}  // namespace fmesh::connect
