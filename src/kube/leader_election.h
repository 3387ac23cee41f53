// Which of several replicas writes: the one that holds a Lease, in the form and by the rules of client-go's leader
// election, so that ours and upstream's operators exclude each other.
//
// Others take a lease over when they have not seen it change for its whole duration, by their own clocks; times in the
// Lease are for people. So the holder counts, on its monotonic clock, from the moment it *sent* its last successful
// renewal, and stops at renew_deadline_ms, well before the duration: nobody can have taken over by then. A lease is no
// fence for what it has in flight: writes to the API server carry resourceVersions, others must be idempotent.
//
// Belongs to its loop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/loop.h"
#include "base/rng.h"
#include "kube/api.h"
#include "kube/object.h"

namespace fmesh::kube {

struct LeaderElectionOptions {
  ObjectKey lease;
  std::string identity;  // of this process, no other's: "<host>_<random>"
  // client-go's own. REQUIRES: retry_ms < renew_deadline_ms < lease_duration_ms.
  int64_t lease_duration_ms = 15'000;
  int64_t renew_deadline_ms = 10'000;
  int64_t retry_ms = 2'000;
};

class LeaderElector {
 public:
  // Begins to ask for the lease. `on_change` is told true when it is ours, false when it is not any more; never from
  // within start() or release(). May destroy the elector.
  static std::unique_ptr<LeaderElector> start(Api& api, Loop& loop, Rng& rng, LeaderElectionOptions options,
                                              std::function<void(bool leading)> on_change);
  virtual ~LeaderElector() = default;  // stops asking; the lease runs out by itself
  // Asked before each write. Looks at the clock, so it is right even if the loop is late.
  virtual bool may_write() const = 0;
  // Ends leading and gives the lease back, so that the next one need not wait. `done` runs once, later, also if that
  // fails or there is nothing to give back. Nothing is asked for any more.
  virtual void release(std::function<void()> done) = 0;
  virtual const std::string& holder() const = 0;   // as last seen; empty: nobody
  virtual const std::string& trouble() const = 0;  // why the last request failed; empty if it did not
};

}  // namespace fmesh::kube
