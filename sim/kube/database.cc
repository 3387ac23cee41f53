#include "sim/kube/database.h"

#include <boost/json.hpp>
#include <utility>

namespace fmesh::sim {
namespace json = boost::json;

JsonPtr Snapshot::get(const KindInfo& kind, const kube::ObjectKey& key) const {
  const ObjectMap& objects = of(kind);
  const auto found = objects.find(key);
  return found == objects.end() ? nullptr : found->second;
}

const ObjectMap& Snapshot::of(const KindInfo& kind) const {
  static const ObjectMap kNone;
  const auto found = objects_.find(&kind);
  return found == objects_.end() ? kNone : found->second;
}

void Snapshot::apply(const Commit& commit) {
  if (commit.after) {
    objects_[commit.kind][commit.key] = commit.after;
  } else {
    objects_[commit.kind].erase(commit.key);
  }
}

void Snapshot::undo(const Commit& commit) {
  if (commit.before) {
    objects_[commit.kind][commit.key] = commit.before;
  } else {
    objects_[commit.kind].erase(commit.key);
  }
}

Snapshot Database::at(int64_t revision) const {
  Snapshot snapshot = now_;
  for (auto commit = log_.rbegin(); commit != log_.rend() && commit->revision > revision; ++commit)
    snapshot.undo(*commit);
  return snapshot;
}

void Database::commit(const KindInfo& kind, const kube::ObjectKey& key, JsonPtr before, JsonPtr after) {
  log_.push_back({revision_, &kind, key, std::move(before), std::move(after)});
  now_.apply(log_.back());
}

JsonPtr Database::put(const KindInfo& kind, const kube::ObjectKey& key, json::value after) {
  ++revision_;
  after.as_object()["metadata"].as_object()["resourceVersion"] = std::to_string(revision_);
  const JsonPtr stored = std::make_shared<const json::value>(std::move(after));
  commit(kind, key, now_.get(kind, key), stored);
  return stored;
}

JsonPtr Database::remove(const KindInfo& kind, const kube::ObjectKey& key) {
  const JsonPtr before = now_.get(kind, key);
  ++revision_;
  json::value last = *before;
  last.as_object()["metadata"].as_object()["resourceVersion"] = std::to_string(revision_);
  commit(kind, key, before, nullptr);
  return std::make_shared<const json::value>(std::move(last));
}

}  // namespace fmesh::sim
