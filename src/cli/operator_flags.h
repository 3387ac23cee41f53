// Flags of the operator, which render, diff and admit take too, so that they say what the operator would do. Names,
// environment variables and defaults are upstream's.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "kube/config.h"
#include "operator/process.h"

namespace CLI {
class App;
}

namespace fmesh::cli {

struct OperatorFlags {
  // What decides how objects look.
  std::string config_file;
  bool enable_init_containers = false;
  std::string global_backend_config;
  std::string global_backend_config_namespace = "default";
  std::string namespaced_backend_config = "backend-config";
  bool add_default_affinity = true;
  bool pause_rollout = false;

  // How the process runs.
  std::string kubeconfig, context;
  std::string watched_namespace;                // upstream's: one
  std::vector<std::string> watched_namespaces;  // ours: several
  std::string metrics_address = ":8443";
  bool metrics_secure = true;
  std::string health_address = ":8000";
  bool enable_leader_election = false;
  std::string leader_election_id = "a3f45fce.functionmesh.io";
  std::string leader_election_namespace;
  std::string certificate_folder;
  std::string webhook_address = ":9443";
  bool webhooks = true;
  bool meshes = true;
  bool enable_pprof = false;  // accepted and told to have no effect
  std::string pprof_address;
  std::string log_level = "info";
  int passes_max = 16;
  double api_requests_per_second = 0;
  int api_in_flight_max = 32;
  std::vector<std::string> cleanup_hosts;
  int cleanup_deadline_s = 120;
};

void add_operator_flags(CLI::App& verb, OperatorFlags& flags);
void add_process_flags(CLI::App& verb, OperatorFlags& flags);

// "-metrics-addr" becomes "--metrics-addr": upstream's operator takes one dash or two, and manifests have either.
void allow_one_dash(std::vector<std::string>& words);

// Only what decides how objects look; reads the config file. Errors: kFixInput with its place.
Result<plan::ClusterOptions> read_cluster_options(const OperatorFlags& flags, const kube::ConfigSources& sources);
Result<op::ProcessOptions> read_operator_flags(const OperatorFlags& flags, const kube::ConfigSources& sources);
// The config file's logLevel, or the flag's.
Result<std::string> read_log_level(const OperatorFlags& flags, const kube::ConfigSources& sources);

}  // namespace fmesh::cli
