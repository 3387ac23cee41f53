#include <fmt/format.h>

#include <boost/json.hpp>
#include <utility>

#include "model/function_details.h"
#include "model/json.h"
#include "plan/cluster/command_parts.h"
#include "plan/cluster/log_config.h"
#include "plan/cluster/messaging.h"
#include "plan/cluster/shell.h"
#include "plan/details.h"
#include "plan/instance_words.h"

namespace fmesh::plan {
namespace {

namespace json = boost::json;

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
  // Old instances know one stream: the first that the resource names.
  const std::string& first = !spec.input.topics.empty() ? spec.input.topics.front() : spec.input.topic_pattern;
  put_go_members(details, go_inputs(*details.source, first), spec.cluster_name,
                 {.port = 9093,
                  .metrics_port = 9094,
                  .failover = spec.retain_ordering,
                  .earliest = spec.subscription_position == "earliest"},
                 conf);
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
