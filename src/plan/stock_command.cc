#include "plan/stock_command.h"

#include <fmt/format.h>

#include <array>
#include <boost/json.hpp>
#include <string_view>

#include "model/json.h"
#include "plan/instance_words.h"

namespace fmesh::plan {
namespace {

namespace json = boost::json;
using model::InstanceSpec;

constexpr std::string_view kImageFolder = "/pulsar";

// Levels as each runtime calls them; what it does not know is its usual level.
std::string level_of(const std::string& level, const std::map<std::string, std::string>& known,
                     const std::string& usual) {
  const auto found = known.find(level);
  return found == known.end() ? usual : found->second;
}

std::string java_level(const std::string& level) {
  return level_of(level,
                  {{"all", "ALL"},
                   {"trace", "TRACE"},
                   {"debug", "DEBUG"},
                   {"info", "INFO"},
                   {"warn", "WARN"},
                   {"error", "ERROR"},
                   {"fatal", "FATAL"},
                   {"off", "OFF"}},
                  "INFO");
}

std::string python_level(const std::string& level) {
  return level_of(level, {{"debug", "DEBUG"}, {"warn", "WARNING"}, {"error", "ERROR"}, {"fatal", "CRITICAL"}}, "INFO");
}

std::string go_level(const std::string& level) {
  const std::map<std::string, std::string> known = {{"trace", "trace"}, {"debug", "debug"}, {"warn", "warn"},
                                                    {"error", "error"}, {"fatal", "fatal"}, {"panic", "panic"}};
  return level_of(level, known, "info");
}

// One line per event, its level first, which the host reads off; what an exception says stands in the same line.
std::string java_log_configuration(const std::string& level) {
  return fmt::format(
      "<Configuration>\n"
      " <Appenders>\n"
      "  <Console name='Console' target='SYSTEM_OUT'>"
      "<PatternLayout pattern='%level %logger{{1}} - %msg "
      "%throwable{{short.message}}%n%throwable{{full}}'/></Console>\n"
      " </Appenders>\n"
      " <Loggers><Root level='{}'><AppenderRef ref='Console'/></Root></Loggers>\n"
      "</Configuration>\n",
      java_level(level));
}

std::string python_log_configuration(const std::string& level) {
  return fmt::format(
      "[loggers]\nkeys=root\n"
      "[handlers]\nkeys=console\n"
      "[formatters]\nkeys=line\n"
      "[logger_root]\nlevel={0}\nhandlers=console\n"
      "[handler_console]\nclass=logging.StreamHandler\nlevel={0}\nformatter=line\nargs=(sys.stdout,)\n"
      "[formatter_line]\nformat=%(levelname)s %(name)s - %(message)s\n",
      python_level(level));
}

bool uses_tls(const StockStreams& streams) { return streams.service_url.starts_with("pulsar+ssl://"); }

std::vector<std::pair<std::string, std::string>> shared_options(const InstanceSpec& spec, const StockPlace& place,
                                                                const char* secrets) {
  auto options = instance_options({.instance_id = std::to_string(spec.instance_id),
                                   .function_id = fmt::format("{}-{}", spec.instance_id, spec.component),
                                   .function_details = model::to_json(spec.details),
                                   .service_url = place.streams.service_url,
                                   .port = std::to_string(place.port),
                                   .metrics_port = std::to_string(place.metrics_port),
                                   .cluster_name = spec.stock->cluster_name});
  const StockStreams& streams = place.streams;
  if (!streams.auth_plugin.empty()) {
    options.emplace_back("--client_auth_plugin", streams.auth_plugin);
    options.emplace_back("--client_auth_params", streams.auth_parameters);
  }
  const auto boolean = [](bool value) { return value ? "true" : "false"; };
  const bool tls = uses_tls(streams);
  options.emplace_back("--use_tls", boolean(tls));
  if (tls) {
    options.emplace_back("--tls_allow_insecure", boolean(streams.tls_insecure));
    options.emplace_back("--hostname_verification_enabled", boolean(streams.tls_verify_name && !streams.tls_insecure));
    if (!streams.tls_trust_file.empty()) options.emplace_back("--tls_trust_cert_path", streams.tls_trust_file);
  }
  if (!spec.secrets.empty()) options.emplace_back("--secrets_provider", secrets);
  if (!spec.stock->state_url.empty()) options.emplace_back("--state_storage_serviceurl", spec.stock->state_url);
  return options;
}

void add_options(const std::vector<std::pair<std::string, std::string>>& options, StockCommand& command) {
  for (const auto& [name, value] : options) {
    command.arguments.push_back(name);
    command.arguments.push_back(value);
  }
}

// What the JVM and Pulsar's libraries need to reach into, as Pulsar's own scripts open it.
constexpr std::array kOpened = {"java.base/java.nio=ALL-UNNAMED", "java.base/jdk.internal.misc=ALL-UNNAMED",
                                "java.base/java.util.zip=ALL-UNNAMED"};

void java_command(const InstanceSpec& spec, const StockPlace& place, StockCommand& command) {
  const model::StockSpec& stock = *spec.stock;
  const std::string log = place.folder + "/log4j2.xml";
  command.files[log] = java_log_configuration(stock.log_level);
  std::string class_path = stock.instance_path.empty() ? place.pulsar_home + "/instances/java-instance.jar"
                                                       : stock_path(stock.instance_path, place.pulsar_home);
  if (!stock.extra_dependencies_dir.empty())
    class_path += ":" + stock_path(stock.extra_dependencies_dir, place.pulsar_home) + "/*";
  auto& arguments = command.arguments;
  arguments.insert(arguments.end(), {"-cp", std::move(class_path)});
  arguments.push_back("-Dpulsar.functions.instance.classpath=" + place.pulsar_home + "/lib/*");
  arguments.push_back("-Dlog4j.configurationFile=" + log);
  arguments.push_back("-Dpulsar.function.log.dir=" + place.folder);
  arguments.push_back(fmt::format("-Dpulsar.function.log.file={}-{}", spec.details.name, spec.instance_id));
  arguments.emplace_back("-Dpulsar.allocator.exit_on_oom=true");
  arguments.emplace_back("-Dio.netty.tryReflectionSetAccessible=true");
  for (const char* opened : kOpened) arguments.insert(arguments.end(), {"--add-opens", opened});
  const int64_t heap =
      stock.memory_limit_bytes > 0 ? stock.memory_limit_bytes / 100 * kStockHeapPercent : kStockHeapDefaultBytes;
  arguments.push_back(fmt::format("-Xmx{}", heap));
  arguments.emplace_back("-XX:+UseG1GC");
  arguments.emplace_back("-XX:+ExitOnOutOfMemoryError");
  arguments.push_back("-XX:ErrorFile=" + place.folder + "/hs_err_%p.log");
  arguments.insert(arguments.end(), stock.java_options.begin(), stock.java_options.end());
  arguments.push_back(stock.entry_class.empty() ? kJavaInstanceClass : stock.entry_class);
  arguments.insert(arguments.end(), {"--jar", place.package, "--nar_extraction_directory", place.nar_folder});
  add_options(shared_options(spec, place, kJavaSecrets), command);
  if (!stock.state_class.empty()) arguments.insert(arguments.end(), {"--state_storage_impl_class", stock.state_class});
  if (stock.pending_async_requests)
    arguments.insert(arguments.end(), {"--pending_async_requests", std::to_string(*stock.pending_async_requests)});
}

void python_command(const InstanceSpec& spec, const StockPlace& place, StockCommand& command) {
  const std::string log = place.folder + "/logging.ini";
  command.files[log] = python_log_configuration(spec.stock->log_level);
  command.environment["PYTHONUNBUFFERED"] = "1";
  command.arguments.push_back(place.pulsar_home + "/instances/python-instance/python_instance_main.py");
  add_options({{"--py", place.package},
               {"--logging_directory", place.folder},
               {"--logging_file", fmt::format("{}-{}.log", spec.details.name, spec.instance_id)},
               {"--logging_config_file", log},
               {"--install_usercode_dependencies", "true"}},
              command);
  add_options(shared_options(spec, place, kPythonSecrets), command);
}

// Members of a Go instance's configuration as plain JSON.
class GoObject {
 public:
  void number(std::string_view key, auto value) { object_[key] = static_cast<int64_t>(value); }
  void boolean(std::string_view key, bool value) { object_[key] = value; }
  void text(std::string_view key, std::string_view value) { object_[key] = value; }
  void object(std::string_view key, const std::map<std::string, std::string>& values) {
    json::object out;
    for (const auto& [name, value] : values) out[name] = value;
    object_[key] = std::move(out);
  }
  std::string json_text() const { return model::write_json(object_); }

