// What fmesh's own image runs: native and built-in functions, fmesh-python, built-in connectors. No shell: the words
// are the program's arguments, and where Pulsar is and who asks comes as environment (cli/pulsar_environment.h reads
// it).
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "model/fields.h"
#include "model/host.h"
#include "model/validate.h"
#include "plan/cluster/command_parts.h"
#include "plan/cluster/environment.h"
#include "plan/cluster/image.h"
#include "plan/cluster/messaging.h"
#include "plan/cluster/ports.h"
#include "plan/cluster/refuse.h"
#include "plan/details.h"

namespace fmesh::plan {
namespace {

namespace json = boost::json;
using model::HostKind;

constexpr const char* kProgram = "/usr/bin/fmesh";
constexpr const char* kPackageVolume = "downloader-volume";
constexpr const char* kPackageFolder = "/fmesh/package";
// Of Linux, for one argument with its end (MAX_ARG_STRLEN).
constexpr size_t kArgumentMaxBytes = size_t{128} * 1024 - 1;
// Of the time that Kubernetes gives a pod to end, what the instance may take; the rest is for its parent.
constexpr int64_t kDrainPart = 3, kDrainWhole = 4;

const char* runs_word(HostKind host) {
  switch (host) {
    case HostKind::kNative:
      return "native";
    case HostKind::kBuiltin:
      return "builtin";
    case HostKind::kSource:
      return "source";
    case HostKind::kSink:
      return "sink";
    default:
      return "python";
  }
}

json::object variable(const std::string& name, const std::string& value) { return {{"name", name}, {"value", value}}; }

// Who it is and whom it trusts, under the names that authSecret and tlsSecret use. What those give stays theirs.
std::vector<json::object> messaging_environment(const model::PulsarMessaging& messaging, const MessagingPlace& place) {
  std::vector<json::object> out;
  const auto add = [&](const char* name, const std::string& value) {
    out.push_back(variable(place.environment_prefix + name, literal(value)));
  };
  const auto boolean = [](bool value) { return value ? "true" : "false"; };
  if (messaging.auth_config && messaging.auth_config->oauth2_config) {
    add("clientAuthenticationPlugin", kOauth2Plugin);
    add("clientAuthenticationParameters",
        oauth2_parameters(*messaging.auth_config->oauth2_config, *oauth2_file(messaging, place)));
  } else if (messaging.auth_config && messaging.auth_config->generic_auth) {
    add("clientAuthenticationPlugin", messaging.auth_config->generic_auth->client_authentication_plugin);
    add("clientAuthenticationParameters", messaging.auth_config->generic_auth->client_authentication_parameters);
  }
  if (!messaging.tls_config) {
    if (!messaging.tls_secret.empty()) add("useTls", "true");
    return out;
  }
  const model::TlsConfig& tls = *messaging.tls_config;
  add("useTls", boolean(tls.enabled));
  if (!tls.enabled) return out;
  add("tlsAllowInsecureConnection", boolean(tls.allow_insecure));
  add("tlsHostnameVerificationEnable", boolean(tls.hostname_verification));
  if (const auto file = tls_file(messaging, place)) add("tlsTrustCertsFilePath", file->path());
  return out;
}

// What a mounted volume or an image of one's own may have, fmesh's own image has not.
Status check_file_can_be_there(const model::Component& component, const RunnerConfig& runner) {
  const model::ComponentSpec& spec = component.spec;
  const std::string& file = spec.generic_runtime->function_file;
  if (has_own_image(component, runner)) return {};
  const auto holds = [&](const json::value& mount) {
    const json::object* object = mount.if_object();
    const json::value* path = object ? object->if_contains("mountPath") : nullptr;
    if (!path || !path->is_string()) return false;
    std::string folder(path->get_string());
    if (folder == file) return true;
    if (!folder.ends_with('/')) folder += '/';
    return file.starts_with(folder);
  };
  if (spec.volume_mounts.present() && spec.volume_mounts.value().is_array()) {
    for (const json::value& mount : spec.volume_mounts.value().get_array()) {
      if (holds(mount)) return {};
    }
  }
  return refuse_field(component, "genericRuntime.functionFile",
                      file +
                          " is nowhere: fmesh's own image has no functions, and no volume is mounted there; give "
                          "functionFileLocation, an image with it in spec.image, or a volume in volumeMounts");
}

model::FunctionDetails native_details(const model::Component& component, HostKind host) {
  const model::ComponentSpec& spec = component.spec;
  model::FunctionDetails details = make_details(component, StreamNames::kAsWritten);
  // Windows are given to the function itself; Pulsar's class for them is Java.
  if (component.kind == model::Kind::kFunction) details.class_name = spec.class_name;
  details.log_topic = spec.log_topic;
  // Files are shared out among the instances by their count, and effectively once is refused to several that keep
  // state, so that here a change of the size restarts them.
  const bool by_count = (host == HostKind::kSource && spec.source_type == "file") ||
                        (host == HostKind::kSink && spec.sink_type == "file") ||
                        spec.processing_guarantee == "effectively_once";
  if (by_count) details.parallelism = spec.replicas.value_or(1);
  return details;
}

class NativeCommand {
 public:
  NativeCommand(const CommandInput& input, HostKind host)
      : component_(input.component), spec_(component_.spec), options_(input.options), host_(host) {}

