#include "sim/simulation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include "base/loop.h"
#include "runtime/instance.h"
#include "sim/memory_disk.h"
#include "sim/outside.h"
#include "sim/simulated_logic.h"
#include "sim/simulated_workers.h"
#include "sim/topology.h"
#include "sim/verdict.h"
#include "stream/log/log.h"

namespace fmesh::sim {
namespace {

constexpr size_t kLoops = 3;
constexpr int kStepsMax = 3'000;                 // of the part with faults
constexpr int64_t kDrainMaxMs = 30 * 60 * 1000;  // simulated: a run that has not drained by then hangs
constexpr int kSettleRoundsMax = 100'000;        // without time passing: more is a loop without end
constexpr int kOpensMax = 20;
constexpr uint64_t kRecordsMax = 60;

// What dies with the process. Members are destroyed in the order of a process that is torn down.
struct Process {
  struct Running {
    size_t function = 0;
    int32_t instance_id = 0;
    bool draining = false, stopped = false;
    std::unique_ptr<runtime::Instance> instance;
  };

  std::unique_ptr<Disk> disk;
  std::unique_ptr<stream::log::Log> log;
  std::vector<std::unique_ptr<ManualLoop>> loops;
  SimulatedWorkers workers;
  std::vector<std::unique_ptr<Running>> running;

  ~Process() {
    running.clear();
    while (workers.step()) {
    }
    log.reset();  // its last answers are posted to the loops
    loops.clear();
  }
};

class Simulation {
 public:
  Simulation(uint64_t seed, const SimulationOptions& options)
      : options_(options),
        rng_(seed),
        topology_(make_topology(rng_)),
        outside_(topology_, 20 + rng_.below(kRecordsMax)) {
    result_.seed = seed;
    brain_.topology = &topology_;
    set_brain(&brain_);
    for (const FunctionPlan& plan : topology_.functions)
      parallelism_.push_back(1 + static_cast<int>(rng_.below(static_cast<uint64_t>(plan.parallelism_max))));
  }
  ~Simulation() {
    outside_.detach();
    process_.reset();
    set_brain(nullptr);
  }

  SimulationResult run() {
    const uint64_t faulty_steps = 200 + rng_.below(kStepsMax - 200);
    start_process(true);
    for (uint64_t step = 0; step < faulty_steps && result_.broken.empty(); ++step) act();
    if (result_.broken.empty()) drain();
    if (result_.broken.empty()) judge();
    result_.records = outside_.records();
    result_.simulated_ms = clock_.monotonic_ns() / 1'000'000;
    trace(fmt::format("end {} {} ms", result_.broken, result_.simulated_ms));
    return result_;
  }

