// One look at one resource: a pass says the next step, is told how it ended, and goes on until there is nothing left to
// do. Every step is one request and is decided anew from the world as it is then known, so that a pass may end, or the
// process may die, after any of them. Steps that do not need each other's answers may be under way at the same time.
#pragma once

#include <boost/json/value.hpp>
#include <map>
#include <memory>
#include <optional>
#include <set>
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
    kWait,     // nothing more before a write that is under way is answered
    kCleanup,  // remove what the resource left in Pulsar, tell cleaned()
    kDone,
  };
  Kind kind = Kind::kDone;
  Write write{};
  // kWrite: another step may not need its answer; next() may be asked at once.
  bool independent = false;
  int64_t cleanup_limit_ms = 0;  // kCleanup: it may take so long
  // kDone: look again after this time at the latest; 0: when something changes.
  int64_t again_after_ms = 0;
  // kDone: it did not go through; the wait doubles with each time.
  bool failed = false;
};

class Pass {
 public:
  virtual ~Pass() = default;
  // Never writes an object that a write of this pass is under way to.
  Step next();
  // A pass that takes more steps goes round in a circle.
  virtual size_t steps_max() const { return kStepsMax; }
  // The answer is in the world already, if it changed something.
  void answered(const Write& write, const kube::Outcome& outcome);
  virtual void cleaned(const Status& outcome) = 0;
  // What happened since it was last asked.
  std::vector<Note> take_notes() { return std::exchange(notes_, {}); }

 protected:
  using ObjectName = std::pair<std::string, std::string>;  // kind, name

  virtual Step look() = 0;
  static ObjectName name_of(const Write& write) { return {std::string(write.type.kind), write.key.name}; }
  // The last step of a pass: `status` is written if that changes anything, then the pass is `done`.
  Step write_status(World& world, const kube::ResourceType& type, const kube::ObjectPtr& resource,
                    boost::json::value status, Step done);
  // How the pass ends once the status is written; `resource` is what the API server made of it.
  std::optional<Step> after_status(World& world, const kube::Object& resource);
  // The end of a pass, as far as refused writes decide it.
  Step end(int64_t again_after_ms) const;

  std::set<ObjectName> under_way_;
  std::vector<Note> notes_;
  std::map<ObjectName, std::string> refused_;  // what the API server said
  bool forbidden_ = false;

 private:
  bool status_refused_ = false, status_written_ = false;
  boost::json::value status_;  // that was written
  Step done_;                  // what follows it
};

// Null if there is no such resource any more.
std::unique_ptr<Pass> make_pass(World& world, const Settings& settings, const kube::WorkKey& key);

}  // namespace fmesh::op
