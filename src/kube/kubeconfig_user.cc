#include <fmt/format.h>

#include <algorithm>

#include "kube/kubeconfig.h"

namespace fmesh::kube {
namespace {

constexpr std::string_view kPluginV1 = "client.authentication.k8s.io/v1";
constexpr std::string_view kPluginV1Beta1 = "client.authentication.k8s.io/v1beta1";

// Line breaks and tabs stay, what else moves a terminal's cursor or colours does not.
std::string printable(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const bool control = (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' && c != '\r') || c == 0x7f;
    out += control ? fmt::format("U+{:04X}", static_cast<unsigned>(c)) : std::string(1, c);
  }
  return out;
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

Result<ExecPlugin::Input> read_input(const KubeconfigNode& exec, const std::string& api_version) {
  FMESH_TRY(const std::string mode, exec.text("interactiveMode"));
  if (mode == "Never") return ExecPlugin::Input::kNever;
  if (mode == "IfAvailable") return ExecPlugin::Input::kIfAvailable;
  if (mode == "Always") return ExecPlugin::Input::kAlways;
  if (mode.empty() && api_version == kPluginV1Beta1) return ExecPlugin::Input::kIfAvailable;
  const std::string found = mode.empty() ? "has no interactiveMode" : "interactiveMode: found \"" + mode + "\"";
  return fail(ErrorKind::kFixInput, fmt::format("exec: {}; expected Never, IfAvailable or Always", found),
              exec.place("interactiveMode"));
}

Result<ExecPlugin> read_exec(const KubeconfigNode& exec) {
  ExecPlugin out;
  FMESH_TRY(out.api_version, exec.text("apiVersion"));
  if (out.api_version != kPluginV1 && out.api_version != kPluginV1Beta1) {
    return fail(ErrorKind::kFixInput,
                fmt::format("exec: apiVersion: found \"{}\", expected {} or {}; kubectl dropped others with 1.24, a "
                            "newer plugin speaks these",
                            out.api_version, kPluginV1, kPluginV1Beta1),
                exec.place("apiVersion"));
  }
  FMESH_TRY(out.command, exec.text("command"));
  if (out.command.empty()) return fail(ErrorKind::kFixInput, "exec: there is no command", exec.place("command"));
  if (out.command.contains('/')) out.command = exec.absolute(out.command);
  FMESH_TRY(out.arguments, exec.texts("args"));
  FMESH_TRY(const auto env, exec.mappings("env"));
  for (const KubeconfigNode& entry : env) {
    FMESH_TRY(std::string name, entry.text("name"));
    FMESH_TRY(std::string value, entry.text("value"));
    if (name.empty()) return fail(ErrorKind::kFixInput, "exec: env: a variable has no name", entry.place());
    out.env.emplace_back(std::move(name), std::move(value));
  }
  FMESH_TRY(const std::string hint, exec.text("installHint"));
  out.install_hint = printable(hint);
  FMESH_TRY(out.provide_cluster_info, exec.truth("provideClusterInfo"));
  FMESH_TRY(out.input, read_input(exec, out.api_version));
  return out;
}

Status read_impersonation(const KubeconfigNode& user, Impersonation& as) {
  FMESH_TRY(as.user, user.text("as"));
  FMESH_TRY(as.uid, user.text("as-uid"));
  FMESH_TRY(as.groups, user.texts("as-groups"));
  FMESH_TRY(const KubeconfigNode extra, user.mapping("as-user-extra"));
  if (extra) {
    for (const model::Entry& entry : extra.node->entries) {
      FMESH_TRY(as.extra[entry.key], extra.texts(entry.key));
    }
  }
  if (as.user.empty() && !(as.uid.empty() && as.groups.empty() && as.extra.empty())) {
    return fail(ErrorKind::kFixInput, "as-uid, as-groups and as-user-extra need `as`, the user whom they belong to",
                user.place());
  }
  bool control = has_control(as.user) || has_control(as.uid);
  for (const std::string& group : as.groups) control = control || has_control(group);
  for (const auto& [key, values] : as.extra) {
    for (const std::string& value : values) control = control || has_control(value);
  }
  if (!control) return {};
  return fail(ErrorKind::kFixInput, "as: there is a line break or another control character in it", user.place("as"));
}

Status read_certificate(const KubeconfigNode& user, const ConfigSources& sources, ClusterConfig& config) {
  for (const char* key : {"client-certificate", "client-key"}) {
    const std::string data = std::string(key) + "-data";
    if (!user.has(key) || !user.has(data)) continue;
    return fail(ErrorKind::kFixInput, fmt::format("{} and {} are both there; remove one of them", key, data),
                user.place(key));
  }
  FMESH_TRY(config.certificate_file, user.file_path("client-certificate", sources));
  FMESH_TRY(config.key_file, user.file_path("client-key", sources));
  FMESH_TRY(config.certificate_data, user.data("client-certificate-data"));
  FMESH_TRY(config.key_data, user.data("client-key-data"));
  const bool certificate = !config.certificate_file.empty() || !config.certificate_data.empty();
  const bool key = !config.key_file.empty() || !config.key_data.empty();
  if (certificate == key) return {};
  return fail(ErrorKind::kFixInput,
              certificate ? "the client certificate has no key: client-key or client-key-data"
                          : "the client key has no certificate: client-certificate or client-certificate-data",
              user.place());
}

}  // namespace

Status read_user(const KubeconfigNode& user, const std::string& name, const ConfigSources& sources,
                 ClusterConfig& config) {
  if (user.has("auth-provider")) {
    return fail(
        ErrorKind::kFixInput,
        fmt::format("user {}: auth-provider is not supported (kubectl dropped it with 1.26); use an exec plugin "
                    "(gke-gcloud-auth-plugin, kubelogin, …), a token or a client certificate",
                    name),
        user.place("auth-provider"));
  }
  FMESH_CHECK(read_impersonation(user, config.impersonate));
  FMESH_CHECK(read_certificate(user, sources, config));
  FMESH_TRY(config.token, user.text("token"));
  FMESH_TRY(config.token_file, user.file_path("tokenFile", sources));
  FMESH_TRY(config.username, user.text("username"));
  FMESH_TRY(config.password, user.text("password"));
  const bool basic = !config.username.empty() || !config.password.empty();
  const bool token = !config.token.empty() || !config.token_file.empty();
  if (basic && token) {
    return fail(ErrorKind::kFixInput, fmt::format("user {} has a token and a password; remove one of them", name),
                user.place());
  }
  if (has_control(config.token)) {
    return fail(ErrorKind::kFixInput, "token: there is a line break or another control character in it",
                user.place("token"));
  }
  FMESH_TRY(const KubeconfigNode exec, user.mapping("exec"));
  if (exec) {
    FMESH_TRY(ExecPlugin plugin, read_exec(exec));
    // As with kubectl, what the user has otherwise goes before the plugin.
    const bool certificate = !config.certificate_file.empty() || !config.certificate_data.empty();
    if (!basic && !token && !certificate) config.exec = std::move(plugin);
  }
  if (config.server.starts_with("https://")) return {};
  // As kubectl does: credentials never go over a plain connection.
  config.certificate_file.clear();
  config.certificate_data.clear();
  config.key_file.clear();
  config.key_data.clear();
  config.token.clear();
  config.token_file.clear();
  config.username.clear();
  config.password.clear();
  config.exec.reset();
  return {};
}

}  // namespace fmesh::kube
