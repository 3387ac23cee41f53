// From files to a plan for this machine, with every finding as text. Used at the start and again whenever a file
// changes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "plan/local_plan.h"

namespace fmesh::local {

struct LoadOptions {
  std::vector<std::string> files;
  std::vector<std::string> only;            // components to keep; empty: all
  std::map<std::string, int32_t> replicas;  // must name components
  int32_t partitions = 0;                   // of streams that are made
  bool stock_python = false;                // see plan::LocalPlanOptions
};

struct Loaded {
  plan::LocalPlan plan;
  std::string name;      // of the mesh, or of the first component
  std::string findings;  // warnings, rendered for a terminal; empty: none
};

// Errors: kFixInput; the text is all findings as a terminal shows them.
Result<Loaded> load(const LoadOptions& options);

}  // namespace fmesh::local
