// What is known of one kind of object: the last state the watch told, and over it what we wrote ourselves and have not
// seen come back yet, so that a controller reads its own writes.
//
// A list replaces the whole at once: readers never see half of it. Objects are immutable. Belongs to its loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "kube/object.h"

namespace fmesh::kube {

// How long a write of ours may stay unseen before the watch is believed again. Far above any honest delay.
inline constexpr int64_t kOwnWriteMaxMs = 30'000;

class Store {
 public:
  // One object changed: `before` and `after` as readers saw and see it; null: was or is not there.
  using OnChange = std::function<void(const ObjectPtr& before, const ObjectPtr& after)>;

  explicit Store(const Clock& clock) : clock_(clock) {}
  void on_change(OnChange callback) { on_change_ = std::move(callback); }

  // --- readers ---
  ObjectPtr get(const ObjectKey& key) const;
  // By the uid of the controlling owner, in the order of keys.
  std::vector<ObjectPtr> owned_by(const std::string& uid) const;
  // In the order of keys. Stops early if `visit` returns false.
  void each(const std::function<bool(const ObjectPtr&)>& visit) const;
  size_t size() const;
  bool synced() const { return synced_; }  // a list was taken in whole

  // --- the watch ---
  void replace(std::vector<ObjectPtr> objects);
  void put(ObjectPtr object);
  void remove(const ObjectKey& key, const std::string& uid);

  // --- our own writes ---
  // The answer to a create or update of ours; readers see it until the watch tells the same version, or is later proved
  // to be ahead (deleted, listed anew, kOwnWriteMaxMs).
  void wrote(ObjectPtr object);
  // The answer to a delete of ours that removed the object at once.
  void wrote_removal(const ObjectKey& key, const std::string& uid);

 private:
  struct Own {
    ObjectPtr object;  // null: removed
    std::string uid;
    int64_t until_ns = 0;
  };
  const Own* own(const ObjectKey& key) const;
  void changed(const ObjectKey& key, const ObjectPtr& before);
  void index(const ObjectPtr& object, bool add);

  const Clock& clock_;
  OnChange on_change_;
  bool synced_ = false;
  std::map<ObjectKey, ObjectPtr> told_;
  std::map<ObjectKey, Own> own_;
  std::unordered_map<std::string, std::set<ObjectKey>> owned_;
};

}  // namespace fmesh::kube
