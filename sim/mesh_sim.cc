#include "sim/mesh_sim.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "runtime/logic.h"
#include "stream/entry.h"

namespace fmesh::sim {
namespace {

constexpr int64_t kDayMs = 24 * 3'600'000;
// The mesh must be done within this simulated time once nothing disturbs it any more.
constexpr int64_t kFinishMaxMs = 3'600'000;

std::string full(const std::string& stream) { return "persistent://public/default/" + stream; }

model::InstanceSpec spec_of(const std::string& name, int instance, int instances) {
  model::InstanceSpec spec;
  spec.component = name;
  spec.instance_id = instance;
  spec.instance_count = instances;
  spec.details.tenant = "public";
  spec.details.name_space = "default";
  spec.details.name = name;
  spec.details.auto_ack = true;
  spec.details.source.emplace().subscription_position = model::DetailsSubscriptionPosition::kEarliest;
  spec.details.source->negative_ack_redelivery_delay_ms = 200;
  return spec;
}

}  // namespace

MeshSim::MeshSim(uint64_t seed) : rng_(seed) {
  outside_.seed = seed;
  std::string pattern = std::filesystem::temp_directory_path() / "fmesh-sim-XXXXXX";
  state_directory_ = ::mkdtemp(pattern.data());
  draw();
}

MeshSim::~MeshSim() {
  close();
  std::error_code ignored;
  std::filesystem::remove_all(state_directory_, ignored);
}

void MeshSim::tell(const std::string& text) { story_ += text + "\n"; }
void MeshSim::broken(const std::string& text) { broken_.push_back(text); }

// Layers of functions, each reading streams of the layers above, some of them two; a sink at the end of every layer's
// stream that nobody else reads, and at some that others read too.
void MeshSim::draw() {
  std::vector<std::string> streams;
  const auto partitioned = [&](const std::string& stream) {
    outside_.partitions[stream] = rng_.below(3) == 0 ? 3 : 0;
    streams.push_back(stream);
  };
  for (uint64_t i = 0, count = 1 + rng_.below(2); i < count; ++i) {
    const std::string name = "s" + std::to_string(i);
    const int records = static_cast<int>(10 + rng_.below(120));
    outside_.sources[name] = {name, "from-" + name, records, static_cast<int>(1 + rng_.below(6))};
    partitioned("from-" + name);
    tell(fmt::format("{}: {} records -> from-{}", name, records, name));
  }
  for (uint64_t i = 0, count = 1 + rng_.below(4); i < count; ++i) {
    const std::string output = "by-f" + std::to_string(i);
    draw_function(static_cast<int>(i), streams, output);
    partitioned(output);
  }
  for (const std::string& stream : streams) {
    if (rng_.below(2) == 0) continue;
    const std::string name = "sink-" + stream;
    outside_.sinks[name] = {name, stream, rng_.below(2) == 0, 1};
    tell(fmt::format("{} -> {}{}", stream, name, outside_.sinks[name].has_position ? ", with a position" : ""));
  }
}

void MeshSim::draw_function(int index, const std::vector<std::string>& streams, const std::string& output) {
  SimFunction function;
  function.name = "f" + std::to_string(index);
  function.inputs.push_back(streams[rng_.below(streams.size())]);
  if (const std::string& other = streams[rng_.below(streams.size())]; rng_.below(3) == 0 && other != function.inputs[0])
    function.inputs.push_back(other);
  function.output = output;
  function.blocking = rng_.below(2) == 0;
  function.instances = static_cast<int>(1 + rng_.below(3));
  switch (rng_.below(6)) {
    case 0:
      function.promise = Promise::kAtMostOnce;
      break;
    case 1:
      function.promise = Promise::kEffectivelyOnce;
      function.ordered = true;
      break;
    case 2:
      function.key_ordered = true;
      break;
    case 3:
      function.ordered = true;
      break;
    default:
      break;
  }
  const bool may_retry = function.promise == Promise::kAtLeastOnce;
  if (may_retry && rng_.below(2) == 0) function.dead_letters = "dead-" + function.name;
  const bool of_windows = std::any_of(function.inputs.begin(), function.inputs.end(),
                                      [&](const std::string& input) { return outside_.of_windows.contains(input); });
  if (of_windows) {
    outside_.of_windows.insert(output);
    function.key_ordered = false;  // windows have no key
  }
  if (may_retry && !of_windows && rng_.below(5) == 0) {
    outside_.of_windows.insert(output);
    function.window = static_cast<int>(2 + rng_.below(6));
    function.instances = 1;
    function.dead_letters.clear();
    function.key_ordered = false;
  } else {
    if (rng_.below(3) == 0) function.side = "side-" + function.name;
    if (may_retry && rng_.below(4) == 0) {
      function.loop_back = "loop-" + function.name;
      function.inputs.push_back(function.loop_back);
    }
  }
  tell(fmt::format("{} x{}: {} -> {}{}{}{}{}{}{}{}{}", function.name, function.instances,
                   fmt::join(function.inputs, ", "), output, function.loop_back.empty() ? "" : ", around",
                   function.side.empty() ? "" : ", side stream", function.dead_letters.empty() ? "" : ", dead letters",
                   function.ordered ? ", ordered" : "", function.key_ordered ? ", ordered by key" : "",
                   function.blocking ? ", blocking" : "",
                   function.window > 0 ? fmt::format(", windows of {}", function.window) : "",
                   function.promise == Promise::kAtMostOnce        ? ", at most once"
                   : function.promise == Promise::kEffectivelyOnce ? ", effectively once"
                                                                   : ""));
  outside_.functions[function.name] = function;
}

std::vector<model::InstanceSpec> MeshSim::specs() const {
  std::vector<model::InstanceSpec> specs;
  for (const auto& [name, sink] : outside_.sinks) {
    model::InstanceSpec spec = spec_of(name, 0, 1);
    spec.host = model::HostKind::kSink;
    spec.details.source->input_specs[full(sink.input)];
    spec.details.sink.emplace().builtin = "keep";
    specs.push_back(std::move(spec));
  }
  for (const auto& [name, function] : outside_.functions) {
    for (int i = 0; i < function.instances; ++i) {
      model::InstanceSpec spec = spec_of(name, i, function.instances);
      spec.host = model::HostKind::kNative;
      for (const std::string& input : function.inputs) spec.details.source->input_specs[full(input)];
      spec.details.sink.emplace().topic = full(function.output);
      if (function.promise == Promise::kAtMostOnce)
        spec.details.processing_guarantees = model::ProcessingGuarantees::kAtMostOnce;
      if (function.promise == Promise::kEffectivelyOnce)
        spec.details.processing_guarantees = model::ProcessingGuarantees::kEffectivelyOnce;
      spec.details.retain_ordering = function.ordered;
      spec.details.retain_key_ordering = function.key_ordered;
      if (function.ordered) spec.details.source->subscription_type = model::DetailsSubscriptionType::kFailover;
      if (function.key_ordered) spec.details.source->subscription_type = model::DetailsSubscriptionType::kKeyShared;
      if (!function.dead_letters.empty())
        spec.details.retry_details = model::RetryDetails{3, full(function.dead_letters)};
      if (function.window > 0)
        spec.details.user_config =
            fmt::format(R"({{"__WINDOWCONFIGS__":{{"windowLengthCount":{}}}}})", function.window);
      specs.push_back(std::move(spec));
    }
  }
  for (const auto& [name, source] : outside_.sources) {
    model::InstanceSpec spec = spec_of(name, 0, 1);
    spec.host = model::HostKind::kSource;
    spec.details.source->builtin = "count";
    spec.details.sink.emplace().topic = full(source.output);
    specs.push_back(std::move(spec));
  }
  return specs;
}

bool MeshSim::open() {
  stream::log::LogOptions options;
  options.directory = "/data";
  options.state_directory = state_directory_;
  options.journal.own_thread = false;
  options.journal.segment_size_bytes = 64 * 1024;
  options.journal.checkpoint_every_bytes = 16 * 1024;
  options.stream_defaults.retention_time_ms = 30 * kDayMs;
  process_ = disk_->process();
  auto opened = stream::log::Log::open(*process_, clock_, std::move(options));
  if (!opened) {
    tell("open: " + opened.error().to_string());
    return false;
  }
  log_ = std::move(*opened);
  loop_ = std::make_unique<ManualLoop>(clock_);
  workers_ = runtime::WorkerPool::make_inline();
  for (const auto& [stream, partitions] : outside_.partitions) {
    stream::StreamOptions wanted;
    wanted.partitions = partitions;
    if (!log_->create_stream(full(stream), wanted)) return false;
  }
  start_all();
  return true;
}

runtime::InstanceEnvironment MeshSim::environment() {
  runtime::InstanceEnvironment environment;
  environment.client = log_.get();
  environment.loop = loop_.get();
  environment.workers = workers_.get();
  environment.clock = &clock_;
  environment.make_logic = make_sim_logic;
  environment.log = [this](const runtime::LogLine& line) {
    tell(fmt::format("  {} {}[{}] {}", steps_, line.component, line.instance_id, line.text));
  };
  return environment;
}

void MeshSim::start_all() {
  outside() = &outside_;
  for (model::InstanceSpec& spec : specs()) {
    auto made = runtime::make_instance(spec, environment());
    if (!made) {
      broken("make " + spec.component + ": " + made.error().to_string());
      continue;
    }
    (*made)->start();
    running_.push_back({std::move(spec), std::move(*made)});
  }
}

void MeshSim::close() {
  running_.clear();
  if (loop_) loop_->run_ready();
  log_.reset();
  loop_.reset();
  workers_.reset();
  process_.reset();
}

void MeshSim::crash() {
  const bool power = rng_.below(2) == 0;
  tell(fmt::format("{} after {} steps", power ? "power loss" : "kill", steps_));
  if (power || disk_->power_lost()) {
    disk_->crash(rng_);
  } else {
    disk_->kill();
  }
  // What the old process still does while it is torn down must not reach the disk that the next one opens.
  auto after = disk_->copy();
  close();
  disk_ = std::move(after);
}

void MeshSim::plan_fault() {
  if (rng_.below(5) == 0) {
    const uint64_t nth = 1 + rng_.below(80);
    disk_->lose_power_at(nth);
    return tell(fmt::format("the power goes in call {}", nth));
  }
  if (rng_.below(5) == 0) {
    disk_->set_capacity_bytes(disk_->used_bytes() + rng_.below(20'000));
    return tell("the disk is nearly full");
  }
  const auto call = static_cast<DiskCall>(1 + rng_.below(3));
  const uint64_t nth = 1 + rng_.below(60);
  const ErrorKind kind = rng_.below(3) == 0 ? ErrorKind::kCorrupt : ErrorKind::kRetryLater;
  disk_->fail_call(call, nth, kind);
  tell(fmt::format("call {} number {} fails as {}", static_cast<int>(call), nth, to_string(kind)));
}

// Takes one instance away, in order or at once, and starts it again.
void MeshSim::disturb() {
  if (running_.empty()) return;
  Running& one = running_[rng_.below(running_.size())];
  const bool in_order = rng_.below(2) == 0;
  tell(fmt::format("{}[{}] {} at step {}", one.spec.component, one.spec.instance_id, in_order ? "drains" : "goes",
                   steps_));
  if (in_order) {
    one.instance->drain(1'000, [] {});
    for (int i = 0; i < 50; ++i) {
      if (log_->step() + loop_->run_ready() == 0) break;
    }
  }
  one.instance.reset();
  auto made = runtime::make_instance(one.spec, environment());
  if (!made) return broken("make " + one.spec.component + ": " + made.error().to_string());
  one.instance = std::move(*made);
  one.instance->start();
}

// One of the things that may happen next, in an order that the seed says. False if nothing was to do.
bool MeshSim::step() {
  ++steps_;
  size_t done = 0;
  const uint64_t order = rng_.below(3);
  if (order != 0) done += log_->step();
  if (order != 1) done += loop_->run_ready();
  if (order == 2) log_->tick();
  if (rng_.below(4) == 0) clock_.advance_ms(static_cast<int64_t>(rng_.below(20)));
  return done > 0;
}

void MeshSim::round() {
  if (rng_.below(4) == 0) disk_->lose_power_at(1 + rng_.below(20));
  if (!open()) return;  // the power went meanwhile, or a planned fault hit
  for (uint64_t faults = rng_.below(3); faults > 0; --faults) plan_fault();
  for (uint64_t left = 20 + rng_.below(400); left > 0 && !disk_->power_lost(); --left) {
    step();
    if (rng_.below(100) == 0) static_cast<void>(log_->collect_garbage());
    if (rng_.below(100) == 0) disk_->set_capacity_bytes(UINT64_MAX);
    if (rng_.below(60) == 0) disturb();
  }
}

void MeshSim::finish() {
  disk_ = disk_->copy();  // without the faults that were planned and did not come
  if (!open()) return broken("the log can't be opened");
  const int64_t end_ns = clock_.monotonic_ns() + kFinishMaxMs * 1'000'000;
  while (clock_.monotonic_ns() < end_ns) {
    for (int quiet = 0; quiet < 3;) quiet = log_->step() + loop_->run_ready() == 0 ? quiet + 1 : 0;
    log_->tick();
    const bool idle = std::all_of(running_.begin(), running_.end(), [](const Running& one) {
      const runtime::InstanceState state = one.instance->stats().state;
      return (state == runtime::InstanceState::kRunning || state == runtime::InstanceState::kFinished) &&
             one.instance->idle();
    });
    // A count window keeps the records of its last, incomplete window.
    if (idle && loop_->run_ready() + log_->step() == 0) return;
    clock_.advance_ms(50);
    ++steps_;
  }
  for (const Running& one : running_) {
    const runtime::InstanceStats stats = one.instance->stats();
    if (stats.state != runtime::InstanceState::kFinished && !one.instance->idle())
      broken(fmt::format("{}[{}] is not done after an hour: {}, backlog {}, in flight {}, waiting {}, last error: {}",
                         one.spec.component, one.spec.instance_id, to_string(stats.state), stats.backlog_records,
                         stats.in_flight_records, stats.waiting_retry, stats.last_error));
  }
}

std::vector<std::string> MeshSim::run() {
  for (uint64_t rounds = rng_.below(4); rounds > 0; --rounds) {
    round();
    if (rng_.below(4) == 0 && !disk_->power_lost()) {
      tell("ends in order");
      close();
      disk_ = disk_->copy();
    } else {
      crash();
    }
  }
  finish();
  if (log_) check();
  return broken_;
}

}  // namespace fmesh::sim
