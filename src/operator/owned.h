// One object that a resource owns, and what to do about it: make it, bring it to what is wanted, make it anew, remove
// it, or leave it alone and say why. The same rules for StatefulSets, Services, autoscalers and the children of a mesh.
//
// Pure: decides from the world as it is known, one request at a time, so that a stop between any two requests leaves
// nothing that the next look would not continue.
#pragma once

#include <boost/json/value.hpp>
#include <memory>
#include <optional>
#include <string>

#include "kube/requests.h"
#include "operator/world.h"
#include "plan/cluster/cluster_plan.h"

namespace fmesh::op {

enum class WriteVerb { kCreate, kUpdate, kDelete, kStatus, kFinalizer };

struct Write {
  WriteVerb verb = WriteVerb::kCreate;
  kube::ResourceType type{};
  kube::ObjectKey key{};
  kube::Request request{};
  std::string uid{};   // of the object that is written; empty: it does not exist yet
  std::string reason;  // of the Event about it, CamelCase; empty: none
  std::string text;    // "StatefulSet a-function created"
};

// What is wanted of one object.
struct Wanted {
  const kube::ResourceType* type = nullptr;
  kube::ObjectKey key;
  std::shared_ptr<const boost::json::object> object;  // null: there should be none
};

struct Circumstances {
  plan::Owner owner{};
  // What exists keeps its form; only what is missing is made, and what is too much goes (pause-rollout).
  bool hold = false;
  // A StatefulSet without our mark keeps its form, but for its replicas.
  bool adopt = false;
};

struct Deed {
  enum class Kind {
    kNothing,  // it is as it should be
    kWrite,    // do `write`
    kHeld,     // it differs, and stays so for now: `difference`
    kWait,     // something else has to happen first: `text`
    kBlocked,  // a person has to act: `text`
  };
  Kind kind = Kind::kNothing;
  Write write{};
  std::string text{};
  std::optional<boost::json::value> difference{};
};

// What World::settled keeps of an object: what was wanted, and what the API server made of it.
std::string settled_state(const boost::json::object& live, const boost::json::object& wanted);

Deed decide(const World& world, const Wanted& wanted, const Circumstances& circumstances);

}  // namespace fmesh::op
