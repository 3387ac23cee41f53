// What a changed file touches: the difference between the plan that runs and the plan of the files as they are now.
// Pure; the supervisor drains, replaces and adds what is named here and leaves everything else alone.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "plan/local_plan.h"

namespace fmesh::local {

struct PlanDiff {
  std::vector<size_t> added;         // indexes into the new plan
  std::vector<size_t> replaced;      // indexes into the new plan; one of that name runs with another spec
  std::vector<size_t> resized;       // indexes into the new plan; the same spec, other replicas or limits
  std::vector<std::string> removed;  // names that are gone
  bool empty() const { return added.empty() && replaced.empty() && resized.empty() && removed.empty(); }
  // "2 replaced (a, b), 1 added (c)"; "nothing changed".
  std::string summary(const plan::LocalPlan& next) const;
};

PlanDiff diff_plans(const plan::LocalPlan& now, const plan::LocalPlan& next);

// For each component its distance from the sources, in the direction of the records: 0 for those that read no stream of
// the mesh, and for members of a cycle that of the whole cycle. Ending input level by level closes windows in graph
// order.
std::vector<size_t> graph_levels(const plan::LocalPlan& plan);

}  // namespace fmesh::local
