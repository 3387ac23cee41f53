// What the API server does with one request against its database: create, read, update, patch, delete, with resource
// versions, uids, generations, subresources, finalizers and preconditions as Kubernetes has them. Answers at once and
// never fails by itself; time, lag and faults are ApiServer's.
//
// Belongs to the simulator's one thread.
#pragma once

#include <boost/json/value.hpp>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/rng.h"
#include "kube/api.h"
#include "sim/kube/database.h"
#include "sim/kube/kinds.h"
#include "sim/kube/validate.h"

namespace fmesh::sim {

// One request that may write, for oracles that count.
struct WriteRecord {
  int64_t at_ms = 0;  // since the clock began
  std::string actor;  // "client", "user", "gc", ...
  std::string verb;   // create, update, patch, apply, delete
  kube::ResourceType type;
  kube::ObjectKey key;
  std::string subresource;
  int code = 0;
  bool changed = false;  // something was stored
};
std::string to_string(const WriteRecord& record);

kube::Response answer(int code, const boost::json::value& body);
kube::Response refuse(int code, std::string_view reason, std::string_view message,
                      const boost::json::value& details = {});

// Asked before an object of a CRD is stored: completes it, or says what is wrong with it. `before` is null for one that
// is created.
using Admission = std::function<std::vector<Cause>(const boost::json::value& before, boost::json::value& object)>;

class Registry {
 public:
  // `track_owners`: updates are noted in managedFields too, so that apply finds conflicts with them.
  Registry(Database& database, Rng& rng, const Clock& clock, bool track_owners)
      : database_(database), rng_(rng), clock_(clock), track_owners_(track_owners) {}

  // Every verb on one object, and POST on a collection.
  kube::Response carry_out(const kube::Request& request, const Target& target, const std::string& actor);
  const std::vector<WriteRecord>& writes() const { return writes_; }
  void set_admission(Admission admission) { admission_ = std::move(admission); }
  // Creating in it is refused from now on.
  void terminate_namespace(const std::string& name) { terminating_.insert(name); }

 private:
  struct Outcome {
    kube::Response response;
    bool changed = false;
  };
  Outcome get(const Target& target) const;
  Outcome create(const Target& target, boost::json::value object, bool by_apply = false);
  Outcome update(const Target& target, boost::json::value object);
  Outcome patch(const Target& target, const kube::Request& request);
  Outcome apply(const Target& target, const boost::json::value& object);
  Outcome remove(const Target& target, const boost::json::value& options);
  Outcome update_scale(const Target& target, const JsonPtr& before, const boost::json::value& scale);
  // The end of every update: `after` is what the client wants the object to be. No manager: the owners of fields are
  // in `after` already.
  // `through`: the subresource that its owners are noted under, if not the target's.
  Outcome store(const Target& target, const JsonPtr& before, boost::json::value after, const std::string& manager,
                const std::string& through = {});
  std::string uuid();

  Database& database_;
  Rng& rng_;
  const Clock& clock_;
  bool track_owners_;
  Admission admission_;
  std::vector<WriteRecord> writes_;
  std::set<std::string> terminating_;
};

}  // namespace fmesh::sim
