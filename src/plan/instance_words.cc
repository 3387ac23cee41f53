#include "plan/instance_words.h"

#include <boost/json.hpp>

#include "model/json.h"

namespace fmesh::plan {
namespace {

std::string consumer_json(const std::string& topic, const model::ConsumerSpec& spec) {
  model::FunctionDetails details;
  details.source.emplace().input_specs.emplace(topic, spec);
  boost::system::error_code ignored;
  const boost::json::value value = boost::json::parse(model::to_json(details), ignored);
  return model::write_json(value.at("source").at("inputSpecs").at(topic));
}

}  // namespace

std::vector<std::pair<std::string, std::string>> instance_options(const InstanceWords& words) {
  return {{"--instance_id", words.instance_id},
          {"--function_id", words.function_id},
          {"--function_version", "0"},
          {"--function_details", words.function_details},
          {"--pulsar_serviceurl", words.service_url},
          {"--max_buffered_tuples", "100"},
          {"--port", words.port},
          {"--metrics_port", words.metrics_port},
          {"--expected_healthcheck_interval", "0"},
          {"--cluster_name", words.cluster_name}};
}

GoInputs go_inputs(const model::SourceSpec& source, const std::string& first) {
  GoInputs out;
  if (source.input_specs.empty()) return out;
  out.first = source.input_specs.contains(first) ? first : source.input_specs.begin()->first;
  for (const auto& [topic, spec] : source.input_specs) {
    if (topic == out.first) {
      out.first_spec = spec;
    } else {
      out.others.emplace(topic, consumer_json(topic, spec));
    }
  }
  return out;
}

}  // namespace fmesh::plan
