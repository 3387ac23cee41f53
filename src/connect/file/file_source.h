// A source that reads lines, JSON lines or CSV from files, once or following them as they grow and rotate. Its position
// names the file (device and inode) and the offset behind the last record, so that a restart goes on there.
#pragma once

#include <memory>
#include <span>

#include "connect/config.h"
#include "runtime/connector.h"

namespace fmesh::connect {

std::span<const Field> file_source_fields();
std::unique_ptr<runtime::Source> make_file_source();

}  // namespace fmesh::connect
