// The pieces of pod commands that several runtimes share, and the commands of each runtime; command.cc chooses. Inside
// this folder only. Pure.
#pragma once

#include <string>

#include "base/result.h"
#include "plan/cluster/cluster_plan.h"
#include "plan/cluster/command.h"
#include "plan/cluster/package.h"

namespace fmesh::plan {

// What every runtime's command is made of.
struct CommandInput {
  const model::Component& component;
  const ClusterOptions& options;
  std::string uid;  // of the resource
};

// Sets SHARD_ID from the pod's name; " && " is behind it.
inline constexpr const char* kSetShardId = "SHARD_ID=${POD_NAME##*-} && echo shardId=${SHARD_ID} && ";

// "<shard>-<uid>", the id of one instance.
std::string function_id(const CommandInput& input);
// The options of Pulsar's instances from --instance_id as far as --use_tls and its companions.
std::string shared_options(const CommandInput& input);
// " --secrets_provider <provider>" if the component has secrets.
std::string secrets_option(const CommandInput& input, const char* provider);
// " --state_storage_serviceurl <url>" if it keeps state.
std::string state_option(const CommandInput& input);

// PodCommand with the package's volumes, mounts and downloader, and `command` run by `shell`.
PodCommand pod_command(const char* shell, std::string command, Package package);

Result<PodCommand> make_java_command(const CommandInput& input);
Result<PodCommand> make_python_command(const CommandInput& input);
Result<PodCommand> make_go_command(const CommandInput& input);
Result<PodCommand> make_generic_command(const CommandInput& input);
// REQUIRES: model::is_native_pod().
Result<PodCommand> make_native_command(const CommandInput& input);

}  // namespace fmesh::plan
