// What is known of one kind of object: the last state the watch told, and over it what we wrote ourselves and have not
// seen come back yet, so that a controller reads its own writes.
//
// A list replaces the whole at once: readers never see half of it. Objects are immutable. Belongs to its loop.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/clock.h"
#include "kube/object.h"

namespace fmesh::kube {

// How long a write of ours may stay unseen before the watch is believed again. Far above any honest delay.
inline constexpr int64_t kOwnWriteMaxMs = 30'000;
// The watch may be faster than the answer to our write: so many of the versions it told last are remembered.
inline constexpr size_t kToldVersionsMax = 1024;

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
  // Our own writes that the watch did not tell yet.
  size_t unseen() const { return own_.size(); }
  // Every list that is expected (one, unless told otherwise) was taken in whole.
  bool synced() const { return listed_.size() >= lists_expected_; }
  void expect_lists(size_t count) { lists_expected_ = count; }

  // --- the watch ---
  // `asked_at_ns`: when a list of the newest state was asked for (monotonic), so that own writes answered before it are
  // in it or gone; none: the list may be older than what we wrote.
  // `name_space`: the list was of this namespace only, and the others stay; empty: of all.
  void replace(std::vector<ObjectPtr> objects, std::optional<int64_t> asked_at_ns = std::nullopt,
               const std::string& name_space = {});
  void put(ObjectPtr object);
  void remove(const ObjectKey& key, const std::string& uid);

  // --- our own writes ---
  // The answer to a create or update of ours; readers see it until the watch tells the same version, or is later proved
  // to be ahead (deleted, listed anew, kOwnWriteMaxMs).
  void wrote(ObjectPtr object);
  // The answer to a delete of ours that removed the object at once.
  void wrote_removal(const ObjectKey& key, const std::string& uid);
  // Lets go of what is unseen for kOwnWriteMaxMs, and reports it; readers do not see it any more as it is. For a timer.
  void expire();

 private:
  struct Own {
    ObjectPtr object;  // null: removed
    std::string uid;
    int64_t wrote_at_ns = 0;
  };
  const Own* own(const ObjectKey& key) const;  // null if there is none that counts
  bool lapsed(const Own& own) const;
  void overlay(const ObjectKey& key, Own own);
  void told_version(const std::string& version);
  void changed(const ObjectKey& key, const ObjectPtr& before);
  void index(const ObjectPtr& object);
  void unindex(const ObjectKey& key, const ObjectPtr& object);

  const Clock& clock_;
  OnChange on_change_;
  size_t lists_expected_ = 1;
  std::set<std::string> listed_;  // by namespace
  std::map<ObjectKey, ObjectPtr> told_;
  std::map<ObjectKey, Own> own_;
  std::unordered_map<std::string, std::set<ObjectKey>> owned_;  // told or own; readers look again
  std::deque<std::string> versions_;                            // told last, oldest first
  std::unordered_set<std::string> told_versions_;
};

}  // namespace fmesh::kube
