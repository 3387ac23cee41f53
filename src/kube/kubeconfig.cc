#include "kube/kubeconfig.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <filesystem>
#include <set>

#include "net/proxy.h"

namespace fmesh::kube {
namespace {

using model::Node;

constexpr const char* kPluginExtension = "client.authentication.k8s.io/exec";

Status check_names(const KubeconfigFile& file, std::string_view list) {
  FMESH_TRY(const auto entries, (KubeconfigNode{&file, file.root.get()}.mappings(list)));
  std::set<std::string> names;
  for (const KubeconfigNode& entry : entries) {
    FMESH_TRY(const std::string name, entry.text("name"));
    if (names.insert(name).second) continue;
    return fail(ErrorKind::kFixInput, fmt::format("{}: \"{}\" is there twice; rename one or remove it", list, name),
                entry.place("name"));
  }
  return {};
}

Result<KubeconfigFile> read_file(const ConfigSources& sources, const std::string& path) {
  FMESH_TRY(const std::string text, sources.read_file(path));
  model::DocumentList list = model::read_yaml(path, text);
  for (const model::Diagnostic& finding : list.findings.list()) {
    if (finding.severity == model::Severity::kError) return fail(ErrorKind::kFixInput, finding.text, finding.place);
  }
  KubeconfigFile file{path, std::filesystem::absolute(path).parent_path().string(), nullptr};
  if (!list.documents.empty()) file.root = list.documents.front();
  if (file.root && file.root->type == Node::Type::kNull) file.root = nullptr;
  if (file.root && file.root->type != Node::Type::kMapping) {
    return fail(ErrorKind::kFixInput,
                fmt::format("found {}, expected a kubeconfig (a mapping)", model::describe(*file.root)),
                {path, file.root->line, file.root->column});
  }
  for (const char* list_name : {"clusters", "users", "contexts"}) FMESH_CHECK(check_names(file, list_name));
  return file;
}

// The entry of that name in clusters, users or contexts; of several files the first counts.
Result<KubeconfigNode> find_named(const std::vector<KubeconfigFile>& files, std::string_view list,
                                  std::string_view inner, const std::string& name) {
  for (const KubeconfigFile& file : files) {
    FMESH_TRY(const auto entries, (KubeconfigNode{&file, file.root.get()}.mappings(list)));
    for (const KubeconfigNode& entry : entries) {
      FMESH_TRY(const std::string found, entry.text("name"));
      if (found != name) continue;
      FMESH_TRY(KubeconfigNode value, entry.mapping(inner));
      // One that says nothing counts all the same.
      return value ? value : entry;
    }
  }
  return KubeconfigNode();
}

std::string names_of(const std::vector<KubeconfigFile>& files, std::string_view list) {
  std::set<std::string> names;
  for (const KubeconfigFile& file : files) {
    const auto entries = KubeconfigNode{&file, file.root.get()}.mappings(list);
    if (!entries) continue;
    for (const KubeconfigNode& entry : *entries) names.insert(entry.text("name").value_or(""));
  }
  return names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "));
}

std::string paths_of(const std::vector<KubeconfigFile>& files) {
  std::vector<std::string> paths;
  paths.reserve(files.size());
  for (const KubeconfigFile& file : files) paths.push_back(file.path);
  return fmt::format("{}", fmt::join(paths, ", "));
}

// What the cluster's extensions hold for plugins, as JSON.
Result<std::string> plugin_extension(const KubeconfigNode& cluster) {
  FMESH_TRY(const auto extensions, cluster.mappings("extensions"));
  for (const KubeconfigNode& extension : extensions) {
    FMESH_TRY(const std::string name, extension.text("name"));
    const Node* value = extension.node->find("extension");
    if (name == kPluginExtension && value) return boost::json::serialize(model::to_json(*value));
  }
  return std::string();
}

Status read_cluster(const KubeconfigNode& cluster, const ConfigSources& sources, ClusterConfig& config) {
  FMESH_TRY(config.server, cluster.text("server"));
  while (config.server.ends_with('/')) config.server.pop_back();
  if (config.server.empty()) return fail(ErrorKind::kFixInput, "the cluster has no server", cluster.place());
  if (!config.server.contains("://")) config.server = "http://" + config.server;  // as kubectl takes it
  FMESH_TRY(config.ca_data, cluster.data("certificate-authority-data"));
  if (!config.ca_data.empty() && cluster.has("certificate-authority")) {
    return fail(ErrorKind::kFixInput,
                "certificate-authority and certificate-authority-data are both there; remove one of them",
                cluster.place("certificate-authority"));
  }
  FMESH_TRY(config.ca_file, cluster.file_path("certificate-authority", sources));
  FMESH_TRY(config.insecure_skip_tls_verify, cluster.truth("insecure-skip-tls-verify"));
  if (config.insecure_skip_tls_verify && !(config.ca_data.empty() && config.ca_file.empty())) {
    return fail(ErrorKind::kFixInput,
                "insecure-skip-tls-verify contradicts the certificate authority beside it; remove one of them",
                cluster.place("insecure-skip-tls-verify"));
  }
  FMESH_TRY(config.disable_compression, cluster.truth("disable-compression"));
  FMESH_TRY(config.tls_server_name, cluster.text("tls-server-name"));
  FMESH_TRY(config.proxy_url, cluster.text("proxy-url"));
  if (!config.proxy_url.empty()) {
    if (const auto proxy = net::parse_proxy(config.proxy_url); !proxy) {
      return fail(ErrorKind::kFixInput, "proxy-url: " + proxy.error().text(), cluster.place("proxy-url"));
    }
  }
  FMESH_TRY(config.plugin_extension, plugin_extension(cluster));
  return {};
}

}  // namespace

Result<std::vector<KubeconfigFile>> read_kubeconfigs(const ConfigSources& sources,
                                                     const std::vector<std::string>& paths, bool missing_allowed) {
  std::vector<KubeconfigFile> files;
  for (const std::string& path : paths) {
    if (missing_allowed && !sources.exists(path)) continue;
    FMESH_TRY(KubeconfigFile file, read_file(sources, path));
    files.push_back(std::move(file));
  }
  return files;
}

bool say_nothing(const std::vector<KubeconfigFile>& files) {
  for (const KubeconfigFile& file : files) {
    for (const char* list : {"clusters", "users", "contexts"}) {
      const Node* entries = file.root ? file.root->find(list) : nullptr;
      if (entries && !entries->items.empty()) return false;
    }
  }
  return true;
}

Result<ClusterConfig> resolve_context(const std::vector<KubeconfigFile>& files, const ConfigSources& sources) {
  ClusterConfig config;
  config.context = sources.context;
  for (const KubeconfigFile& file : files) {
    if (!config.context.empty()) break;
    FMESH_TRY(config.context, (KubeconfigNode{&file, file.root.get()}.text("current-context")));
  }
  const std::string where = paths_of(files);
  if (config.context.empty()) {
    return fail(ErrorKind::kFixInput, fmt::format("{} has no current-context; choose one with --context: {}", where,
                                                  names_of(files, "contexts")));
  }
  FMESH_TRY(const KubeconfigNode context, find_named(files, "contexts", "context", config.context));
  if (!context) {
    return fail(ErrorKind::kFixInput,
                fmt::format("{} has no context {}; it has {}", where, config.context, names_of(files, "contexts")));
  }
  FMESH_TRY(const std::string name_space, context.text("namespace"));
  if (!name_space.empty()) config.name_space = name_space;
  FMESH_TRY(const std::string cluster_name, context.text("cluster"));
  FMESH_TRY(const KubeconfigNode cluster, find_named(files, "clusters", "cluster", cluster_name));
  if (!cluster) {
    return fail(ErrorKind::kFixInput,
                fmt::format("context {} names the cluster \"{}\", which is not there; {} has {}", config.context,
                            cluster_name, where, names_of(files, "clusters")),
                context.place("cluster"));
  }
  FMESH_CHECK(read_cluster(cluster, sources, config));
  FMESH_TRY(const std::string user_name, context.text("user"));
  FMESH_TRY(const KubeconfigNode user, find_named(files, "users", "user", user_name));
  if (!user && !user_name.empty()) {
    return fail(ErrorKind::kFixInput,
                fmt::format("context {} names the user \"{}\", which is not there; {} has {}", config.context,
                            user_name, where, names_of(files, "users")),
                context.place("user"));
  }
  if (user) FMESH_CHECK(read_user(user, user_name, sources, config));
  return config;
}

}  // namespace fmesh::kube
