#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "plan/cluster/command.h"
#include "plan/cluster/log_config.h"
#include "plan/cluster/messaging.h"

namespace fmesh::plan {
namespace {

namespace json = boost::json;

constexpr const char* kFilebeatImage = "streamnative/filebeat:v0.6.0";
constexpr const char* kFilebeatConfig = "/usr/share/filebeat/config/filebeat.yaml";
constexpr const char* kTokenPlugin = "org.apache.pulsar.client.impl.auth.AuthenticationToken";
constexpr int kFilebeatUser = 1000;

// An option of Filebeat's Pulsar output that it takes from its environment.
struct Option {
  std::string_view key, variable;
  std::optional<std::string_view> fallback = std::nullopt;
};

constexpr std::array<Option, 4> kOutputOptions = {{
    {"url", "brokerServiceURL"},
    {"topic", "logTopic"},
    {"name", "POD_NAME"},
    {"token", "clientAuthenticationParameters", ""},
}};
constexpr std::array<Option, 5> kOauth2Options = {{
    {"enabled", "oauth2Enabled", "false"},
    {"issuerUrl", "oauth2IssuerUrl", ""},
    {"privateKey", "oauth2PrivateKey", ""},
    {"audience", "oauth2Audience", ""},
    {"scope", "oauth2Scope", ""},
}};

// Filebeat replaces ${NAME:fallback} by itself, so the shell must not; an empty fallback is an empty pair of quotes
// that the shell takes away, as running pods have it.
template <size_t Count>
std::string option_lines(const std::array<Option, Count>& options, std::string_view indent) {
  std::string out;
  for (const Option& option : options) {
    out += fmt::format("{}{}: \\${{{}", indent, option.key, option.variable);
    if (option.fallback) out += fmt::format(":{}", option.fallback->empty() ? "\"\"" : *option.fallback);
    out += "}\n";
  }
  return out;
}

// Within the double quotes of a shell. Golden cases hold it to the letter.
std::string configuration() {
  return "filebeat.inputs:\n- type: log\n  paths:\n  - /pulsar/logs/functions/*.log\noutput.pulsar:\n  fast_fail: "
         "true\n" +
         option_lines(kOutputOptions, "  ") + "  oauth2:\n" + option_lines(kOauth2Options, "    ") + "log_level: info";
}

// The autoscaler knows a pod's utilization only if each of its containers has a request.
bool only_container_without_request(const model::ComponentSpec& spec) {
  if (!spec.pod.sidecars.present() || !spec.pod.sidecars.value().is_array()) return true;
  const json::array& sidecars = spec.pod.sidecars.value().get_array();
  return std::all_of(sidecars.begin(), sidecars.end(), [](const json::value& sidecar) {
    boost::system::error_code missing;
    return sidecar.find_pointer("/resources/requests/cpu", missing) != nullptr;
  });
}

json::object variable(std::string_view name, std::string_view value) { return {{"name", name}, {"value", value}}; }

void append(const model::Json& list, json::array& out) {
  if (!list.present() || !list.value().is_array()) return;
  for (const json::value& item : list.value().get_array()) out.push_back(item);
}

json::array environment(const model::ComponentSpec& spec, const model::PulsarMessaging& messaging) {
  json::array out;
  append(spec.pod.env, out);
  out.push_back(variable("logTopic", spec.log_topic));
  out.push_back(json::object{{"name", "POD_NAME"}, {"valueFrom", {{"fieldRef", {{"fieldPath", "metadata.name"}}}}}});
  if (!messaging.auth_config) return out;
  const model::AuthConfig& auth = *messaging.auth_config;
  if (auth.oauth2_config) {
    out.push_back(variable("oauth2Enabled", "true"));
    out.push_back(variable("oauth2IssuerUrl", auth.oauth2_config->issuer_url));
    out.push_back(variable("oauth2Audience", auth.oauth2_config->audience));
    out.push_back(variable("oauth2PrivateKey", oauth2_file(messaging, main_place())->path()));
    if (!auth.oauth2_config->scope.empty()) out.push_back(variable("oauth2Scope", auth.oauth2_config->scope));
  } else if (auth.generic_auth && auth.generic_auth->client_authentication_plugin == kTokenPlugin) {
    out.push_back(variable("clientAuthenticationParameters", auth.generic_auth->client_authentication_parameters));
  }
  return out;
}

}  // namespace

std::optional<json::object> make_log_sidecar(const model::Component& component) {
  const model::ComponentSpec& spec = component.spec;
  if (spec.log_topic.empty() || !logs_by_sidecar(spec)) return std::nullopt;
  model::PulsarMessaging messaging = spec.pulsar.value_or(model::PulsarMessaging{});
  const std::string command = "echo \"" + configuration() + "\" > " + kFilebeatConfig +
                              " && /usr/share/filebeat/filebeat -e -c " + kFilebeatConfig;
  json::array mounts;
  append(spec.volume_mounts, mounts);
  mounts.push_back(json::object{{"name", "filebeat-logs"}, {"mountPath", "/pulsar/logs/functions"}});
  if (const auto file = tls_file(messaging, main_place())) mounts.push_back(file->volume_mount());
  if (const auto file = oauth2_file(messaging, main_place())) mounts.push_back(file->volume_mount());
  json::object out{{"name", "filebeat"},
                   {"image", spec.filebeat_image.empty() ? kFilebeatImage : spec.filebeat_image},
                   {"command", json::array{"/bin/sh", "-c", "--", command}}};
  // Upstream has the two Secrets the other way round here.
  std::swap(messaging.auth_secret, messaging.tls_secret);
  if (json::array sources = env_from(messaging, main_place()); !sources.empty()) {
    out.emplace("envFrom", std::move(sources));
  }
  out.emplace("env", environment(spec, messaging));
  if (spec.max_replicas && only_container_without_request(spec)) {
    out.emplace("resources", json::object{{"requests", {{"cpu", "10m"}, {"memory", "64Mi"}}}});
  }
  out.emplace("volumeMounts", std::move(mounts));
  out.emplace("imagePullPolicy", "IfNotPresent");
  out.emplace("securityContext", json::object{{"capabilities", {{"drop", json::array{"ALL"}}}},
                                              {"runAsUser", kFilebeatUser},
                                              {"allowPrivilegeEscalation", false}});
  return out;
}

}  // namespace fmesh::plan
