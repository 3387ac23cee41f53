#include "runtime/input_instance.h"

#include <time.h>

#include <algorithm>
#include <utility>

#include "runtime/consumer_options.h"
#include "runtime/worker_pool.h"
#include "stream/topic_name.h"

namespace fmesh::runtime {
namespace {

using model::ProcessingGuarantees;

int64_t thread_cpu_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

const ConnectorKind* find_sink(std::string_view name) {
  for (const ConnectorKind& kind : connector_kinds())
    if (kind.name == name && kind.make_sink != nullptr) return &kind;
  return nullptr;
}

}  // namespace

InputInstance::InputInstance(model::InstanceSpec spec, InstanceEnvironment environment)
    : Lifecycle(std::move(spec), std::move(environment)),
      logic_context_(spec_, *environment_.clock,
                     [this](std::string_view level, std::string_view text) { log(level, text); }),
      connector_context_(spec_, *environment_.clock,
                         [this](std::string_view level, std::string_view text) { log(level, text); }) {
  const model::FunctionDetails& details = spec_.details;
  is_sink_ = spec_.host == model::HostKind::kSink;
  const bool effectively_once = details.processing_guarantees == ProcessingGuarantees::kEffectivelyOnce;
  manual_ = details.processing_guarantees == ProcessingGuarantees::kManual;
  at_most_once_ = details.processing_guarantees == ProcessingGuarantees::kAtMostOnce;
  ordered_ = effectively_once || details.retain_ordering || details.retain_key_ordering ||
             (details.source && details.source->subscription_type == model::DetailsSubscriptionType::kFailover);
  framework_acks_ = !manual_ && !at_most_once_ && (details.auto_ack || effectively_once);
  replays_ = replays(details, *environment_.client);
  const RetryPolicy policy = retry_policy(details);
  max_retries_ = policy.max_retries;
  dead_letter_topic_ = policy.dead_letter_topic;
  subscription_ = subscription_name(details);
  if (!is_sink_) output_topic_ = logic_context_.output();
}

Status InputInstance::make_stage(Engine& engine) {
  if (is_sink_) {
    const std::string name = spec_.details.sink ? spec_.details.sink->builtin : "";
    const ConnectorKind* kind = find_sink(name);
    if (kind == nullptr)
      return fmesh::fail(ErrorKind::kFixInput, spec_.component + ": there is no built-in sink \"" + name + "\"");
    engine.stage = make_sink_stage(kind->make_sink(), connector_context_);
    return {};
  }
  FMESH_TRY(std::unique_ptr<Logic> logic, logic_of(spec_, environment_));
  engine.stage = make_logic_stage(std::move(logic), logic_context_);
  return {};
}

// What open() opens before it is the instance's.
struct InputInstance::Opening {
  std::shared_ptr<Engine> engine;
  std::shared_ptr<stream::Consumer> consumer;
  std::shared_ptr<stream::StateTable> state;
  std::string position;  // of a sink
  Progress progress;
  ~Opening() {
    if (consumer) consumer->close();
  }
};

// Errors: kFixInput where a store can't keep what is promised.
Status InputInstance::check_guarantee() const {
  const bool in_order =
      spec_.details.source && spec_.details.source->subscription_type == model::DetailsSubscriptionType::kFailover;
  if (!replays_ || in_order) return {};
  return fmesh::fail(
      ErrorKind::kFixInput,
      spec_.component + ": effectively once on Pulsar needs input in order: a FAILOVER subscription, not a shared one");
}

Status InputInstance::open() {
  FMESH_CHECK(check_guarantee());
  const auto opening = std::make_shared<Opening>();
  opening->engine = std::make_shared<Engine>();
  FMESH_CHECK(make_stage(*opening->engine));
  open_streams([opening, this, self = shared_from_this()] { return open_all(*opening); },
               [opening, this](const Status& status) {
                 if (!status) return fail(status.error());
                 take_over(*opening);
               });
  return {};
}

// On whatever thread opens streams: touches nothing that changes.
Status InputInstance::open_all(Opening& opening) const {
  const model::FunctionDetails& details = spec_.details;
  FMESH_TRY(opening.consumer, environment_.client->open_consumer(consumer_options(spec_)));
  opening.engine->outputs =
      std::make_unique<Outputs>(*environment_.client, outputs_options(spec_, *environment_.client));
  if (!output_topic_.empty()) FMESH_CHECK(opening.engine->outputs->open(output_topic_));
  if (!is_sink_ && (!replays_ || spec_.instance_count > 1)) return {};
  FMESH_TRY(opening.state, environment_.client->open_state(details.fully_qualified_name()));
  if (replays_) FMESH_CHECK(opening.progress.load(*opening.state));
  if (!is_sink_) return {};
  FMESH_TRY(const std::optional<std::string> position, opening.state->get(position_key(spec_)));
  opening.position = position.value_or("");
  return {};
}

void InputInstance::take_over(Opening& opening) {
  const model::FunctionDetails& details = spec_.details;
  consumer_ = std::exchange(opening.consumer, nullptr);
  const std::shared_ptr<Engine> engine = opening.engine;
  EffectsOptions options;
  options.output_topic = output_topic_;
  options.forward_properties = details.sink && details.sink->forward_source_message_property;
  options.halt_at_failure = ordered_;
  options.open_state = [client = environment_.client, name = details.fully_qualified_name(),
                        refused =
                            replays_ && spec_.instance_count > 1]() -> Result<std::shared_ptr<stream::StateTable>> {
    if (!refused) return client->open_state(name);
    return fmesh::fail(ErrorKind::kFixInput,
                       "state of " + name +
                           ": effectively once on Pulsar keeps it for one instance only; set replicas "
                           "to 1, or say atleast_once");
  };
  engine->effects = std::make_unique<Effects>(std::move(options), *engine->outputs);
  state_ = opening.state;
  progress_ = std::move(opening.progress);
  if (state_) state_order_ = state_->order();
  if (is_sink_) {
    connector_context_.set_position(opening.position);
    connector_context_.set_stopping(false);
  }
  engine_ = engine;
  // Opening may load a library or connect somewhere, so it is a worker's job. So is running where a record for a stream
  // that is not open yet opens it over a network.
  environment_.workers->run(
      this, [self = shared_from_this(), this, engine, post = poster(), waits = environment_.client->opening_waits()] {
        Status status = engine->stage->open();
        engine->in_place = engine->stage->non_blocking() && !waits;
        post([this, status = std::move(status)] {
          if (!status) {
            fail(status.error());
            return;
          }
          pace_ = Pace(engine_->stage->takes_batches());
          if (replays_) release_idle_producers();
          keep_first_position();
        });
      });
}

// A sink that begins remembers where, before it writes anything: after a crash before its first commit it could not
// tell what it wrote from what was there.
void InputInstance::keep_first_position() {
  const std::optional<std::string> position = is_sink_ ? engine_->stage->position() : std::nullopt;
  if (position && replays_ && spec_.instance_count > 1) {
    return fail(Error(ErrorKind::kFixInput,
                      spec_.component + ": effectively once on Pulsar writes this with one instance only; set replicas "
                                        "to 1, or say atleast_once"));
  }
  if (!position || !connector_context_.position().empty()) return opened();
  if (const Status put = state_->put(position_key(spec_), *position); !put) return fail(put.error());
  stream::Commit commit;
  commit.changes.push_back({state_, position_key(spec_), *position});
  environment_.client->commit(std::move(commit), [this, post = poster()](Result<stream::Receipt> receipt) {
    post([this, receipt = std::move(receipt)] {
      if (!receipt) return fail(receipt.error().within("the commit of the first position failed"));
      opened();
    });
  });
}

void InputInstance::close() {
  connector_context_.set_stopping(true);
  if (engine_) {
    // Behind whatever the worker still does for this instance.
    environment_.workers->run(this, [self = shared_from_this(), engine = engine_] {
      if (engine->effects) engine->effects->abandon();
      engine->stage->close();
    });
  }
  if (consumer_) consumer_->close();
  consumer_.reset();
  engine_.reset();
  work_.reset();
  state_.reset();
  processing_ = waiting_ = false;
  in_flight_ = {};
  counters_.in_flight.store(0, std::memory_order_relaxed);
}

bool InputInstance::quiet() const { return !processing_ && !waiting_ && in_flight_.commits == 0 && !work_; }

bool InputInstance::idle() const {
  if (state() == InstanceState::kFailed || state() == InstanceState::kStopped) return true;
  return running() && quiet() && consumer_ && consumer_->drained();
}

void InputInstance::pump() {
  while (!processing_ && !waiting_) {
    if (!running() && !at_most_once_) drop_work();
    const bool works = running() || (state() == InstanceState::kDraining && work_);
    if (!works || in_flight_.full()) return;
    if (!engine_->outputs->writable()) {
      engine_->outputs->notify_writable(waker());
      return;
    }
    if (work_) {
      run();
      continue;
    }
    stream::PollLimits limits;
    // What slow code would hold for long is left to other instances.
    if (!engine_->in_place)
      limits.records_max = static_cast<uint32_t>(std::min<size_t>(limits.records_max, 4 * pace_.records()));
    Result<std::vector<stream::ReceivedEntry>> polled = consumer_->poll(limits);
    if (!polled) {
      if (polled.error().kind() == ErrorKind::kCorrupt) {
        counters_.system_exceptions.fetch_add(1, std::memory_order_relaxed);
        set_last_error(polled.error().to_string());
        log("error", polled.error().to_string());
        continue;
      }
      fail(polled.error());
      return;
    }
    observe_consumer();
    if (polled->empty()) {
      engine_->outputs->clear();  // thousands of instances may be idle: none keeps its buffers
      consumer_->notify(waker());
      return;
    }
    take(std::move(*polled));
  }
}

// Where commits are not atomic, nothing may be processed before the broker knows that it must not come again.
void InputInstance::acknowledge_first(size_t count) {
  stream::Commit commit;
  commit.acks = work_->batch.acks(consumer_, 0, count, {});
  if (environment_.client->atomic()) return submit(std::move(commit), 0);
  commit.confirm_acks = true;
  waiting_ = true;
  submit(std::move(commit), 0, [this] { waiting_ = false; });
}

void InputInstance::release_idle_producers() {
  after_ms(Outputs::kIdleProducerMs, [this] {
    if (!processing_) engine_->outputs->release_idle(environment_.clock->wall_ms());
    release_idle_producers();
  });
}

void InputInstance::take(std::vector<stream::ReceivedEntry> entries) {
  stream::Commit done_before;
  done_before.acks = progress_.pass_over(consumer_, entries);
  if (!done_before.empty()) submit(std::move(done_before), 0);
  work_ = std::make_shared<Work>(std::move(entries));
  const auto count = static_cast<int64_t>(work_->batch.records().size());
  counters_.received.fetch_add(count, std::memory_order_relaxed);
  counters_.in_flight.fetch_add(count, std::memory_order_relaxed);
  counters_.last_invocation_ms.store(environment_.clock->wall_ms(), std::memory_order_relaxed);
  report_unreadable();
  if (at_most_once_ && count > 0) acknowledge_first(static_cast<size_t>(count));
}

void InputInstance::report_unreadable() {
  stream::Commit commit;
  for (const Batch::Unreadable& bad : work_->batch.unreadable()) {
    counters_.system_exceptions.fetch_add(1, std::memory_order_relaxed);
    const std::string text =
        "entry " + stream::to_string(bad.id) + " can't be read and is passed over: " + bad.error.text();
    set_last_error(text);
    log("error", text);
    commit.acks.push_back({consumer_, bad.id, stream::AckSet::all(), false});
  }
  if (!commit.empty()) submit(std::move(commit), 0);
}

void InputInstance::run() {
  if (work_->begin >= work_->end) {
    work_.reset();
    return;
  }
  size_t count = std::min(work_->end - work_->begin, work_->step);
  if (!engine_->in_place) count = std::min(count, pace_.records());
  const size_t to = work_->begin + count;
  processing_ = true;
  auto job = [work = work_, engine = engine_, to, clock = environment_.clock]() {
    const auto records = work->batch.records().subspan(work->begin, to - work->begin);
    engine->effects->begin(records, clock->wall_ms());
    return engine->stage->run(records, *engine->effects);
  };
  if (engine_->in_place) {
    const int64_t start_ns = environment_.clock->monotonic_ns();
    const int64_t cpu_ns = thread_cpu_ns();
    const Status status = job();
    ran(status, environment_.clock->monotonic_ns() - start_ns, thread_cpu_ns() - cpu_ns, to);
    return;
  }
  const auto timeout_ms = static_cast<int64_t>(spec_.details.source ? spec_.details.source->timeout_ms : 0);
  environment_.workers->run(
      this,
      [self = shared_from_this(), this, job = std::move(job), to, post = poster(), clock = environment_.clock] {
        const int64_t start_ns = clock->monotonic_ns();
        const int64_t cpu_start_ns = thread_cpu_ns();
        Status status = job();
        const int64_t elapsed_ns = clock->monotonic_ns() - start_ns;
        const int64_t cpu_ns = thread_cpu_ns() - cpu_start_ns;
        post([this, status = std::move(status), elapsed_ns, cpu_ns, to] {
          ran(status, elapsed_ns, cpu_ns, to);
          pump();
        });
      },
      timeout_ms > 0 ? timeout_ms : kStuckAfterMs,
      [post = poster(), this, to] {
        post([this, to] {
          if (!processing_ || !running()) return;
          set_state(InstanceState::kStuck);
          hand_over(to);
          set_last_error("holds its worker since " + name_of(work_->begin));
          log("error", "is stuck: its code has not returned; it was given " + name_of(work_->begin));
        });
      });
}

void InputInstance::observe_consumer() {
  const stream::ConsumerStats stats = consumer_->stats();
  counters_.backlog.store(stats.backlog_records, std::memory_order_relaxed);
  counters_.waiting_retry.store(stats.waiting_retry, std::memory_order_relaxed);
}

void InputInstance::observe_run(int64_t records, int64_t elapsed_ns, int64_t cpu_ns) {
  counters_.latency_ns_sum.fetch_add(elapsed_ns, std::memory_order_relaxed);
  counters_.count_latency(elapsed_ns, records);
  counters_.cpu_ns.fetch_add(cpu_ns, std::memory_order_relaxed);
}

void InputInstance::ran(const Status& status, int64_t elapsed_ns, int64_t cpu_ns, size_t ran_to) {
  processing_ = false;
  if (state() == InstanceState::kStuck) set_state(InstanceState::kRunning);
  Effects& effects = *engine_->effects;
  observe_run(static_cast<int64_t>(ran_to - work_->begin), elapsed_ns, cpu_ns);
  if (!engine_->in_place) pace_.observe(ran_to - work_->begin, elapsed_ns);
  if (!status) {
    effects.abandon();
    counters_.system_exceptions.fetch_add(1, std::memory_order_relaxed);
    wait_and_retry(status.error().text());
    return;
  }
  if (effects.poisoned()) {
    effects.abandon();
    const bool was_alone = ran_to - work_->begin == 1;
    work_->step = 1;
    if (!was_alone) return;  // else there is nothing left to take back
  }
  const size_t halted = effects.halted_at();  // relative to begin
  const size_t done_to = std::min(ran_to, work_->begin + halted);
  const bool is_halted = done_to < ran_to;
  const std::string why = is_halted && !effects.failures().empty() ? effects.failures().back().text : "";
  if (!commit_run(done_to)) return;
  if (!is_halted) {
    work_->begin = ran_to;
    work_->attempts = 0;
    return;
  }
  // In place: the failed record is next.
  if (done_to > work_->begin) work_->attempts = 0;
  work_->begin = done_to;
  const std::string text = "failed at " + name_of(done_to) + ": " + why;
  set_last_error(text);
  if (max_retries_ >= 0 && work_->attempts >= max_retries_) {
    effects.begin({}, environment_.clock->wall_ms());
    if (const Status written = dead_letter(done_to, why); !written) {
      fail(written.error());
      return;
    }
    stream::Commit commit;
    commit.appends = engine_->outputs->finish();
    commit.acks = work_->batch.acks(consumer_, done_to, done_to + 1, {});
    submit(std::move(commit), 1);
    work_->begin = done_to + 1;
    work_->attempts = 0;
    return;
  }
  wait_and_retry(text);
}

// False if the instance failed on the way.
bool InputInstance::commit_run(size_t done_to) {
  Effects& effects = *engine_->effects;
  std::vector<size_t> not_acked;
  if (const Status handled = handle_failures(done_to, not_acked); !handled) {
    effects.abandon();
    fail(handled.error());
    return false;
  }
  const auto done = static_cast<int64_t>(done_to - work_->begin);
  const auto failed = static_cast<int64_t>(not_acked.size());
  stream::Commit commit;
  const auto written = static_cast<int64_t>(engine_->outputs->records());
  commit.appends = engine_->outputs->finish();
  commit.changes = effects.take_changes();
  if (auto order = effects.state_order()) commit.relies_on.push_back(std::move(order));
  if (framework_acks_) {
    commit.acks = work_->batch.acks(consumer_, work_->begin, done_to, not_acked);
  } else if (manual_) {
    for (const size_t index : effects.take_acked())
      commit.acks.push_back(
          {consumer_, work_->batch.entry_of(work_->begin + index).id, work_->batch.only(work_->begin + index), false});
    for (auto& [topic, id] : effects.take_acked_ids()) {
      stream::MessageId entry = id;
      entry.batch_index = -1;
      stream::AckSet set = stream::AckSet::all();
      if (id.batch_index >= 0) {
        set = stream::AckSet::none(static_cast<uint32_t>(id.batch_index) + 1);
        set.add(static_cast<uint32_t>(id.batch_index));
      }
      commit.acks.push_back({consumer_, entry, set, false});
    }
  }
  if (is_sink_) {
    if (const std::optional<std::string> position = engine_->stage->position()) {
      static_cast<void>(state_->put(position_key(spec_), *position));
      commit.changes.push_back({state_, position_key(spec_), *position});
    }
    counters_.written.fetch_add(done - failed, std::memory_order_relaxed);
  } else {
    counters_.written.fetch_add(written, std::memory_order_relaxed);
  }
  if (replays_ && state_)
    Progress::add(commit, state_, work_->batch.records().subspan(work_->begin, done_to - work_->begin));
  counters_.processed.fetch_add(done - failed, std::memory_order_relaxed);
  if (commit.empty()) {
    counters_.in_flight.fetch_sub(done, std::memory_order_relaxed);
    return true;
  }
  submit(std::move(commit), done);
  return true;
}

void InputInstance::submit(stream::Commit commit, int64_t records, std::function<void()> then) {
  commit.order = order_;
  if (state_order_) commit.relies_on.push_back(state_order_);
  const size_t bytes = in_flight_.began(commit);
  environment_.client->commit(std::move(commit), [this, post = poster(), records, bytes,
                                                  then = std::move(then)](Result<stream::Receipt> receipt) {
    post([this, records, bytes, then, receipt = std::move(receipt)] {
      in_flight_.ended(bytes);
      counters_.in_flight.fetch_sub(records, std::memory_order_relaxed);
      observe_consumer();
      if (!receipt) {
        fail(receipt.error().within("the commit of a batch failed"));
        return;
      }
      if (then) then();
      pump();
    });
  });
}

std::string InputInstance::name_of(size_t index) const {
  if (!work_ || index >= work_->batch.records().size()) return "its records";
  const LogicRecord& record = work_->batch.records()[index];
  return "record " + stream::to_string(record.id) + " of " + stream::short_topic_name(record.topic);
}

}  // namespace fmesh::runtime
