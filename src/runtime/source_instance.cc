#include "runtime/source_instance.h"

#include <time.h>

#include <utility>

#include "runtime/consumer_options.h"
#include "runtime/counter.h"
#include "runtime/worker_pool.h"

namespace fmesh::runtime {
namespace {

int64_t thread_cpu_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

// Takes the records of one read() into the instance's outputs.
class Collector final : public RecordCollector {
 public:
  // `origin`: of its records, but for their numbers, which count on from `next_number`.
  Collector(Outputs& outputs, std::string_view topic, Origin origin, uint64_t& next_number)
      : outputs_(outputs), topic_(topic), origin_(std::move(origin)), next_number_(next_number) {}
  void add(const stream::RecordView& record) override { add_to(topic_, record); }
  void add_to(std::string_view topic, const stream::RecordView& record) override {
    if (!status_) return;
    if (outputs_.needs_origin()) origin_.number = next_number_++ << Origin::kOrdinalBits;
    outputs_.begin_record(origin_);
    size_bytes_ += record.payload.size();
    ++records_;
    status_ = outputs_.add(topic, record);
  }
  bool wants_more() const override {
    return status_ && size_bytes_ < kSourceBatchBytes && records_ < kSourceBatchRecords;
  }
  const Status& status() const { return status_; }

