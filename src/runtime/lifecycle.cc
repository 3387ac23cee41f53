#include "runtime/lifecycle.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "runtime/worker_pool.h"

namespace fmesh::runtime {

const char* to_string(InstanceState state) {
  switch (state) {
    case InstanceState::kStarting:
      return "starting";
    case InstanceState::kRunning:
      return "running";
    case InstanceState::kDraining:
      return "draining";
    case InstanceState::kBackoff:
      return "backoff";
    case InstanceState::kStuck:
      return "stuck";
    case InstanceState::kFinished:
      return "finished";
    case InstanceState::kStopped:
      return "stopped";
    case InstanceState::kFailed:
      return "failed";
  }
  return "unknown";
}

size_t InFlight::began(const stream::Commit& commit) {
  size_t commit_bytes = 0;
  for (const stream::Append& append : commit.appends) commit_bytes += append.entry.size();
  ++commits;
  bytes += commit_bytes;
  return commit_bytes;
}

void InFlight::ended(size_t commit_bytes) {
  --commits;
  bytes -= commit_bytes;
}

Lifecycle::Lifecycle(model::InstanceSpec spec, InstanceEnvironment environment)
    : spec_(std::move(spec)), environment_(std::move(environment)) {}

void Lifecycle::start() {
  const model::FunctionDetails& details = spec_.details;
  // Pulsar's own instances write theirs themselves.
  if (!details.log_topic.empty() && !log_topic_ && spec_.host != model::HostKind::kStock)
    log_topic_ = std::make_unique<LogTopic>(details.log_topic, details.fully_qualified_name(), environment_,
                                            [this] { check_drained(); });
  try_open();
}

void Lifecycle::try_open() {
  ++generation_;
  order_ = std::make_shared<stream::CommitOrder>();
  state_order_.reset();
  set_state(InstanceState::kStarting);
  if (const Status status = open(); !status) fail(status.error());
}

void Lifecycle::open_streams(std::function<Status()> open_them, std::function<void(const Status&)> then) {
  if (!environment_.client->opening_waits()) return then(open_them());
  environment_.workers->run(
      this, [open_them = std::move(open_them), then = std::move(then), post = poster()]() mutable {
        // What was opened may go only with `then`, which is let go of on the loop.
        Status status = open_them();
        post([open_them = std::move(open_them), then = std::move(then), status = std::move(status)] { then(status); });
      });
}

void Lifecycle::opened() {
  started_ns_ = environment_.clock->monotonic_ns();
  set_state(InstanceState::kRunning);
  pump();
}

void Lifecycle::fail(const Error& error) {
  if (state() == InstanceState::kStopped || state() == InstanceState::kFailed) return;
  const bool draining = drained_ != nullptr;
  ++generation_;
  close();
  set_last_error(error.to_string());
  if (error.kind() == ErrorKind::kFixInput) {
    set_state(InstanceState::kFailed);
    log("error", error.to_string());
    check_drained();
    return;
  }
  counters_.system_exceptions.fetch_add(1, std::memory_order_relaxed);
  if (draining) {
    set_state(InstanceState::kStopped);
    check_drained();
    return;
  }
  const bool healthy =
      started_ns_ != 0 && environment_.clock->monotonic_ns() - started_ns_ >= kHealthyAfterMs * 1'000'000;
  if (healthy) restart_delay_ms_ = kRestartDelayMinMs;
  const int64_t delay_ms = restart_delay_ms_;
  restart_delay_ms_ = std::min(restart_delay_ms_ * 2, kRestartDelayMaxMs);
  set_state(InstanceState::kBackoff);
  log("warn", error.to_string() + "; starting again in " + std::to_string(delay_ms) + " ms");
  after_ms(delay_ms, [this] {
    counters_.restarts.fetch_add(1, std::memory_order_relaxed);
    try_open();
  });
}

void Lifecycle::finish() {
  close();
  ++generation_;
  set_state(InstanceState::kFinished);
  check_drained();
}

void Lifecycle::drain(int64_t limit_ms, std::function<void()> done) {
  drained_ = std::move(done);
  if (log_topic_) log_topic_->flush();
  if (running()) set_state(InstanceState::kDraining);
  check_drained();
  if (!drained_) return;
  after_ms(limit_ms, [this] {
    if (!drained_) return;
    log("warn", "did not finish within the time it was given; what is not durable will be delivered again");
    close();
    ++generation_;
    set_state(InstanceState::kStopped);
    check_drained();
  });
  pump();
}

void Lifecycle::check_drained() {
  if (!drained_) return;
  const InstanceState now = state();
  if (now == InstanceState::kDraining) {
    if (!quiet()) return;
    close();
    ++generation_;
    set_state(InstanceState::kStopped);
  } else if (now == InstanceState::kBackoff || now == InstanceState::kStarting) {
    ++generation_;
    set_state(InstanceState::kStopped);
  }
  if (log_topic_ && !log_topic_->idle()) return;  // it calls again
  std::exchange(drained_, nullptr)();
}

std::function<void()> Lifecycle::waker() {
  return [weak = weak_from_this(), loop = environment_.loop, generation = generation_] {
    loop->post([weak, generation] {
      const auto self = weak.lock();
      if (!self || self->generation_ != generation) return;
      self->pump();
      self->check_drained();
    });
  };
}

Lifecycle::Poster Lifecycle::poster() {
  return [weak = weak_from_this(), loop = environment_.loop, generation = generation_](std::function<void()> task) {
    loop->post([weak, generation, task = std::move(task)] {
      const auto self = weak.lock();
      if (!self || self->generation_ != generation) return;
      task();
      self->check_drained();
    });
  };
}

uint64_t Lifecycle::after_ms(int64_t delay_ms, std::function<void()> task) {
  return environment_.loop->post_after(delay_ms,
                                       [weak = weak_from_this(), generation = generation_, task = std::move(task)] {
                                         const auto self = weak.lock();
                                         if (!self || self->generation_ != generation) return;
                                         task();
                                         self->check_drained();
                                       });
}

void Lifecycle::log(std::string_view level, std::string_view text) const {
  const LogLine line{environment_.clock->wall_ms(), spec_.component, spec_.instance_id, std::string(level),
                     std::string(text)};
  if (log_topic_) log_topic_->write(line);
  if (environment_.log) environment_.log(line);
}

void Lifecycle::set_last_error(std::string text) {
  std::lock_guard lock(error_mutex_);
  last_error_ = std::move(text);
}

InstanceStats Lifecycle::stats() const {
  InstanceStats stats;
  const auto read = [](const std::atomic<int64_t>& value) { return value.load(std::memory_order_relaxed); };
  stats.state = state();
  {
    std::lock_guard lock(error_mutex_);
    stats.last_error = last_error_;
  }
  stats.received_total = read(counters_.received);
  stats.processed_successfully_total = read(counters_.processed);
  stats.user_exceptions_total = read(counters_.user_exceptions);
  stats.system_exceptions_total = read(counters_.system_exceptions);
  stats.written_total = read(counters_.written);
  stats.dead_letters_total = read(counters_.dead_letters);
  stats.late_total = read(counters_.late);
  stats.restarts_total = read(counters_.restarts);
  stats.last_invocation_ms = read(counters_.last_invocation_ms);
  stats.process_latency_ns_sum = read(counters_.latency_ns_sum);
  for (size_t i = 0; i < counters_.latency_buckets.size(); ++i) {
    stats.process_latency_buckets[i] = read(counters_.latency_buckets[i]);
    stats.process_latency_count += stats.process_latency_buckets[i];
  }
  stats.in_flight_records = read(counters_.in_flight);
  stats.waiting_retry = read(counters_.waiting_retry);
  stats.backlog_records = read(counters_.backlog);
  stats.cpu_ns = read(counters_.cpu_ns);
  return stats;
}

}  // namespace fmesh::runtime
