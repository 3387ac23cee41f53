#include "kube/config.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "model/base64.h"
#include "model/document.h"

namespace fmesh::kube {
namespace {

using model::Node;

constexpr const char* kServiceAccount = "/var/run/secrets/kubernetes.io/serviceaccount";

// One kubeconfig file.
struct ConfigFile {
  std::string path, folder;
  std::shared_ptr<const Node> root;
};

Result<ConfigFile> read_config_file(const ConfigSources& sources, const std::string& path) {
  FMESH_TRY(const std::string text, sources.read_file(path));
  model::DocumentList list = model::read_yaml(path, text);
  for (const model::Diagnostic& finding : list.findings.list()) {
    return fail(ErrorKind::kFixInput, finding.text, finding.place);
  }
  ConfigFile file{path, std::filesystem::absolute(path).parent_path().string(), nullptr};
  if (!list.documents.empty()) file.root = list.documents.front();
  if (file.root && file.root->type != Node::Type::kMapping) {
    return fail(ErrorKind::kFixInput, "expected a kubeconfig (a mapping)", {path, file.root->line, file.root->column});
  }
  return file;
}

std::string text_of(const Node* node, std::string_view key) {
  const Node* found = node ? node->find(key) : nullptr;
  return found && found->type != Node::Type::kNull ? found->text : std::string();
}
bool true_of(const Node* node, std::string_view key) {
  const Node* found = node ? node->find(key) : nullptr;
  return found && found->type == Node::Type::kBool && found->boolean;
}

struct Named {
  const ConfigFile* file = nullptr;
  const Node* value = nullptr;
};

// The entry of that name in clusters, users or contexts; of several files the first counts.
Named find_named(const std::vector<ConfigFile>& files, std::string_view list, std::string_view inner,
                 const std::string& name) {
  for (const ConfigFile& file : files) {
    const Node* entries = file.root ? file.root->find(list) : nullptr;
    if (!entries) continue;
    for (const Node& entry : entries->items) {
      if (text_of(&entry, "name") != name) continue;
      if (const Node* value = entry.find(inner)) return {&file, value};
    }
  }
  return {};
}

std::string names_of(const std::vector<ConfigFile>& files, std::string_view list) {
  std::string out;
  for (const ConfigFile& file : files) {
    const Node* entries = file.root ? file.root->find(list) : nullptr;
    if (!entries) continue;
    for (const Node& entry : entries->items) out += (out.empty() ? "" : ", ") + text_of(&entry, "name");
  }
  return out.empty() ? "none" : out;
}

std::string absolute(const Named& at, const std::string& path) {
  return path.empty() || path.front() == '/' ? path : at.file->folder + "/" + path;
}

Result<std::string> decoded(const Named& at, std::string_view key) {
  const Node* found = at.value->find(key);
  if (!found || found->text.empty()) return std::string();
  const auto text = model::decode_base64(found->text);
  if (!text) {
    return fail(ErrorKind::kFixInput, std::string(key) + " is not base64", {at.file->path, found->line, found->column});
  }
  return *text;
}

Status read_cluster(const Named& at, ClusterConfig& config) {
  config.server = text_of(at.value, "server");
  while (config.server.ends_with('/')) config.server.pop_back();
  if (config.server.empty()) {
    return fail(ErrorKind::kFixInput, "the cluster has no server", {at.file->path, at.value->line, at.value->column});
  }
  config.ca_file = absolute(at, text_of(at.value, "certificate-authority"));
  FMESH_TRY(config.ca_data, decoded(at, "certificate-authority-data"));
  config.tls_server_name = text_of(at.value, "tls-server-name");
  config.proxy_url = text_of(at.value, "proxy-url");
  config.insecure_skip_tls_verify = true_of(at.value, "insecure-skip-tls-verify");
  return {};
}

ExecPlugin read_exec(const Named& at, const Node& node) {
  ExecPlugin exec;
  exec.api_version = text_of(&node, "apiVersion");
  exec.command = text_of(&node, "command");
  if (exec.command.find('/') != std::string::npos) exec.command = absolute(at, exec.command);
  if (const Node* arguments = node.find("args")) {
    for (const Node& argument : arguments->items) exec.arguments.push_back(argument.text);
  }
  if (const Node* env = node.find("env")) {
    for (const Node& entry : env->items) exec.env.emplace_back(text_of(&entry, "name"), text_of(&entry, "value"));
  }
  exec.install_hint = text_of(&node, "installHint");
  exec.provide_cluster_info = true_of(&node, "provideClusterInfo");
  exec.interactive_mode = text_of(&node, "interactiveMode");
  return exec;
}

Status read_user(const Named& at, ClusterConfig& config) {
  if (const Node* provider = at.value->find("auth-provider")) {
    return fail(ErrorKind::kFixInput,
                "auth-provider is not supported (kubectl dropped it with 1.26); use an exec plugin or a token",
                {at.file->path, provider->line, provider->column});
  }
  config.certificate_file = absolute(at, text_of(at.value, "client-certificate"));
  config.key_file = absolute(at, text_of(at.value, "client-key"));
  FMESH_TRY(config.certificate_data, decoded(at, "client-certificate-data"));
  FMESH_TRY(config.key_data, decoded(at, "client-key-data"));
  config.token = text_of(at.value, "token");
  config.token_file = absolute(at, text_of(at.value, "tokenFile"));
  config.username = text_of(at.value, "username");
  config.password = text_of(at.value, "password");
  if (const Node* exec = at.value->find("exec")) config.exec = read_exec(at, *exec);
  config.impersonate.user = text_of(at.value, "as");
  config.impersonate.uid = text_of(at.value, "as-uid");
  if (const Node* groups = at.value->find("as-groups")) {
    for (const Node& group : groups->items) config.impersonate.groups.push_back(group.text);
  }
  if (const Node* extra = at.value->find("as-user-extra")) {
    for (const model::Entry& entry : extra->entries) {
      for (const Node& value : entry.value.items) config.impersonate.extra[entry.key].push_back(value.text);
    }
  }
  return {};
}

Result<ClusterConfig> resolve(const std::vector<ConfigFile>& files, const std::string& wanted) {
  std::string context = wanted;
  for (const ConfigFile& file : files) {
    if (context.empty()) context = text_of(file.root.get(), "current-context");
  }
  const std::string where = files.front().path;
  if (context.empty()) {
    return fail(ErrorKind::kFixInput, fmt::format("{} has no current-context; choose one with --context: {}", where,
                                                  names_of(files, "contexts")));
  }
  const Named found = find_named(files, "contexts", "context", context);
  if (!found.value) {
    return fail(ErrorKind::kFixInput,
                fmt::format("{} has no context {}; it has {}", where, context, names_of(files, "contexts")));
  }
  ClusterConfig config;
  config.context = context;
  if (const std::string name = text_of(found.value, "namespace"); !name.empty()) config.name_space = name;
  const std::string cluster = text_of(found.value, "cluster");
  const Named cluster_at = find_named(files, "clusters", "cluster", cluster);
  if (!cluster_at.value) {
    return fail(ErrorKind::kFixInput, fmt::format("{}: context {} names cluster {}, which is not there; it has {}",
                                                  where, context, cluster, names_of(files, "clusters")));
  }
  FMESH_CHECK(read_cluster(cluster_at, config));
  const std::string user = text_of(found.value, "user");
  const Named user_at = find_named(files, "users", "user", user);
  if (!user_at.value && !user.empty()) {
    return fail(ErrorKind::kFixInput, fmt::format("{}: context {} names user {}, which is not there; it has {}", where,
                                                  context, user, names_of(files, "users")));
  }
  if (user_at.value) FMESH_CHECK(read_user(user_at, config));
  return config;
}

std::vector<std::string> split_paths(const std::string& list) {
  std::vector<std::string> out;
  std::stringstream text(list);
  for (std::string path; std::getline(text, path, ':');) {
    if (!path.empty()) out.push_back(path);
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
  if (auto name = sources.read_file(std::string(kServiceAccount) + "/namespace")) {
    while (name->ends_with('\n') || name->ends_with(' ')) name->pop_back();
    if (!name->empty()) config.name_space = *name;
  }
  return config;
}

Result<ClusterConfig> load_config(const ConfigSources& sources) {
  std::vector<std::string> paths;
  bool all_needed = true;
  if (!sources.kubeconfig.empty()) {
    paths = {sources.kubeconfig};
  } else if (const auto list = sources.env("KUBECONFIG"); list && !list->empty()) {
    paths = split_paths(*list);
    all_needed = paths.size() == 1;  // of several, kubectl passes over those that are missing
  } else {
    const auto home = sources.env("HOME");
    const std::string path = home.value_or("") + "/.kube/config";
    if (sources.read_file(path)) paths = {path};
  }
  if (paths.empty()) {
    if (in_cluster(sources)) return in_cluster_config(sources);
    return fail(ErrorKind::kFixInput,
                "no cluster is given: use --kubeconfig FILE, KUBECONFIG or ~/.kube/config, or run in a pod");
  }
  std::vector<ConfigFile> files;
  for (const std::string& path : paths) {
    auto file = read_config_file(sources, path);
    if (file) {
      files.push_back(std::move(*file));
    } else if (all_needed || !file.error().place().file.empty()) {
      return fail(std::move(file).error());
    }
  }
  if (files.empty()) return fail(ErrorKind::kFixInput, "none of the files of KUBECONFIG is there");
  return resolve(files, sources.context);
}

}  // namespace fmesh::kube
