#include "kube/store.h"

#include <utility>

namespace fmesh::kube {
namespace {

bool same(const ObjectPtr& left, const ObjectPtr& right) {
  if (left == right) return true;
  return left && right && left->uid() == right->uid() && left->resource_version() == right->resource_version();
}

}  // namespace

bool Store::lapsed(const Own& own) const {
  return clock_.monotonic_ns() - own.wrote_at_ns >= kOwnWriteMaxMs * 1'000'000;
}

const Store::Own* Store::own(const ObjectKey& key) const {
  const auto found = own_.find(key);
  return found == own_.end() || lapsed(found->second) ? nullptr : &found->second;
}

ObjectPtr Store::get(const ObjectKey& key) const {
  if (const Own* write = own(key)) return write->object;
  const auto found = told_.find(key);
  return found == told_.end() ? nullptr : found->second;
}

std::vector<ObjectPtr> Store::owned_by(const std::string& uid) const {
  std::vector<ObjectPtr> objects;
  const auto keys = owned_.find(uid);
  if (keys == owned_.end()) return objects;
  for (const ObjectKey& key : keys->second) {
    ObjectPtr object = get(key);
    if (object && object->owner_uid() == uid) objects.push_back(std::move(object));
  }
  return objects;
}

void Store::each(const std::function<bool(const ObjectPtr&)>& visit) const {
  auto told = told_.begin();
  auto written = own_.begin();
  while (told != told_.end() || written != own_.end()) {
    const bool from_own = written != own_.end() && (told == told_.end() || written->first <= told->first);
    const ObjectKey& key = from_own ? written->first : told->first;
    const ObjectPtr object = get(key);
    if (object && !visit(object)) return;
    if (from_own && told != told_.end() && told->first == written->first) ++told;
    if (from_own) {
      ++written;
    } else {
      ++told;
    }
  }
}

size_t Store::size() const {
  size_t count = told_.size();
  for (const auto& [key, write] : own_) {
    if (lapsed(write)) continue;
    const bool told = told_.contains(key);
    if (write.object && !told) ++count;
    if (!write.object && told) --count;
  }
  return count;
}

void Store::replace(std::vector<ObjectPtr> objects, std::optional<int64_t> asked_at_ns, const std::string& name_space) {
  const auto elsewhere = [&](const ObjectKey& key) { return !name_space.empty() && key.name_space != name_space; };
  std::map<ObjectKey, ObjectPtr> told;
  for (const auto& [key, object] : told_) {
    if (elsewhere(key)) told.emplace(key, object);
  }
  for (ObjectPtr& object : objects) {
    told_version(object->resource_version());
    ObjectKey key = object->key();
    told.insert_or_assign(std::move(key), std::move(object));
  }
  // What readers see now, of every key that may change.
  std::map<ObjectKey, ObjectPtr> before;
  for (const auto& [key, object] : told_) before.emplace(key, get(key));
  for (const auto& [key, object] : told) before.emplace(key, get(key));
  for (const auto& [key, write] : own_) before.emplace(key, write.object);

  std::erase_if(own_, [&](const auto& entry) {
    const auto& [key, write] = entry;
    if (elsewhere(key)) return false;
    const auto found = told.find(key);
    if (write.object && found != told.end() && same(write.object, found->second)) return true;
    if (!write.object && (found == told.end() || found->second->uid() != write.uid)) return true;
    return lapsed(write) || (asked_at_ns && *asked_at_ns > write.wrote_at_ns);
  });
  for (auto& [key, object] : told) {  // what did not change is kept, not held twice
    const auto old = told_.find(key);
    if (old != told_.end() && same(old->second, object)) object = old->second;
  }
  told_ = std::move(told);
  owned_.clear();
  for (const auto& [key, object] : told_) index(object);
  for (const auto& [key, write] : own_) index(write.object);
  listed_.insert(name_space);
  for (const auto& [key, object] : before) changed(key, object);
}

void Store::put(ObjectPtr object) {
  const ObjectKey key = object->key();
  const ObjectPtr before = get(key);
  const auto write = own_.find(key);
  if (write != own_.end()) {
    const Own& mine = write->second;
    const bool seen = mine.object ? same(mine.object, object) : object->uid() != mine.uid;
    if (seen || lapsed(mine)) {
      const ObjectPtr mine_object = mine.object;
      own_.erase(write);
      if (mine_object) unindex(key, mine_object);
    }
  }
  told_version(object->resource_version());
  const ObjectPtr old = std::exchange(told_[key], object);
  if (old) unindex(key, old);
  index(object);
  changed(key, before);
}

void Store::remove(const ObjectKey& key, const std::string& uid) {
  const ObjectPtr before = get(key);
  const auto write = own_.find(key);
  if (write != own_.end() && (write->second.uid == uid || lapsed(write->second))) {
    const ObjectPtr mine = write->second.object;
    own_.erase(write);
    if (mine) unindex(key, mine);
  }
  const auto told = told_.find(key);
  if (told != told_.end() && told->second->uid() == uid) {
    const ObjectPtr old = told->second;
    told_.erase(told);
    unindex(key, old);
  }
  changed(key, before);
}

void Store::overlay(const ObjectKey& key, Own write) {
  const ObjectPtr before = get(key);
  const ObjectPtr after = write.object;
  const ObjectPtr old = std::exchange(own_[key], std::move(write)).object;
  if (old) unindex(key, old);
  index(after);
  changed(key, before);
}

void Store::wrote(ObjectPtr object) {
  if (told_versions_.contains(object->resource_version())) return;  // the watch was faster, and may be further by now
  const ObjectKey key = object->key();
  const auto told = told_.find(key);
  if (told != told_.end() && same(told->second, object)) return;  // nothing changed
  const std::string uid = object->uid();
  overlay(key, Own{std::move(object), uid, clock_.monotonic_ns()});
}

void Store::wrote_removal(const ObjectKey& key, const std::string& uid) {
  const ObjectPtr now = get(key);
  if (!now || now->uid() != uid) return;  // the watch was faster
  overlay(key, Own{nullptr, uid, clock_.monotonic_ns()});
}

void Store::expire() {
  std::vector<std::pair<ObjectKey, ObjectPtr>> over;
  for (const auto& [key, write] : own_) {
    if (lapsed(write)) over.emplace_back(key, write.object);
  }
  for (const auto& [key, object] : over) {
    own_.erase(key);
    if (object) unindex(key, object);
  }
  for (const auto& [key, object] : over) changed(key, object);
}

void Store::told_version(const std::string& version) {
  if (version.empty() || !told_versions_.insert(version).second) return;
  versions_.push_back(version);
  if (versions_.size() > kToldVersionsMax) {
    told_versions_.erase(versions_.front());
    versions_.pop_front();
  }
}

void Store::changed(const ObjectKey& key, const ObjectPtr& before) {
  if (!on_change_) return;
  const ObjectPtr after = get(key);
  if (!same(before, after)) on_change_(before, after);
}

void Store::index(const ObjectPtr& object) {
  if (object && !object->owner_uid().empty()) owned_[object->owner_uid()].insert(object->key());
}

// Called after `object` was let go of; what still stands for the key keeps its place.
void Store::unindex(const ObjectKey& key, const ObjectPtr& object) {
  const std::string& owner = object->owner_uid();
  if (owner.empty()) return;
  const auto told = told_.find(key);
  if (told != told_.end() && told->second && told->second->owner_uid() == owner) return;
  const auto write = own_.find(key);
  if (write != own_.end() && write->second.object && write->second.object->owner_uid() == owner) return;
  const auto keys = owned_.find(owner);
  if (keys == owned_.end()) return;
  keys->second.erase(key);
  if (keys->second.empty()) owned_.erase(keys);
}

}  // namespace fmesh::kube
