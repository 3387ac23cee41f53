#include "kube/exec_plugin.h"

#include <fmt/format.h>
#include <unistd.h>

#include <boost/json.hpp>

#include "base/base64.h"
#include "kube/json.h"
#include "kube/program.h"
#include "kube/times.h"
#include "net/certificate.h"

namespace fmesh::kube {
namespace {

namespace json = boost::json;

constexpr std::string_view kKind = "ExecCredential";
constexpr const char* kInfoName = "KUBERNETES_EXEC_INFO";

json::object cluster_info(const ClusterConfig& config, const std::string& ca) {
  json::object out = {{"server", config.server}};
  if (!config.tls_server_name.empty()) out["tls-server-name"] = config.tls_server_name;
  if (config.insecure_skip_tls_verify) out["insecure-skip-tls-verify"] = true;
  if (!ca.empty()) out["certificate-authority-data"] = encode_base64(ca);
  if (!config.proxy_url.empty()) out["proxy-url"] = config.proxy_url;
  if (config.disable_compression) out["disable-compression"] = true;
  out["config"] = config.plugin_extension.empty() ? json::value() : json::parse(config.plugin_extension);
  return out;
}

Error wrong(const std::string& what) { return Error(ErrorKind::kFixInput, "its answer can't be used: " + what); }

// The last value of a name counts, as with Go.
void set_variable(std::vector<std::string>& environment, const std::string& name, const std::string& value) {
  std::erase_if(environment, [&](const std::string& one) { return one.starts_with(name + "="); });
  environment.push_back(name + "=" + value);
}

std::string last_words(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
  return text.empty() ? "" : ": " + text;
}

Result<bool> wants_terminal(const ExecPlugin& plugin) {
  const bool terminal = ::isatty(STDIN_FILENO) == 1;
  if (plugin.input == ExecPlugin::Input::kAlways && !terminal) {
    return fail(ErrorKind::kFixInput,
                "it wants to ask something (interactiveMode: Always), and the input is no terminal; use another user "
                "of the kubeconfig here");
  }
  return terminal && plugin.input != ExecPlugin::Input::kNever;
}

}  // namespace

std::string exec_info(const ClusterConfig& config, const std::string& ca, bool interactive) {
  json::object spec = {{"interactive", interactive}};
  if (config.exec->provide_cluster_info) spec["cluster"] = cluster_info(config, ca);
  return json::serialize(
      json::object{{"kind", kKind}, {"apiVersion", config.exec->api_version}, {"spec", std::move(spec)}});
}

Result<PluginCredentials> read_exec_credential(const std::string& api_version, std::string_view text) {
  const Result<json::value> body = read_json(text);
  if (!body) return fail(wrong("it is no JSON"));
  if (string_at(*body, {"kind"}) != kKind || string_at(*body, {"apiVersion"}) != api_version) {
    return fail(wrong(fmt::format("found \"{}\" of \"{}\", expected {} of {}", string_at(*body, {"kind"}),
                                  string_at(*body, {"apiVersion"}), kKind, api_version)));
  }
  PluginCredentials out;
  out.token = string_at(*body, {"status", "token"});
  out.certificate = string_at(*body, {"status", "clientCertificateData"});
  out.key = string_at(*body, {"status", "clientKeyData"});
  if (out.certificate.empty() != out.key.empty()) {
    return fail(wrong(out.key.empty() ? "clientCertificateData comes without clientKeyData"
                                      : "clientKeyData comes without clientCertificateData"));
  }
  if (out.token.empty() && out.key.empty()) {
    return fail(wrong("in status there is neither a token nor clientCertificateData and clientKeyData"));
  }
  if (!out.key.empty() && !net::key_fits({out.certificate, out.key})) {
    return fail(wrong("clientCertificateData and clientKeyData are no PEM texts, or do not belong together"));
  }
  const std::string expires(string_at(*body, {"status", "expirationTimestamp"}));
  if (!expires.empty()) {
    out.expires_ms = read_time(expires);
    if (!out.expires_ms) {
      return fail(wrong("expirationTimestamp: found \"" + expires + "\", expected a time as 2026-01-31T12:00:00Z"));
    }
  }
  return out;
}

Result<PluginCredentials> run_exec_plugin(const ClusterConfig& config, const std::string& ca,
                                          const std::vector<std::string>& environment, const Clock& clock,
                                          const std::atomic<bool>& cancelled) {
  const ExecPlugin& plugin = *config.exec;
  const std::string who = fmt::format("{}: exec plugin {}", config.context, plugin.command);
  const Result<bool> asks = wants_terminal(plugin);
  if (!asks) return fail(asks.error().within(who));
  ProgramCall call{.command = plugin.command, .arguments = plugin.arguments, .environment = environment};
  call.reads_terminal = *asks;
  call.limit_ms = *asks ? kPluginAskingLimitMs : kPluginLimitMs;
  for (const auto& [name, value] : plugin.env) set_variable(call.environment, name, value);
  set_variable(call.environment, kInfoName, exec_info(config, ca, *asks));
  Result<ProgramResult> result = run_program(call, clock, cancelled);
  if (!result) {
    std::string hint;
    if (result.error().kind() == ErrorKind::kFixInput && !plugin.install_hint.empty()) {
      hint = "\n" + plugin.install_hint;
    }
    return fail(result.error().kind(), who + ": " + result.error().text() + hint);
  }
  if (result->code != 0) {
    return fail(ErrorKind::kRetryLater,
                fmt::format("{} ended with code {}{}", who, result->code, last_words(std::move(result->last_words))));
  }
  Result<PluginCredentials> credentials = read_exec_credential(plugin.api_version, result->output);
  if (!credentials) return fail(credentials.error().within(who));
  return credentials;
}

}  // namespace fmesh::kube
