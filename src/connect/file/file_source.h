// A source that reads lines, JSON lines or CSV from files, once or following them as they grow and rotate. Its position
// says how far each file was read and finds a file again under another name, so that a restart goes on exactly there.
#pragma once

#include <memory>

#include "connect/config.h"
#include "runtime/connector.h"

namespace fmesh::connect {

ConfigTable file_source_config();
std::unique_ptr<runtime::Source> make_file_source();

}  // namespace fmesh::connect
