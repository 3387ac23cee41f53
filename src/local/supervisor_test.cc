#include "local/supervisor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <set>

namespace fmesh::local {
namespace {

using runtime::InstanceState;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

// What all fake instances share: what happened, in order, and what they are told to be.
struct World {
  std::vector<std::string> events;
  std::set<std::string> cannot_be_made, fails, slow_to_start, busy, never_drains;
  std::map<std::string, int64_t> backlog, processed;
};

class FakeInstance final : public runtime::Instance {
 public:
  FakeInstance(World& world, model::InstanceSpec spec, runtime::InstanceEnvironment environment)
      : world_(world), spec_(std::move(spec)), environment_(std::move(environment)) {}
  ~FakeInstance() override { note("gone"); }
  const model::InstanceSpec& spec() const override { return spec_; }
  void start() override {
    note("start");
    started_ = true;
  }
  void drain(int64_t, std::function<void()> done) override {
    note("drain");
    if (!world_.never_drains.contains(spec_.component)) done();
  }
  bool idle() const override { return !world_.busy.contains(spec_.component); }
  void end_of_input() override { note("end"); }
  runtime::InstanceStats stats() const override {
    runtime::InstanceStats stats;
    stats.state = !started_ || world_.slow_to_start.contains(spec_.component) ? InstanceState::kStarting
                  : world_.fails.contains(spec_.component)                    ? InstanceState::kFailed
                                                                              : InstanceState::kRunning;
    if (stats.state == InstanceState::kFailed) stats.last_error = "no such file";
    stats.processed_successfully_total = world_.processed[spec_.component];
    stats.backlog_records = world_.backlog[spec_.component];
    return stats;
  }

