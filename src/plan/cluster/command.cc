#include "plan/cluster/command.h"

#include <boost/json.hpp>

#include "model/function_details.h"
#include "model/host.h"
#include "plan/cluster/command_parts.h"
#include "plan/cluster/messaging.h"
#include "plan/cluster/shell.h"
#include "plan/details.h"
#include "plan/instance_words.h"

namespace fmesh::plan {
namespace {

constexpr const char* kUidPlaceholder = "{uid}";  // of `fmesh render`: there is no resource yet

std::string boolean(bool value) { return value ? "true" : "false"; }

std::string tls_options(const model::PulsarMessaging& messaging) {
  if (!messaging.tls_config) {
    if (messaging.tls_secret.empty()) return " --use_tls false";
    return " --use_tls true --tls_allow_insecure ${tlsAllowInsecureConnection:-false}"
           " --hostname_verification_enabled ${tlsHostnameVerificationEnable:-true}"
           " --tls_trust_cert_path $tlsTrustCertsFilePath";
  }
  const model::TlsConfig& tls = *messaging.tls_config;
  if (!tls.enabled) return " --use_tls false";
  std::string out = " --use_tls true --tls_allow_insecure " + boolean(tls.allow_insecure) +
                    " --hostname_verification_enabled " + boolean(tls.hostname_verification);
  if (const auto file = tls_file(messaging, main_place())) {
    out += " --tls_trust_cert_path " + shell_word(file->path());
  }
  return out;
}

std::unexpected<Error> refuse(const model::Component& component, const std::string& what) {
  return fail(ErrorKind::kFixInput, component.name() + ": " + what, component.origin.place(component.path));
}

Result<PodCommand> choose_command(const CommandInput& input) {
  const model::Component& component = input.component;
  const model::ComponentSpec& spec = component.spec;
  if (model::is_native_pod(spec, component.kind)) return make_native_command(input);
  if (component.kind != model::Kind::kFunction) {
    if (spec.java) return make_java_command(input);
    return refuse(component, std::string("a ") + model::to_string(component.kind) +
                                 " in a cluster needs `java` with the NAR or jar of a connector, or names a built-in "
                                 "one in " +
                                 (component.kind == model::Kind::kSource ? "sourceType" : "sinkType"));
  }
  if (spec.java) return make_java_command(input);
  if (spec.python) return make_python_command(input);
  if (spec.golang) return make_go_command(input);
  if (!spec.generic_runtime) {
    return refuse(component, "no runtime is given; expected `java`, `python`, `golang` or `genericRuntime`");
  }
  return make_generic_command(input);
}

}  // namespace

std::string function_id(const CommandInput& input) {
  return "${SHARD_ID}-" + (input.uid == kUidPlaceholder ? input.uid : shell_text(input.uid));
}

std::string shared_options(const CommandInput& input) {
  static const model::PulsarMessaging none;
  const model::ComponentSpec& spec = input.component.spec;
  const model::PulsarMessaging& messaging = spec.pulsar ? *spec.pulsar : none;
  const std::string details = model::to_json(make_details(input.component, StreamNames::kAsWritten));
  std::string out;
  for (const auto& [name, value] : instance_options({.instance_id = "${SHARD_ID}",
                                                     .function_id = function_id(input),
                                                     .function_details = shell_literal(details),
                                                     .service_url = "$brokerServiceURL",
                                                     .port = "9093",
                                                     .metrics_port = "9094",
                                                     .cluster_name = shell_word(spec.cluster_name)})) {
    out += (out.empty() ? "" : " ") + name + " " + value;
  }
  if (const auto auth = client_auth(messaging, main_place())) {
    out += " --client_auth_plugin " + auth->plugin + " --client_auth_params " + auth->parameters;
  }
  return out + tls_options(messaging);
}

std::string secrets_option(const CommandInput& input, const char* provider) {
  return input.component.spec.secrets_map.empty() ? std::string() : std::string(" --secrets_provider ") + provider;
}

std::string state_option(const CommandInput& input) {
  const auto& state = input.component.spec.stateful_config;
  if (!state || !state->pulsar || state->pulsar->service_url.empty()) return {};
  return " --state_storage_serviceurl " + shell_word(state->pulsar->service_url);
}

PodCommand pod_command(const char* shell, std::string command, Package package) {
  PodCommand out;
  out.command = {shell, "-c", std::move(command)};
  out.volumes = std::move(package.volumes);
  out.volume_mounts = std::move(package.volume_mounts);
  out.downloader = std::move(package.downloader);
  return out;
}

Result<PodCommand> make_pod_command(const model::Component& component, const ClusterOptions& options,
                                    const std::string& uid) {
  FMESH_TRY(PodCommand out, choose_command({.component = component, .options = options, .uid = uid}));
  std::string words;
  for (const std::string& word : out.command) words += word;
  if (out.downloader) {
    for (const auto& word : out.downloader->at("command").as_array()) words += word.as_string();
  }
  if (words.find('\0') != std::string::npos) {
    return refuse(component, "a field of its spec has a NUL character, which no command of a pod can carry");
  }
  return out;
}

}  // namespace fmesh::plan