 private:
  Outputs& outputs_;
  std::string_view topic_;
  Origin origin_;
  uint64_t& next_number_;
  size_t size_bytes_ = 0;
  uint64_t records_ = 0;
  Status status_;
};

// In the state, beside the position: how many records came before it.
std::string number_key(const model::InstanceSpec& spec) { return "__number/" + std::to_string(spec.instance_id); }

}  // namespace

SourceInstance::SourceInstance(model::InstanceSpec spec, InstanceEnvironment environment)
    : Lifecycle(std::move(spec), std::move(environment)),
      context_(spec_, *environment_.clock,
               [this](std::string_view level, std::string_view text) { log(level, text); }) {
  if (spec_.details.sink) output_topic_ = spec_.details.sink->topic;
  replays_ = replays(spec_.details, *environment_.client);
}

// What open() opens before it is the instance's.
struct SourceInstance::Opening {
  std::shared_ptr<Engine> engine;
  std::shared_ptr<stream::StateTable> state;
  std::string position;
};

Status SourceInstance::open() {
  const model::FunctionDetails& details = spec_.details;
  const std::string name = details.source ? details.source->builtin : "";
  const ConnectorKind* found = nullptr;
  for (const ConnectorKind& kind : connector_kinds())
    if (kind.name == name && kind.make_source != nullptr) found = &kind;
  if (found == nullptr)
    return fmesh::fail(ErrorKind::kFixInput, spec_.component + ": there is no built-in source \"" + name + "\"");
  if (output_topic_.empty()) return fmesh::fail(ErrorKind::kFixInput, spec_.component + ": output.topic is missing");
  const auto opening = std::make_shared<Opening>();
  opening->engine = std::make_shared<Engine>();
  opening->engine->source = found->make_source();
  open_streams([opening, this, self = shared_from_this()] { return open_all(*opening); },
               [opening, this](const Status& status) {
                 if (!status) return fail(status.error());
                 take_over(*opening);
               });
  return {};
}

// On whatever thread opens streams: touches nothing that changes.
Status SourceInstance::open_all(Opening& opening) const {
  opening.engine->outputs =
      std::make_unique<Outputs>(*environment_.client, outputs_options(spec_, *environment_.client));
  FMESH_CHECK(opening.engine->outputs->open(output_topic_));
  FMESH_TRY(opening.state, environment_.client->open_state(spec_.details.fully_qualified_name()));
  FMESH_TRY(const std::optional<std::string> position, opening.state->get(position_key(spec_)));
  opening.position = position.value_or("");
  if (!replays_) return {};
  FMESH_TRY(const std::optional<std::string> number, opening.state->get(number_key(spec_)));
  FMESH_TRY(const int64_t next_number, decode_counter(number_key(spec_), number));
  opening.engine->next_number = static_cast<uint64_t>(next_number);
  return {};
}

void SourceInstance::take_over(Opening& opening) {
  state_ = opening.state;
  state_order_ = state_->order();
  context_.set_position(opening.position);
  context_.set_stopping(false);
  context_.set_wake([post = poster(), this] {
    post([this] {
      environment_.loop->cancel(std::exchange(poll_timer_, 0));
      waiting_ = false;
      pump();
    });
  });
  const std::shared_ptr<Engine> engine = opening.engine;
  engine_ = engine;
  ended_ = waiting_ = false;
  environment_.workers->run(
      this, [self = shared_from_this(), this, engine, post = poster(), waits = environment_.client->opening_waits()] {
        Status status = engine->source->open(context_);
        engine->in_place = engine->source->non_blocking() && !waits;
        post([this, status = std::move(status)] {
          if (!status) {
            fail(status.error());
          } else {
            opened();
          }
        });
      });
}

void SourceInstance::close() {
  context_.set_stopping(true);
  context_.set_wake(nullptr);
  if (engine_)
    environment_.workers->run(this, [self = shared_from_this(), engine = engine_] { engine->source->close(); });
  engine_.reset();
  state_.reset();
  reading_ = waiting_ = false;
  in_flight_ = {};
  counters_.in_flight.store(0, std::memory_order_relaxed);
}

bool SourceInstance::idle() const {
  if (!running()) return state() != InstanceState::kStarting && state() != InstanceState::kBackoff && quiet();
  return quiet() && (ended_ || waiting_);
}

void SourceInstance::pump() {
  if (running() && ended_ && in_flight_.commits == 0) {
    finish();
    return;
  }
  if (!running() || reading_ || waiting_ || ended_ || in_flight_.full()) return;
  if (!engine_->outputs->writable()) {
    engine_->outputs->notify_writable(waker());
    return;
  }
  read();
}

void SourceInstance::read() {
  reading_ = true;
  const uint64_t token = next_token_++;
  auto job = [engine = engine_, token, clock = environment_.clock, topic = output_topic_,
              origin = Origin{"source/" + std::to_string(spec_.instance_id), 0, 0}]() -> Result<ReadResult> {
    engine->outputs->begin_batch(clock->wall_ms());
    Collector collector(*engine->outputs, topic, origin, engine->next_number);
    Result<ReadResult> result = engine->source->read(token, collector);
    if (result && !collector.status()) return fmesh::fail(collector.status().error());
    return result;
  };
  const auto timed = [job = std::move(job), clock = environment_.clock](auto&& done) {
    const int64_t start_ns = clock->monotonic_ns();
    const int64_t cpu_ns = thread_cpu_ns();
    Result<ReadResult> result = job();
    done(std::move(result), clock->monotonic_ns() - start_ns, thread_cpu_ns() - cpu_ns);
  };
  if (engine_->in_place) {
    // Posted, so that a source without end leaves room for the other instances of this loop.
    poster()([this, timed, token] {
      timed([&](Result<ReadResult> result, int64_t elapsed_ns, int64_t cpu_ns) {
        read_done(token, std::move(result), elapsed_ns, cpu_ns);
      });
    });
    return;
  }
  environment_.workers->run(this, [self = shared_from_this(), this, timed, token, post = poster()] {
    timed([&](Result<ReadResult> result, int64_t elapsed_ns, int64_t cpu_ns) {
      post([this, token, result = std::move(result), elapsed_ns, cpu_ns]() mutable {
        read_done(token, std::move(result), elapsed_ns, cpu_ns);
      });
    });
  });
}

void SourceInstance::read_done(uint64_t token, Result<ReadResult> result, int64_t elapsed_ns, int64_t cpu_ns) {
  reading_ = false;
  counters_.latency_ns_sum.fetch_add(elapsed_ns, std::memory_order_relaxed);
  counters_.cpu_ns.fetch_add(cpu_ns, std::memory_order_relaxed);
  if (!result) {
    engine_->outputs->clear();
    fail(result.error());
    return;
  }
  const auto records = static_cast<int64_t>(engine_->outputs->records());
  if (replays_ && records > 0 && result->position.empty()) {
    engine_->outputs->clear();
    return fail(Error(ErrorKind::kFixInput,
                      spec_.component + ": this source can't go back to where it was, so on Pulsar it is not read "
                                        "effectively once; say atleast_once"));
  }
  if (records > 0 || !result->position.empty()) {
    counters_.received.fetch_add(records, std::memory_order_relaxed);
    counters_.count_latency(elapsed_ns, records);
    counters_.in_flight.fetch_add(records, std::memory_order_relaxed);
    counters_.last_invocation_ms.store(environment_.clock->wall_ms(), std::memory_order_relaxed);
    stream::Commit commit;
    commit.appends = engine_->outputs->finish();
    if (!result->position.empty()) {
      static_cast<void>(state_->put(position_key(spec_), result->position));
      commit.changes.push_back({state_, position_key(spec_), result->position});
      if (replays_) {
        const std::string number = encode_counter(static_cast<int64_t>(engine_->next_number));
        static_cast<void>(state_->put(number_key(spec_), number));
        commit.changes.push_back({state_, number_key(spec_), number});
      }
    }
    commit.order = order_;
    if (state_order_) commit.relies_on.push_back(state_order_);
    const size_t bytes = in_flight_.began(commit);
    environment_.client->commit(
        std::move(commit), [this, post = poster(), records, token, bytes](Result<stream::Receipt> receipt) {
          post([this, records, token, bytes, receipt = std::move(receipt)] {
            in_flight_.ended(bytes);
            if (!receipt) {
              tell_source([token, error = receipt.error()](Source& source) { source.failed(token, error); });
              fail(receipt.error().within("the commit of a batch failed"));
              return;
            }
            counters_.in_flight.fetch_sub(records, std::memory_order_relaxed);
            counters_.processed.fetch_add(records, std::memory_order_relaxed);
            counters_.written.fetch_add(records, std::memory_order_relaxed);
            tell_source([token](Source& source) { source.committed(token); });
            pump();
          });
        });
  }
  switch (result->outcome) {
    case ReadOutcome::kMore:
      break;
    case ReadOutcome::kEnd:
      ended_ = true;
      break;
    case ReadOutcome::kIdle:
      waiting_ = true;
      engine_->outputs->clear();
      poll_timer_ = after_ms(result->wait_ms > 0 ? result->wait_ms : kSourcePollMs, [this] {
        poll_timer_ = 0;
        waiting_ = false;
        pump();
      });
      break;
  }
  pump();
}

void SourceInstance::tell_source(std::function<void(Source&)> call) {
  if (engine_->in_place) {
    call(*engine_->source);
    return;
  }
  environment_.workers->run(
      this, [self = shared_from_this(), engine = engine_, call = std::move(call)] { call(*engine->source); });
}

}  // namespace fmesh::runtime
