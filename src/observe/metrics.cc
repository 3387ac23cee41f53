#include <fmt/format.h>

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

// A metric that is read off each instance. Each kind of component has Pulsar's name for it, or "" where Pulsar has
// none; then `own` is used.
struct InstanceMetric {
  std::string_view function, source, sink;
  std::string_view own;
  std::string_view type;
  std::string_view help;
  int64_t InstanceView::* value;

  std::string_view name_for(std::string_view kind) const {
    const std::string_view name = kind == "source" ? source : kind == "sink" ? sink : function;
    return name.empty() ? own : name;
  }
};
constexpr std::array kInstanceMetrics = {
    InstanceMetric{"pulsar_function_received_total", "pulsar_source_received_total", "pulsar_sink_received_total", "",
                   "counter", "Records handed to the component", &InstanceView::received_total},
    InstanceMetric{"pulsar_function_processed_successfully_total", "", "", "fmesh_processed_successfully_total",
                   "counter", "Records processed", &InstanceView::processed_total},
    InstanceMetric{"", "pulsar_source_written_total", "pulsar_sink_written_total", "fmesh_written_total", "counter",
                   "Records in durable outputs", &InstanceView::written_total},
    InstanceMetric{"pulsar_function_user_exceptions_total", "pulsar_source_source_exceptions_total",
                   "pulsar_sink_sink_exceptions_total", "", "counter", "Failures of the component's own code",
                   &InstanceView::user_exceptions_total},
    InstanceMetric{"pulsar_function_system_exceptions_total", "pulsar_source_system_exceptions_total",
                   "pulsar_sink_system_exceptions_total", "", "counter", "Failures around the component's code",
                   &InstanceView::system_exceptions_total},
    InstanceMetric{"pulsar_function_last_invocation", "pulsar_source_last_invocation", "pulsar_sink_last_invocation",
                   "", "gauge", "Wall time of the last call in ms since 1970, 0: none",
                   &InstanceView::last_invocation_ms},
    InstanceMetric{"", "", "", "fmesh_dead_letters_total", "counter", "Records sent to dead letters",
                   &InstanceView::dead_letters_total},
    InstanceMetric{"", "", "", "fmesh_late_records_total", "counter", "Records behind the watermark",
                   &InstanceView::late_total},
    InstanceMetric{"", "", "", "fmesh_restarts_total", "counter", "Restarts of the instance",
                   &InstanceView::restarts_total},
    InstanceMetric{"", "", "", "fmesh_backlog_records", "gauge", "Records of the subscription not yet acknowledged",
                   &InstanceView::backlog_records},
    InstanceMetric{"", "", "", "fmesh_in_flight_records", "gauge", "Records read and not yet durable",
                   &InstanceView::in_flight_records},
    InstanceMetric{"", "", "", "fmesh_waiting_retry_records", "gauge", "Records that wait to be tried again",
                   &InstanceView::waiting_retry},
};

std::string labels_of(const ComponentView& component, int32_t instance_id, const std::string& cluster) {
  const size_t second = component.full_name.find('/', component.full_name.find('/') + 1);
  const std::string tenant = component.full_name.substr(0, component.full_name.find('/'));
  return "tenant=\"" + escaped(tenant) + "\",namespace=\"" + escaped(component.full_name.substr(0, second)) +
         "\",name=\"" + escaped(component.name) + "\",instance_id=\"" + std::to_string(instance_id) + "\",cluster=\"" +
         escaped(cluster) + "\",fqfn=\"" + escaped(component.full_name) + "\"";
}

void add_head(std::string& text, const std::string& name, std::string_view help, std::string_view type) {
  text += "# HELP " + name + " " + std::string(help) + "\n# TYPE " + name + " " + std::string(type) + "\n";
}

struct Labelled {
  const InstanceView* instance;
  std::string_view kind;
  std::string labels;  // without braces
};

// "0.1" rather than "0.100000".
std::string in_ms(int64_t ns) { return fmt::format("{}", static_cast<double>(ns) / 1e6); }
std::string in_seconds(int64_t ns) { return fmt::format("{}", static_cast<double>(ns) / 1e9); }

// All lines of one name stand together, whatever the order of the components.
void add_counters(std::string& text, const std::vector<Labelled>& instances) {
  for (const InstanceMetric& metric : kInstanceMetrics) {
    std::map<std::string, std::string> lines;
    for (const Labelled& one : instances) {
      const std::string name(metric.name_for(one.kind));
      lines[name] += name + "{" + one.labels + "} " + std::to_string(one.instance->*metric.value) + "\n";
    }
    for (const auto& [name, of_name] : lines) {
      add_head(text, name, metric.help, metric.type);
      text += of_name;
    }
  }
}

// Pulsar has a summary of this name for functions. A histogram has the same _sum and _count and can be added up over
// instances, which quantiles can't.
void add_latencies(std::string& text, const std::vector<Labelled>& instances) {
  std::map<std::string, std::string> lines;
  for (const Labelled& one : instances) {
    const std::string name = one.kind == "function" ? "pulsar_function_process_latency_ms" : "fmesh_process_latency_ms";
    std::string& of_name = lines[name];
    int64_t below = 0;
    for (const LatencyBucket& bucket : one.instance->process_latency_buckets) {
      below += bucket.count;
      of_name +=
          name + "_bucket{" + one.labels + ",le=\"" + in_ms(bucket.bound_ns) + "\"} " + std::to_string(below) + "\n";
    }
    const std::string count = std::to_string(one.instance->process_latency_count);
    of_name += name + "_bucket{" + one.labels + ",le=\"+Inf\"} " + count + "\n";
    of_name += name + "_sum{" + one.labels + "} " + in_ms(one.instance->process_latency_ns_sum) + "\n";
    of_name += name + "_count{" + one.labels + "} " + count + "\n";
  }
  for (const auto& [name, of_name] : lines) {
    add_head(text, name, "Time of a record in the component's code, in ms", "histogram");
    text += of_name;
  }
}

// CPU time is known in nanoseconds; a counter of seconds is what Prometheus asks for.
void add_cpu(std::string& text, const std::vector<Labelled>& instances) {
  if (instances.empty()) return;
  add_head(text, "fmesh_cpu_seconds_total", "Thread time spent in the instance", "counter");
  for (const Labelled& one : instances)
    text += "fmesh_cpu_seconds_total{" + one.labels + "} " + in_seconds(one.instance->cpu_ns) + "\n";
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
  std::vector<Labelled> instances;
  for (const InstanceView& instance : state.instances) {
    const auto found = components.find(instance.component);
    if (found == components.end()) continue;
    instances.push_back(
        {&instance, found->second->kind, labels_of(*found->second, instance.instance_id, state.cluster)});
  }
  std::string text;
  add_counters(text, instances);
  add_latencies(text, instances);
  add_cpu(text, instances);
  add_streams(text, streams);
  add_head(text, "process_cpu_seconds_total", "CPU time of the process", "counter");
  text += "process_cpu_seconds_total " + in_seconds(state.process_cpu_ns) + "\n";
  add_head(text, "process_resident_memory_bytes", "Anonymous resident memory", "gauge");
  text += "process_resident_memory_bytes " + std::to_string(state.memory_bytes) + "\n";
  return text;
}

}  // namespace fmesh::observe
