#include "local/view.h"

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>

#include "local/stream_tools.h"
#include "model/diagnostics.h"

namespace fmesh::local {
namespace {

using runtime::InstanceState;
using runtime::InstanceStats;

// The worse the higher.
int severity(InstanceState state) {
  switch (state) {
    case InstanceState::kFinished:
      return 0;
    case InstanceState::kRunning:
      return 1;
    case InstanceState::kStopped:
      return 2;
    case InstanceState::kDraining:
      return 3;
    case InstanceState::kStarting:
      return 4;
    case InstanceState::kBackoff:
      return 5;
    case InstanceState::kStuck:
      return 6;
    case InstanceState::kFailed:
      return 7;
  }
  return 0;
}

const char* kind_of(model::ComponentType type) {
  return type == model::ComponentType::kSource ? "source" : type == model::ComponentType::kSink ? "sink" : "function";
}

}  // namespace

observe::InstanceView instance_view(const std::string& component, int32_t id, const InstanceStats& stats) {
  observe::InstanceView view;
  view.component = component;
  view.instance_id = id;
  view.state = runtime::to_string(stats.state);
  view.last_error = stats.last_error;
  view.received_total = stats.received_total;
  view.processed_total = stats.processed_successfully_total;
  view.user_exceptions_total = stats.user_exceptions_total;
  view.system_exceptions_total = stats.system_exceptions_total;
  view.written_total = stats.written_total;
  view.dead_letters_total = stats.dead_letters_total;
  view.late_total = stats.late_total;
  view.restarts_total = stats.restarts_total;
  view.last_invocation_ms = stats.last_invocation_ms;
  view.process_latency_ns_sum = stats.process_latency_ns_sum;
  view.process_latency_count = stats.process_latency_count;
  for (size_t i = 0; i < runtime::kLatencyBoundsNs.size(); ++i)
    view.process_latency_buckets.push_back({runtime::kLatencyBoundsNs[i], stats.process_latency_buckets[i]});
  view.in_flight_records = stats.in_flight_records;
  view.waiting_retry = stats.waiting_retry;
  view.backlog_records = stats.backlog_records;
  view.cpu_ns = stats.cpu_ns;
  return view;
}

observe::ComponentView component_view(const ComponentSnapshot& snapshot) {
  observe::ComponentView view;
  view.name = snapshot.name;
  view.kind = kind_of(snapshot.type);
  view.full_name = snapshot.full_name;
  view.runs = snapshot.runs;
  view.inputs = snapshot.inputs;
  view.outputs = snapshot.outputs;
  view.replicas = snapshot.replicas;
  view.replicas_min = snapshot.min_replicas;
  view.replicas_max = snapshot.max_replicas;
  int worst = -1;
  for (const InstanceStats& stats : snapshot.instances) {
    view.received_total += stats.received_total;
    view.written_total += stats.written_total;
    view.errors_total += stats.user_exceptions_total + stats.system_exceptions_total;
    view.dead_letters_total += stats.dead_letters_total;
    view.restarts_total += stats.restarts_total;
    view.in_flight_records += stats.in_flight_records;
    view.backlog_records = std::max(view.backlog_records, stats.backlog_records);  // each sees the whole subscription
    if (severity(stats.state) > worst) {
      worst = severity(stats.state);
      view.state = runtime::to_string(stats.state);
    }
    if (!stats.last_error.empty()) view.last_error = stats.last_error;
  }
  if (snapshot.instances.empty()) view.state = runtime::to_string(InstanceState::kStopped);
  return view;
}

namespace {

observe::LogEntry to_entry(const runtime::LogLine& line) {
  return {line.time_ms, line.component, line.instance_id, line.level, line.text};
}

Error nothing_runs() { return Error(ErrorKind::kFixInput, "no process runs this mesh; start it with fmesh run"); }

}  // namespace

int64_t process_cpu_ns() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto ns = [](const timeval& time) { return (time.tv_sec * 1'000'000LL + time.tv_usec) * 1'000; };
  return ns(usage.ru_utime) + ns(usage.ru_stime);
}

int64_t process_memory_bytes() {
  std::FILE* file = std::fopen("/proc/self/status", "re");
  if (file == nullptr) return 0;
  std::array<char, 256> line;
  long long kib = 0;
  while (std::fgets(line.data(), line.size(), file) != nullptr) {
    if (std::sscanf(line.data(), "RssAnon: %lld kB", &kib) == 1) break;
  }
  std::fclose(file);
  return kib * 1024;
}

void View::describe(observe::MeshState fixed) {
  const std::lock_guard lock(mutex_);
  fixed_ = std::move(fixed);
}

void View::set_state(const std::string& state) {
  const std::lock_guard lock(mutex_);
  fixed_.state = state;
}

void View::set_reload_error(const std::string& error) {
  const std::lock_guard lock(mutex_);
  fixed_.reload_error = error;
}

observe::MeshState View::mesh_now() {
  observe::MeshState state;
  {
    const std::lock_guard lock(mutex_);
    state = fixed_;
  }
  if (supervisor_ == nullptr) {
    state.state = "stopped";
    return state;
  }
  state.process_cpu_ns = process_cpu_ns();
  state.memory_bytes = process_memory_bytes();
  for (const ComponentSnapshot& component : supervisor_->snapshot()) {
    state.components.push_back(component_view(component));
    for (size_t id = 0; id < component.instances.size(); ++id) {
      state.instances.push_back(instance_view(component.name, static_cast<int32_t>(id), component.instances[id]));
    }
  }
  return state;
}

View::Sample View::sample_of(const observe::MeshState& state) const {
  Sample sample;
  sample.time_ns = loop_.clock().monotonic_ns();
  for (const observe::ComponentView& component : state.components) {
    Totals& totals = sample.components[component.name];
    totals = {component.received_total, component.written_total, component.errors_total, 0};
  }
  for (const observe::InstanceView& instance : state.instances)
    sample.components[instance.component].cpu_ns += instance.cpu_ns;
  return sample;
}

bool View::fill_rates(observe::MeshState& state) {
  Sample now = sample_of(state);
  const std::lock_guard lock(mutex_);
  while (!samples_.empty() && now.time_ns - samples_.front().time_ns > kRateWindowMaxMs * 1'000'000)
    samples_.pop_front();
  const Sample* base = nullptr;
  for (const Sample& sample : samples_) {
    if (now.time_ns - sample.time_ns >= kRateWindowMinMs * 1'000'000) base = &sample;
  }
  if (base != nullptr) {
    const double seconds = static_cast<double>(now.time_ns - base->time_ns) / 1e9;
    for (observe::ComponentView& component : state.components) {
      const Totals& totals = now.components[component.name];
      const auto found = base->components.find(component.name);
      const Totals before = found == base->components.end() ? totals : found->second;
      const auto rate = [seconds](int64_t later, int64_t earlier) {
        return static_cast<double>(std::max<int64_t>(0, later - earlier)) / seconds;
      };
      component.received_per_s = rate(totals.received, before.received);
      component.written_per_s = rate(totals.written, before.written);
      component.errors_per_s = rate(totals.errors, before.errors);
      component.cpu_percent = rate(totals.cpu_ns, before.cpu_ns) / 1e7;
    }
  }
  const bool filled = base != nullptr;
  if (samples_.empty() || now.time_ns - samples_.back().time_ns >= kRateWindowMinMs * 1'000'000) {
    samples_.push_back(std::move(now));
  }
  return filled;
}

void View::mesh(std::function<void(observe::MeshState)> done) {
  observe::MeshState state = mesh_now();
  if (supervisor_ == nullptr || fill_rates(state)) return done(std::move(state));
  loop_.post_after(kRateWindowMinMs, [this, done = std::move(done)] {
    observe::MeshState later = mesh_now();
    fill_rates(later);
    done(std::move(later));
  });
}

std::optional<std::string> View::not_ready() {
  if (supervisor_ == nullptr) return nothing_runs().text();
  if (supervisor_->starting()) return "starting";
  for (const ComponentSnapshot& component : supervisor_->snapshot()) {
    for (size_t id = 0; id < component.instances.size(); ++id) {
      const InstanceStats& stats = component.instances[id];
      if (severity(stats.state) < severity(InstanceState::kDraining)) continue;
      return component.name + " (instance " + std::to_string(id) + ") is " + runtime::to_string(stats.state) +
             (stats.last_error.empty() ? "" : ": " + stats.last_error);
    }
  }
  return std::nullopt;
}

Status View::check_component(const std::string& component) const {
  if (supervisor_ == nullptr) return fail(nothing_runs());
  const std::vector<std::string> names = supervisor_->names();
  if (std::ranges::find(names, component) != names.end()) return {};
  const std::string_view near = model::closest(component, {names.begin(), names.end()});
  return fail(ErrorKind::kFixInput,
              "no such component: " + component + (near.empty() ? "" : "; did you mean " + std::string(near) + "?"));
}

Status View::scale(const std::string& component, int32_t replicas) {
  FMESH_CHECK(check_component(component));
  if (replicas < 0 || replicas > kReplicasMax) {
    return fail(ErrorKind::kFixInput,
                "replicas: " + std::to_string(replicas) + ": expected 0 to " + std::to_string(kReplicasMax));
  }
  loop_.post([this, component, replicas] { supervisor_->scale(component, replicas, [](const Status&) {}); });
  return {};
}

Result<std::vector<observe::LogEntry>> View::logs(const std::string& component, size_t lines_max) {
  FMESH_CHECK(check_component(component));
  std::vector<observe::LogEntry> entries;
  for (const runtime::LogLine& line : logs_->last(component, lines_max)) entries.push_back(to_entry(line));
  return entries;
}

Result<observe::Following> View::follow_logs(const std::string& component,
                                             std::function<bool(const observe::LogEntry&)> each) {
  FMESH_CHECK(check_component(component));
  return logs_->follow(component,
                       [each = std::move(each)](const runtime::LogLine& line) { return each(to_entry(line)); });
}

Result<std::vector<observe::StreamView>> View::streams() { return list(client_); }

Result<std::vector<observe::RecordLine>> View::peek(const std::string& topic, const std::string& from,
                                                    size_t records_max) {
  return local::peek(client_, topic, from, records_max);
}

Result<observe::Following> View::tap(const std::string& topic, std::function<bool(const observe::RecordLine&)> each) {
  return local::tap(client_, loop_, topic, std::move(each));
}

void View::publish(const std::string& topic, std::vector<observe::NewRecord> records,
                   std::function<void(Result<std::vector<std::string>>)> done) {
  local::publish(client_, loop_.clock(), topic, records, std::move(done));
}

Status View::seek(const std::string& topic, const observe::Seek& seek) { return local::seek(client_, topic, seek); }

Status View::create_stream(const std::string& topic, const observe::NewStream& stream) {
  FMESH_TRY(const std::string name, full_name(topic));
  stream::StreamOptions options;
  options.partitions = stream.partitions;
  options.retention_size_bytes = stream.retention_size_bytes;
  options.retention_time_ms = stream.retention_time_ms;
  return client_.create_stream(name, options);
}

Status View::remove_stream(const std::string& topic) {
  FMESH_TRY(const std::string name, full_name(topic));
  FMESH_CHECK(check_exists(client_, name));
  return client_.delete_stream(name);
}

}  // namespace fmesh::local
