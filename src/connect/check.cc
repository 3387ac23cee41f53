#include "connect/check.h"

#include <algorithm>
#include <boost/json.hpp>

#include "connect/list.h"
#include "model/findings.h"

namespace fmesh::connect {
namespace {

const ConnectorDoc* find_doc(const model::Component& component) {
  const bool source = component.kind == model::Kind::kSource;
  if (component.kind == model::Kind::kFunction || component.spec.java) return nullptr;
  const std::string& type = source ? component.spec.source_type : component.spec.sink_type;
  for (const ConnectorDoc& doc : connector_docs())
    if (doc.is_source == source && doc.name == type) return &doc;
  return nullptr;  // the model's rules say so
}

}  // namespace

model::Diagnostics check_connectors(const model::ResourceSet& resources) {
  model::Diagnostics all;
  for (const model::Component& component : resources.components) {
    const ConnectorDoc* const doc = find_doc(component);
    if (doc == nullptr) continue;
    const model::ComponentSpec& spec = component.spec;
    const std::string json =
        spec.connector_config.present() ? boost::json::serialize(spec.connector_config.value()) : "";
    const int32_t instances = std::max({1, spec.replicas.value_or(1), spec.max_replicas.value_or(1)});
    const ConfigReading reading = Config::read(doc->config, json, instances, nullptr);
    model::Findings findings(component);
    for (const Problem& problem : reading.problems.list()) {
      model::Path path = model::Path::of(doc->is_source ? "sourceConfig" : "sinkConfig");
      for (const std::string& step : problem.path) path = path / step;
      findings.error(path, problem.text);
    }
    all.append(findings.take());
  }
  return all;
}

}  // namespace fmesh::connect
