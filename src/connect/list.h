// The built-in connectors with the fields of their configuration: what `fmesh validate`, the docs and the runtime
// share.
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"
#include "connect/config.h"

namespace fmesh::connect {

struct ConnectorDoc {
  std::string_view name;
  bool is_source;
  std::string_view summary;
  std::span<const Field> fields;
};
std::span<const ConnectorDoc> connector_docs();

// Errors: as reading the configuration at the start would give; secrets are taken as present.
Status check_connector_config(std::string_view name, bool is_source, std::string_view json, const std::string& where);

}  // namespace fmesh::connect
