// How to reach an API server: from kubeconfig files, as kubectl reads them, or from inside a pod. Reading is pure
// (files come through functions).
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace fmesh::kube {

// A program that gives credentials (client.authentication.k8s.io).
struct ExecPlugin {
  enum class Input { kNever, kIfAvailable, kAlways };  // of a terminal
  std::string api_version{};
  std::string command{};  // with a '/': an absolute path; else looked for in PATH
  std::vector<std::string> arguments{};
  std::vector<std::pair<std::string, std::string>> env{};
  std::string install_hint{};
  bool provide_cluster_info = false;
  Input input = Input::kIfAvailable;
};

struct Impersonation {
  std::string user{}, uid{};
  std::vector<std::string> groups{};
  std::map<std::string, std::vector<std::string>> extra{};
};

// One cluster and one user, resolved. Files are absolute paths; *_data are decoded. Of two ways to give the same at
// most one is set, but for token and token_file: the file counts once it can be read.
struct ClusterConfig {
  std::string context{};  // for messages
  std::string server{};   // https://host:port[/prefix]
  std::string name_space = "default";
  std::string ca_file{}, ca_data{}, tls_server_name{};
  std::string proxy_url{};  // of the file
  std::string proxy{};      // what is used: proxy_url, or the environment's; empty: none
  bool insecure_skip_tls_verify = false;
  bool disable_compression = false;  // told to plugins; fmesh never asks for compression
  std::string plugin_extension{};    // JSON for plugins: the cluster's extension client.authentication.k8s.io/exec
  std::string certificate_file{}, certificate_data{}, key_file{}, key_data{};
  std::string token{}, token_file{}, username{}, password{};
  std::optional<ExecPlugin> exec{};  // only if there is no token, password or certificate
  Impersonation impersonate{};
};

struct ConfigSources {
  std::string kubeconfig;  // --kubeconfig; empty: $KUBECONFIG, then ~/.kube/config, then in-cluster
  std::string context;     // --context; empty: current-context
  std::function<std::optional<std::string>(const std::string& name)> env;
  std::function<Result<std::string>(const std::string& path)> read_file;
  std::function<bool(const std::string& path)> exists;
};
// From this process's environment and files.
ConfigSources system_sources();

// Errors: kFixInput with file and place: no configuration at all (with the ways to give one), unknown context, missing
// cluster or user, contradictions, files that can't be read, auth-provider and other things that are not supported.
Result<ClusterConfig> load_config(const ConfigSources& sources);
Result<ClusterConfig> in_cluster_config(const ConfigSources& sources);
bool in_cluster(const ConfigSources& sources);

}  // namespace fmesh::kube
