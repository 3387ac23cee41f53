#include "local/supervisor.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "local/plan_diff.h"
#include "model/diagnostics.h"

namespace fmesh::local {
namespace {

using runtime::InstanceState;
using runtime::InstanceStats;

// "java org.example.Enrich", "go enrich"; of a connector its class.
std::string stock_label(const model::InstanceSpec& spec) {
  const model::FunctionDetails& details = spec.details;
  if (details.runtime == model::DetailsRuntime::kGo)
    return "go " + spec.library_path.substr(spec.library_path.find_last_of('/') + 1);
  std::string name = details.class_name;
  if (details.component_type == model::ComponentType::kSource && details.source) name = details.source->class_name;
  if (details.component_type == model::ComponentType::kSink && details.sink) name = details.sink->class_name;
  return (details.runtime == model::DetailsRuntime::kPython ? "stock python " : "java ") + name;
}

std::string runs(const model::InstanceSpec& spec) {
  switch (spec.host) {
    case model::HostKind::kNative:
      return "native " + spec.library_path.substr(spec.library_path.find_last_of('/') + 1);
    case model::HostKind::kBuiltin:
      return "builtin " + spec.details.class_name;
    case model::HostKind::kSource:
      return spec.details.source ? spec.details.source->builtin : "";
    case model::HostKind::kSink:
      return spec.details.sink ? spec.details.sink->builtin : "";
    case model::HostKind::kPython:
      return "python " + spec.details.class_name;
    case model::HostKind::kStock:
      return stock_label(spec);
  }
  return "";
}

}  // namespace

std::string describe_instance(const runtime::Instance& instance) {
  return instance.spec().component + "[" + std::to_string(instance.spec().instance_id) + "]";
}

std::function<void()> call_after(Loop& control, size_t count, std::function<void()> done) {
  auto left = std::make_shared<size_t>(count);
  return [&control, left, done = std::move(done)] {
    control.post([left, done] {
      if (--*left == 0) done();
    });
  };
}

Supervisor::Supervisor(SupervisorEnvironment environment, SupervisorOptions options)
    : environment_(std::move(environment)), options_(std::move(options)) {}

Supervisor::~Supervisor() {
  *alive_ = false;
  // A worker may still be inside one of these; the process is about to end, and they with it.
  static auto& left_behind = *new std::vector<std::unique_ptr<runtime::Instance>>;
  for (auto& slot : abandoned_) left_behind.push_back(std::move(slot->instance));
}

void Supervisor::enqueue(std::function<void()> operation) {
  if (busy_) {
    waiting_.push_back(std::move(operation));
    return;
  }
  busy_ = true;
  operation();
}

void Supervisor::finish_operation() {
  if (waiting_.empty()) {
    busy_ = false;
    return;
  }
  auto next = std::move(waiting_.front());
  waiting_.pop_front();
  next();
}

int32_t Supervisor::wanted_replicas(const plan::ComponentPlan& plan) const {
  const auto found = options_.replicas.find(plan.spec.component);
  return found != options_.replicas.end() ? found->second : plan.replicas;
}

Result<Supervisor::Slots> Supervisor::make_slots(const plan::ComponentPlan& plan, int32_t first_id, int32_t count) {
  Slots slots;
  for (int32_t id = first_id; id < first_id + count; ++id) {
    auto slot = std::make_shared<Slot>();
    slot->loop = environment_.loops[next_loop_++ % environment_.loops.size()];
    slot->source = plan.inputs.empty() && plan.input_pattern.empty();
    model::InstanceSpec spec = plan.spec;
    spec.instance_id = id;
    spec.instance_count = first_id + count;
    runtime::InstanceEnvironment environment;
    environment.client = environment_.client;
    environment.loop = slot->loop;
    environment.workers = environment_.workers;
    environment.clock = environment_.clock;
    environment.log = environment_.log;
    environment.cache_directory = environment_.cache_directory;
    auto instance = environment_.make_instance(std::move(spec), std::move(environment));
    if (!instance) {
      const Error& error = instance.error();
      const Place& place = error.place().file.empty() ? plan.place : error.place();
      return fail(Error(error.kind(), plan.spec.component + ": " + error.text(), place));
    }
    slot->instance = *std::move(instance);
    slots.push_back(std::move(slot));
  }
  return slots;
}

void Supervisor::start(plan::LocalPlan plan, std::function<void(Status)> done) {
  enqueue([this, plan = std::move(plan), done = std::move(done)]() mutable {
    std::string errors;
    Place first_place;
    std::vector<std::unique_ptr<Component>> components;
    Slots all;
    for (const plan::ComponentPlan& part : plan.components) {
      auto slots = make_slots(part, 0, wanted_replicas(part));
      if (!slots) {
        if (errors.empty()) first_place = slots.error().place();
        errors += (errors.empty() ? "" : "\n") + (errors.empty() ? slots.error().text() : slots.error().to_string());
        continue;
      }
      auto component = std::make_unique<Component>();
      component->plan = part;
      component->slots = *std::move(slots);
      all.insert(all.end(), component->slots.begin(), component->slots.end());
      components.push_back(std::move(component));
    }
    if (!errors.empty()) {
      done(fail(ErrorKind::kFixInput, std::move(errors), std::move(first_place)));
      return finish_operation();
    }
    plan_ = std::move(plan);
    {
      const std::lock_guard lock(mutex_);
      components_ = std::move(components);
      starting_ = true;
    }
    refresh_levels();
    launch(all, [this, done = std::move(done)](Status status) {
      {
        const std::lock_guard lock(mutex_);
        starting_ = false;
      }
      schedule_scaling();
      done(std::move(status));
      finish_operation();
    });
  });
}

void Supervisor::start_on_loops(const Slots& slots) {
  std::map<Loop*, Slots> by_loop;
  for (const auto& slot : slots) by_loop[slot->loop].push_back(slot);
  for (auto& [loop, list] : by_loop) {
    loop->post([list = std::move(list)] {
      for (const auto& slot : list) slot->instance->start();
    });
  }
}

void Supervisor::launch(const Slots& slots, std::function<void(Status)> done) {
  Slots readers, sources;
  for (const auto& slot : slots) (slot->source ? sources : readers).push_back(slot);
  const int64_t deadline_ns = environment_.clock->monotonic_ns() + kStartLimitMs * 1'000'000;
  start_on_loops(readers);
  wait_started(readers, deadline_ns, 0, [this, sources, slots, deadline_ns, done = std::move(done)] {
    start_on_loops(sources);
    wait_started(sources, deadline_ns, 0, [slots, done] {
      std::string failed;
      for (const auto& slot : slots) {
        const InstanceStats stats = slot->instance->stats();
        if (stats.state != InstanceState::kFailed) continue;
        failed += (failed.empty() ? "" : "\n") + describe_instance(*slot->instance) + ": " + stats.last_error;
      }
      done(failed.empty() ? Status() : fail(ErrorKind::kFixInput, std::move(failed)));
    });
  });
}

void Supervisor::wait_started(Slots slots, int64_t deadline_ns, int64_t pause_ms, std::function<void()> done) {
  // A barrier on the loops first: most instances have started once their loop took the task.
  auto check = [this, alive = alive_, slots = std::move(slots), deadline_ns, pause_ms,
                done = std::move(done)]() mutable {
    if (!*alive) return;
    std::erase_if(slots, [](const auto& slot) { return slot->instance->stats().state != InstanceState::kStarting; });
    if (slots.empty() || stopping_ || environment_.clock->monotonic_ns() >= deadline_ns) return done();
    const int64_t next_pause_ms = std::clamp<int64_t>(pause_ms * 2, 1, kStartedLookMaxMs);
    environment_.control->post_after(next_pause_ms, [this, alive, slots = std::move(slots), deadline_ns, next_pause_ms,
                                                     done = std::move(done)]() mutable {
      if (*alive) wait_started(std::move(slots), deadline_ns, next_pause_ms, std::move(done));
    });
  };
  if (pause_ms != 0) return check();
  auto arrived = call_after(*environment_.control, environment_.loops.size(), std::move(check));
  for (Loop* loop : environment_.loops) loop->post(arrived);
}

void Supervisor::retire(Slots slots, int64_t limit_ms, std::function<void()> done) {
  if (slots.empty()) return done();
  struct Waiting {
    Slots open;
    std::function<void()> done;
    bool over = false;
    uint64_t timer = 0;
  };
  auto waiting = std::make_shared<Waiting>(Waiting{slots, std::move(done), false, 0});
  Loop* control = environment_.control;
  const auto one_done = [waiting, control](const std::shared_ptr<Slot>& slot) {
    // Destroyed where it lived, after what its loop still holds for it. A late one is left as it is.
    if (std::erase(waiting->open, slot) == 0 || waiting->over) return;
    slot->loop->post([slot] { slot->instance.reset(); });
    if (waiting->open.empty()) {
      waiting->over = true;
      control->cancel(waiting->timer);
      waiting->done();
    }
  };
  for (const auto& slot : slots) {
    slot->loop->post([slot, limit_ms, control, one_done] {
      slot->instance->drain(limit_ms,
                            [slot, control, one_done] { control->post([slot, one_done] { one_done(slot); }); });
    });
  }
  waiting->timer = control->post_after(limit_ms + kDrainGraceMs, [this, alive = alive_, waiting] {
    if (!*alive || waiting->over) return;
    waiting->over = true;
    for (const auto& slot : waiting->open) {
      environment_.log({environment_.clock->wall_ms(), slot->instance->spec().component,
                        slot->instance->spec().instance_id, "warn",
                        "did not stop in time; what it held is delivered again at the next start"});
    }
    abandoned_.insert(abandoned_.end(), waiting->open.begin(), waiting->open.end());
    waiting->done();
  });
}

void Supervisor::apply(plan::LocalPlan next, std::function<void(Result<std::string>)> done) {
  enqueue([this, next = std::move(next), done = std::move(done)]() mutable {
    const PlanDiff diff = diff_plans(plan_, next);
    std::vector<std::pair<size_t, Slots>> made;
    for (const auto* list : {&diff.added, &diff.replaced}) {
      for (const size_t index : *list) {
        auto slots = make_slots(next.components[index], 0, wanted_replicas(next.components[index]));
        if (!slots) {
          done(fail(std::move(slots).error()));
          return finish_operation();
        }
        made.emplace_back(index, *std::move(slots));
      }
    }
    Slots old;
    {
      const std::lock_guard lock(mutex_);
      for (auto& component : components_) {
        const std::string& name = component->plan.spec.component;
        const bool replaced = std::ranges::any_of(
            diff.replaced, [&](size_t index) { return next.components[index].spec.component == name; });
        if (!replaced && std::ranges::find(diff.removed, name) == diff.removed.end()) continue;
        old.insert(old.end(), component->slots.begin(), component->slots.end());
        component->slots.clear();
      }
    }
    const std::string summary = diff.summary(next);
    retire(std::move(old), options_.drain_limit_ms,
           [this, next = std::move(next), made = std::move(made), summary, done = std::move(done)]() mutable {
             carry_over(std::move(next), std::move(made), [this, summary, done = std::move(done)] {
               schedule_scaling();
               done(summary);
               finish_operation();
             });
           });
  });
}

void Supervisor::carry_over(plan::LocalPlan next, std::vector<std::pair<size_t, Slots>> made,
                            std::function<void()> done) {
  Slots fresh;
  std::vector<std::pair<Component*, int32_t>> resizes;
  {
    const std::lock_guard lock(mutex_);
    std::vector<std::unique_ptr<Component>> components;
    for (size_t index = 0; index < next.components.size(); ++index) {
      const plan::ComponentPlan& part = next.components[index];
      const auto old = std::ranges::find_if(
          components_, [&](const auto& one) { return one && one->plan.spec.component == part.spec.component; });
      auto component = old != components_.end() ? std::move(*old) : std::make_unique<Component>();
      const bool resized = old != components_.end() && !(component->plan == part);
      component->plan = part;
      const auto slots = std::ranges::find_if(made, [&](const auto& one) { return one.first == index; });
      if (slots != made.end()) {
        component->slots = std::move(slots->second);
        fresh.insert(fresh.end(), component->slots.begin(), component->slots.end());
      } else if (resized) {
        resizes.emplace_back(component.get(), wanted_replicas(part));
      }
      components.push_back(std::move(component));
    }
    components_ = std::move(components);
  }
  plan_ = std::move(next);
  refresh_levels();
  launch(fresh, [this, resizes = std::move(resizes), done = std::move(done)](const Status&) mutable {
    // What can't run shows in the status; the rest of the new plan goes on.
    auto resized = call_after(*environment_.control, resizes.size() + 1, std::move(done));
    for (const auto& [component, replicas] : resizes)
      resize(*component, replicas, [resized](const Status&) { resized(); });
    resized();
  });
}

void Supervisor::resize(Component& component, int32_t replicas, std::function<void(Status)> done) {
  const auto now = static_cast<int32_t>(component.slots.size());
  if (replicas > now) {
    auto slots = make_slots(component.plan, now, replicas - now);
    if (!slots) return done(fail(std::move(slots).error()));
    {
      const std::lock_guard lock(mutex_);
      component.slots.insert(component.slots.end(), slots->begin(), slots->end());
    }
    return launch(*slots, std::move(done));
  }
  Slots surplus;
  {
    const std::lock_guard lock(mutex_);
    surplus.assign(component.slots.begin() + replicas, component.slots.end());
    component.slots.resize(static_cast<size_t>(replicas));
  }
  retire(std::move(surplus), options_.drain_limit_ms, [done = std::move(done)] { done({}); });
}

void Supervisor::scale(const std::string& component, int32_t replicas, std::function<void(Status)> done) {
  enqueue([this, component, replicas, done = std::move(done)] {
    Component* found = find(component);
    if (found == nullptr) {
      std::vector<std::string_view> known;
      for (const auto& one : components_) known.push_back(one->plan.spec.component);
      const std::string_view near = model::closest(component, known);
      done(fail(ErrorKind::kFixInput,
                "no such component: " + component + (near.empty() ? "" : "; did you mean " + std::string(near) + "?")));
      return finish_operation();
    }
    resize(*found, replicas, [this, done](Status status) {
      done(std::move(status));
      finish_operation();
    });
  });
}

void Supervisor::drain(int64_t limit_ms, std::function<void()> done) {
  stopping_ = true;
  enqueue([this, limit_ms, done = std::move(done)] {
    Slots all;
    {
      const std::lock_guard lock(mutex_);
      for (auto& component : components_) {
        all.insert(all.end(), component->slots.begin(), component->slots.end());
      }
    }
    retire(all, limit_ms, [this, done] {
      {
        const std::lock_guard lock(mutex_);
        for (auto& component : components_) component->slots.clear();
      }
      done();
      finish_operation();
    });
  });
}

Supervisor::Component* Supervisor::find(const std::string& name) {
  const auto found =
      std::ranges::find_if(components_, [&](const auto& component) { return component->plan.spec.component == name; });
  return found == components_.end() ? nullptr : found->get();
}

void Supervisor::refresh_levels() {
  const std::vector<size_t> levels = graph_levels(plan_);
  for (size_t i = 0; i < levels.size(); ++i) components_[i]->level = levels[i];
}

std::vector<ComponentSnapshot> Supervisor::snapshot() const {
  const std::lock_guard lock(mutex_);
  std::vector<ComponentSnapshot> list;
  list.reserve(components_.size());
  for (const auto& component : components_) {
    const plan::ComponentPlan& plan = component->plan;
    ComponentSnapshot one;
    one.name = plan.spec.component;
    one.type = plan.spec.details.component_type;
    one.full_name = plan.spec.details.fully_qualified_name();
    one.runs = runs(plan.spec);
    one.inputs = plan.inputs;
    if (!plan.input_pattern.empty()) one.inputs.push_back(plan.input_pattern);
    one.outputs = plan.outputs;
    one.replicas = static_cast<int32_t>(component->slots.size());
    one.min_replicas = plan.min_replicas;
    one.max_replicas = plan.max_replicas;
    for (const auto& slot : component->slots) one.instances.push_back(slot->instance->stats());
    list.push_back(std::move(one));
  }
  return list;
}

std::vector<std::string> Supervisor::names() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> list;
  for (const auto& component : components_) list.push_back(component->plan.spec.component);
  return list;
}

bool Supervisor::starting() const {
  const std::lock_guard lock(mutex_);
  return starting_;
}

}  // namespace fmesh::local
