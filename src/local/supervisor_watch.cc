// The part of the supervisor that watches: whether anything is left to do, and how many instances a component should
// have.
#include <algorithm>
#include <utility>

#include "local/supervisor.h"

namespace fmesh::local {
namespace {

using runtime::InstanceState;
using runtime::InstanceStats;

bool is_windowed(const plan::ComponentPlan& plan) {
  return plan.spec.details.user_config.contains("__WINDOWCONFIGS__");
}

}  // namespace

void Supervisor::look(std::function<void(Look)> done) {
  std::map<Loop*, Slots> by_loop;
  for (const auto& component : components_) {
    for (const auto& slot : component->slots) by_loop[slot->loop].push_back(slot);
  }
  if (by_loop.empty()) return done({});
  struct Gathered {
    std::mutex mutex;
    Look look;
  };
  auto gathered = std::make_shared<Gathered>();
  auto arrived =
      call_after(*environment_.control, by_loop.size(), [gathered, done = std::move(done)] { done(gathered->look); });
  for (auto& [loop, slots] : by_loop) {
    loop->post([gathered, arrived, slots = std::move(slots)] {
      Look look;
      for (const auto& slot : slots) {
        if (slot->instance == nullptr) continue;
        const InstanceStats stats = slot->instance->stats();
        const bool failed = stats.state == InstanceState::kFailed;
        if (failed) look.failed += "\n" + describe_instance(*slot->instance) + ": " + stats.last_error;
        look.idle = look.idle && (failed || stats.state == InstanceState::kFinished || slot->instance->idle());
        look.endless = look.endless || (slot->source && !failed && stats.state != InstanceState::kFinished);
        look.moved += stats.received_total + stats.processed_successfully_total + stats.written_total +
                      stats.user_exceptions_total + stats.system_exceptions_total + stats.restarts_total;
      }
      {
        const std::lock_guard lock(gathered->mutex);
        gathered->look.idle = gathered->look.idle && look.idle;
        gathered->look.endless = gathered->look.endless || look.endless;
        gathered->look.moved += look.moved;
        gathered->look.failed += look.failed;
      }
      arrived();
    });
  }
}

// Idle means: two looks in a row found everything idle and nothing moved between them. One look is not enough, as a
// record may pass from an instance looked at later to one looked at before. While a source may bring more, it means so
// for `quiet_ms`; where consumers know of their end from a broker, for kSettledMs.
void Supervisor::wait_idle(Look before, int64_t quiet_ms, int64_t pause_ms, std::function<void(Look)> done) {
  look([this, alive = alive_, before, quiet_ms, pause_ms, done = std::move(done)](Look now) mutable {
    if (!*alive) return;
    const int64_t now_ns = environment_.clock->monotonic_ns();
    now.unchanged_ns = now.same(before) ? before.unchanged_ns : now_ns;
    const bool waits = environment_.client != nullptr && environment_.client->opening_waits();
    const int64_t unchanged_ms_min = std::max(now.endless ? quiet_ms : 0, waits ? kSettledMs : 0);
    const bool quiet = now_ns - now.unchanged_ns >= unchanged_ms_min * 1'000'000;
    if (stopping_ || (now.idle && now.same(before) && quiet)) return done(now);
    const bool almost = now.idle && unchanged_ms_min == 0;
    const int64_t next_pause_ms = almost ? kDrainedLookMinMs : std::min(pause_ms * 2, kDrainedLookMaxMs);
    environment_.control->post_after(next_pause_ms,
                                     [this, alive, now, quiet_ms, next_pause_ms, done = std::move(done)]() mutable {
                                       if (*alive) wait_idle(now, quiet_ms, next_pause_ms, std::move(done));
                                     });
  });
}

// Ends the input of the components of `level` and of all levels behind it, one after another. Only a window holds
// anything back, so only levels with windows are waited for.
void Supervisor::end_levels(size_t level, std::function<void(Look)> done) {
  size_t last = 0;
  for (const auto& component : components_) last = std::max(last, component->level);
  bool windowed = false;
  for (; level <= last && !windowed; ++level) {
    for (const auto& component : components_) {
      if (component->level != level) continue;
      windowed = windowed || is_windowed(component->plan);
      for (const auto& slot : component->slots) {
        slot->loop->post([slot] {
          if (slot->instance) slot->instance->end_of_input();
        });
      }
    }
  }
  wait_idle(Look{.idle = false, .moved = 0, .failed = "", .endless = false, .unchanged_ns = 0}, 0, kDrainedLookMinMs,
            [this, level, last, done = std::move(done)](const Look& now) mutable {
              if (level > last || stopping_) return done(now);
              end_levels(level, std::move(done));
            });
}

void Supervisor::run_until_drained(std::function<void(Status)> done) {
  wait_idle(Look{.idle = false, .moved = 0, .failed = "", .endless = false, .unchanged_ns = 0}, kSourceQuietMs,
            kDrainedLookMinMs, [this, done = std::move(done)](const Look&) mutable {
              if (stopping_) return done({});
              end_levels(0, [done = std::move(done)](const Look& now) {
                if (now.failed.empty()) return done({});
                done(fail(ErrorKind::kFixInput, "not everything could run:" + now.failed));
              });
            });
}

void Supervisor::schedule_scaling() {
  const bool wanted = std::ranges::any_of(
      components_, [](const auto& component) { return component->plan.max_replicas > component->plan.min_replicas; });
  if (!wanted || scaling_scheduled_ || stopping_) return;
  scaling_scheduled_ = true;
  environment_.control->post_after(kScalingIntervalMs, [this, alive = alive_] {
    if (!*alive) return;
    scaling_scheduled_ = false;
    if (!stopping_) scaling_round();
    schedule_scaling();
  });
}

void Supervisor::scaling_round() {
  const int64_t now_ns = environment_.clock->monotonic_ns();
  for (const auto& component : components_) {
    const plan::ComponentPlan& plan = component->plan;
    if (plan.max_replicas <= plan.min_replicas || component->slots.empty()) continue;
    int64_t done_total = 0, backlog = 0;
    for (const auto& slot : component->slots) {
      const InstanceStats stats = slot->instance->stats();
      done_total += stats.processed_successfully_total;
      backlog = std::max(backlog, stats.backlog_records);  // each sees the backlog of the whole subscription
    }
    const double seconds = static_cast<double>(now_ns - component->looked_ns) / 1e9;
    const double done_per_s = static_cast<double>(std::max<int64_t>(0, done_total - component->done_total)) / seconds;
    const bool first = component->looked_ns == 0;
    component->done_total = done_total;
    component->looked_ns = now_ns;
    if (first) continue;
    const auto replicas = static_cast<int32_t>(component->slots.size());
    const ScalingDecision decision =
        decide({replicas, backlog, done_per_s}, {plan.min_replicas, plan.max_replicas}, component->scaling);
    component->scaling = decision.state;
    if (decision.replicas == replicas) continue;
    environment_.log({environment_.clock->wall_ms(), plan.spec.component, 0, "info",
                      "scaled from " + std::to_string(replicas) + " to " + std::to_string(decision.replicas) +
                          " instances: backlog " + std::to_string(backlog)});
    scale(plan.spec.component, decision.replicas, [](const Status&) {});
    component->looked_ns = 0;  // totals change with the instances
  }
}

}  // namespace fmesh::local
