// Resources of the five kinds, changed in every field: left out, smallest, largest, put back. A changed resource is
// brought to a cluster in two ways, created fresh and as an update of what was there, and taken back; what the operator
// makes of it must be the same.
//
// Every field of the model's tables has its turn, none is drawn by chance: a failure is replayed by its name.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <vector>

#include "model/spec.h"
#include "sim/mutations.h"

namespace fmesh::sim {

// A resource that is admitted and rendered, with as many fields as go together.
struct MutatorBase {
  model::Kind kind = model::Kind::kFunction;
  std::string name;  // "Function python", "FunctionMesh sources", "Function with spec.windowConfig.maxLagMs"
  boost::json::value resource;
};

struct Mutation {
  const MutatorBase* base = nullptr;
  FieldPlace place;
  std::string what;             // "absent", "smallest", "zero", "largest"
  boost::json::value resource;  // the base with the field so
  std::string name() const;     // "Function java: spec.pod.labels smallest"
};

// Bases that together hold every field, as few as it takes.
const std::vector<MutatorBase>& mutator_bases(model::Kind kind);
// Each field's place with the first base that holds it; a field that no base holds comes with null.
struct PlacedField {
  FieldPlace place;
  const MutatorBase* base = nullptr;
};
std::vector<PlacedField> placed_fields(model::Kind kind);
std::vector<Mutation> mutations_of(model::Kind kind);

// What admission may not say: an error is refused; refused is told with its place; what is admitted can be rendered.
// Empty if all is well.
std::string check_wrong_values(const PlacedField& field);
std::string check_unknown_fields(const MutatorBase& base);

inline constexpr const char* kMutatorNamespace = "team";
// A resource named as the mutator does, with this spec.
boost::json::value new_resource(model::Kind kind, const std::string& spec);
// The Function that stands beside a BackendConfig, to be changed by it.
boost::json::value function_beside();
// Why no objects can be made of an admitted resource; empty: they can.
std::string problem_of_rendering(const boost::json::value& resource);

// How a mutation went on the simulated cluster.
enum class MutationResult {
  kRefused,    // by admission: the cluster is as it was
  kRolledOut,  // fresh equals chained, going back restores
  kBlocked,  // admitted, but the API server takes no such object, or none can be made: status says so, what ran runs on
};
struct MutationOutcome {
  MutationResult result = MutationResult::kRefused;
  std::string broken;  // the promise that does not hold, with what was written; empty: all hold
  std::string text;    // why it was refused or blocked
};
MutationOutcome run_mutation(const Mutation& mutation);

}  // namespace fmesh::sim
