#include "connect/list.h"

#include <map>

#include "connect/console/console_sink.h"
#include "connect/drop/drop_sink.h"
#include "connect/file/file_sink.h"
#include "connect/file/file_source.h"
#include "connect/generator/generator_source.h"
#include "connect/http/http_sink.h"
#include "connect/http/http_source.h"

namespace fmesh::runtime {

// The visible list: a connector that is not here does not exist.
std::span<const ConnectorKind> connector_kinds() {
  static const ConnectorKind kinds[] = {
      {"generator", "makes records from a template", &connect::make_generator_source, nullptr},
      {"file", "reads lines, JSON lines or CSV from files", &connect::make_file_source, nullptr},
      {"http", "takes records by POST", &connect::make_http_source, nullptr},
      {"file", "writes a line per record to a file", nullptr, &connect::make_file_sink},
      {"http", "sends records by POST", nullptr, &connect::make_http_sink},
      {"console", "prints a line per record", nullptr, &connect::make_console_sink},
      {"drop", "lets everything go", nullptr, &connect::make_drop_sink},
  };
  return kinds;
}

}  // namespace fmesh::runtime

namespace fmesh::connect {

std::span<const ConnectorDoc> connector_docs() {
  static const ConnectorDoc docs[] = {
      {"generator", true, "makes records from a template", generator_fields()},
      {"file", true, "reads lines, JSON lines or CSV from files", file_source_fields()},
      {"http", true, "takes records by POST", http_source_fields()},
      {"file", false, "writes a line per record to a file", file_sink_fields()},
      {"http", false, "sends records by POST", http_sink_fields()},
      {"console", false, "prints a line per record", console_fields()},
      {"drop", false, "lets everything go", {}},
  };
  return docs;
}

Status check_connector_config(std::string_view name, bool is_source, std::string_view json, const std::string& where) {
  for (const ConnectorDoc& doc : connector_docs()) {
    if (doc.name != name || doc.is_source != is_source) continue;
    FMESH_TRY([[maybe_unused]] const Config config, Config::read(doc.fields, json, where, {}));
    return {};
  }
  return fail(ErrorKind::kFixInput,
              where + ": there is no built-in " + (is_source ? "source" : "sink") + " \"" + std::string(name) + "\"");
}

}  // namespace fmesh::connect
