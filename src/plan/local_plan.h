// What must exist on one machine for a set of resources: streams, and components with the instance spec that each of
// their instances is started with. Pure values, made from resources without IO and without a clock; `local` carries
// them out.
//
// A plan is compared with the next one to find what a changed file touches: equal ComponentPlans need no restart, and
// those that differ only in replicas (same_instances()) need instances added or taken away, nothing else.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/instance_spec.h"
#include "model/resource_set.h"
#include "plan/graph.h"

namespace fmesh::plan {

// A stream that some component reads or writes.
struct StreamPlan {
  std::string topic;       // full name: persistent://public/default/orders
  int32_t partitions = 0;  // 0: not partitioned
  bool operator==(const StreamPlan&) const = default;
};

struct ComponentPlan {
  // The template of every instance: whoever starts one sets instance_id, and instance_count if it is not `replicas`.
  model::InstanceSpec spec;
  std::string mesh;  // the FunctionMesh it belongs to; empty for a Function, Source or Sink of its own
  int32_t replicas = 1;
  int32_t min_replicas = 1;
  int32_t max_replicas = 1;          // above min_replicas: scaled by backlog between the two
  std::vector<std::string> inputs;   // full names of streams it reads; patterns are in input_pattern
  std::string input_pattern;         // regular expression over full names; empty: none
  std::vector<std::string> outputs;  // full names it writes: output, dead letters, late data, log
  Place place;                       // where a person wrote it, for errors

  // True if the instances of both are started with the same spec.
  bool same_instances(const ComponentPlan& other) const;
  bool operator==(const ComponentPlan& other) const;  // `place` does not count
};

struct LocalPlan {
  std::vector<ComponentPlan> components;  // in the order of the files; names are unique
  std::vector<StreamPlan> streams;        // sorted by name, each once
  Graph graph;
};

struct LocalPlanOptions {
  int32_t partitions = 0;  // of every stream that is made; 0: not partitioned
  // What this machine can run; a component that needs another host is refused with its place.
  std::vector<model::HostKind> hosts = {model::HostKind::kNative, model::HostKind::kBuiltin, model::HostKind::kPython,
                                        model::HostKind::kSource, model::HostKind::kSink,    model::HostKind::kStock};
  bool stock_python = false;      // `python` is run by Pulsar's own instance, not by the embedded interpreter
  std::vector<std::string> only;  // names of components to keep; empty: all
};

// What a host is, for people: "a native library".
const char* host_name(model::HostKind host);

// REQUIRES: `resources` passed plan::check() for Target::kLocal without errors (check.h).
// Errors: kFixInput with the place, for a name in `only` that is no component, a host that is not available here, or a
// secret that is in no file.
Result<LocalPlan> make_local_plan(const model::ResourceSet& resources, const LocalPlanOptions& options);

}  // namespace fmesh::plan
