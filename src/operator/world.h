// What the operator knows of the cluster: one store per kind that it reads or writes. Passes read it, watches and our
// own writes fill it.
//
// Belongs to the operator's loop.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "kube/store.h"

namespace fmesh::op {

class World {
 public:
  explicit World(const Clock& clock);

  kube::Store functions, sources, sinks, meshes, backend_configs;
  kube::Store stateful_sets, services, horizontal_autoscalers, vertical_autoscalers, jobs;

  // REQUIRES: a kind of the list above.
  kube::Store& of(const kube::ResourceType& type);
  const kube::Store& of(const kube::ResourceType& type) const { return const_cast<World*>(this)->of(type); }
  // Of the kinds that are `expected`.
  static const std::vector<kube::ResourceType>& kinds();

  // Our own writes that no watch told yet.
  size_t unseen() const;

  // Objects that the API server keeps changing back after our write (another admission controller): the fingerprint of
  // what it made of it, by uid. They are left alone until they change again.
  std::map<std::string, std::string> settled;
  // When a resource with a cleanup to do was first seen being deleted, by uid.
  std::map<std::string, int64_t> deleting_since_ns;
  int64_t now_ns() const { return clock_.monotonic_ns(); }

 private:
  const Clock& clock_;
};

// The type of a resource kind ("Function", "Source", "Sink", "FunctionMesh"); null for others.
const kube::ResourceType* type_of_kind(std::string_view kind);

}  // namespace fmesh::op
