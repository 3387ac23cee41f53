#include "kube/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "kube/kubeconfig.h"
#include "net/proxy.h"

namespace fmesh::kube {
namespace {

constexpr const char* kServiceAccount = "/var/run/secrets/kubernetes.io/serviceaccount";

std::vector<std::string> split_paths(const std::string& list) {
  std::vector<std::string> out;
  std::stringstream text(list);
  for (std::string path; std::getline(text, path, ':');) {
    if (!path.empty() && std::find(out.begin(), out.end(), path) == out.end()) out.push_back(path);
  }
  return out;
}

}  // namespace

ConfigSources system_sources() {
  ConfigSources sources;
  sources.env = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value ? std::optional<std::string>(value) : std::nullopt;
  };
  sources.read_file = [](const std::string& path) -> Result<std::string> {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    if (!file) return fail(ErrorKind::kFixInput, path + ": no such file, or no permission to read it");
    return text.str();
  };
  sources.exists = [](const std::string& path) {
    std::error_code code;
    return std::filesystem::exists(path, code) || code.value() != 0;
  };
  return sources;
}

bool in_cluster(const ConfigSources& sources) {
  const auto host = sources.env("KUBERNETES_SERVICE_HOST");
  return host && !host->empty() && sources.read_file(std::string(kServiceAccount) + "/token").has_value();
}

Result<ClusterConfig> in_cluster_config(const ConfigSources& sources) {
  const auto host = sources.env("KUBERNETES_SERVICE_HOST");
  const auto port = sources.env("KUBERNETES_SERVICE_PORT");
  if (!host || host->empty()) {
    return fail(ErrorKind::kFixInput, "this is no pod: KUBERNETES_SERVICE_HOST is not set");
  }
  ClusterConfig config;
  config.context = "in-cluster";
  const bool ipv6 = host->find(':') != std::string::npos;
  config.server = fmt::format("https://{}:{}", ipv6 ? "[" + *host + "]" : *host, port.value_or("443"));
  config.token_file = std::string(kServiceAccount) + "/token";
  config.ca_file = std::string(kServiceAccount) + "/ca.crt";
  config.proxy = net::proxy_of_environment(config.server, sources.env);
  if (const auto given = sources.env("POD_NAMESPACE"); given && !given->empty()) {
    config.name_space = *given;
  } else if (auto name = sources.read_file(std::string(kServiceAccount) + "/namespace")) {
    while (name->ends_with('\n') || name->ends_with(' ')) name->pop_back();
    if (!name->empty()) config.name_space = *name;
  }
  return config;
}

Result<ClusterConfig> load_config(const ConfigSources& sources) {
  std::vector<std::string> paths;
  const auto list = sources.env("KUBECONFIG");
  if (!sources.kubeconfig.empty()) {
    paths = {sources.kubeconfig};
  } else if (list && !list->empty()) {
    paths = split_paths(*list);
  } else if (const auto home = sources.env("HOME"); home && !home->empty()) {
    paths = {*home + "/.kube/config"};
  }
  FMESH_TRY(const std::vector<KubeconfigFile> files, read_kubeconfigs(sources, paths, sources.kubeconfig.empty()));
  if (!say_nothing(files)) {
    FMESH_TRY(ClusterConfig config, resolve_context(files, sources));
    config.proxy = config.proxy_url.empty() ? net::proxy_of_environment(config.server, sources.env) : config.proxy_url;
    return config;
  }
  if (in_cluster(sources)) return in_cluster_config(sources);
  const std::string looked =
      paths.empty() ? "" : fmt::format("{} is missing or names no cluster; ", fmt::join(paths, ", "));
  return fail(ErrorKind::kFixInput, "no cluster is given: " + looked +
                                        "use --kubeconfig FILE, KUBECONFIG or ~/.kube/config, or run in a pod");
}

}  // namespace fmesh::kube