 private:
  void trace(const std::string& text) {
    for (const char c : text) result_.trace_hash = (result_.trace_hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    if (options_.print_trace) fmt::print(stderr, "{:>8} ms  {}\n", clock_.monotonic_ns() / 1'000'000, text);
  }
  void broken(const std::string& text) {
    if (result_.broken.empty()) result_.broken = text;
  }

  // --- processes ---

  void start_process(bool with_faults) {
    for (int opens = 0; opens < kOpensMax; ++opens) {
      if (with_faults && opens < 3 && rng_.below(4) == 0) disk_.lose_power_at(1 + rng_.below(20));
      if (open_process()) {
        trace(fmt::format("process started after {} tries", opens));
        check_acknowledged();
        return;
      }
      if (!disk_.power_lost()) break;
      end_process(true);
    }
    broken("the log does not open: " + open_error_);
  }

  bool open_process() {
    process_ = std::make_unique<Process>();
    process_->disk = disk_.process();
    stream::log::LogOptions options;
    options.directory = "/data";
    options.state_directory = options_.state_directory;
    options.journal.own_thread = false;
    options.journal.segment_size_bytes = 16 * 1024;
    options.journal.checkpoint_every_bytes = 8 * 1024;
    Result<std::unique_ptr<stream::log::Log>> opened = stream::log::Log::open(*process_->disk, clock_, options);
    if (!opened) return refused(opened.error());
    process_->log = std::move(*opened);
    for (size_t i = 0; i < kLoops; ++i) process_->loops.push_back(std::make_unique<ManualLoop>(clock_));
    for (const StreamPlan& plan : topology_.streams) {
      stream::StreamOptions stream_options;
      stream_options.partitions = plan.partitions;
      if (const Status made = process_->log->create_stream(plan.topic, stream_options); !made)
        return refused(made.error());
    }
    if (const Status attached = outside_.attach(*process_->log); !attached) return refused(attached.error());
    for (size_t function = 0; function < topology_.functions.size(); ++function)
      for (int id = 0; id < parallelism_[function]; ++id) add_instance(function, id);
    return true;
  }

  bool refused(const Error& error) {
    open_error_ = error.to_string();
    trace("open refused: " + open_error_);
    return false;
  }

  void end_process(bool power_loss) {
    trace(power_loss ? "power lost" : "killed");
    ++(power_loss ? result_.power_losses : result_.kills);
    outside_.detach();
    disk_.set_capacity_bytes(UINT64_MAX);
    if (power_loss)
      disk_.crash(rng_);
    else
      disk_.kill();
    process_.reset();
  }

  void restart(bool power_loss) {
    end_process(power_loss);
    start_process(true);
  }

  void add_instance(size_t function, int32_t id) {
    runtime::InstanceEnvironment environment;
    environment.client = process_->log.get();
    environment.loop = process_->loops[rng_.below(kLoops)].get();
    environment.workers = &process_->workers;
    environment.clock = &clock_;
    environment.log = [this](const runtime::LogLine& line) {
      trace(fmt::format("{}-{} {}: {}", line.component, line.instance_id, line.level, line.text));
    };
    auto made = runtime::make_instance(topology_.functions[function].spec(id, parallelism_[function]), environment);
    if (!made) return broken(made.error().to_string());
    auto running = std::make_unique<Process::Running>();
    running->function = function;
    running->instance_id = id;
    running->instance = std::move(*made);
    running->instance->start();
    process_->running.push_back(std::move(running));
  }

  // --- what may happen ---

  void act() {
    const uint64_t dice = rng_.below(1000);
    if (dice < 300) {
      trace(fmt::format("step {}", process_->log->step()));
    } else if (dice < 600) {
      const size_t loop = rng_.below(kLoops);
      trace(fmt::format("loop {} ran {}", loop, process_->loops[loop]->run_ready()));
    } else if (dice < 750) {
      trace(fmt::format("worker {}", process_->workers.step()));
    } else if (dice < 850) {
      outside_.publish(rng_, clock_.wall_ms());
    } else if (dice < 960) {
      clock_.advance_ms(1 + static_cast<int64_t>(rng_.below(rng_.below(10) == 0 ? 5'000 : 100)));
    } else if (dice < 985) {
      change_instances();
    } else {
      disturb();
    }
    replace_stopped();
    if (disk_.power_lost()) {
      restart(true);
    } else if (const uint64_t errors = io_errors_; errors > 0 && rng_.below(50) == 0) {
      // The journal gives up after an I/O error; an operator starts the program again.
      io_errors_ = 0;
      restart(false);
    }
  }

  void disturb() {
    const uint64_t dice = rng_.below(100);
    if (dice < 25) {
      disk_.lose_power_at(1 + rng_.below(30));
    } else if (dice < 35) {
      restart(false);
    } else if (dice < 55) {
      disk_.set_capacity_bytes(disk_.used_bytes() + rng_.below(2'000));
      trace("disk full soon");
      ++result_.disk_faults;
    } else if (dice < 75) {
      disk_.set_capacity_bytes(UINT64_MAX);
      trace("disk has room");
    } else if (dice < 90) {
      const DiskCall calls[] = {DiskCall::kWrite, DiskCall::kSync, DiskCall::kOpen, DiskCall::kRename};
      const bool io_error = rng_.below(2) == 0;
      disk_.fail_call(calls[rng_.below(4)], 1 + rng_.below(10),
                      io_error ? ErrorKind::kCorrupt : ErrorKind::kRetryLater);
      trace("a disk call will fail");
      ++result_.disk_faults;
      io_errors_ += io_error ? 1 : 0;
    } else {
      trace(fmt::format("garbage collected {}", process_->log->collect_garbage().has_value()));
    }
  }

  void change_instances() {
    const size_t function = rng_.below(topology_.functions.size());
    const FunctionPlan& plan = topology_.functions[function];
    if (rng_.below(3) == 0 || plan.parallelism_max == 1) {
      // A restart: one instance drains, replace_stopped() starts it again.
      if (Process::Running* one =
              find(function, static_cast<int>(rng_.below(static_cast<uint64_t>(parallelism_[function])))))
        drain_one(*one);
      return;
    }
    const int wanted = 1 + static_cast<int>(rng_.below(static_cast<uint64_t>(plan.parallelism_max)));
    trace(fmt::format("scale {} from {} to {}", plan.name, parallelism_[function], wanted));
    parallelism_[function] = wanted;
    for (int id = 0; id < plan.parallelism_max; ++id) {
      Process::Running* const one = find(function, id);
      if (one != nullptr && id >= wanted) drain_one(*one);
      if (one == nullptr && id < wanted) add_instance(function, id);
    }
  }

  Process::Running* find(size_t function, int32_t id) {
    for (const auto& one : process_->running)
      if (one->function == function && one->instance_id == id) return one.get();
    return nullptr;
  }

  void drain_one(Process::Running& one) {
    if (one.draining) return;
    one.draining = true;
    trace(fmt::format("drain {}-{}", topology_.functions[one.function].name, one.instance_id));
    ++result_.restarts;
    one.instance->drain(static_cast<int64_t>(rng_.below(3)) * 500, [&one] { one.stopped = true; });
  }

  void replace_stopped() {
    for (size_t i = 0; i < process_->running.size();) {
      if (!process_->running[i]->stopped) {
        ++i;
        continue;
      }
      const size_t function = process_->running[i]->function;
      const int32_t id = process_->running[i]->instance_id;
      process_->running.erase(process_->running.begin() + static_cast<ptrdiff_t>(i));
      if (id < parallelism_[function]) add_instance(function, id);
    }
  }

  // --- the end ---

  void settle() {
    for (int round = 0, quiet = 0; quiet < 3; ++round) {
      size_t did = process_->log->step();
      for (const auto& loop : process_->loops) did += loop->run_ready();
      did += process_->workers.step() ? 1 : 0;
      replace_stopped();
      quiet = did == 0 ? quiet + 1 : 0;
      if (round > kSettleRoundsMax) return broken("work without end while no time passes");
    }
  }

  bool drain_until(auto done) {
    const int64_t limit_ns = clock_.monotonic_ns() + kDrainMaxMs * 1'000'000;
    while (true) {
      outside_.publish(rng_, clock_.wall_ms());
      settle();
      if (!result_.broken.empty() || (outside_.done() && done())) return result_.broken.empty();
      if (clock_.monotonic_ns() > limit_ns) break;
      clock_.advance_ms(outside_.done() ? 100 : 1);
    }
    const auto streams = process_->log->list_streams();
    if (streams)
      for (const stream::StreamInfo& info : *streams)
        for (const auto& subscription : info.subscriptions)
          trace(fmt::format("{} of {}: backlog {}", subscription.name, info.topic, subscription.backlog_records));
    std::string who = outside_.done() ? "" : " the outside waits;";
    for (const auto& one : process_->running) {
      const runtime::InstanceStats stats = one->instance->stats();
      if (one->instance->idle() && stats.backlog_records == 0) continue;
      who += fmt::format(" {}-{} is {} with backlog {}, in flight {}, waiting for retry {}, last error \"{}\";",
                         topology_.functions[one->function].name, one->instance_id, to_string(stats.state),
                         stats.backlog_records, stats.in_flight_records, stats.waiting_retry, stats.last_error);
    }
    broken(fmt::format("not drained after {} s of simulated time:{}", kDrainMaxMs / 1000, who));
    return false;
  }

  void drain() {
    // Half of the runs end with a crash, so that what drains is what was recovered.
    end_process(rng_.below(2) == 0);
    start_process(false);
    trace("draining");
    const auto idle = [&] {
      return std::ranges::all_of(process_->running, [](const auto& one) { return one->instance->idle(); });
    };
    if (!result_.broken.empty() || !drain_until(idle)) return;
    for (const auto& one : process_->running) one->instance->end_of_input();
    drain_until([&] { return idle() && backlog() == 0; });
  }

  // A count window that is not full stays open for ever; check_windows() bounds what lies in it.
  bool holds_records(const std::string& subscription) const {
    return std::ranges::any_of(topology_.functions, [&](const FunctionPlan& plan) {
      return plan.window_records > 1 && subscription == "public/default/" + plan.name;
    });
  }

  int64_t backlog() {
    int64_t sum = 0;
    const auto streams = process_->log->list_streams();
    if (!streams) return -1;
    for (const stream::StreamInfo& info : *streams)
      for (const auto& subscription : info.subscriptions)
        if (!holds_records(subscription.name)) sum += subscription.backlog_records;
    return sum;
  }

  std::vector<KeptRecord> read(const std::string& topic) {
    stream::ConsumerOptions options;
    options.topics = {topic};
    options.read_only = true;
    std::vector<KeptRecord> records;
    const auto consumer = process_->log->open_consumer(options);
    if (!consumer) {
      broken(topic + " can't be read: " + consumer.error().to_string());
      return records;
    }
    while (true) {
      auto polled = (*consumer)->poll({});
      if (!polled) broken(topic + ": " + polled.error().to_string());
      if (!polled || polled->empty()) break;
      for (const stream::ReceivedEntry& entry : *polled) {
        auto reader = stream::EntryReader::open(entry.bytes);
        if (!reader) {
          broken(topic + ": " + reader.error().to_string());
          continue;
        }
        stream::RecordView record;
        while (reader->next(record))
          records.push_back({std::string(record.payload), std::string(record.key), entry.id.partition});
      }
    }
    (*consumer)->close();
    return records;
  }

  // After a start: what was durable before must be there.
  void check_acknowledged() {
    if (disk_.power_lost()) return;
    Holdings holdings;
    holdings.acknowledged = outside_.acknowledged();
    for (const StreamPlan& plan : topology_.streams)
      if (plan.is_source) holdings.streams[plan.topic] = read(plan.topic);
    if (disk_.power_lost()) {  // in the midst of reading: the next start looks again
      result_.broken.clear();
      return;
    }
    if (const std::string lost = check_sources(holdings); !lost.empty()) broken("after a start: " + lost);
    for (const stream::log::Damage& damage : process_->log->damages())
      trace(fmt::format("damage {} {} {}: {}", damage.file, damage.offset, damage.size_bytes, damage.text));
  }

  void judge() {
    Holdings holdings;
    holdings.acknowledged = outside_.acknowledged();
    for (const StreamPlan& plan : topology_.streams) {
      holdings.streams[plan.topic] = read(plan.topic);
      for (const KeptRecord& record : holdings.streams[plan.topic])
        trace(fmt::format("{} {} {} {}", plan.topic, record.partition, record.key, record.payload));
    }
    for (const FunctionPlan& plan : topology_.functions) {
      if (!plan.counts) continue;
      const auto table = process_->log->open_state("public/default/" + plan.name);
      if (!table) return broken(table.error().to_string());
      const Status scanned = (*table)->scan("", [&](std::string_view key, std::string_view value) {
        uint64_t count = 0;
        for (const char c : value) count = count << 8 | static_cast<unsigned char>(c);
        holdings.counters[plan.name][std::string(key)] = static_cast<int64_t>(count);
        return true;
      });
      if (!scanned) return broken(scanned.error().to_string());
    }
    const Verdict verdict = check_all(topology_, holdings);
    if (!verdict.broken.empty()) broken(verdict.broken);
    result_.duplicates = verdict.duplicates;
  }

  const SimulationOptions options_;
  Rng rng_;
  Topology topology_;
  Outside outside_;
  Brain brain_;
  MemoryDisk disk_;
  ManualClock clock_;
  std::unique_ptr<Process> process_;
  std::vector<int> parallelism_;
  std::string open_error_;
  uint64_t io_errors_ = 0;
  SimulationResult result_;
};

}  // namespace

SimulationResult simulate(uint64_t seed, const SimulationOptions& options) { return Simulation(seed, options).run(); }

}  // namespace fmesh::sim
