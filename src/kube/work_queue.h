// Which objects need a look, each once however often it was added, and never handed out twice at a time. Failures wait
// longer and longer; a person's change goes before the ten thousand objects of a start.
//
// Sans-IO: it is told the time and says when to be asked again. Belongs to its loop.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "base/rng.h"

namespace fmesh::kube {

struct WorkKey {
  std::string kind, name_space, name;
  auto operator<=>(const WorkKey&) const = default;
};

enum class Urgency { kChange, kResync };  // kResync: at the start and on re-lists

struct BackoffOptions {
  int64_t first_ms = 250;
  int64_t max_ms = 60'000;
};

class WorkQueue {
 public:
  WorkQueue(Rng& rng, BackoffOptions backoff) : rng_(rng), backoff_(backoff) {}

  void add(const WorkKey& key, Urgency urgency);
  // Not before `at_ns` (monotonic); an earlier time wins.
  void add_at(const WorkKey& key, int64_t at_ns);
  // The next key that is due; it is running until done().
  std::optional<WorkKey> take(int64_t now_ns);
  // Ends the run of a key. What was added meanwhile is due again.
  void done(const WorkKey& key);
  // The run failed: due again after a delay that doubles with each failure, with jitter, but not before `at_least_ms`
  // (the server's Retry-After), whatever is added meanwhile. Before or after done(). Returns the delay in milliseconds.
  int64_t failed(const WorkKey& key, int64_t now_ns, int64_t at_least_ms);
  // Forgets its failures.
  void succeeded(const WorkKey& key);
  // When take() will have something (0: now); none: not before the next add() or done().
  std::optional<int64_t> next_at_ns() const;
  size_t waiting() const;
  size_t running() const { return running_.size(); }
  size_t failures(const WorkKey& key) const;

 private:
  void make_due(const WorkKey& key, Urgency urgency);

  Rng& rng_;
  BackoffOptions backoff_;
  std::map<WorkKey, std::pair<Urgency, uint64_t>> due_now_;  // urgency and order of arrival
  std::set<std::pair<std::pair<Urgency, uint64_t>, WorkKey>> order_;
  std::map<WorkKey, int64_t> later_;
  std::set<std::pair<int64_t, WorkKey>> by_time_;
  std::map<WorkKey, std::optional<Urgency>> running_;  // with what was added meanwhile
  std::map<WorkKey, int64_t> held_;                    // not before, whatever is added
  std::map<WorkKey, int> failures_;
  uint64_t arrivals_ = 0;
};

}  // namespace fmesh::kube