 private:
  void note(const std::string& what) {
    world_.events.push_back(what + " " + spec_.component + std::to_string(spec_.instance_id));
  }
  World& world_;
  model::InstanceSpec spec_;
  runtime::InstanceEnvironment environment_;
  bool started_ = false;
};

plan::ComponentPlan component(const std::string& name, std::vector<std::string> inputs,
                              std::vector<std::string> outputs) {
  plan::ComponentPlan plan;
  plan.spec.component = name;
  plan.spec.details.tenant = "public";
  plan.spec.details.name_space = "default";
  plan.spec.details.name = name;
  plan.inputs = std::move(inputs);
  plan.outputs = std::move(outputs);
  return plan;
}

// source -> map -> sink, the sink written first.
plan::LocalPlan chain() {
  plan::LocalPlan plan;
  plan.components = {component("sink", {"b"}, {}), component("source", {}, {"a"}), component("map", {"a"}, {"b"})};
  return plan;
}

class SupervisorTest : public testing::Test {
 protected:
  SupervisorTest() {
    environment.control = &loop;
    environment.loops = {&loop};
    environment.clock = &clock;
    environment.log = [this](const runtime::LogLine& line) { logged.push_back(line.component + ": " + line.text); };
    environment.make_instance = [this](
                                    model::InstanceSpec spec,
                                    runtime::InstanceEnvironment given) -> Result<std::unique_ptr<runtime::Instance>> {
      if (world.cannot_be_made.contains(spec.component)) return fail(ErrorKind::kFixInput, "no such library");
      return std::make_unique<FakeInstance>(world, std::move(spec), std::move(given));
    };
    supervisor.emplace(environment, SupervisorOptions{{{"wide", 3}}, 1'000});
  }
  ~SupervisorTest() override {
    world.never_drains.clear();
    supervisor->drain(10, [] {});
    run(2'000);
    supervisor.reset();
    loop.run_ready();
  }
  // Runs the loop for `ms` of the fake clock.
  void run(int64_t ms) {
    const int64_t end = clock.monotonic_ns() + ms * 1'000'000;
    loop.run_ready();
    while (loop.advance_to_next((end - clock.monotonic_ns()) / 1'000'000)) {
    }
    if (clock.monotonic_ns() < end) clock.advance_ms((end - clock.monotonic_ns()) / 1'000'000);
    loop.run_ready();
  }
  void start(plan::LocalPlan plan) {
    supervisor->start(std::move(plan), [this](Status status) { started = std::move(status); });
    run(10);
  }

  ManualClock clock;
  ManualLoop loop{clock};
  World world;
  std::vector<std::string> logged;
  SupervisorEnvironment environment;
  std::optional<Supervisor> supervisor;
  std::optional<Status> started;
};

TEST_F(SupervisorTest, StartsReadersBeforeSources) {
  start(chain());
  ASSERT_TRUE(started && *started);
  EXPECT_THAT(world.events, ElementsAre("start sink0", "start map0", "start source0"));
}

TEST_F(SupervisorTest, WaitsForASlowReaderButNotForever) {
  world.slow_to_start.insert("map");
  start(chain());
  EXPECT_THAT(world.events, ElementsAre("start sink0", "start map0"));
  run(kStartLimitMs + 20);
  EXPECT_EQ(world.events.back(), "start source0");
}

TEST_F(SupervisorTest, StartsNothingIfOneInstanceCannotBeMade) {
  world.cannot_be_made = {"map", "sink"};
  start(chain());
  ASSERT_TRUE(started && !*started);
  EXPECT_THAT(started->error().text(), HasSubstr("map: no such library"));
  EXPECT_THAT(started->error().text(), HasSubstr("sink: no such library"));
  EXPECT_THAT(world.events, testing::Not(testing::Contains(HasSubstr("start"))));
}

TEST_F(SupervisorTest, NamesComponentsThatFailToOpen) {
  world.fails.insert("map");
  start(chain());
  ASSERT_TRUE(started && !*started);
  EXPECT_EQ(started->error().text(), "map[0]: no such file");
}

TEST_F(SupervisorTest, RunsAsManyInstancesAsToldOnTheCommandLine) {
  plan::LocalPlan plan;
  plan.components = {component("wide", {"a"}, {})};
  start(plan);
  EXPECT_THAT(world.events, ElementsAre("start wide0", "start wide1", "start wide2"));
  EXPECT_EQ(supervisor->snapshot().at(0).instances.size(), 3U);
}

TEST_F(SupervisorTest, AReloadTouchesOnlyWhatChanged) {
  start(chain());
  world.events.clear();
  plan::LocalPlan next = chain();
  next.components[2].spec.details.user_config = "{}";  // map
  next.components.erase(next.components.begin());      // sink is gone
  next.components.push_back(component("other", {"b"}, {}));
  std::optional<Result<std::string>> applied;
  supervisor->apply(next, [&](Result<std::string> answer) { applied = std::move(answer); });
  run(10);
  ASSERT_TRUE(applied && *applied);
  EXPECT_EQ(**applied, "1 replaced (map), 1 added (other), 1 removed (sink)");
  EXPECT_THAT(world.events, UnorderedElementsAre("drain sink0", "drain map0", "gone sink0", "gone map0", "start map0",
                                                 "start other0"));
  EXPECT_THAT(supervisor->names(), ElementsAre("source", "map", "other"));
}

TEST_F(SupervisorTest, AReloadThatCannotBeMadeLeavesTheOldMeshAlone) {
  start(chain());
  world.events.clear();
  plan::LocalPlan next = chain();
  next.components[0].spec.details.user_config = "{}";
  next.components[2].spec.details.user_config = "{}";
  world.cannot_be_made.insert("map");
  std::optional<Result<std::string>> applied;
  supervisor->apply(next, [&](Result<std::string> answer) { applied = std::move(answer); });
  run(10);
  ASSERT_TRUE(applied && !*applied);
  EXPECT_THAT(world.events, ElementsAre("gone sink0"));  // the new one that was made and never started
  EXPECT_EQ(supervisor->snapshot().size(), 3U);
}

TEST_F(SupervisorTest, AReloadOfReplicasAloneAddsAndTakesAway) {
  start(chain());
  world.events.clear();
  plan::LocalPlan next = chain();
  next.components[2].replicas = 2;
  next.components[2].spec.instance_count = 2;
  supervisor->apply(next, [](const Result<std::string>&) {});
  run(10);
  EXPECT_THAT(world.events, ElementsAre("start map1"));
}

TEST_F(SupervisorTest, ScalesAndNamesTheClosestIfThereIsNoSuchComponent) {
  start(chain());
  world.events.clear();
  std::optional<Status> scaled;
  supervisor->scale("map", 3, [&](Status status) { scaled = std::move(status); });
  run(10);
  EXPECT_TRUE(scaled && *scaled);
  supervisor->scale("map", 1, [&](Status status) { scaled = std::move(status); });
  run(10);
  EXPECT_THAT(world.events,
              ElementsAre("start map1", "start map2", "drain map1", "drain map2", "gone map1", "gone map2"));
  supervisor->scale("sorce", 1, [&](Status status) { scaled = std::move(status); });
  run(10);
  EXPECT_EQ(scaled->error().text(), "no such component: sorce; did you mean source?");
}

TEST_F(SupervisorTest, GrowsWithTheBacklogAndSaysSo) {
  plan::LocalPlan plan = chain();
  plan.components[2].max_replicas = 4;
  start(plan);
  world.backlog["map"] = 100'000;
  for (int second = 0; second < 6; ++second) {
    world.processed["map"] += 100;
    run(kScalingIntervalMs);
  }
  EXPECT_GT(supervisor->snapshot().at(2).instances.size(), 1U);
  EXPECT_THAT(logged, testing::Contains(HasSubstr("map: scaled from 1 to 2")));
}

TEST_F(SupervisorTest, EndsInputInTheOrderOfTheGraphOnceAllIsIdle) {
  plan::LocalPlan plan = chain();
  plan.components[2].spec.details.user_config = R"({"__WINDOWCONFIGS__":{}})";
  start(plan);
  world.events.clear();
  world.busy.insert("sink");
  std::optional<Status> drained;
  supervisor->run_until_drained([&](Status status) { drained = std::move(status); });
  run(500);
  EXPECT_FALSE(drained);
  EXPECT_TRUE(world.events.empty());
  world.busy.clear();
  run(kSourceQuietMs + 100);
  ASSERT_TRUE(drained && *drained);
  EXPECT_THAT(world.events, ElementsAre("end source0", "end map0", "end sink0"));
}

TEST_F(SupervisorTest, IsNotDrainedWhileRecordsMove) {
  start(chain());
  std::optional<Status> drained;
  supervisor->run_until_drained([&](Status status) { drained = std::move(status); });
  for (int look = 0; look < 50; ++look) {
    ++world.processed["map"];
    run(1);
    EXPECT_FALSE(drained);
  }
  run(kSourceQuietMs / 2);
  EXPECT_FALSE(drained);
  run(kSourceQuietMs);
  EXPECT_TRUE(drained);
}

TEST_F(SupervisorTest, LeavesBehindWhatDoesNotEndInTime) {
  start(chain());
  world.never_drains.insert("map");
  bool over = false;
  supervisor->drain(100, [&] { over = true; });
  run(100);
  EXPECT_FALSE(over);
  run(kDrainGraceMs + 100);
  EXPECT_TRUE(over);
  EXPECT_THAT(logged, ElementsAre(HasSubstr("map: did not stop in time")));
}

}  // namespace
}  // namespace fmesh::local
