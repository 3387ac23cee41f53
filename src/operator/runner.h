// Carries passes out: takes keys from the work queue, sends what the passes ask for, puts the answers into the world,
// and wakes keys when the world changes. At most Settings::passes_max resources are looked after at a time, each by one
// pass, and no more writes than that are under way. A pass with independent steps has several of them, at most half of
// all, so that a large mesh does not keep others waiting.
//
// Belongs to its loop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>

#include "base/loop.h"
#include "base/rng.h"
#include "kube/api.h"
#include "operator/pass.h"

namespace fmesh::op {

// Removes what a deleted resource left in Pulsar.
class Cleaner {
 public:
  virtual ~Cleaner() = default;
  // `resource` is the Function, Source or Sink. `done` runs once, later, at the latest after `limit_ms`. Errors: what
  // is left, and why.
  virtual void clean(const kube::ObjectPtr& resource, int64_t limit_ms, std::function<void(Status)> done) = 0;
};

// What people hear of it.
class Notes {
 public:
  virtual ~Notes() = default;
  virtual void note(const kube::ResourceType& type, const kube::ObjectPtr& resource, const Note& note) = 0;
};

struct RunnerCounts {
  uint64_t passes = 0, writes = 0, failures = 0;
};

class Runner {
 public:
  Runner(Loop& loop, kube::Api& api, World& world, const Settings& settings, Rng& rng, Cleaner& cleaner, Notes& notes);
  ~Runner();

  // From now on passes run; before, keys only gather. False stops new writes at once; passes in flight end with their
  // current request.
  void set_active(bool active);
  // Asked before each step; while it says no, nothing is written. Null: always.
  void only_if(std::function<bool()> may_write) { may_write_ = std::move(may_write); }
  // Every resource in the world is due.
  void resync();
  // Called after each pass with its kind, namespace, name and duration in milliseconds.
  void on_pass(std::function<void(const kube::WorkKey&, double, bool failed)> callback) {
    on_pass_ = std::move(callback);
  }
  const RunnerCounts& counts() const { return counts_; }
  size_t waiting() const { return queue_.waiting(); }
  size_t in_flight() const { return running_.size(); }
  // Of these, without those that wait for Pulsar, which may be broken off at any time.
  size_t looking() const { return running_.size() - cleaning_; }

 private:
  struct Running {
    std::unique_ptr<Pass> pass;
    size_t steps = 0;
    size_t under_way = 0;  // writes without an answer yet
    int64_t since_ns = 0;
    kube::ObjectPtr resource;  // as it was last; it may go before its notes are told
    // How it ends, once nothing is under way.
    std::optional<Step> end{};
    int64_t at_least_ms = 0;
  };

  void watch_world();
  void changed(const kube::ResourceType& type, const kube::ObjectPtr& before, const kube::ObjectPtr& after);
  void add(const kube::WorkKey& key);
  void owner_changed(const kube::ObjectPtr& object);
  void backend_config_changed(const kube::ObjectPtr& config);
  void wake();
  void pump();
  bool may_begin() const { return looking() < settings_.passes_max && may_write_more(); }
  bool may_write_more() const { return under_way_ < settings_.passes_max && world_.unseen() < kUnseenWritesMax; }
  void advance(const kube::WorkKey& key);
  void write(const kube::WorkKey& key, Write write);
  void answered(const kube::WorkKey& key, const Write& write, const kube::Outcome& outcome);
  // The write is no longer under way.
  void tell(const kube::WorkKey& key, const Write& write, const kube::Outcome& outcome);
  // Nothing more is written by this pass.
  void end(const kube::WorkKey& key, const Step& step, int64_t at_least_ms);
  // Something has the name already that the watch does not tell: asks what it is.
  void look_at_existing(const kube::WorkKey& key, const Write& write, const kube::Outcome& refusal);
  void take_answer(const Write& write, const Result<kube::Response>& answer, const kube::Outcome& outcome);
  void clean(const kube::WorkKey& key, int64_t limit_ms);
  void finish(const kube::WorkKey& key, const Step& step, int64_t at_least_ms);
  void speak(const kube::WorkKey& key, Running& running);

  Loop& loop_;
  kube::Api& api_;
  World& world_;
  const Settings& settings_;
  Cleaner& cleaner_;
  Notes& notes_;
  kube::WorkQueue queue_;
  std::map<kube::WorkKey, Running> running_;
  const kube::WorkKey* answering_ = nullptr;  // whose write's answer is being taken in
  bool active_ = false;
  bool pump_posted_ = false;
  std::optional<uint64_t> timer_;
  size_t under_way_ = 0;  // writes of all passes
  size_t cleaning_ = 0;   // of those that run; they wait for Pulsar and keep nobody else waiting
  RunnerCounts counts_;
  std::function<void(const kube::WorkKey&, double, bool)> on_pass_;
  std::function<bool()> may_write_;
  // Callbacks that come after the runner is gone find it so.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace fmesh::op
