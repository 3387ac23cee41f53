#include "connect/list.h"

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
      {"generator", true, "makes records from a template", generator_config()},
      {"file", true, "reads lines, JSON lines or CSV from files", file_source_config()},
      {"http", true, "takes records by POST", http_source_config()},
      {"file", false, "writes a line per record to a file", file_sink_config()},
      {"http", false, "sends records by POST", http_sink_config()},
      {"console", false, "prints a line per record", console_config()},
      {"drop", false, "lets everything go", {}},
  };
  return docs;
}

std::string page_name(const ConnectorDoc& doc) {
  return std::string(doc.name) + (doc.is_source ? "-source.md" : "-sink.md");
}

}  // namespace fmesh::connect
