#include "kube/work_queue.h"

#include <algorithm>
#include <utility>

namespace fmesh::kube {

void WorkQueue::make_due(const WorkKey& key, Urgency urgency) {
  const auto later = later_.find(key);
  if (later != later_.end()) {
    by_time_.erase({later->second, key});
    later_.erase(later);
  }
  const auto [entry, added] = due_now_.try_emplace(key, urgency, arrivals_);
  if (added) {
    order_.insert({entry->second, key});
    ++arrivals_;
  } else if (urgency < entry->second.first) {
    order_.erase({entry->second, key});
    entry->second.first = urgency;
    order_.insert({entry->second, key});
  }
}

void WorkQueue::add(const WorkKey& key, Urgency urgency) {
  const auto run = running_.find(key);
  if (run != running_.end()) {
    run->second = std::min(run->second.value_or(urgency), urgency);
    return;
  }
  const auto held = held_.find(key);
  if (held != held_.end()) {
    add_at(key, held->second);
    return;
  }
  make_due(key, urgency);
}

void WorkQueue::add_at(const WorkKey& key, int64_t at_ns) {
  if (due_now_.contains(key)) return;
  const auto held = held_.find(key);
  if (held != held_.end()) at_ns = std::max(at_ns, held->second);
  const auto [entry, added] = later_.try_emplace(key, at_ns);
  if (!added) {
    if (entry->second <= at_ns) return;
    by_time_.erase({entry->second, key});
    entry->second = at_ns;
  }
  by_time_.insert({at_ns, key});
}

std::optional<WorkKey> WorkQueue::take(int64_t now_ns) {
  while (!by_time_.empty() && by_time_.begin()->first <= now_ns) {
    const WorkKey key = by_time_.begin()->second;
    by_time_.erase(by_time_.begin());
    later_.erase(key);
    held_.erase(key);
    add(key, Urgency::kChange);
  }
  if (order_.empty()) return std::nullopt;
  const WorkKey key = order_.begin()->second;
  order_.erase(order_.begin());
  due_now_.erase(key);
  held_.erase(key);
  running_.emplace(key, std::nullopt);
  return key;
}

void WorkQueue::done(const WorkKey& key) {
  const auto run = running_.find(key);
  if (run == running_.end()) return;
  const std::optional<Urgency> meanwhile = run->second;
  running_.erase(run);
  if (meanwhile) add(key, *meanwhile);
}

int64_t WorkQueue::failed(const WorkKey& key, int64_t now_ns, int64_t at_least_ms) {
  int& count = failures_[key];
  int64_t delay_ms = backoff_.first_ms;
  for (int i = 0; i < count && delay_ms < backoff_.max_ms; ++i) delay_ms *= 2;
  delay_ms = std::min(delay_ms, backoff_.max_ms);
  ++count;
  // Half of it at random, so that what failed together does not come back together.
  delay_ms -= static_cast<int64_t>(rng_.below(static_cast<uint64_t>(delay_ms / 2 + 1)));
  if (at_least_ms > 0) {
    const auto spread_ms = static_cast<int64_t>(rng_.below(static_cast<uint64_t>(at_least_ms / 4 + 1)));
    delay_ms = std::max(delay_ms, at_least_ms + spread_ms);
    held_[key] = now_ns + at_least_ms * 1'000'000;
  }
  add_at(key, now_ns + delay_ms * 1'000'000);
  return delay_ms;
}

void WorkQueue::succeeded(const WorkKey& key) { failures_.erase(key); }

std::optional<int64_t> WorkQueue::next_at_ns() const {
  if (!order_.empty()) return 0;
  for (const auto& [at_ns, key] : by_time_) {
    if (!running_.contains(key)) return at_ns;  // done() brings the others back
  }
  return std::nullopt;
}

size_t WorkQueue::waiting() const { return due_now_.size() + later_.size(); }

size_t WorkQueue::failures(const WorkKey& key) const {
  const auto found = failures_.find(key);
  return found == failures_.end() ? 0 : static_cast<size_t>(found->second);
}

}  // namespace fmesh::kube
