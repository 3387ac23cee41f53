#include "local/test_run.h"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "local/stream_tools.h"
#include "model/resource_set.h"
#include "runtime/worker_pool.h"
#include "stream/log/log.h"

namespace fmesh::local {
namespace {

constexpr size_t kRecordsComparedMax = 1'000'000;
constexpr int64_t kTestDrainMs = 1'000;

// Everything a mesh needs, stepped by hand.
class Bench {
 public:
  Bench(Disk& disk, int64_t start_ms) : clock_(start_ms), disk_(disk) {}
  ~Bench() { supervisor_.reset(); }

  Status open(const InstanceFactory& make_instance, const std::string& cache_directory,
              const std::string& state_directory, std::vector<std::string>& lines) {
    stream::log::LogOptions options;
    options.directory = "/mesh";
    options.journal.own_thread = false;
    options.journal.segment_size_bytes = 4 * 1024 * 1024;
    options.state_directory = state_directory;
    FMESH_TRY(store_, stream::log::Log::open(disk_, clock_, std::move(options)));
    workers_ = runtime::WorkerPool::make_inline();
    SupervisorEnvironment environment;
    environment.control = &loop_;
    environment.loops = {&loop_};
    environment.client = store_.get();
    environment.workers = workers_.get();
    environment.clock = &clock_;
    environment.log = [&lines](const runtime::LogLine& line) {
      if (line.level == "warn" || line.level == "error") lines.push_back(line.component + ": " + line.text);
    };
    environment.cache_directory = cache_directory;
    environment.make_instance = make_instance;
    supervisor_.emplace(std::move(environment), SupervisorOptions{{}, kTestDrainMs});
    return {};
  }

  // Runs what is ready; then lets the clock jump to the next timer, until `done` says so.
  Status run_until(const std::function<bool()>& done) {
    const int64_t end_ns = clock_.monotonic_ns() + kTestTimeMaxMs * 1'000'000;
    while (true) {
      settle();
      if (done()) return {};
      if (clock_.monotonic_ns() >= end_ns || !loop_.advance_to_next(kTestTimeMaxMs)) {
        return fail(ErrorKind::kFixInput, "not finished after an hour of the test's clock; does a cycle feed itself?");
      }
    }
  }
  void advance(int64_t ms) {
    const int64_t end_ns = clock_.monotonic_ns() + ms * 1'000'000;
    settle();
    while (loop_.advance_to_next((end_ns - clock_.monotonic_ns()) / 1'000'000)) settle();
    clock_.advance_ms((end_ns - clock_.monotonic_ns()) / 1'000'000);
    settle();
  }
  void settle() {
    do {
      store_->tick();
    } while (store_->step() + loop_.run_ready() != 0);
  }

  ManualClock clock_;
  ManualLoop loop_{clock_};
  Disk& disk_;
  std::unique_ptr<stream::log::Log> store_;
  std::unique_ptr<runtime::WorkerPool> workers_;
  std::optional<Supervisor> supervisor_;
};

plan::LocalPlan functions_only(const plan::LocalPlan& mesh, const std::vector<std::string>& only) {
  plan::LocalPlan plan;
  for (const plan::ComponentPlan& component : mesh.components) {
    const bool connector =
        component.spec.host == model::HostKind::kSource || component.spec.host == model::HostKind::kSink;
    const bool named = only.empty() || std::ranges::find(only, component.spec.component) != only.end();
    if (!connector && named) plan.components.push_back(component);
  }
  plan.streams = mesh.streams;
  return plan;
}

Status give(Bench& bench, const TestCase& test) {
  for (const GivenStream& given : test.given) {
    std::optional<Status> published;
    publish(*bench.store_, bench.clock_, given.topic, given.records,
            [&](const Result<std::vector<std::string>>& ids) { published = ids ? Status() : fail(ids.error()); });
    FMESH_CHECK(bench.run_until([&] { return published.has_value(); }));
    FMESH_CHECK(*published);
  }
  return {};
}

Status run(Bench& bench, plan::LocalPlan plan, const TestCase& test) {
  std::optional<Status> started, drained;
  bool ended = false;
  bench.supervisor_->start(std::move(plan), [&](Status status) { started = std::move(status); });
  FMESH_CHECK(bench.run_until([&] { return started.has_value(); }));
  Status outcome = *started;
  if (outcome) {
    bench.advance(test.advance_ms);
    bench.supervisor_->run_until_drained([&](Status status) { drained = std::move(status); });
    outcome = bench.run_until([&] { return drained.has_value(); });
    if (outcome) outcome = *drained;
  }
  bench.supervisor_->drain(kTestDrainMs, [&] { ended = true; });
  const Status stopped = bench.run_until([&] { return ended; });
  bench.settle();
  return outcome ? stopped : outcome;
}

}  // namespace

TestResult run_test(Disk& disk, const plan::LocalPlan& mesh, const TestCase& test, const InstanceFactory& make_instance,
                    const std::string& cache_directory, const std::string& state_directory) {
  TestResult result{test.name, {}};
  std::vector<std::string> lines;
  Bench bench(disk, test.start_time_ms);
  Status status = bench.open(make_instance, cache_directory, state_directory, lines);
  if (status) status = give(bench, test);
  if (status) status = run(bench, functions_only(mesh, test.only), test);
  if (!status) result.failures.push_back(status.error().to_string());
  if (status) {
    const auto streams = bench.store_->list_streams();
    for (const ExpectedStream& expected : test.expect) {
      const bool there =
          streams && std::ranges::any_of(*streams, [&](const auto& one) { return one.topic == expected.topic; });
      std::vector<observe::RecordLine> found;
      if (there) {
        auto records = peek(*bench.store_, expected.topic, "earliest", kRecordsComparedMax);
        if (!records) {
          result.failures.push_back(records.error().to_string());
          continue;
        }
        found = *std::move(records);
      }
      for (const std::string& text : differences(expected, found)) {
        result.failures.push_back(model::short_topic_name(expected.topic) + ": " + text);
      }
    }
  }
  if (!result.failures.empty()) result.failures.insert(result.failures.end(), lines.begin(), lines.end());
  return result;
}

}  // namespace fmesh::local
