// The simulated etcd: all objects at the newest revision, and every commit that led there, so that any older revision
// can be shown again. Revisions count over all kinds. Belongs to the simulator's one thread.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "kube/object.h"
#include "sim/kube/kinds.h"

namespace fmesh::sim {

using JsonPtr = std::shared_ptr<const boost::json::value>;
using ObjectMap = std::map<kube::ObjectKey, JsonPtr>;

struct Commit {
  int64_t revision = 0;
  const KindInfo* kind = nullptr;
  kube::ObjectKey key;
  JsonPtr before, after;  // null: was, or is not there
};

// What a reader sees: the newest, or an older one.
class Snapshot {
 public:
  JsonPtr get(const KindInfo& kind, const kube::ObjectKey& key) const;
  const ObjectMap& of(const KindInfo& kind) const;
  void apply(const Commit& commit);
  void undo(const Commit& commit);

 private:
  std::map<const KindInfo*, ObjectMap> objects_;
};

class Database {
 public:
  static constexpr int64_t kFirstRevision = 1000;

  int64_t revision() const { return revision_; }
  const Snapshot& now() const { return now_; }
  // The state after `revision`. REQUIRES: revision <= revision().
  Snapshot at(int64_t revision) const;
  // In order; the one at index i has the revision kFirstRevision + i + 1.
  const std::vector<Commit>& log() const { return log_; }
  // Puts `after` in place, with the next revision as its resourceVersion. Returns what is stored.
  JsonPtr put(const KindInfo& kind, const kube::ObjectKey& key, boost::json::value after);
  // Returns the object's last state, with the revision of the removal.
  JsonPtr remove(const KindInfo& kind, const kube::ObjectKey& key);

 private:
  void commit(const KindInfo& kind, const kube::ObjectKey& key, JsonPtr before, JsonPtr after);

  int64_t revision_ = kFirstRevision;
  Snapshot now_;
  std::vector<Commit> log_;
};

}  // namespace fmesh::sim
