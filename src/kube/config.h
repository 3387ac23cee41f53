// How to reach an API server: from kubeconfig files, as kubectl reads them, or from inside a pod. Reading is pure
// (files come through a function).
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace fmesh::kube {

struct ExecPlugin {
  std::string api_version, command;
  std::vector<std::string> arguments;
  std::vector<std::pair<std::string, std::string>> env;
  std::string install_hint;
  bool provide_cluster_info = false;
  std::string interactive_mode;
};

struct Impersonation {
  std::string user, uid;
  std::vector<std::string> groups;
  std::map<std::string, std::vector<std::string>> extra;
};

// One cluster and one user, resolved. Files are absolute paths; *_data are decoded.
struct ClusterConfig {
  std::string context;  // for messages
  std::string server;   // https://host:port[/prefix]
  std::string name_space = "default";
  std::string ca_file, ca_data, tls_server_name, proxy_url;
  bool insecure_skip_tls_verify = false;
  std::string certificate_file, certificate_data, key_file, key_data;
  std::string token, token_file, username, password;
  std::optional<ExecPlugin> exec;
  Impersonation impersonate;
};

struct ConfigSources {
  std::string kubeconfig;  // --kubeconfig; empty: $KUBECONFIG, then ~/.kube/config, then in-cluster
  std::string context;     // --context; empty: current-context
  std::function<std::optional<std::string>(const std::string& name)> env;
  std::function<Result<std::string>(const std::string& path)> read_file;
};
// From this process's environment and files.
ConfigSources system_sources();

// Errors: kFixInput with file and place: no configuration at all (with the ways to give one), unknown context, missing
// cluster or user, auth-provider and other things that are not supported.
Result<ClusterConfig> load_config(const ConfigSources& sources);
Result<ClusterConfig> in_cluster_config(const ConfigSources& sources);
bool in_cluster(const ConfigSources& sources);

}  // namespace fmesh::kube
