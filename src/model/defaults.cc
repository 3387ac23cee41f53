#include "model/defaults.h"

#include "model/fields.h"
#include "model/host.h"

namespace fmesh::model {
namespace {

constexpr const char* kMemoryDefault = "1Gi";
constexpr const char* kCpuDefault = "1";

// A pod without any wish gets 1 cpu and 1 GiB; a limit that is missing is the request, and the other way round.
// Upstream means to do so and does nothing, so that resources were mandatory.
void default_resources(ResourceRequirements& resources) {
  if (resources.requests.empty() && resources.limits.empty()) resources.requests["cpu"] = kCpuDefault;
  if (!resources.requests.contains("memory")) {
    const auto limit = resources.limits.find("memory");
    resources.requests["memory"] = limit == resources.limits.end() ? kMemoryDefault : limit->second;
  }
  for (const auto& [name, quantity] : resources.requests) resources.limits.emplace(name, quantity);
}

// A pod of fmesh's image needs less: 15 to 30 MB before user code, 48 MB more when a broker lags behind.
void default_native_resources(ResourceRequirements& resources, HostKind host) {
  if (!resources.requests.empty() || !resources.limits.empty()) return default_resources(resources);
  resources.requests = {{"cpu", "250m"}, {"memory", "128Mi"}};
  resources.limits = {{"cpu", "1"}, {"memory", host == HostKind::kPython ? "512Mi" : "256Mi"}};
}

}  // namespace

void apply_component_defaults(ComponentSpec& spec, Kind kind, const std::string& resource_name) {
  apply_defaults(struct_info<ComponentSpec>(), &spec, static_cast<Kinds>(kind));
  if (spec.name.empty()) spec.name = resource_name;
  if (!spec.replicas) spec.replicas = spec.min_replicas;
  if (!spec.log_topic.empty() && spec.log_topic_agent.empty()) {
    spec.log_topic_agent = kind == Kind::kFunction ? "runtime" : "sidecar";
  }
  if (spec.window_config) {
    WindowConfig& window = *spec.window_config;
    if (window.window_length_duration_ms && !window.sliding_interval_duration_ms) {
      window.sliding_interval_duration_ms = window.window_length_duration_ms;
    }
    if (window.window_length_count && !window.sliding_interval_count) {
      window.sliding_interval_count = window.window_length_count;
    }
  }
  if (is_native_pod(spec, kind)) {
    default_native_resources(spec.resources, *choose_pod_host(spec, kind));
  } else {
    default_resources(spec.resources);
  }
}

void apply_essential_defaults(ComponentSpec& spec, const std::string& resource_name) {
  const auto fill = [](std::string& field, const std::string& value) {
    if (field.empty()) field = value;
  };
  fill(spec.name, resource_name);
  fill(spec.tenant, "public");
  fill(spec.name_space, "default");
  fill(spec.cluster_name, "kubernetes");
  if (!spec.replicas) spec.replicas = spec.min_replicas.value_or(1);
}

}  // namespace fmesh::model
