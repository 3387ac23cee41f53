#include "runtime/contexts.h"

#include "stream/topic_name.h"

namespace fmesh::runtime {
namespace {

std::string full_name(const std::string& topic) {
  const Result<stream::TopicName> name = stream::TopicName::parse(topic);
  return name ? name->full() : topic;
}

}  // namespace

InstanceLogicContext::InstanceLogicContext(const model::InstanceSpec& spec, const Clock& clock, LogFunction log)
    : spec_(spec), clock_(clock), log_(std::move(log)), inputs_(input_topics(spec.details)) {
  if (spec.details.sink && !spec.details.sink->topic.empty()) output_ = full_name(spec.details.sink->topic);
}

void InstanceLogicContext::metric(std::string_view name, double value) {
  std::lock_guard lock(mutex_);
  auto found = metrics_.find(std::string(name));
  if (found == metrics_.end()) {
    if (metrics_.size() >= kUserMetricsMax) return;
    found = metrics_.emplace(std::string(name), Summary{}).first;
  }
  found->second.sum += value;
  ++found->second.count;
}

std::map<std::string, InstanceLogicContext::Summary> InstanceLogicContext::metrics() const {
  std::lock_guard lock(mutex_);
  return metrics_;
}

Result<std::unique_ptr<Logic>> logic_of(const model::InstanceSpec& spec, const InstanceEnvironment& environment) {
  return environment.make_logic ? environment.make_logic(spec) : make_logic(spec, environment.cache_directory);
}

std::vector<std::string> input_topics(const model::FunctionDetails& details) {
  std::vector<std::string> topics;
  if (!details.source) return topics;
  for (const auto& [topic, spec] : details.source->input_specs)
    if (!spec.is_regex_pattern) topics.push_back(full_name(topic));
  return topics;
}

std::string position_key(const model::InstanceSpec& spec) { return "__position/" + std::to_string(spec.instance_id); }

}  // namespace fmesh::runtime
