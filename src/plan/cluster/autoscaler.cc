#include "plan/cluster/autoscaler.h"

#include <boost/json.hpp>
#include <limits>

#include "model/fields.h"
#include "model/quantity.h"

namespace fmesh::plan {
namespace {

namespace json = boost::json;

constexpr int kDefaultPercent = 80;

json::object target_of(const model::Component& component) {
  return {{"apiVersion", "compute.functionmesh.io/v1alpha1"},
          {"kind", model::to_string(component.kind)},
          {"name", component.metadata.name}};
}

// None if it is not given, or zero.
std::optional<model::Quantity> quantity_in(const model::StringMap& map, const std::string& name) {
  const auto found = map.find(name);
  if (found == map.end()) return std::nullopt;
  const auto quantity = model::parse_quantity(found->second);
  return quantity && quantity->positive() ? quantity : std::nullopt;
}

// Percentages are meant of the limit, and Kubernetes measures by the request.
int64_t of_request(const model::ResourceRequirements& resources, const std::string& name, int percent) {
  const auto limit = quantity_in(resources.limits, name);
  const auto request = quantity_in(resources.requests, name);
  if (!limit || !request) return percent;
  const __int128 scaled = limit->nanos / request->nanos > std::numeric_limits<int32_t>::max()
                              ? std::numeric_limits<int32_t>::max()
                              : limit->nanos * percent / request->nanos;
  return static_cast<int64_t>(std::min<__int128>(scaled, std::numeric_limits<int32_t>::max()));
}

json::object utilization(const std::string& resource, int64_t percent) {
  return {{"type", "Resource"},
          {"resource", {{"name", resource}, {"target", {{"type", "Utilization"}, {"averageUtilization", percent}}}}}};
}

// AverageUtilizationCPUPercent80 and its like; the first rule of a resource counts, unknown rules have no effect.
json::array builtin_metrics(const model::ComponentSpec& spec) {
  struct Family {
    const char *prefix, *resource;
  };
  json::array out;
  for (const Family& family :
       {Family{"AverageUtilizationCPUPercent", "cpu"}, Family{"AverageUtilizationMemoryPercent", "memory"}}) {
    for (const std::string& rule : spec.pod.builtin_autoscaler) {
      if (!rule.starts_with(family.prefix)) continue;
      const std::string number = rule.substr(std::string_view(family.prefix).size());
      if (number != "80" && number != "50" && number != "20") continue;
      out.push_back(utilization(family.resource, of_request(spec.resources, family.resource, std::stoi(number))));
      break;
    }
  }
  return out;
}

json::array metrics_of(const model::ComponentSpec& spec) {
  const bool scales = *spec.max_replicas > spec.min_replicas.value_or(1);
  if (scales && !spec.pod.builtin_autoscaler.empty()) {
    if (json::array metrics = builtin_metrics(spec); !metrics.empty()) return metrics;
  }
  const model::Json& own = spec.pod.auto_scaling_metrics;
  if (own.present() && own.value().is_array() && !own.value().get_array().empty()) return own.value().get_array();
  // Without anything said upstream scales by the limit; in the other cases it leaves the choice to the API server,
  // which takes 80 % of the request.
  const bool silent = spec.pod.builtin_autoscaler.empty() && !spec.pod.auto_scaling_behavior.present();
  return {utilization("cpu", scales && silent ? of_request(spec.resources, "cpu", kDefaultPercent) : kDefaultPercent)};
}

// The rules of one direction, with what Kubernetes fills in.
json::object complete_rules(const json::object& behavior, const char* direction) {
  const bool up = std::string_view(direction) == "scaleUp";
  const json::value* given = behavior.if_contains(direction);
  json::object out = given && given->is_object() ? given->get_object() : json::object();
  const auto fill = [&](const char* name, json::value value) {
    const json::value* found = out.if_contains(name);
    if (!found || found->is_null()) out.insert_or_assign(name, std::move(value));
  };
  if (up) fill("stabilizationWindowSeconds", 0);
  fill("selectPolicy", "Max");
  const json::object percent{{"type", "Percent"}, {"value", 100}, {"periodSeconds", 15}};
  const json::object pods{{"type", "Pods"}, {"value", 4}, {"periodSeconds", 15}};
  fill("policies", up ? json::array{pods, percent} : json::array{percent});
  return out;
}

}  // namespace

json::object make_hpa_spec(const model::Component& component) {
  const model::ComponentSpec& spec = component.spec;
  json::object out{{"scaleTargetRef", target_of(component)},
                   {"minReplicas", spec.min_replicas.value_or(1)},
                   {"maxReplicas", *spec.max_replicas},
                   {"metrics", metrics_of(spec)}};
  const model::Json& behavior = spec.pod.auto_scaling_behavior;
  if (behavior.present() && behavior.value().is_object()) {
    const json::object& given = behavior.value().get_object();
    out.emplace("behavior", json::object{{"scaleUp", complete_rules(given, "scaleUp")},
                                         {"scaleDown", complete_rules(given, "scaleDown")}});
  }
  return out;
}

json::object make_vpa_spec(const model::Component& component) {
  json::object out{{"targetRef", target_of(component)}};
  const json::value spec = model::write(model::struct_info<model::VpaSpec>(), &*component.spec.pod.vpa,
                                        static_cast<model::Kinds>(component.kind));
  for (const auto& member : spec.as_object()) out.emplace(member.key(), member.value());
  return out;
}

}  // namespace fmesh::plan
