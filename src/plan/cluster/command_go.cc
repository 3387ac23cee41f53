#include <fmt/format.h>

#include <boost/json.hpp>
#include <utility>

#include "model/function_details.h"
#include "model/json.h"
#include "model/quantity.h"
#include "plan/cluster/command_parts.h"
#include "plan/cluster/log_config.h"
#include "plan/cluster/messaging.h"
#include "plan/cluster/shell.h"
#include "plan/details.h"

namespace fmesh::plan {
namespace {

namespace json = boost::json;

constexpr int kSubscriptionFailover = 1, kPositionEarliest = 1;

// The configuration of a Go instance: one JSON object as an unquoted shell word, in which variables expand. Upstream
// hands it on unquoted too, so no string in it may have a blank or a wildcard: what is not plain is written \u0020.
class GoConfiguration {
 public:
  void number(std::string_view key, auto value) { member(key, fmt::format("{}", value)); }
  void boolean(std::string_view key, bool value) { member(key, value ? "true" : "false"); }
  void text(std::string_view key, std::string_view value) { member(key, "\\\"" + escape(value) + "\\\""); }
  // A string that begins with a shell expansion.
  void text_of(std::string_view key, std::string_view expansion, std::string_view rest = {}) {
    member(key, "\\\"" + std::string(expansion) + std::string(rest) + "\\\"");
  }
  // An expansion that gives a number or a boolean.
  void raw(std::string_view key, std::string_view expansion) { member(key, std::string(expansion)); }
  void object(std::string_view key, const std::map<std::string, std::string>& values) {
    std::string out;
    for (const auto& [name, value] : values) {
      if (!out.empty()) out += ",";
      out += "\\\"" + escape(name) + "\\\":\\\"" + escape(value) + "\\\"";
    }
    member(key, "{" + out + "}");
  }
  std::string word() const { return "{" + members_ + "}"; }

 private:
  static bool stays(unsigned char c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return letter || c >= 0x80 || std::string_view("-_./:@%+=,{}").find(static_cast<char>(c)) != std::string_view::npos;
  }
  // A JSON string without its quotes, in which the shell finds nothing to do: it takes one of the two backslashes.
  static std::string escape(std::string_view text) {
    std::string out;
    for (const char c : text) {
      if (stays(static_cast<unsigned char>(c))) {
        out += c;
      } else {
        out += fmt::format("\\\\u{:04x}", static_cast<unsigned char>(c));
      }
    }
    return out;
  }
  void member(std::string_view key, const std::string& value) {
    if (!members_.empty()) members_ += ",";
    members_ += "\\\"" + std::string(key) + "\\\":" + value;
  }

