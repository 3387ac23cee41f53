// What a Function, Source or Sink leaves in Pulsar when it goes, by names, as far as it asks for its removal. Pure.
#pragma once

#include <string>
#include <vector>

#include "model/live.h"

namespace fmesh::op {

struct Leftovers {
  std::string subscription;
  std::vector<std::string> topics;       // full names of those it is subscribed to
  std::vector<std::string> patterns;     // of such topics
  std::vector<std::string> dead_topics;  // nobody else uses them
  std::vector<std::string> packages;     // "function://tenant/namespace/name@version"
};

// cleanupSubscription of a Function or Sink, batchSourceConfig of a Source, the annotation kCleanupPackage.
// REQUIRES: live.component.
bool asks_for_cleanup(const model::LiveResource& live);
Leftovers leftovers_of(const model::LiveResource& live);

}  // namespace fmesh::op
