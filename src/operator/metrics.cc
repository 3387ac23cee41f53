#include "operator/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <sstream>

namespace fmesh::op {
namespace {

// Upstream's, in milliseconds.
const prometheus::Histogram::BucketBoundaries kLatencyBucketsMs = {10, 100, 1000, 10000, 30000, 60000};

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

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

std::string Metrics::text() const {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families_->registry.Collect());
  return out.str();
}

}  // namespace fmesh::op
