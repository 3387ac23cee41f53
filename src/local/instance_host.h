// The process of `fmesh instance`: one instance of one component, as a pod runs it. It serves health, readiness,
// metrics and status over HTTP, stops in order on SIGTERM (intake ends, what is in flight becomes durable), and exits
// if the instance can't run until a person changes something.
//
// run_instance_host() holds the thread it is called on, which must be the only one of the process.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "local/open_streams.h"
#include "local/parent.h"
#include "model/instance_spec.h"

namespace fmesh::local {

// How often the instance is looked at: has it failed for good, is a worker stuck?
inline constexpr int kInstanceLookMs = 500;

struct InstanceHostOptions {
  model::InstanceSpec spec;
  OpenStreams open_streams;
  std::string http_address;         // "0.0.0.0:9094"; empty: nothing is served
  std::string cluster;              // a label of the metrics
  std::string cache_directory;      // for copies of function libraries
  int64_t drain_limit_ms = 20'000;  // less than the 30 s that Kubernetes gives a pod to end
};

// `line` takes whole lines for people, on any thread.
int run_instance_host(const InstanceHostOptions& options, const HostStart& start,
                      const std::function<void(const std::string&)>& line);

}  // namespace fmesh::local
