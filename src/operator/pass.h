// One look at one resource: a pass says the next step, is told how it ended, and goes on until there is nothing left to
// do. Every step is one request and is decided anew from the world as it is then known, so that a pass may end, or the
// process may die, after any of them.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kube/requests.h"
#include "kube/work_queue.h"
#include "operator/owned.h"
#include "operator/settings.h"
#include "operator/world.h"

namespace fmesh::op {

// An Event for people, about the resource of the pass.
struct Note {
  bool warning = false;
  std::string reason;  // CamelCase
  std::string text;
};

struct Step {
  enum class Kind {
    kWrite,    // do `write`, tell answered()
    kCleanup,  // remove what the resource left in Pulsar, tell cleaned()
    kDone,
  };
  Kind kind = Kind::kDone;
  Write write{};
  int64_t cleanup_limit_ms = 0;  // kCleanup: it may take so long
  // kDone: look again after this time at the latest; 0: when something changes.
  int64_t again_after_ms = 0;
  // kDone: it did not go through; the wait doubles with each time.
  bool failed = false;
};

class Pass {
 public:
  virtual ~Pass() = default;
  virtual Step next() = 0;
  // The answer is in the world already, if it changed something.
  void answered(const Write& write, const kube::Outcome& outcome);
  virtual void cleaned(const Status& outcome) = 0;
  // What happened since it was last asked.
  std::vector<Note> take_notes() { return std::exchange(notes_, {}); }

 protected:
  using ObjectName = std::pair<std::string, std::string>;  // kind, name

  std::vector<Note> notes_;
  std::map<ObjectName, std::string> refused_;  // what the API server said
  bool forbidden_ = false, status_refused_ = false, status_written_ = false;
};

// Null if there is no such resource any more.
std::unique_ptr<Pass> make_pass(World& world, const Settings& settings, const kube::WorkKey& key);

}  // namespace fmesh::op
