// fmesh instance: one instance of one component, as a pod runs it. The flags are those of Pulsar's own instances, so
// that both are started alike.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>

#include "base/disk.h"
#include "cli/command.h"
#include "cli/control.h"
#include "cli/pulsar_client_flags.h"
#include "cli/units.h"
#include "local/instance_host.h"
#include "model/host.h"
#include "observe/json.h"
#include "plan/details.h"
#include "stream/log/log.h"

namespace fmesh::cli {
namespace {

constexpr const char* kDefaultCacheDirectory = "/tmp/fmesh-libraries";
constexpr std::uintmax_t kDetailsFileMaxBytes = 4 * 1024 * 1024;

struct InstanceFlags {
  std::string details, runs, library, data_directory, bind_address = "127.0.0.1", drain_limit;
  std::string cache_directory = kDefaultCacheDirectory, cluster = "local";
  int instance_id = -1, metrics_port = 0;
  PulsarClientFlags pulsar;
  // Of Pulsar's own instances, which take "true" and "false" there.
  std::string use_tls, allow_insecure, verify_name;
  std::vector<std::string> unused;  // what only they need
  bool no_restart = false;
};

// The JSON itself, or with an @ the file that holds it. A shell's single quotes around it are taken off, as Pulsar's
// instances do.
Result<model::FunctionDetails> read_details(std::string text) {
  std::string where = "--function_details";
  if (text.starts_with('@')) {
    where = text.substr(1);
    std::error_code code;
    const auto size = std::filesystem::file_size(where, code);
    if (code) return fail(ErrorKind::kFixInput, where + ": " + code.message());
    if (size > kDetailsFileMaxBytes) {
      return fail(ErrorKind::kFixInput,
                  where + ": " + std::to_string(size) + " bytes; function details have at most 4 MiB");
    }
    std::ifstream file(where);
    text.assign(std::istreambuf_iterator<char>(file), {});
  }
  if (text.size() >= 2 && text.starts_with('\'') && text.ends_with('\'')) text = text.substr(1, text.size() - 2);
  auto details = model::parse_function_details(text);
  if (!details) return fail(details.error().within(where));
  return plan::with_full_names(std::move(*details));
}

bool is_builtin_function(std::string_view name) {
  const auto names = model::BuiltinNames().functions;
  return std::ranges::find(names, name) != names.end();
}

Result<model::HostKind> choose_host(const InstanceFlags& flags, const model::FunctionDetails& details) {
  using model::HostKind;
  if (flags.runs == "source") return HostKind::kSource;
  if (flags.runs == "sink") return HostKind::kSink;
  if (flags.runs == "builtin") return HostKind::kBuiltin;
  if (flags.runs == "native") return HostKind::kNative;
  if (flags.runs == "python") return HostKind::kPython;
  if (details.source && !details.source->builtin.empty()) return HostKind::kSource;
  if (details.sink && !details.sink->builtin.empty()) return HostKind::kSink;
  const std::string extension = std::filesystem::path(flags.library).extension();
  if (extension == ".so") return HostKind::kNative;
  if (extension == ".py" || extension == ".zip" || extension == ".whl") return HostKind::kPython;
  if (flags.library.empty() && is_builtin_function(details.class_name)) return HostKind::kBuiltin;
  return fail(ErrorKind::kFixInput,
              "nothing says what runs " + details.fully_qualified_name() +
                  ": give --library FILE (.so, .py, .zip, .whl), a connector in source.builtin or sink.builtin, or one "
                  "of the built-in functions as className; --runs names it outright");
}

// Kubernetes gives secrets as variables of their names.
std::map<std::string, std::string> secrets_of(const model::FunctionDetails& details) {
  std::map<std::string, std::string> secrets;
  const auto map = observe::parse_json(details.secrets_map.empty() ? "{}" : details.secrets_map);
  if (!map || !map->is_object()) return secrets;
  for (const auto& [name, reference] : map->get_object()) {
    if (const char* value = std::getenv(std::string(name).c_str())) secrets[std::string(name)] = value;
  }
  return secrets;
}

// "orders-3" is instance 3 of a StatefulSet.
int instance_of_pod() {
  const char* pod = std::getenv("POD_NAME");
  if (pod == nullptr) return -1;
  const std::string name = pod;
  const size_t dash = name.rfind('-');
  const std::string digits = dash == std::string::npos ? "" : name.substr(dash + 1);
  if (digits.empty() || digits.size() > 9 || !std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; }))
    return -1;
  return std::stoi(digits);
}

