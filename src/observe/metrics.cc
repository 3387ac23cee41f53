#include <array>
#include <map>

#include "observe/api.h"

namespace fmesh::observe {
namespace {

std::string escaped(std::string_view value) {
  std::string text;
  for (const char c : value) {
    if (c == '\\' || c == '"') text += '\\';
    if (c == '\n') {
      text += "\\n";
    } else {
      text += c;
    }
  }
  return text;
}

// A metric that is read off each instance. `name` follows "pulsar_<kind>_" unless it begins with fmesh_.
struct InstanceMetric {
  std::string_view name;
  std::string_view type;
  std::string_view help;
  int64_t InstanceView::* value;
};
constexpr std::array kInstanceMetrics = {
    InstanceMetric{"received_total", "counter", "Records handed to the component", &InstanceView::received_total},
    InstanceMetric{"processed_successfully_total", "counter", "Records processed", &InstanceView::processed_total},
    InstanceMetric{"written_total", "counter", "Records in durable outputs", &InstanceView::written_total},
    InstanceMetric{"user_exceptions_total", "counter", "Failures of user code", &InstanceView::user_exceptions_total},
    InstanceMetric{"system_exceptions_total", "counter", "Failures around user code",
                   &InstanceView::system_exceptions_total},
    InstanceMetric{"last_invocation", "gauge", "Time of the last call in ms", &InstanceView::last_invocation_ms},
    InstanceMetric{"fmesh_dead_letters_total", "counter", "Records sent to dead letters",
                   &InstanceView::dead_letters_total},
    InstanceMetric{"fmesh_late_records_total", "counter", "Records behind the watermark", &InstanceView::late_total},
    InstanceMetric{"fmesh_restarts_total", "counter", "Restarts of the instance", &InstanceView::restarts_total},
    InstanceMetric{"fmesh_backlog_records", "gauge", "Records not yet acknowledged", &InstanceView::backlog_records},
    InstanceMetric{"fmesh_in_flight_records", "gauge", "Records read and not yet durable",
                   &InstanceView::in_flight_records},
};

std::string labels_of(const ComponentView& component, int32_t instance_id) {
  const size_t second = component.full_name.find('/', component.full_name.find('/') + 1);
  const std::string tenant = component.full_name.substr(0, component.full_name.find('/'));
  return "{tenant=\"" + escaped(tenant) + "\",namespace=\"" + escaped(component.full_name.substr(0, second)) +
         "\",name=\"" + escaped(component.name) + "\",instance_id=\"" + std::to_string(instance_id) +
         "\",cluster=\"local\",fqfn=\"" + escaped(component.full_name) + "\"}";
}

void add_head(std::string& text, const std::string& name, std::string_view help, std::string_view type) {
  text += "# HELP " + name + " " + std::string(help) + "\n# TYPE " + name + " " + std::string(type) + "\n";
}

struct Labelled {
  const InstanceView* instance;
  std::string labels;
};

void add_kind(std::string& text, const std::string& kind, const std::vector<Labelled>& instances) {
  if (instances.empty()) return;
  const std::string prefix = "pulsar_" + kind + "_";
  for (const InstanceMetric& metric : kInstanceMetrics) {
    if (metric.name.starts_with("fmesh_")) continue;
    const std::string name = prefix + std::string(metric.name);
    add_head(text, name, metric.help, metric.type);
    for (const Labelled& one : instances) {
      text += name + one.labels + " " + std::to_string(one.instance->*metric.value) + "\n";
    }
  }
  const std::string latency = prefix + "process_latency_ms";
  add_head(text, latency, "Time in the component's code", "summary");
  for (const Labelled& one : instances) {
    text += latency + "_sum" + one.labels + " " +
            std::to_string(static_cast<double>(one.instance->process_latency_ns_sum) / 1e6) + "\n";
    text += latency + "_count" + one.labels + " " + std::to_string(one.instance->process_latency_count) + "\n";
  }
}

void add_streams(std::string& text, const std::vector<StreamView>& streams) {
  if (streams.empty()) return;
  add_head(text, "pulsar_storage_size", "Bytes held by a stream", "gauge");
  for (const StreamView& stream : streams) {
    text += "pulsar_storage_size{topic=\"" + escaped(stream.topic) + "\"} " + std::to_string(stream.bytes) + "\n";
  }
  add_head(text, "pulsar_in_messages_total", "Records appended since the start", "counter");
  for (const StreamView& stream : streams) {
    text += "pulsar_in_messages_total{topic=\"" + escaped(stream.topic) + "\"} " +
            std::to_string(stream.records_in_total) + "\n";
  }
  add_head(text, "pulsar_subscription_back_log", "Records a subscription has not acknowledged", "gauge");
  for (const StreamView& stream : streams) {
    for (const SubscriptionView& subscription : stream.subscriptions) {
      text += "pulsar_subscription_back_log{topic=\"" + escaped(stream.topic) + "\",subscription=\"" +
              escaped(subscription.name) + "\"} " + std::to_string(subscription.backlog_records) + "\n";
    }
  }
}

}  // namespace

std::string metrics_text(const MeshState& state, const std::vector<StreamView>& streams) {
  std::map<std::string, const ComponentView*> components;
  for (const ComponentView& component : state.components) components[component.name] = &component;
  std::map<std::string, std::vector<Labelled>> by_kind;
  std::vector<Labelled> all;
  for (const InstanceView& instance : state.instances) {
    const auto found = components.find(instance.component);
    if (found == components.end()) continue;
    Labelled one{&instance, labels_of(*found->second, instance.instance_id)};
    by_kind[found->second->kind].push_back(one);
    all.push_back(std::move(one));
  }
  std::string text;
  for (const auto& [kind, instances] : by_kind) add_kind(text, kind, instances);
  for (const InstanceMetric& metric : kInstanceMetrics) {
    if (!metric.name.starts_with("fmesh_") || all.empty()) continue;
    const std::string name(metric.name);
    add_head(text, name, metric.help, metric.type);
    for (const Labelled& one : all)
      text += name + one.labels + " " + std::to_string(one.instance->*metric.value) + "\n";
  }
  add_streams(text, streams);
  add_head(text, "process_cpu_seconds_total", "CPU time of the process", "counter");
  text += "process_cpu_seconds_total " + std::to_string(static_cast<double>(state.process_cpu_ns) / 1e9) + "\n";
  add_head(text, "process_resident_memory_bytes", "Anonymous resident memory", "gauge");
  text += "process_resident_memory_bytes " + std::to_string(state.memory_bytes) + "\n";
  return text;
}

}  // namespace fmesh::observe