 private:
  json::object object_;
};

void go_command(const InstanceSpec& spec, const StockPlace& place, StockCommand& command) {
  const model::SourceSpec& source = *spec.details.source;
  GoObject conf;
  conf.text("pulsarServiceURL", place.streams.service_url);
  conf.number("instanceID", spec.instance_id);
  conf.text("funcID", fmt::format("{}-{}", spec.instance_id, spec.component));
  put_go_members(spec.details, go_inputs(source, {}), spec.stock->cluster_name,
                 {.port = place.port,
                  .metrics_port = place.metrics_port,
                  .failover = source.subscription_type == model::DetailsSubscriptionType::kFailover,
                  .earliest = source.subscription_position == model::DetailsSubscriptionPosition::kEarliest},
                 conf);
  const StockStreams& streams = place.streams;
  if (!streams.auth_plugin.empty()) {
    conf.text("clientAuthenticationPlugin", streams.auth_plugin);
    conf.text("clientAuthenticationParameters", streams.auth_parameters);
  }
  if (uses_tls(streams)) {
    if (!streams.tls_trust_file.empty()) conf.text("tlsTrustCertsFilePath", streams.tls_trust_file);
    conf.boolean("tlsAllowInsecureConnection", streams.tls_insecure);
    conf.boolean("tlsHostnameVerificationEnable", streams.tls_verify_name && !streams.tls_insecure);
  }
  command.environment["LOGGING_LEVEL"] = go_level(spec.stock->log_level);
  command.arguments.insert(command.arguments.end(), {"-instance-conf", conf.json_text()});
}

}  // namespace

StockCommand make_stock_command(const InstanceSpec& spec, const StockPlace& place) {
  StockCommand command;
  command.arguments.push_back(place.program);
  switch (spec.details.runtime) {
    case model::DetailsRuntime::kJava:
      java_command(spec, place, command);
      break;
    case model::DetailsRuntime::kPython:
      python_command(spec, place, command);
      break;
    case model::DetailsRuntime::kGo:
      go_command(spec, place, command);
      break;
  }
  for (const auto& [name, value] : spec.secrets) command.environment[name] = value;
  for (const auto& [name, value] : spec.stock->environment) command.environment[name] = value;
  return command;
}

std::string stock_path(const std::string& path, const std::string& pulsar_home) {
  const bool in_image = path == kImageFolder || path.starts_with(std::string(kImageFolder) + "/");
  return in_image && !pulsar_home.empty() ? pulsar_home + path.substr(kImageFolder.size()) : path;
}

}  // namespace fmesh::plan
