// Carries a plan out: makes the instances, spreads them over the loops, starts readers before sources, scales, replaces
// what a new plan changed, and ends everything together. An instance that fails restarts itself; the supervisor only
// counts.
//
// It belongs to its control loop: every call comes there, except snapshot(), from any thread. Instances are called on
// their own loops. There is no thread and no timer per instance: what is periodic (scaling) runs once for all.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/loop.h"
#include "base/result.h"
#include "local/scaling.h"
#include "plan/local_plan.h"
#include "runtime/instance.h"

namespace fmesh::local {

using InstanceFactory =
    std::function<Result<std::unique_ptr<runtime::Instance>>(model::InstanceSpec, runtime::InstanceEnvironment)>;

// All outlive the supervisor.
struct SupervisorEnvironment {
  Loop* control = nullptr;
  std::vector<Loop*> loops;  // at least one; may be the control loop
  stream::Client* client = nullptr;
  runtime::WorkerPool* workers = nullptr;
  const Clock* clock = nullptr;
  std::function<void(runtime::LogLine)> log;
  std::string cache_directory;
  InstanceFactory make_instance;
};

struct SupervisorOptions {
  std::map<std::string, int32_t> replicas;  // by component, instead of the plan's
  int64_t drain_limit_ms = 10'000;
};

// How long the start waits for a component that is slow to open before the sources start without it.
inline constexpr int64_t kStartLimitMs = 5'000;
// While components open, it looks this often at most; every look of a start is on the way to the first record.
inline constexpr int64_t kStartedLookMaxMs = 4;
// One look at backlog and rate per this time, for components that scale.
inline constexpr int64_t kScalingIntervalMs = 1'000;
// Instances that don't end within their limit are given this much more, then left behind.
inline constexpr int64_t kDrainGraceMs = 1'000;
// run_until_drained() looks this often: a first time soon, then less and less.
inline constexpr int64_t kDrainedLookMinMs = 1;
inline constexpr int64_t kDrainedLookMaxMs = 10;
// Where records come over a network, what was read and not written on may be on its way to the next reader: nothing is
// left once nothing moved for so long. Longer than what a consumer knows of its end may be old.
inline constexpr int64_t kSettledMs = 1'100;
// A source that has not ended counts as drained once nothing moved for so long: longer than the second after which an
// idle source is read again.
inline constexpr int64_t kSourceQuietMs = 1'500;

struct ComponentSnapshot {
  std::string name;
  model::ComponentType type = model::ComponentType::kFunction;
  std::string full_name;
  std::string runs;  // what runs it: "builtin map", "native liborders.so", "generator"
  std::vector<std::string> inputs, outputs;
  int32_t replicas = 0, min_replicas = 0, max_replicas = 0;
  std::vector<runtime::InstanceStats> instances;  // by instance id
};

class Supervisor {
 public:
  Supervisor(SupervisorEnvironment environment, SupervisorOptions options);
  // REQUIRES: drain() is done, or nothing was started.
  ~Supervisor();

  // Makes every instance, then starts them. Errors: kFixInput with all that is wrong, and nothing runs.
  void start(plan::LocalPlan plan, std::function<void(Status)> done);
  // Goes over to `next` and touches only what differs. Instances of changed components are made before the old ones are
  // drained. Errors: kFixInput; the old plan runs on. The answer is a line for people.
  void apply(plan::LocalPlan next, std::function<void(Result<std::string>)> done);
  // Errors: kFixInput for a name that is no component (with the closest).
  void scale(const std::string& component, int32_t replicas, std::function<void(Status)> done);
  // Stops intake everywhere, finishes what is in flight, ends all instances; within the drain limit.
  void drain(int64_t limit_ms, std::function<void()> done);
  // Waits until nothing is left to do, tells every component in the order of the graph that no more input comes, and
  // waits again. Does not stop anything. Errors: a component that can't run, named with its reason, once the rest is
  // done.
  void run_until_drained(std::function<void(Status)> done);

  // Up to date counters. From any thread.
  std::vector<ComponentSnapshot> snapshot() const;
  // The components' names in the order of the plan. From any thread.
  std::vector<std::string> names() const;
  bool starting() const;

 private:
  struct Slot {
    std::unique_ptr<runtime::Instance> instance;
    Loop* loop = nullptr;
    bool source = false;
  };
  using Slots = std::vector<std::shared_ptr<Slot>>;
  struct Component {
    plan::ComponentPlan plan;
    Slots slots;  // by instance id
    size_t level = 0;
    ScalingState scaling;
    int64_t done_total = 0, looked_ns = 0;
  };
  struct Look {
    bool idle = true;
    int64_t moved = 0;  // grows with everything that happens
    std::string failed;
    bool endless = false;      // a source that may bring more
    int64_t unchanged_ns = 0;  // when it was first found so
    bool same(const Look& other) const { return idle == other.idle && moved == other.moved && failed == other.failed; }
  };

  void enqueue(std::function<void()> operation);
  void finish_operation();
  int32_t wanted_replicas(const plan::ComponentPlan& plan) const;
  Result<Slots> make_slots(const plan::ComponentPlan& plan, int32_t first_id, int32_t count);
  // Starts readers, waits for them, then starts sources, waits for them. The answer names components that can't run.
  void launch(const Slots& slots, std::function<void(Status)> done);
  void start_on_loops(const Slots& slots);
  void wait_started(Slots slots, int64_t deadline_ns, int64_t pause_ms, std::function<void()> done);
  void retire(Slots slots, int64_t limit_ms, std::function<void()> done);
  void resize(Component& component, int32_t replicas, std::function<void(Status)> done);
  void carry_over(plan::LocalPlan next, std::vector<std::pair<size_t, Slots>> made, std::function<void()> done);
  void look(std::function<void(Look)> done);
  void wait_idle(Look before, int64_t quiet_ms, int64_t pause_ms, std::function<void(Look)> done);
  void end_levels(size_t level, std::function<void(Look)> done);
  void schedule_scaling();
  void scaling_round();
  Component* find(const std::string& name);
  void refresh_levels();

  SupervisorEnvironment environment_;
  SupervisorOptions options_;
  size_t next_loop_ = 0;
  bool busy_ = false;
  bool stopping_ = false;
  bool scaling_scheduled_ = false;
  std::deque<std::function<void()>> waiting_;
  Slots abandoned_;  // did not end in time: their worker may still use them
  plan::LocalPlan plan_;
  // Tasks that come back after the supervisor is gone look at this first.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

  mutable std::mutex mutex_;  // guards what snapshot() reads; changed on the control loop only
  bool starting_ = false;
  std::vector<std::unique_ptr<Component>> components_;
};

// "orders (instance 2)".
std::string describe_instance(const runtime::Instance& instance);
// What it returns may be called from any thread; at the `count`-th call `done` runs on `control`.
std::function<void()> call_after(Loop& control, size_t count, std::function<void()> done);

}  // namespace fmesh::local
