#include "operator/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string_view>

namespace fmesh::op {
namespace {

constexpr size_t kLineBytes = 128;  // about

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

void append_quoted(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append("=\"");
  if (value.find_first_of("\n\\\"") == std::string_view::npos) {
    out.append(value).append("\"");
    return;
  }
  for (const char byte : value) {
    if (byte == '\n') {
      out.append("\\n");
      continue;
    }
    if (byte == '\\' || byte == '"') out.push_back('\\');
    out.push_back(byte);
  }
  out.push_back('"');
}

std::string labels_of(const kube::WorkKey& key) {
  std::string text;
  text.reserve(kLineBytes);
  append_quoted(text, "name", key.name);
  append_quoted(text, ",namespace", key.name_space);
  append_quoted(text, ",type", lower(key.kind));
  return text;
}

// A scrape of ten thousand resources is a hundred thousand lines: nothing is formatted twice.
class TextWriter {
 public:
  explicit TextWriter(size_t lines) { out_.reserve(lines * kLineBytes); }

  void family(std::string_view name, std::string_view type, std::string_view help) {
    fmt::format_to(std::back_inserter(out_), "# HELP {0} {1}\n# TYPE {0} {2}\n", name, help, type);
  }
  // `more` follows the labels.
  void line(std::string_view name, std::string_view labels, std::string_view more, uint64_t value) {
    begin(name, labels, more);
    const fmt::format_int number(value);
    out_.append(number.data(), number.size()).push_back('\n');
  }
  void line(std::string_view name, std::string_view labels, std::string_view more, double value) {
    begin(name, labels, more);
    fmt::format_to(std::back_inserter(out_), "{}\n", value);
  }
  void add(std::string_view text) { out_.append(text); }
  std::string take() { return std::move(out_); }

 private:
  void begin(std::string_view name, std::string_view labels, std::string_view more) {
    out_.append(name);
    if (!labels.empty()) out_.append("{").append(labels).append(more).append("}");
    out_.push_back(' ');
  }

  std::string out_;
};

}  // namespace

void Metrics::record(const kube::WorkKey& key, double duration_ms, bool failed) {
  const auto* bound = std::lower_bound(kLatencyBucketsMs.begin(), kLatencyBucketsMs.end(), duration_ms);
  const std::lock_guard lock(mutex_);
  Total& total = totals_[key.kind];
  ++(failed ? total.error : total.success);
  Series& series = series_[key];
  ++series.buckets.at(static_cast<size_t>(bound - kLatencyBucketsMs.begin()));
  series.sum_ms += duration_ms;
}

void Metrics::forget(const kube::WorkKey& key) {
  const std::lock_guard lock(mutex_);
  series_.erase(key);
}

void Metrics::set(const Gauges& gauges) {
  const std::lock_guard lock(mutex_);
  gauges_ = gauges;
}

std::string Metrics::text() const {
  const std::lock_guard lock(mutex_);
  std::array<std::string, kLatencyBucketsMs.size() + 1> bounds;
  bounds.fill(",le=\"+Inf\"");
  for (size_t i = 0; i < kLatencyBucketsMs.size(); ++i) {
    bounds.at(i) = fmt::format(",le=\"{}\"", kLatencyBucketsMs.at(i));
  }
  constexpr size_t kLinesOfLatency = kLatencyBucketsMs.size() + 3;
  constexpr size_t kOtherLines = 40;
  TextWriter writer(series_.size() * (kLinesOfLatency + 1) + kOtherLines);
  TextWriter latencies(series_.size() * kLinesOfLatency);
  writer.family("function_mesh_reconcile_count", "counter", "Looks at a resource");
  latencies.family("function_mesh_reconcile_latency", "histogram", "Duration of a look at a resource in milliseconds");
  for (const auto& [key, series] : series_) {
    const std::string labels = labels_of(key);
    uint64_t count = 0;
    for (size_t i = 0; i < bounds.size(); ++i) {
      count += series.buckets.at(i);
      latencies.line("function_mesh_reconcile_latency_bucket", labels, bounds.at(i), count);
    }
    latencies.line("function_mesh_reconcile_latency_sum", labels, "", series.sum_ms);
    latencies.line("function_mesh_reconcile_latency_count", labels, "", count);
    writer.line("function_mesh_reconcile_count", labels, "", count);
  }
  writer.add(latencies.take());
  writer.family("controller_runtime_reconcile_total", "counter", "Looks at resources by kind and result");
  for (const auto& [kind, total] : totals_) {
    const std::string label = "controller=\"" + lower(kind) + "\",result=\"";
    writer.line("controller_runtime_reconcile_total", label, "error\"", total.error);
    writer.line("controller_runtime_reconcile_total", label, "success\"", total.success);
  }
  writer.family("workqueue_depth", "gauge", "Resources that wait for a look");
  writer.line("workqueue_depth", "name=\"resources\"", "", gauges_.queue_depth);
  writer.family("controller_runtime_active_workers", "gauge", "Resources being looked at");
  writer.line("controller_runtime_active_workers", "controller=\"all\"", "", gauges_.running);
  writer.family("fmesh_api_writes", "gauge", "Write requests sent to the API server since the start");
  writer.line("fmesh_api_writes", "", "", gauges_.writes);
  writer.family("leader_election_master_status", "gauge", "1 while this process may write");
  writer.line("leader_election_master_status", "name=\"fmesh\"", "", static_cast<uint64_t>(gauges_.leader));
  writer.family("function_mesh_build_info", "gauge", "The version that runs");
  writer.line("function_mesh_build_info", "version=\"" FMESH_VERSION "\"", "", uint64_t{1});
  return writer.take();
}

}  // namespace fmesh::op
