// The user code of a simulated mesh: a source that counts, a sink that keeps what it gets, and a function that fails
// now and then.
#include "runtime/connector.h"
#include "runtime/logic.h"
#include "sim/mesh_sim.h"

namespace fmesh::sim {

Outside*& outside() {
  static Outside* current = nullptr;
  return current;
}

namespace {

uint64_t draw_of(uint64_t seed, const std::string& what) {
  uint64_t hash = 14695981039346656037ULL ^ seed;
  for (const char c : what) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return Rng(hash).next();
}

class CountingSource final : public runtime::Source {
 public:
  bool non_blocking() const override { return true; }
  Status open(runtime::ConnectorContext& context) override {
    source_ = &outside()->sources.at(context.spec().component);
    next_ = context.position().empty() ? 0 : std::stoi(context.position());
    return {};
  }
  Result<runtime::ReadResult> read(uint64_t token, runtime::RecordCollector& out) override {
    if (next_ >= source_->records) return runtime::ReadResult{runtime::ReadOutcome::kEnd, "", 0};
    const auto many = static_cast<int>(1 + draw_of(outside()->seed, source_->name + std::to_string(token)) % 7);
    for (int i = 0; i < many && next_ < source_->records; ++i, ++next_) {
      const std::string payload = source_->name + ":" + std::to_string(next_);
      const std::string key = source_->name + "k" + std::to_string(next_ % source_->keys);
      stream::RecordView record;
      record.payload = payload;
      record.has_key = true;
      record.key = key;
      record.event_time_ms = 1 + next_;
      out.add(record);
    }
    return runtime::ReadResult{runtime::ReadOutcome::kMore, std::to_string(next_), 0};
  }

 private:
  const SimSource* source_ = nullptr;
  int next_ = 0;
};

class KeepingSink final : public runtime::Sink {
 public:
  bool non_blocking() const override { return true; }
  Status open(runtime::ConnectorContext& context) override {
    sink_ = &outside()->sinks.at(context.spec().component);
    written_ = &outside()->written[sink_->name + "." + std::to_string(context.spec().instance_id)];
    // It can cut what it wrote, as a file can.
    if (sink_->has_position) written_->resize(context.position().empty() ? 0 : std::stoul(context.position()));
    return {};
  }
  Result<std::vector<runtime::WriteFailure>> write(std::span<const stream::RecordView> records) override {
    std::vector<runtime::WriteFailure> failures;
    for (size_t i = 0; i < records.size(); ++i) {
      const std::string payload(records[i].payload);
      int& attempts = outside()->attempts[sink_->name + " " + payload];
      if (attempts++ == 0 && draw_of(outside()->seed, sink_->name + payload) % 10 == 0) {
        failures.push_back({i, Error(ErrorKind::kRetryLater, "the other side says no")});
      } else {
        written_->push_back(payload);
      }
    }
    return failures;
  }
  std::string position() const override { return sink_->has_position ? std::to_string(written_->size()) : ""; }

 private:
  const SimSink* sink_ = nullptr;
  std::vector<std::string>* written_ = nullptr;
};

class SimLogic final : public runtime::Logic {
 public:
  explicit SimLogic(const std::string& name) : function_(outside()->functions.at(name)) {}
  bool non_blocking() const override { return !function_.blocking; }
  Status open(runtime::LogicContext&) override { return {}; }
  void process(std::span<const runtime::LogicRecord> records, runtime::BatchContext& batch) override {
    for (size_t i = 0; i < records.size(); ++i) one(i, records[i], batch);
  }
  void process_window(std::span<const runtime::LogicRecord> records, const runtime::WindowInfo&,
                      runtime::BatchContext& batch) override {
    std::string joined;
    for (const runtime::LogicRecord& record : records) joined += std::string(record.record.payload) + "\n";
    if (fails(joined)) return batch.failed(0, "not this window");
    stream::RecordView out;
    out.payload = joined;
    batch.output(0, out);
  }
  void close() override {}

 private:
  bool fails(const std::string& payload) const {
    int& attempts = outside()->attempts[function_.name + " " + payload];
    return attempts++ < outside()->failures_before(function_, payload);
  }

  void one(size_t index, const runtime::LogicRecord& input, runtime::BatchContext& batch) {
    const std::string payload(input.record.payload);
    const std::string changed = payload + "/" + function_.name;
    stream::RecordView out;
    out.payload = changed;
    // Half of what fails does so after it has changed things, all of which must be undone.
    const bool late = draw_of(outside()->seed, "late" + changed) % 2 == 0;
    const bool failing = outside()->fails_for_good(function_, payload) || fails(payload);
    if (failing && !late) return batch.failed(index, "not this one");
    if (function_.keeps_state() && !batch.counter_add(index, "n-" + outside()->key_of(payload), 1))
      return batch.failed(index, "no state");
    const std::string rounds = "/" + function_.name;
    size_t been = 0;
    for (size_t at = changed.find(rounds); at != std::string::npos; at = changed.find(rounds, at + 1)) ++been;
    if (!function_.loop_back.empty() && been < kRounds) {
      if (!batch.publish(index, function_.loop_back, out)) return batch.failed(index, "no stream");
    } else {
      batch.output(index, out);
    }
    if (!function_.side.empty() && outside()->goes_aside(payload)) {
      if (!batch.publish(index, function_.side, out)) return batch.failed(index, "no stream");
    }
    if (failing) batch.failed(index, "not this one, after all");
  }

  const SimFunction& function_;
};

}  // namespace

bool Outside::fails_for_good(const SimFunction& function, const std::string& payload) const {
  return !function.dead_letters.empty() && draw_of(seed, "for good" + function.name + payload) % 9 == 0;
}

std::string Outside::key_of(const std::string& payload) const {
  const size_t colon = payload.find(':');
  const std::string source = payload.substr(0, colon);
  return source + "k" + std::to_string(std::stoi(payload.substr(colon + 1)) % sources.at(source).keys);
}

bool Outside::goes_aside(const std::string& payload) const { return draw_of(1, payload) % 3 == 0; }

int Outside::failures_before(const SimFunction& function, const std::string& payload) const {
  if (function.promise == Promise::kAtMostOnce) return 0;
  const uint64_t draw = draw_of(seed, "fails" + function.name + payload) % 24;
  return draw == 0 ? 2 : draw == 1 ? 1 : 0;
}

Result<std::unique_ptr<runtime::Logic>> make_sim_logic(const model::InstanceSpec& spec) {
  return std::make_unique<SimLogic>(spec.component);
}

}  // namespace fmesh::sim

namespace fmesh::runtime {

std::span<const ConnectorKind> connector_kinds() {
  static const ConnectorKind kinds[] = {
      {"count", "", []() -> std::unique_ptr<Source> { return std::make_unique<sim::CountingSource>(); }, nullptr},
      {"keep", "", nullptr, []() -> std::unique_ptr<Sink> { return std::make_unique<sim::KeepingSink>(); }},
  };
  return kinds;
}

}  // namespace fmesh::runtime