Result<model::InstanceSpec> make_spec(const InstanceFlags& flags) {
  model::InstanceSpec spec;
  FMESH_TRY(spec.details, read_details(flags.details));
  FMESH_TRY(spec.host, choose_host(flags, spec.details));
  spec.component = spec.details.name;
  std::error_code code;
  spec.base_directory = std::filesystem::current_path(code).string();
  if (!flags.library.empty()) spec.library_path = std::filesystem::absolute(flags.library, code).lexically_normal();
  spec.secrets = secrets_of(spec.details);
  spec.instance_id = flags.instance_id >= 0 ? flags.instance_id : instance_of_pod();
  if (spec.instance_id < 0) {
    return fail(ErrorKind::kFixInput, "which instance is this? Give --instance_id N, or POD_NAME ending in -N");
  }
  spec.instance_count = std::max(1, spec.details.parallelism);
  return spec;
}

// A topic's service URL says whether TLS is spoken; Pulsar's instances say so by --use_tls, too.
stream::pulsar::PulsarOptions pulsar_options(const InstanceFlags& flags) {
  stream::pulsar::PulsarOptions options = flags.pulsar.options();
  constexpr std::string_view kPlain = "pulsar://";
  if (flags.use_tls == "true" && options.service_url.starts_with(kPlain)) {
    options.service_url = "pulsar+ssl://" + options.service_url.substr(kPlain.size());
  }
  options.tls_insecure = options.tls_insecure || flags.allow_insecure == "true";
  if (!flags.verify_name.empty()) options.tls_verify_name = flags.verify_name == "true";
  return options;
}

Result<std::unique_ptr<stream::Client>> open_log(const std::string& directory, const Clock& clock) {
  static const std::unique_ptr<Disk> disk = make_posix_disk();
  stream::log::LogOptions options;
  options.directory = directory;
  FMESH_TRY(auto log, stream::log::Log::open(*disk, clock, std::move(options)));
  return log;
}

// "*" is every interface of both families, where the machine has IPv6.
std::string http_address(const InstanceFlags& flags) {
  const std::string port = ":" + std::to_string(flags.metrics_port);
  if (flags.bind_address != "*") return flags.bind_address + port;
  std::error_code code;
  return (std::filesystem::exists("/proc/net/if_inet6", code) ? "[::]" : "0.0.0.0") + port;
}

int run(InstanceFlags& flags) {
  flags.pulsar.take_environment([](const std::string& name) { return std::getenv(name.c_str()); });
  local::InstanceHostOptions options;
  auto spec = make_spec(flags);
  if (!spec) return report(spec.error());
  options.spec = std::move(*spec);
  options.cache_directory = flags.cache_directory;
  options.cluster = flags.cluster;
  if (!flags.drain_limit.empty()) {
    const auto limit = parse_duration_ms(flags.drain_limit);
    if (!limit) return report(limit.error().within("--drain-limit"));
    options.drain_limit_ms = *limit;
  }
  if (flags.metrics_port > 0) options.http_address = http_address(flags);
  if (!flags.pulsar.given() && flags.pulsar.from_environment) {
    return report(Error(ErrorKind::kFixInput,
                        "where are the streams? --pulsar-env, but the variable " + flags.pulsar.environment_prefix +
                            "brokerServiceURL is not set; the ConfigMap of pulsar.pulsarConfig has to have it"));
  }
  if (!flags.pulsar.given() && flags.data_directory.empty()) {
    return report(Error(ErrorKind::kFixInput,
                        "where are the streams? Give --pulsar pulsar://HOST:PORT (as Pulsar's instances call it, "
                        "--pulsar_serviceurl), or --data-dir DIR for the embedded log"));
  }
  options.open_streams = [&flags](const Clock& clock, Loop& loop) -> Result<std::unique_ptr<stream::Client>> {
    if (!flags.pulsar.given()) return open_log(flags.data_directory, clock);
    return open_cluster(pulsar_options(flags), loop);
  };
  const auto line = [](const std::string& text) {
    std::fprintf(stderr, "%s%s", text.c_str(), text.ends_with('\n') ? "" : "\n");
  };
  const auto host = [&](const local::HostStart& start) { return local::run_instance_host(options, start, line); };
  if (flags.no_restart) return host(local::HostStart{});
  return local::run_with_parent(host, {});
}

