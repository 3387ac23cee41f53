// The built-in connectors with the fields of their configuration: what `fmesh validate`, the docs and the runtime
// share. Constant data.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "connect/config.h"

namespace fmesh::connect {

struct ConnectorDoc {
  std::string_view name;
  bool is_source;
  std::string_view summary;  // one line
  ConfigTable config;
};
std::span<const ConnectorDoc> connector_docs();

// Its page in docs/connectors: "file-source.md".
std::string page_name(const ConnectorDoc& doc);

}  // namespace fmesh::connect