  Result<PodCommand> make() {
    const model::Diagnostics findings = model::validate_native_pod(component_);
    for (const model::Diagnostic& one : findings.list()) {
      if (one.severity == model::Severity::kError) {
        return fail(ErrorKind::kFixInput, component_.name() + ": " + one.path + ": " + one.text, one.place);
      }
    }
    FMESH_TRY(const std::string file, place_file());
    const std::string details = model::to_json(native_details(component_, host_));
    if (details.size() > kArgumentMaxBytes) {
      return refuse_field(component_, "",
                          fmt::format("it takes {} bytes as FunctionDetails, and an argument of a program has at most "
                                      "{}; make funcConfig or the connector's configuration smaller",
                                      details.size(), kArgumentMaxBytes));
    }
    out_.command = {kProgram, "instance", "--runs", runs_word(host_)};
    if (!file.empty()) add("--library", literal(file));
    add("--function_details", literal(details));
    out_.command.emplace_back("--pulsar-env");
    add("--cluster_name", literal(spec_.cluster_name));
    add("--metrics_port", std::to_string(kMetricsPort));
    add("--bind-address", "*");
    const auto grace = spec_.pod.termination_grace_period_seconds;
    if (grace)
      add("--drain-limit", fmt::format("{}ms", std::max<int64_t>(*grace, 0) * 1000 * kDrainPart / kDrainWhole));
    if (spec_.pulsar) out_.env = messaging_environment(*spec_.pulsar, main_place());
    out_.serves_health = true;
    return std::move(out_);
  }

 private:
  void add(const char* flag, std::string value) {
    out_.command.emplace_back(flag);
    out_.command.push_back(std::move(value));
  }

  // Where the library or package is in the main container; empty for what needs none.
  Result<std::string> place_file() {
    if (component_.kind != model::Kind::kFunction || host_ == HostKind::kBuiltin) return std::string();
    const model::GenericRuntime& runtime = *spec_.generic_runtime;
    if (runtime.function_file.empty()) {
      return refuse_field(component_, "genericRuntime.functionFile",
                          "is missing; expected the path of a function library or a Python file");
    }
    if (runtime.function_file_location.empty()) {
      FMESH_CHECK(check_file_can_be_there(component_, options_.runner));
      return runtime.function_file;
    }
    FMESH_TRY(out_.downloader, make_fetcher(runtime));
    out_.volumes.push_back({{"name", kPackageVolume}, {"emptyDir", json::object{}}});
    out_.volume_mounts.push_back({{"name", kPackageVolume}, {"mountPath", kPackageFolder}, {"readOnly", true}});
    return std::string(kPackageFolder) + "/" + runtime.function_file;
  }

  Result<json::object> make_fetcher(const model::GenericRuntime& runtime) const {
    FMESH_TRY(const std::string image, component_image(component_, options_.runner));
    static const model::PulsarMessaging none;
    const bool apart = spec_.pulsar_package_service.has_value();
    const MessagingPlace& place = apart ? package_place() : main_place();
    const model::PulsarMessaging& messaging = apart          ? *spec_.pulsar_package_service
                                              : spec_.pulsar ? *spec_.pulsar
                                                             : none;
    json::array command{kProgram,       "fetch-package", literal(runtime.function_file_location), "--to",
                        kPackageFolder, "--file",        literal(runtime.function_file),          "--pulsar-env"};
    if (apart) {
      command.emplace_back("--pulsar-env-prefix");
      command.emplace_back(place.environment_prefix);
    }
    json::array mounts{json::object{{"name", kPackageVolume}, {"mountPath", kPackageFolder}}};
    if (const auto file = oauth2_file(messaging, place)) mounts.push_back(file->volume_mount());
    if (const auto file = tls_file(messaging, place)) mounts.push_back(file->volume_mount());
    json::object out{{"name", "downloader"}, {"image", image}, {"command", std::move(command)}};
    if (json::array sources = env_from(messaging, place); !sources.empty()) out.emplace("envFrom", std::move(sources));
    json::array env;
    for (json::object& one : messaging_environment(messaging, place)) env.push_back(std::move(one));
    if (!env.empty()) out.emplace("env", std::move(env));
    json::value resources = model::write(model::struct_info<model::ResourceRequirements>(), &spec_.resources,
                                         static_cast<model::Kinds>(component_.kind));
    if (!resources.as_object().empty()) out.emplace("resources", std::move(resources));
    out.emplace("volumeMounts", std::move(mounts));
    out.emplace("imagePullPolicy", component_pull_policy(spec_, options_.runner));
    out.emplace("securityContext",
                json::object{{"capabilities", {{"drop", json::array{"ALL"}}}}, {"allowPrivilegeEscalation", false}});
    return out;
  }

  const model::Component& component_;
  const model::ComponentSpec& spec_;
  const ClusterOptions& options_;
  const HostKind host_;
  PodCommand out_;
};

}  // namespace

Result<PodCommand> make_native_command(const CommandInput& input) {
  return NativeCommand(input, *model::choose_pod_host(input.component.spec, input.component.kind)).make();
}

}  // namespace fmesh::plan
