// The commands of a pod: what runs a component with Pulsar's stock instances (Java, Python, Go), the generic runner or
// fmesh itself, how its package gets there, and where it logs. For images of upstream the words are upstream's, so that
// those run unchanged. Pure.
#pragma once

#include <boost/json/value.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "plan/cluster/cluster_plan.h"

namespace fmesh::plan {

// What the pod template needs of a component's runtime, besides the command itself.
struct PodCommand {
  std::vector<std::string> command;                // of the main container
  std::vector<boost::json::object> env;            // what the runtime needs on top (Go: LOGGING_LEVEL)
  bool serves_health = false;                      // /healthz and /readyz at the metrics port
  std::vector<boost::json::object> volumes;        // log ConfigMaps, what the downloader fetches into
  std::vector<boost::json::object> volume_mounts;  // of the main container
  std::optional<boost::json::object> downloader;   // init container without mounts of the user, if options say so
};

// `uid` is the resource's, for --function_id.
Result<PodCommand> make_pod_command(const model::Component& component, const ClusterOptions& options,
                                    const std::string& uid);

// The filebeat container that carries log files to the log topic; none unless the resource asks for it.
std::optional<boost::json::object> make_log_sidecar(const model::Component& component);

// Two commands are equal when argv, FunctionDetails and log settings mean the same; wording, order of JSON members and
// blanks do not count. For taking over StatefulSets that upstream made.
bool same_command(const std::vector<std::string>& left, const std::vector<std::string>& right);

}  // namespace fmesh::plan
