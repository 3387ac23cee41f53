#include "cli/operator_flags.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "model/document.h"

namespace fmesh::cli {
namespace {

constexpr const char* kNamespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

std::string own_namespace(const kube::ConfigSources& sources) {
  if (const auto name = sources.env("POD_NAMESPACE"); name && !name->empty()) return *name;
  auto text = sources.read_file(kNamespaceFile);
  if (!text) return "";
  while (!text->empty() && (text->back() == '\n' || text->back() == ' ')) text->pop_back();
  return *text;
}

// As upstream reads RUN_AS_NON_ROOT: what can't be read as a truth value means true.
bool truth(const std::optional<std::string>& text, bool absent) {
  if (!text || text->empty()) return absent;
  for (const char* no : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (*text == no) return false;
  }
  return true;
}

// ":8443", upstream's form, means every interface: both families where the machine has IPv6.
std::string listen_address(const std::string& given, const kube::ConfigSources& sources) {
  if (given == "0") return "";
  if (!given.starts_with(':')) return given;
  const bool has_ipv6 = sources.read_file("/proc/net/if_inet6").has_value();
  return (has_ipv6 ? "[::]" : "0.0.0.0") + given;
}

}  // namespace

void add_operator_flags(CLI::App& verb, OperatorFlags& flags) {
  verb.add_option("--config-file", flags.config_file, "Runner images, pull secrets, labels (upstream's config file)")
      ->envname("CONFIG_FILE")
      ->type_name("FILE");
  verb.add_flag("--enable-init-containers,!--no-enable-init-containers", flags.enable_init_containers,
                "Fetch packages by an init container")
      ->envname("ENABLE_INIT_CONTAINERS");
  verb.add_option("--global-backend-config", flags.global_backend_config, "Name of the cluster's BackendConfig")
      ->envname("GLOBAL_BACKEND_CONFIG")
      ->type_name("NAME");
  verb.add_option("--global-backend-config-namespace", flags.global_backend_config_namespace, "Where it is")
      ->envname("GLOBAL_BACKEND_CONFIG_NAMESPACE")
      ->type_name("NAMESPACE")
      ->capture_default_str();
  verb.add_option("--namespaced-backend-config", flags.namespaced_backend_config,
                  "Name of the BackendConfig of each namespace")
      ->envname("NAMESPACED_BACKEND_CONFIG")
      ->type_name("NAME")
      ->capture_default_str();
  verb.add_flag("--add-default-affinity,!--no-add-default-affinity", flags.add_default_affinity,
                "Spread the pods of a component over nodes (default: yes)")
      ->envname("ADD_DEFAULT_AFFINITY");
  verb.add_flag("--pause-rollout", flags.pause_rollout, "Hold changes back that do not come from the resource itself")
      ->envname("PAUSE_ROLLOUT");
}

void add_process_flags(CLI::App& verb, OperatorFlags& flags) {
  verb.add_option("--kubeconfig", flags.kubeconfig, "How to reach the cluster (default: as kubectl, or the pod's own)")
      ->type_name("FILE");
  verb.add_option("--context", flags.context, "Another context of the kubeconfig")->type_name("NAME");
  verb.add_option("--watched-namespace", flags.watched_namespace, "Look after this namespace only (default: all)")
      ->envname("WATCHED_NAMESPACE")
      ->type_name("NAMESPACE");
  verb.add_option("--watched-namespaces", flags.watched_namespaces, "Look after these namespaces only")
      ->delimiter(',')
      ->type_name("NAMESPACE,...");
  verb.add_option("--metrics-addr", flags.metrics_address, "Address of /metrics; 0: none")
      ->envname("METRICS_ADDR")
      ->type_name("ADDR")
      ->capture_default_str();
  verb.add_flag("--metrics-secure,!--no-metrics-secure", flags.metrics_secure,
                "/metrics over HTTPS, for those the cluster lets read it (default: yes)");
  verb.add_option("--health-probe-addr", flags.health_address, "Address of /healthz and /readyz")
      ->envname("HEALTH_PROBE_ADDR")
      ->type_name("ADDR")
      ->capture_default_str();
  verb.add_flag("--enable-leader-election", flags.enable_leader_election, "Only one of several replicas acts")
      ->envname("ENABLE_LEADER_ELECTION");
  verb.add_option("--leader-election-id", flags.leader_election_id, "Name of the Lease")
      ->envname("LEADER_ELECTION_ID")
      ->type_name("NAME")
      ->capture_default_str();
  verb.add_option("--leader-election-namespace", flags.leader_election_namespace, "Where the Lease is (default: here)")
      ->envname("LEADER_ELECTION_NAMESPACE")
      ->type_name("NAMESPACE");
  verb.add_option("--cert-dir", flags.certificate_folder, "Folder with tls.crt and tls.key of the webhooks")
      ->envname("CERT_DIR")
      ->type_name("FOLDER");
  verb.add_option("--webhook-addr", flags.webhook_address, "Address of the webhooks")
      ->type_name("ADDR")
      ->capture_default_str();
  verb.add_flag("--webhooks,!--no-webhooks", flags.webhooks, "Serve admission (default: yes)")
      ->envname("ENABLE_WEBHOOKS");
  verb.add_flag("--meshes,!--no-meshes", flags.meshes, "Look after FunctionMesh resources (default: yes)")
      ->envname("ENABLE_FUNCTION_MESH_CONTROLLER");
  verb.add_option("--log-level", flags.log_level, "trace, debug, info, warn, error; also logLevel in the config file")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error"}))
      ->capture_default_str();
  verb.add_option("--passes", flags.passes_max, "Resources looked after at the same time")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  verb.add_option("--api-requests-per-second", flags.api_requests_per_second,
                  "Limit of requests to the API server; 0: only what it asks for itself")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb.add_option("--api-in-flight", flags.api_in_flight_max, "Requests to the API server at the same time")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  verb.add_option("--cleanup-hosts", flags.cleanup_hosts,
                  "Hosts that resources may have their cleanup done at: names, *.DOMAIN, addresses, networks (default: "
                  "all but loopback, link-local and the like)")
      ->envname("CLEANUP_HOSTS")
      ->delimiter(',')
      ->type_name("HOST,...");
  verb.add_option("--cleanup-deadline", flags.cleanup_deadline_s,
                  "Seconds after which a deleted resource goes, with a warning, though its cleanup failed")
      ->envname("CLEANUP_DEADLINE")
      ->check(CLI::Range(1, 86'400))
      ->capture_default_str();
  // Upstream has these; a profiler of Go has no meaning here.
  verb.add_flag("--enable-pprof", flags.enable_pprof, "")->envname("ENABLE_PPROF")->group("");
  verb.add_option("--pprof-addr", flags.pprof_address, "")->envname("PPROF_ADDR")->group("");
}

void allow_one_dash(std::vector<std::string>& words) {
  for (std::string& word : words) {
    const bool one_dash = word.size() > 2 && word[0] == '-' && word[1] >= 'a' && word[1] <= 'z';
    if (one_dash) word.insert(0, "-");
  }
}

Result<plan::ClusterOptions> read_cluster_options(const OperatorFlags& flags, const kube::ConfigSources& sources) {
  plan::ClusterOptions options;
  options.init_containers = flags.enable_init_containers;
  options.add_default_affinity = flags.add_default_affinity;
  options.run_as_non_root = truth(sources.env("RUN_AS_NON_ROOT"), false);
  options.global_backend_config = flags.global_backend_config;
  options.global_backend_config_namespace = flags.global_backend_config_namespace;
  options.namespaced_backend_config = flags.namespaced_backend_config;
  if (!flags.config_file.empty()) {
    FMESH_TRY(const std::string text, sources.read_file(flags.config_file));
    FMESH_TRY(options.runner, plan::read_runner_config(flags.config_file, text));
  }
  return options;
}

Result<std::string> read_log_level(const OperatorFlags& flags, const kube::ConfigSources& sources) {
  if (flags.config_file.empty()) return flags.log_level;
  FMESH_TRY(const std::string text, sources.read_file(flags.config_file));
  const model::DocumentList list = model::read_yaml(flags.config_file, text);
  if (list.documents.empty()) return flags.log_level;
  const model::Node* level = list.documents.front()->find("logLevel");
  return level ? level->text : flags.log_level;
}

Result<op::ProcessOptions> read_operator_flags(const OperatorFlags& flags, const kube::ConfigSources& sources) {
  op::ProcessOptions options;
  FMESH_TRY(options.settings.cluster, read_cluster_options(flags, sources));
  FMESH_TRY(options.cluster, kube::load_config(sources));
  op::Settings& settings = options.settings;
  settings.pause_rollout = flags.pause_rollout;
  settings.meshes = flags.meshes;
  settings.watched_namespaces = flags.watched_namespaces;
  if (!flags.watched_namespace.empty()) settings.watched_namespaces.push_back(flags.watched_namespace);
  settings.passes_max = static_cast<size_t>(flags.passes_max);
  options.api.in_flight_max = static_cast<size_t>(flags.api_in_flight_max);
  options.api.requests_per_second = flags.api_requests_per_second;
  options.api.user_agent = "fmesh-operator/" FMESH_VERSION;
  const std::string here = own_namespace(sources);
  options.leader_election = flags.enable_leader_election;
  options.leader_election_id = flags.leader_election_id;
  options.leader_election_namespace = flags.leader_election_namespace.empty() ? here : flags.leader_election_namespace;
  if (options.leader_election && options.leader_election_namespace.empty()) {
    return fail(ErrorKind::kFixInput,
                "--enable-leader-election outside of a pod needs --leader-election-namespace: where the Lease is kept");
  }
  options.health_address = listen_address(flags.health_address, sources);
  options.metrics_address = listen_address(flags.metrics_address, sources);
  options.metrics_secure = flags.metrics_secure;
  options.webhooks = flags.webhooks;
  options.webhook_address = listen_address(flags.webhook_address, sources);
  options.certificate_folder = flags.certificate_folder;
  options.webhook_namespace = here;
  settings.cleanup_deadline_ms = int64_t{flags.cleanup_deadline_s} * 1000;
  auto hosts = stream::pulsar::AllowedHosts::parse(flags.cleanup_hosts);
  if (!hosts) return fail(hosts.error().within("--cleanup-hosts"));
  options.cleanup_hosts = std::move(*hosts);
  FMESH_TRY(options.log_level, read_log_level(flags, sources));
  return options;
}

}  // namespace fmesh::cli
