#include "runtime/window_instance.h"

#include <algorithm>
#include <utility>

#include "fmesh/json.h"
#include "fmesh/json_path.h"
#include "runtime/consumer_options.h"
#include "runtime/input_instance.h"
#include "runtime/worker_pool.h"
#include "stream/topic_name.h"

namespace fmesh::runtime {

WindowInstance::WindowInstance(model::InstanceSpec spec, InstanceEnvironment environment, WindowOptions options)
    : Lifecycle(std::move(spec), std::move(environment)),
      options_(std::move(options)),
      progress_key_("__window/" + std::to_string(spec_.instance_id)),
      context_(spec_, *environment_.clock,
               [this](std::string_view level, std::string_view text) { log(level, text); }) {
  subscription_ = subscription_name(spec_.details);
  output_topic_ = context_.output();
  const RetryPolicy policy = retry_policy(spec_.details);
  max_retries_ = policy.max_retries;
  dead_letter_topic_ = policy.dead_letter_topic;
}

// What open() opens before it is the instance's.
struct WindowInstance::Opening {
  std::shared_ptr<Engine> engine;
  std::shared_ptr<stream::Consumer> consumer;
  std::shared_ptr<stream::StateTable> state;
  std::optional<std::string> progress;
  ~Opening() {
    if (consumer) consumer->close();
  }
};

Status WindowInstance::open() {
  if (replays(spec_.details, *environment_.client)) {
    return fmesh::fail(ErrorKind::kFixInput, spec_.component +
                                                 ": a window is written at least once on Pulsar, as what is in it may "
                                                 "differ when it comes again; say atleast_once");
  }
  const auto opening = std::make_shared<Opening>();
  opening->engine = std::make_shared<Engine>();
  FMESH_TRY(opening->engine->logic, logic_of(spec_, environment_));
  open_streams([opening, this, self = shared_from_this()] { return open_all(*opening); },
               [opening, this](const Status& status) {
                 if (!status) return fail(status.error());
                 take_over(*opening);
               });
  return {};
}

// On whatever thread opens streams: touches nothing that changes.
Status WindowInstance::open_all(Opening& opening) const {
  FMESH_TRY(opening.consumer, environment_.client->open_consumer(consumer_options(spec_)));
  opening.engine->outputs =
      std::make_unique<Outputs>(*environment_.client, outputs_options(spec_, *environment_.client));
  if (!output_topic_.empty()) FMESH_CHECK(opening.engine->outputs->open(output_topic_));
  FMESH_TRY(opening.state, environment_.client->open_state(spec_.details.fully_qualified_name()));
  FMESH_TRY(opening.progress, opening.state->get(progress_key_));
  return {};
}

void WindowInstance::take_over(Opening& opening) {
  consumer_ = std::exchange(opening.consumer, nullptr);
  state_ = opening.state;
  state_order_ = state_->order();
  windows_ = std::make_unique<Windows>(options_);
  if (opening.progress) windows_->resume(*opening.progress);
  const std::shared_ptr<Engine> engine = opening.engine;
  EffectsOptions options;
  options.output_topic = output_topic_;
  options.forward_properties = false;  // a window has no one record whose properties it could carry
  options.forward_key = false;
  options.open_state = [state = state_]() -> Result<std::shared_ptr<stream::StateTable>> { return state; };
  engine->effects = std::make_unique<Effects>(std::move(options), *engine->outputs);
  engine_ = engine;
  environment_.workers->run(
      this, [self = shared_from_this(), this, engine, post = poster(), waits = environment_.client->opening_waits()] {
        Status status = engine->logic->open(context_);
        engine->in_place = engine->logic->non_blocking() && !waits;
        post([this, status = std::move(status)] {
          if (!status) {
            fail(status.error());
          } else {
            opened();
          }
        });
      });
}

void WindowInstance::close() {
  if (engine_)
    environment_.workers->run(this, [self = shared_from_this(), engine = engine_] {
      if (engine->effects) engine->effects->abandon();
      engine->logic->close();
    });
  if (consumer_) consumer_->close();
  consumer_.reset();
  engine_.reset();
  windows_.reset();
  state_.reset();
  held_.clear();
  due_.clear();
  at_work_.clear();
  processing_ = waiting_ = starved_ = timer_armed_ = false;
  in_flight_ = {};
  attempts_ = 0;
  counters_.in_flight.store(0, std::memory_order_relaxed);
}

bool WindowInstance::idle() const {
  if (state() == InstanceState::kFailed || state() == InstanceState::kStopped) return true;
  if (!running() || !quiet() || !due_.empty() || !starved_) return false;
  // A window by arrival time is a timer that is pending.
  return !windows_->next_end_ms() && counters_.waiting_retry.load(std::memory_order_relaxed) == 0;
}

void WindowInstance::end_of_input() {
  if (!running()) return;
  queue(windows_->close_all());
  pump();
}

void WindowInstance::pump() {
  while (running() && !processing_ && !waiting_) {
    if (!engine_->outputs->writable()) {
      engine_->outputs->notify_writable(waker());
      return;
    }
    if (!due_.empty()) {
      if (in_flight_.full()) return;
      work();
      continue;
    }
    if (windows_->open_records() > kWindowRecordsMax) {
      fail(Error(ErrorKind::kFixInput, "open windows hold more than " + std::to_string(kWindowRecordsMax) +
                                           " records; make windowConfig's length or maxLagMs shorter"));
      return;
    }
    Result<std::vector<stream::ReceivedEntry>> polled = consumer_->poll({});
    if (!polled) {
      if (polled.error().kind() != ErrorKind::kCorrupt) {
        fail(polled.error());
        return;
      }
      set_last_error(polled.error().to_string());
      log("error", polled.error().to_string());
      continue;
    }
    const stream::ConsumerStats stats = consumer_->stats();
    counters_.backlog.store(stats.backlog_records, std::memory_order_relaxed);
    counters_.waiting_retry.store(stats.waiting_retry, std::memory_order_relaxed);
    starved_ = polled->empty();
    if (starved_) {
      queue(windows_->fire(environment_.clock->wall_ms()));
      if (!due_.empty()) continue;
      engine_->outputs->clear();
      arm_timer();
      consumer_->notify(waker());
      return;
    }
    take(std::move(*polled));
  }
}

void WindowInstance::arm_timer() {
  const std::optional<int64_t> end_ms = windows_->next_end_ms();
  if (!end_ms || timer_armed_) return;
  timer_armed_ = true;
  after_ms(std::max<int64_t>(*end_ms - environment_.clock->wall_ms(), 1), [this] {
    timer_armed_ = false;
    pump();
  });
}

int64_t WindowInstance::time_of(const LogicRecord& record) const {
  if (!options_.event_time) return environment_.clock->wall_ms();
  if (!options_.event_time_field.empty()) {
    try {
      if (const auto text = json::member(record.record.payload, options_.event_time_field))
        return json::parse<int64_t>(*text);
    } catch (const JsonError&) {
      // Falls through: a record without a readable time counts by its own.
    }
  }
  return record.record.event_time_ms > 0 ? record.record.event_time_ms : record.record.publish_time_ms;
}

void WindowInstance::take(std::vector<stream::ReceivedEntry> entries) {
  auto batch = std::make_shared<Batch>(std::move(entries));
  const std::span<const LogicRecord> records = batch->records();
  counters_.received.fetch_add(static_cast<int64_t>(records.size()), std::memory_order_relaxed);
  counters_.last_invocation_ms.store(environment_.clock->wall_ms(), std::memory_order_relaxed);
  const size_t sources = std::max<size_t>(context_.inputs().size(), 1);
  stream::Commit commit;
  for (const Batch::Unreadable& bad : batch->unreadable()) {
    log("error", "entry " + stream::to_string(bad.id) + " can't be read and is passed over: " + bad.error.text());
    commit.acks.push_back({consumer_, bad.id, stream::AckSet::all(), false});
  }
  engine_->outputs->begin_batch(environment_.clock->wall_ms());
  for (size_t i = 0; i < records.size(); ++i) {
    const Windows::Ticket ticket = next_ticket_++;
    if (windows_->add(ticket, time_of(records[i]), std::string(records[i].topic), sources)) {
      held_.emplace(ticket, Held{batch, i});
      // Windows close as the watermark passes, so that a large batch does not make records late or early.
      if (options_.event_time || options_.length_count > 0) queue(windows_->fire(0));
    } else if (const Status passed_on = late(*batch, i, commit); !passed_on) {
      fail(passed_on.error());
      return;
    }
  }
  counters_.in_flight.store(static_cast<int64_t>(held_.size()), std::memory_order_relaxed);
  commit.appends = engine_->outputs->finish();
  if (!commit.empty()) submit(std::move(commit));
}

Status WindowInstance::late(const Batch& batch, size_t index, stream::Commit& commit) {
  counters_.late.fetch_add(1, std::memory_order_relaxed);
  if (!options_.late_data_topic.empty()) {
    engine_->outputs->begin_record();
    const Status added = engine_->outputs->add(options_.late_data_topic, batch.records()[index].record);
    if (!added) return fmesh::fail(added.error().within("a late record could not be written"));
  }
  commit.acks.push_back({consumer_, batch.entry_of(index).id, batch.only(index), false});
  return {};
}

void WindowInstance::queue(std::vector<Windows::Fired> fired) {
  for (Windows::Fired& window : fired) due_.push_back(std::move(window));
}

void WindowInstance::work() {
  const Windows::Fired& window = due_.front();
  at_work_.clear();
  for (const Windows::Ticket ticket : window.records) {
    const Held& held = held_.at(ticket);
    at_work_.push_back(held.batch->records()[held.index]);
  }
  processing_ = true;
  auto job = [self = shared_from_this(), this, engine = engine_, info = WindowInfo{window.start_ms, window.end_ms}] {
    const int64_t start_ns = environment_.clock->monotonic_ns();
    engine->effects->begin(at_work_, environment_.clock->wall_ms());
    if (!at_work_.empty()) engine->logic->process_window(at_work_, info, *engine->effects);
    const int64_t elapsed_ns = environment_.clock->monotonic_ns() - start_ns;
    counters_.latency_ns_sum.fetch_add(elapsed_ns, std::memory_order_relaxed);
    counters_.count_latency(elapsed_ns, 1);
  };
  if (engine_->in_place) {
    job();
    ran();
    return;
  }
  environment_.workers->run(
      this,
      [job = std::move(job), this, post = poster()] {
        job();
        post([this] {
          ran();
          pump();
        });
      },
      kStuckAfterMs,
      [post = poster(), this] {
        post([this] {
          if (!processing_ || !running()) return;
          set_state(InstanceState::kStuck);
          log("error", "is stuck: its code has not returned from a window");
        });
      });
}

void WindowInstance::ran() {
  processing_ = false;
  if (state() == InstanceState::kStuck) set_state(InstanceState::kRunning);
  const std::vector<RecordFailure>& failures = engine_->effects->failures();
  if (failures.empty() && !engine_->effects->poisoned()) {
    attempts_ = 0;
    counters_.processed.fetch_add(static_cast<int64_t>(at_work_.size()), std::memory_order_relaxed);
    commit_window();
    return;
  }
  const std::string why = failures.empty() ? "its effects could not be undone" : failures.back().text;
  engine_->effects->abandon();
  counters_.user_exceptions.fetch_add(1, std::memory_order_relaxed);
  const std::string text = "failed at a window of " + std::to_string(at_work_.size()) + " records: " + why;
  set_last_error(text);
  if (max_retries_ >= 0 && attempts_ >= max_retries_) {
    attempts_ = 0;
    engine_->effects->begin({}, environment_.clock->wall_ms());
    for (const LogicRecord& record : at_work_) {
      const Status added =
          add_dead_letter(*engine_->outputs, dead_letter_topic_, record, subscription_, spec_.component, why);
      if (!added) {
        fail(added.error().within("a dead letter could not be written"));
        return;
      }
    }
    counters_.dead_letters.fetch_add(static_cast<int64_t>(at_work_.size()), std::memory_order_relaxed);
    log("warn", text + "; its records go to " + stream::short_topic_name(dead_letter_topic_));
    commit_window();
    return;
  }
  const int64_t delay_ms = std::min(kRetryDelayMinMs << std::min(attempts_, 20), kRetryDelayMaxMs);
  ++attempts_;
  log("warn", text + "; trying again in " + std::to_string(delay_ms) + " ms");
  waiting_ = true;
  after_ms(delay_ms, [this] {
    waiting_ = false;
    pump();
  });
}

void WindowInstance::acknowledge(const Held& held, stream::Commit& commit) const {
  const stream::ReceivedEntry& entry = held.batch->entry_of(held.index);
  const int32_t position = held.batch->records()[held.index].id.batch_index;
  // Records come in the order of their entries, so an entry's acknowledgement is usually the last one.
  if (position >= 0 && !commit.acks.empty() && commit.acks.back().id == entry.id &&
      !commit.acks.back().records.is_all()) {
    commit.acks.back().records.add(static_cast<uint32_t>(position));
    return;
  }
  commit.acks.push_back({consumer_, entry.id, held.batch->only(held.index), false});
}

void WindowInstance::commit_window() {
  Windows::Fired window = std::move(due_.front());
  due_.pop_front();
  stream::Commit commit;
  counters_.written.fetch_add(static_cast<int64_t>(engine_->outputs->records()), std::memory_order_relaxed);
  commit.appends = engine_->outputs->finish();
  commit.changes = engine_->effects->take_changes();
  if (auto order = engine_->effects->state_order()) commit.relies_on.push_back(std::move(order));
  for (const Windows::Ticket ticket : window.released) {
    const auto held = held_.find(ticket);
    acknowledge(held->second, commit);
    held_.erase(held);
  }
  if (!window.progress.empty()) {
    static_cast<void>(state_->put(progress_key_, window.progress));
    commit.changes.push_back({state_, progress_key_, window.progress});
  }
  counters_.in_flight.store(static_cast<int64_t>(held_.size()), std::memory_order_relaxed);
  if (!commit.empty()) submit(std::move(commit));
}

void WindowInstance::submit(stream::Commit commit) {
  commit.order = order_;
  if (state_order_) commit.relies_on.push_back(state_order_);
  const size_t bytes = in_flight_.began(commit);
  environment_.client->commit(std::move(commit), [this, post = poster(), bytes](Result<stream::Receipt> receipt) {
    post([this, bytes, receipt = std::move(receipt)] {
      in_flight_.ended(bytes);
      if (!receipt) {
        fail(receipt.error().within("the commit of a window failed"));
        return;
      }
      pump();
    });
  });
}

}  // namespace fmesh::runtime
