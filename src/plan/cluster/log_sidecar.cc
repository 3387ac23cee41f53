#include <boost/json.hpp>

#include "plan/cluster/command.h"
#include "plan/cluster/log_config.h"
#include "plan/cluster/messaging.h"
#include "plan/cluster/shell.h"

namespace fmesh::plan {
namespace {

namespace json = boost::json;

constexpr const char* kFilebeatImage = "streamnative/filebeat:v0.6.0";
constexpr const char* kFilebeatConfig = "/usr/share/filebeat/config/filebeat.yaml";
constexpr const char* kTokenPlugin = "org.apache.pulsar.client.impl.auth.AuthenticationToken";
constexpr int kFilebeatUser = 1000;

// Filebeat reads ${NAME:default} from its environment by itself.
constexpr const char* kConfiguration =
    "filebeat.inputs: [{type: log, paths: [/pulsar/logs/functions/*.log]}]\n"
    "output.pulsar:\n"
    "  url: ${brokerServiceURL}\n"
    "  topic: ${logTopic}\n"
    "  name: ${POD_NAME}\n"
    "  fast_fail: true\n"
    "  token: ${clientAuthenticationParameters:}\n"
    "  oauth2:\n"
    "    enabled: ${oauth2Enabled:false}\n"
    "    issuerUrl: ${oauth2IssuerUrl:}\n"
    "    audience: ${oauth2Audience:}\n"
    "    privateKey: ${oauth2PrivateKey:}\n"
    "    scope: ${oauth2Scope:}\n"
    "log_level: info";

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
  const model::PulsarMessaging messaging = spec.pulsar.value_or(model::PulsarMessaging{});
  const std::string command = "echo \"" + shell_double_quoted(kConfiguration, false) + "\" > " + kFilebeatConfig +
                              " && /usr/share/filebeat/filebeat -e -c " + kFilebeatConfig;
  json::array mounts;
  append(spec.volume_mounts, mounts);
  mounts.push_back(json::object{{"name", "filebeat-logs"}, {"mountPath", "/pulsar/logs/functions"}});
  if (const auto file = tls_file(messaging, main_place())) mounts.push_back(file->volume_mount());
  if (const auto file = oauth2_file(messaging, main_place())) mounts.push_back(file->volume_mount());
  json::object out{{"name", "filebeat"},
                   {"image", spec.filebeat_image.empty() ? kFilebeatImage : spec.filebeat_image},
                   {"command", json::array{"/bin/sh", "-c", "--", command}}};
  if (json::array sources = env_from(messaging, main_place()); !sources.empty()) {
    out.emplace("envFrom", std::move(sources));
  }
  out.emplace("env", environment(spec, messaging));
  // Without requests the autoscaler can tell no utilization of the pod.
  if (spec.max_replicas) out.emplace("resources", json::object{{"requests", {{"cpu", "10m"}, {"memory", "64Mi"}}}});
  out.emplace("volumeMounts", std::move(mounts));
  out.emplace("imagePullPolicy", "IfNotPresent");
  out.emplace("securityContext", json::object{{"capabilities", {{"drop", json::array{"ALL"}}}},
                                              {"runAsUser", kFilebeatUser},
                                              {"allowPrivilegeEscalation", false}});
  return out;
}

}  // namespace fmesh::plan