  std::string members_;
};

// The stream of the members that every Go instance reads, and the others, which newer ones read.
struct GoInputs {
  std::string first;
  model::ConsumerSpec first_spec;
  std::map<std::string, std::string> others;  // ConsumerSpec as JSON
};

std::string consumer_json(const std::string& topic, const model::ConsumerSpec& spec) {
  model::FunctionDetails details;
  details.source.emplace().input_specs.emplace(topic, spec);
  boost::system::error_code ignored;
  const json::value value = json::parse(model::to_json(details), ignored);
  return model::write_json(value.at("source").at("inputSpecs").at(topic));
}

GoInputs go_inputs(const model::InputConfig& input, const model::SourceSpec& source) {
  GoInputs out;
  if (source.input_specs.empty()) return out;
  const std::string& pattern = input.topic_pattern;
  out.first = !input.topics.empty() ? input.topics.front() : pattern;
  if (!source.input_specs.contains(out.first)) out.first = source.input_specs.begin()->first;
  for (const auto& [topic, spec] : source.input_specs) {
    if (topic == out.first) {
      out.first_spec = spec;
    } else {
      out.others.emplace(topic, consumer_json(topic, spec));
    }
  }
  return out;
}

void add_source(const model::ComponentSpec& spec, const model::FunctionDetails& details, GoConfiguration& conf) {
  const model::SourceSpec& source = *details.source;
  const GoInputs inputs = go_inputs(spec.input, source);
  conf.number("subscriptionType", spec.retain_ordering ? kSubscriptionFailover : 0);
  conf.number("timeoutMs", source.timeout_ms);
  conf.text("subscriptionName", source.subscription_name);
  conf.boolean("cleanupSubscription", source.cleanup_subscription);
  if (spec.subscription_position == "earliest") conf.number("subscriptionPosition", kPositionEarliest);
  conf.text("sourceSpecsTopic", inputs.first);
  conf.text("sourceSchemaType", "");
  conf.boolean("isRegexPatternSubscription", inputs.first_spec.is_regex_pattern);
  conf.number("receiverQueueSize", inputs.first_spec.receiver_queue_size.value_or(0));
  if (!inputs.others.empty()) conf.object("sourceInputSpecs", inputs.others);
}

int64_t whole_request(const model::ComponentSpec& spec, const char* name) {
  const auto found = spec.resources.requests.find(name);
  if (found == spec.resources.requests.end()) return 0;
  return model::parse_quantity(found->second).value_or(model::Quantity{}).whole();
}

void add_tls(const model::PulsarMessaging& messaging, GoConfiguration& conf) {
  if (messaging.tls_config) {
    if (!messaging.tls_config->enabled) return;
    if (const auto file = tls_file(messaging, main_place())) conf.text("tlsTrustCertsFilePath", file->path());
    conf.boolean("tlsAllowInsecureConnection", messaging.tls_config->allow_insecure);
    conf.boolean("tlsHostnameVerificationEnable", messaging.tls_config->hostname_verification);
  } else if (!messaging.tls_secret.empty()) {
    conf.text_of("tlsTrustCertsFilePath", "${tlsTrustCertsFilePath}");
    conf.raw("tlsAllowInsecureConnection", "${tlsAllowInsecureConnection:-false}");
    conf.raw("tlsHostnameVerificationEnable", "${tlsHostnameVerificationEnable:-true}");
  }
}

// True if it added something.
bool add_auth(const model::PulsarMessaging& messaging, GoConfiguration& conf) {
  const std::optional<model::AuthConfig>& auth = messaging.auth_config;
  std::string plugin, parameters;
  if (auth && auth->oauth2_config) {
    plugin = kOauth2Plugin;
    // The Go client wants to be told the flow.
    parameters = oauth2_parameters(*auth->oauth2_config, *oauth2_file(messaging, main_place()),
                                   {{"type", "client_credentials"}});
  } else if (auth && auth->generic_auth) {
    plugin = auth->generic_auth->client_authentication_plugin;
    parameters = auth->generic_auth->client_authentication_parameters;
  } else if (!messaging.auth_secret.empty()) {
    conf.text_of("clientAuthenticationPlugin", "${clientAuthenticationPlugin}");
    conf.text_of("clientAuthenticationParameters", "${authParameters}");
    return true;
  } else {
    return false;
  }
  conf.text("clientAuthenticationPlugin", plugin);
  conf.text("clientAuthenticationParameters", parameters);
  return true;
}

struct GoStart {
  std::string configuration;
  bool has_auth = false;
  bool auth_from_environment = false;
};

GoStart go_start(const CommandInput& input) {
  const model::ComponentSpec& spec = input.component.spec;
  const model::FunctionDetails details = make_details(input.component, StreamNames::kAsWritten);
  GoConfiguration conf;
  conf.text_of("pulsarServiceURL", "${brokerServiceURL}");
  conf.raw("instanceID", "${SHARD_ID}");
  conf.text_of("funcID", "${SHARD_ID}", "-" + input.uid);
  conf.text("funcVersion", "0");
  conf.number("maxBufTuples", 100);
  conf.number("port", 9093);
  conf.text("clusterName", spec.cluster_name);
  conf.number("killAfterIdleMs", 0);
  conf.text("tenant", details.tenant);
  conf.text("nameSpace", details.name_space);
  conf.text("name", details.name);
  conf.text("logTopic", details.log_topic);
  conf.number("processingGuarantees", static_cast<int>(details.processing_guarantees));
  conf.text("secretsMap", "");
  conf.number("runtime", static_cast<int>(model::DetailsRuntime::kGo));
  conf.boolean("autoAck", details.auto_ack);
  conf.number("parallelism", details.parallelism);
  add_source(spec, details, conf);
  conf.text("sinkSpecsTopic", details.sink->topic);
  conf.text("sinkSchemaType", "");
  conf.number("cpu", whole_request(spec, "cpu"));
  conf.number("ram", whole_request(spec, "memory"));
  conf.number("disk", whole_request(spec, "storage"));
  const model::RetryDetails retry = details.retry_details.value_or(model::RetryDetails{});
  conf.number("maxMessageRetries", retry.max_message_retries);
  conf.text("deadLetterTopic", retry.dead_letter_topic);
  conf.number("expectedHealthCheckInterval", -1);
  conf.text("userConfig", details.user_config);
  conf.number("metricsPort", 9094);
  const model::PulsarMessaging messaging = spec.pulsar.value_or(model::PulsarMessaging{});
  const bool has_auth = add_auth(messaging, conf);
  add_tls(messaging, conf);
  return {.configuration = conf.word(),
          .has_auth = has_auth,
          .auth_from_environment = has_auth && !messaging.auth_config && !messaging.auth_secret.empty()};
}

// JSON in an environment variable becomes the content of a JSON string.
constexpr const char* kQuoteAuthParameters =
    R"(authParameters=${clientAuthenticationParameters//$'\n'/} && authParameters=${authParameters//\\/\\\\} && )"
    R"(authParameters=${authParameters//\"/\\\"} && )";

}  // namespace

Result<PodCommand> make_go_command(const CommandInput& input) {
  const model::GoRuntime& go = *input.component.spec.golang;
  const PackageSource source{.path = go.go, .location = go.go_location, .field = "golang.go"};
  FMESH_TRY(Package package, plan_package(input.component, source, input.options.init_containers));
  const std::string file = shell_word(package.path);
  // exec looks for a name without a folder in PATH only.
  const std::string program = package.path.find('/') == std::string::npos ? "./" + file : file;
  const GoStart start = go_start(input);
  std::string command = package.download.empty() ? std::string() : package.download + " && ls -al && pwd &&";
  command += kSetShardId;
  if (start.auth_from_environment) command += kQuoteAuthParameters;
  command += "GO_FUNCTION_CONF=" + start.configuration + " && goFunctionConfigs=${GO_FUNCTION_CONF} && ";
  // Upstream shows the configuration in the pod's log; credentials have no place there.
  if (!start.has_auth) command += "echo goFunctionConfigs=\"'${goFunctionConfigs}'\" && ";
  command += "ls -l " + file + " && chmod +x " + file + " && exec " + program + " -instance-conf " +
             (start.has_auth ? "\"${goFunctionConfigs}\"" : "${goFunctionConfigs}");
  PodCommand out = pod_command("bash", std::move(command), std::move(package));
  out.env = go_log_environment(input.component);
  return out;
}

}  // namespace fmesh::plan