// The flags of Pulsar's own instances (facts: pulsar.md 5.2, 5.3), so that a command written for them starts this one.
void add_stock_flags(CLI::App& verb, InstanceFlags& flags) {
  const auto same = [&verb](const char* names, std::string& target) {
    verb.add_option(names, target)->group("As Pulsar's instances");
  };
  same("--pulsar_serviceurl", flags.pulsar.url);
  same("--web_serviceurl", flags.pulsar.web_url);
  same("--client_auth_plugin", flags.pulsar.auth_plugin);
  same("--client_auth_params", flags.pulsar.auth_params);
  same("--tls_trust_cert_path", flags.pulsar.trust_file);
  same("--use_tls", flags.use_tls);
  same("--tls_allow_insecure,--tls_allow_insecure_connection", flags.allow_insecure);
  same("--hostname_verification_enabled", flags.verify_name);
  for (const char* name :
       {"--function_id", "--function_version", "--port", "--max_buffered_tuples", "--expected_healthcheck_interval",
        "--secrets_provider", "--secrets_provider_config", "--state_storage_serviceurl"}) {
    verb.add_option(name, flags.unused, "Taken and not needed")->group("As Pulsar's instances");
  }
}

}  // namespace

void add_instance(CLI::App& app, Exit& exit) {
  auto* verb = app.add_subcommand("instance", "Run one instance of a component, as a pod does");
  const auto flags = std::make_shared<InstanceFlags>();
  verb->add_option("--function_details", flags->details, "Pulsar's FunctionDetails as JSON, or @FILE with them")
      ->required()
      ->type_name("JSON");
  verb->add_option("--instance_id", flags->instance_id, "Which instance this is (default: the end of $POD_NAME)")
      ->check(CLI::Range(0, 999'999'999));
  verb->add_option("--library,--jar,--py", flags->library, "The function: a library (.so) or Python (.py, .zip, .whl)")
      ->type_name("FILE");
  verb->add_option("--runs", flags->runs, "What runs it, where details and file do not say")
      ->check(CLI::IsMember({"native", "builtin", "python", "source", "sink"}));
  add_pulsar_client_flags(*verb, flags->pulsar);
  add_pulsar_environment_flags(*verb, flags->pulsar);
  add_stock_flags(*verb, *flags);
  verb->add_option("--data-dir", flags->data_directory, "Streams in the embedded log of this folder")->type_name("DIR");
  verb->add_option("--metrics_port", flags->metrics_port, "Serve /metrics, /healthz, /readyz and /status on this port")
      ->check(CLI::Range(0, 65'535));
  verb->add_option("--cluster_name", flags->cluster, "The Pulsar cluster, a label of the metrics")
      ->capture_default_str();
  verb->add_option("--bind-address", flags->bind_address, "The address of that port; *: every interface")
      ->capture_default_str();
  verb->add_option("--drain-limit", flags->drain_limit, "How long ending may take (default 20s)")->type_name("TIME");
  verb->add_option("--cache-dir", flags->cache_directory, "For copies of function libraries")->capture_default_str();
  verb->add_flag("--no-restart", flags->no_restart, "One process, no parent that restarts it after a crash");
  verb->callback([flags, &exit] { exit.code = run(*flags); });
}

}  // namespace fmesh::cli
