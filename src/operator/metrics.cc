#include "operator/metrics.h"

#include <fmt/format.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace fmesh::op {
namespace {

// Upstream's, in milliseconds.
const prometheus::Histogram::BucketBoundaries kLatencyBucketsMs = {10, 100, 1000, 10000, 30000, 60000};

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

// The text format of Prometheus, version 0.0.4. The library's own writer takes most of the operator's CPU where there
// are thousands of resources, each with a histogram.
class TextWriter {
 public:
  std::string write(const std::vector<prometheus::MetricFamily>& families) {
    for (const prometheus::MetricFamily& family : families) {
      if (!family.help.empty()) fmt::format_to(end(), "# HELP {} {}\n", family.name, family.help);
      fmt::format_to(end(), "# TYPE {} {}\n", family.name, type_name(family.type));
      for (const prometheus::ClientMetric& metric : family.metric) write(family, metric);
    }
    return std::move(out_);
  }

 private:
  std::back_insert_iterator<std::string> end() { return std::back_inserter(out_); }

  static const char* type_name(prometheus::MetricType type) {
    switch (type) {
      case prometheus::MetricType::Counter:
        return "counter";
      case prometheus::MetricType::Gauge:
        return "gauge";
      case prometheus::MetricType::Histogram:
        return "histogram";
      default:
        return "untyped";
    }
  }

  void write(const prometheus::MetricFamily& family, const prometheus::ClientMetric& metric) {
    const std::string labels = labels_of(metric);
    if (family.type != prometheus::MetricType::Histogram) {
      const bool counts = family.type == prometheus::MetricType::Counter;
      line(family.name, "", labels, "", number(counts ? metric.counter.value : metric.gauge.value));
      return;
    }
    const prometheus::ClientMetric::Histogram& histogram = metric.histogram;
    for (const prometheus::ClientMetric::Bucket& bucket : histogram.bucket) {
      line(family.name, "_bucket", labels, number(bucket.upper_bound), fmt::to_string(bucket.cumulative_count));
    }
    line(family.name, "_sum", labels, "", number(histogram.sample_sum));
    line(family.name, "_count", labels, "", fmt::to_string(histogram.sample_count));
  }

  void line(std::string_view name, std::string_view suffix, std::string_view labels, std::string_view bound,
            std::string_view value) {
    out_.append(name).append(suffix);
    if (!labels.empty() || !bound.empty()) {
      out_.append("{").append(labels);
      if (!bound.empty()) out_.append(labels.empty() ? "" : ",").append("le=\"").append(bound).append("\"");
      out_.append("}");
    }
    out_.append(" ").append(value).append("\n");
  }

  static std::string labels_of(const prometheus::ClientMetric& metric) {
    std::string text;
    for (const prometheus::ClientMetric::Label& label : metric.label) {
      text.append(text.empty() ? "" : ",").append(label.name).append("=\"");
      for (const char byte : label.value) {
        if (byte == '\n') {
          text.append("\\n");
        } else {
          if (byte == '\\' || byte == '"') text.push_back('\\');
          text.push_back(byte);
        }
      }
      text.append("\"");
    }
    return text;
  }

  static std::string number(double value) {
    if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
    return std::isnan(value) ? "NaN" : fmt::format("{}", value);
  }

  std::string out_;
};

}  // namespace

struct Metrics::Families {
  struct Series {
    prometheus::Counter* count = nullptr;
    prometheus::Histogram* latency = nullptr;
  };

  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& count =
      prometheus::BuildCounter().Name("function_mesh_reconcile_count").Help("Looks at a resource").Register(registry);
  prometheus::Family<prometheus::Histogram>& latency = prometheus::BuildHistogram()
                                                           .Name("function_mesh_reconcile_latency")
                                                           .Help("Duration of a look at a resource in milliseconds")
                                                           .Register(registry);
  prometheus::Family<prometheus::Counter>& total = prometheus::BuildCounter()
                                                       .Name("controller_runtime_reconcile_total")
                                                       .Help("Looks at resources by kind and result")
                                                       .Register(registry);
  prometheus::Family<prometheus::Gauge>& depth =
      prometheus::BuildGauge().Name("workqueue_depth").Help("Resources that wait for a look").Register(registry);
  prometheus::Family<prometheus::Gauge>& workers = prometheus::BuildGauge()
                                                       .Name("controller_runtime_active_workers")
                                                       .Help("Resources being looked at")
                                                       .Register(registry);
  prometheus::Family<prometheus::Gauge>& writes = prometheus::BuildGauge()
                                                      .Name("fmesh_api_writes")
                                                      .Help("Write requests sent to the API server since the start")
                                                      .Register(registry);
  prometheus::Family<prometheus::Gauge>& leader = prometheus::BuildGauge()
                                                      .Name("leader_election_master_status")
                                                      .Help("1 while this process may write")
                                                      .Register(registry);
  prometheus::Family<prometheus::Gauge>& build =
      prometheus::BuildGauge().Name("function_mesh_build_info").Help("The version that runs").Register(registry);
  std::map<kube::WorkKey, Series> series;
};

Metrics::Metrics() : families_(std::make_unique<Families>()) {
  families_->build.Add({{"version", FMESH_VERSION}}).Set(1);
  for (const char* kind : {"function", "source", "sink", "functionmesh"}) {
    for (const char* result : {"success", "error"}) families_->total.Add({{"controller", kind}, {"result", result}});
  }
}
Metrics::~Metrics() = default;

void Metrics::record(const kube::WorkKey& key, double duration_ms, bool failed) {
  const std::string type = lower(key.kind);
  families_->total.Add({{"controller", type}, {"result", failed ? "error" : "success"}}).Increment();
  Families::Series& series = families_->series[key];
  if (!series.count) {
    const prometheus::Labels labels = {{"type", type}, {"name", key.name}, {"namespace", key.name_space}};
    series.count = &families_->count.Add(labels);
    series.latency = &families_->latency.Add(labels, kLatencyBucketsMs);
  }
  series.count->Increment();
  series.latency->Observe(duration_ms);
}

void Metrics::forget(const kube::WorkKey& key) {
  const auto found = families_->series.find(key);
  if (found == families_->series.end()) return;
  families_->count.Remove(found->second.count);
  families_->latency.Remove(found->second.latency);
  families_->series.erase(found);
}

void Metrics::set(const Gauges& gauges) {
  families_->depth.Add({{"name", "resources"}}).Set(static_cast<double>(gauges.queue_depth));
  families_->workers.Add({{"controller", "all"}}).Set(static_cast<double>(gauges.running));
  families_->writes.Add({}).Set(static_cast<double>(gauges.writes));
  families_->leader.Add({{"name", "fmesh"}}).Set(gauges.leader ? 1 : 0);
}

std::string Metrics::text() const { return TextWriter().write(families_->registry.Collect()); }

}  // namespace fmesh::op
