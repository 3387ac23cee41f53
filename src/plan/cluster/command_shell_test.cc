// Every kind of pod command, run by a real shell against stubs that write down their arguments.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "model/function_details.h"
#include "plan/cluster/pod_command_test_support.h"
#include "plan/details.h"

namespace fmesh::plan {
namespace {

namespace json = boost::json;
using model::Component;
using model::Kind;
using testing::ElementsAre;

// A component in whose every field stands `text`.
void fill(Component& component, const std::string& text) {
  model::ComponentSpec& spec = component.spec;
  spec.name = spec.class_name = spec.tenant = spec.cluster_name = spec.subscription_name = spec.log_topic = text;
  spec.input.topics = {text, "in"};
  spec.output.topic = text;
  json::object config{{text, text}, {"list", json::array{text, 1}}};
  spec.func_config = model::Json(json::value(config));
  spec.connector_config = model::Json(json::value(config));
  spec.secrets_map = {{text, {.path = text, .key = text}}};
  model::PulsarState& state = spec.stateful_config.emplace().pulsar.emplace();
  state.service_url = text;
  state.java_provider = model::JavaStateProvider{.class_name = text, .config = {}};
  model::TlsConfig& tls = spec.pulsar->tls_config.emplace();
  tls.enabled = true;
  tls.cert_secret_name = tls.cert_secret_key = text;
}

void use_generic_auth(Component& component, const std::string& text) {
  component.spec.pulsar->auth_config.emplace().generic_auth =
      model::GenericAuth{.client_authentication_plugin = text, .client_authentication_parameters = text};
}

void use_oauth2(Component& component, const std::string& text) {
  component.spec.pulsar->auth_config.emplace().oauth2_config = model::Oauth2Config{
      .audience = text, .issuer_url = text, .scope = text, .key_secret_name = "s", .key_secret_key = text};
}

std::string oauth2_json(const std::string& text) {
  const std::string path = "/etc/oauth2/" + text;
  return json::serialize(json::object{{"credentials_url", "file://" + path},
                                      {"privateKey", path},
                                      {"private_key", path},
                                      {"issuerUrl", text},
                                      {"issuer_url", text},
                                      {"audience", text},
                                      {"scope", text}});
}

// The arguments every instance gets, as they are meant.
Words shared(const Component& component, const std::string& cluster, const Words& auth, const Words& tls) {
  Words out{"--instance_id",
            "7",
            "--function_id",
            "7-" + std::string(kUid),
            "--function_version",
            "0",
            "--function_details",
            model::to_json(make_details(component, StreamNames::kAsWritten)),
            "--pulsar_serviceurl",
            "pulsar://broker:6650",
            "--max_buffered_tuples",
            "100",
            "--port",
            "9093",
            "--metrics_port",
            "9094",
            "--expected_healthcheck_interval",
            "0",
            "--cluster_name",
            cluster};
  if (!auth.empty()) out.insert(out.end(), {"--client_auth_plugin", auth[0], "--client_auth_params", auth[1]});
  out.insert(out.end(), tls.begin(), tls.end());
  return out;
}

Words tls_words(const std::string& key) {
  return {"--use_tls",
          "true",
          "--tls_allow_insecure",
          "false",
          "--hostname_verification_enabled",
          "false",
          "--tls_trust_cert_path",
          "/etc/tls/pulsar-functions/" + key};
}

struct JavaWords {
  std::string instance = "/pulsar/instances/java-instance.jar", dependencies, name = "orders", level;
  Words options;
  std::string entry = "org.apache.pulsar.functions.instance.JavaInstanceMain", jar = "a.jar";
};

Words java_words(const PodRun& pod, const JavaWords& java) {
  Words out{"-cp",
            pod.here(java.instance +
                     ":/pulsar/lib/com.fasterxml.jackson.dataformat-jackson-dataformat-yaml-2.jar"
                     ":/pulsar/lib/org.yaml-snakeyaml-3.jar" +
                     (java.dependencies.empty() ? "" : ":" + java.dependencies + "/*")),
            pod.here("-Dpulsar.functions.instance.classpath=/pulsar/lib/*"),
            pod.here("-Dlog4j.configurationFile=/pulsar/conf/java-log/java_instance_log4j.xml"),
            "-Dpulsar.function.log.dir=logs/functions",
            "-Dpulsar.function.log.file=" + java.name + "-7",
            "-Dpulsar.allocator.exit_on_oom=true",
            "-XX:MaxRAMPercentage=70",
            "-XX:MaxDirectMemorySize=220M",
            "-XX:+UseG1GC",
            "-XX:+HeapDumpOnOutOfMemoryError",
            pod.here("-XX:HeapDumpPath=/pulsar/tmp/heapdump-%p.hprof"),
            "-XX:+ExitOnOutOfMemoryError",
            pod.here("-Xlog:gc*:file=/pulsar/logs/gc.log:time,level,tags:filecount=5,filesize=10M")};
  out.insert(out.end(), java.options.begin(), java.options.end());
  out.insert(out.end(), {java.entry, "--jar", java.jar});
  return out;
}

Words operator+(Words left, const Words& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

TEST_F(PodCommandInShell, JavaGetsEveryFieldAsItWasWritten) {
  for (const std::string& text : kNasty) {
    SCOPED_TRACE(text);
    Component function = java();
    fill(function, text);
    use_generic_auth(function, text);
    *function.spec.java = {.jar = text,
                           .jar_location = "",
                           .extra_dependencies_dir = text,
                           .log = std::nullopt,
                           .java_opts = {},
                           .instance_path = text,
                           .entry_class = text};
    function.spec.max_pending_async_requests = 55;
    const Words expected =
        java_words(pod, {.instance = text,
                         .dependencies = text,
                         .name = text,
                         .level = "",
                         .options = {},
                         .entry = text,
                         .jar = text}) +
        shared(function, text, {text, text}, tls_words(text)) +
        Words{
            "--secrets_provider",         "org.apache.pulsar.functions.secretsprovider.EnvironmentBasedSecretsProvider",
            "--state_storage_serviceurl", text,
            "--state_storage_impl_class", text,
            "--pending_async_requests",   "55"};
    EXPECT_THAT(run(function), ElementsAre(StubCall{"java", expected}));
  }
}

TEST_F(PodCommandInShell, SourcesAndSinksGetTheirConfiguration) {
  for (const Kind kind : {Kind::kSource, Kind::kSink}) {
    for (const std::string& text : kNasty) {
      Component connector = java(kind);
      fill(connector, text);
      use_oauth2(connector, text);
      connector.spec.stateful_config.reset();
      connector.spec.secrets_map.clear();
      JavaWords words;
      words.name = text;
      const Words expected =
          java_words(pod, words) +
          shared(connector, text, {"org.apache.pulsar.client.impl.auth.oauth2.AuthenticationOAuth2", oauth2_json(text)},
                 tls_words(text));
      EXPECT_THAT(run(connector), ElementsAre(StubCall{"java", expected}));
    }
  }
}

TEST_F(PodCommandInShell, PythonGetsEveryFieldAsItWasWritten) {
  for (const std::string& text : kNasty) {
    SCOPED_TRACE(text);
    Component function = component(Kind::kFunction);
    fill(function, text);
    use_generic_auth(function, text);
    model::LogSettings log;
    log.level = "debug";
    log.rotate_policy = "SizedPolicyWith10MB";
    function.spec.python = model::PythonRuntime{.py = text, .py_location = "", .log = log};
    const Words expected = Words{pod.here("/pulsar/instances/python-instance/python_instance_main.py"),
                                 "--py",
                                 text,
                                 "--logging_directory",
                                 "logs/functions",
                                 "--logging_file",
                                 text + "-7.log",
                                 "--logging_config_file",
                                 pod.here("/pulsar/conf/python-log/python_instance_logging.ini"),
                                 "--install_usercode_dependencies",
                                 "true"} +
                           shared(function, text, {text, text}, tls_words(text)) +
                           Words{"--secrets_provider", "secretsprovider.EnvironmentBasedSecretsProvider",
                                 "--state_storage_serviceurl", text};
    EXPECT_THAT(run(function), ElementsAre(StubCall{"python", expected}));
    EXPECT_EQ(pod.read_container_file("/pulsar/instances/python-instance/log.py").find("#  Log.setLevel"), 0u);
    const std::string ini = pod.read_container_file("/pulsar/conf/python-log/python_instance_logging.ini");
    EXPECT_NE(ini.find("[logger_root]\nlevel=DEBUG\nhandlers=console,file\n"), std::string::npos) << ini;
  }
}

TEST_F(PodCommandInShell, GenericRunnersGetEveryFieldAsItWasWritten) {
  for (const std::string& text : kNasty) {
    SCOPED_TRACE(text);
    Component function = component(Kind::kFunction);
    fill(function, text);
    use_oauth2(function, text);
    function.spec.generic_runtime =
        model::GenericRuntime{.function_file = text, .function_file_location = "", .language = "nodejs", .log = {}};
    const Words expected =
        Words{"--function_file", text, "--language", "nodejs"} +
        shared(function, text, {"org.apache.pulsar.client.impl.auth.oauth2.AuthenticationOAuth2", oauth2_json(text)},
               tls_words(text)) +
        Words{"--secrets_provider", "EnvironmentBasedSecretsProvider", "--state_storage_serviceurl", text};
    EXPECT_THAT(run(function), ElementsAre(StubCall{"pulsar_rust_instance", expected}));
  }
}

TEST_F(PodCommandInShell, GoGetsItsConfigurationAsJson) {
  for (const std::string& text : kNasty) {
    SCOPED_TRACE(text);
    Component function = component(Kind::kFunction);
    fill(function, text);
    if (text.find('\n') == std::string::npos) use_generic_auth(function, text);
    const std::string file = text.find('/') == std::string::npos ? text : "plain";
    function.spec.golang = model::GoRuntime{.go = file, .go_location = "", .log = {}};
    pod.stub("pulsar/" + file);
    const std::vector<StubCall> calls = run(function);
    ASSERT_EQ(calls.size(), 1u);
    ASSERT_EQ(calls[0].arguments.size(), 2u);
    EXPECT_EQ(calls[0].program, file);
    EXPECT_EQ(calls[0].arguments[0], "-instance-conf");
    boost::system::error_code error;
    const json::value parsed = json::parse(calls[0].arguments[1], error);
    ASSERT_FALSE(error) << calls[0].arguments[1];
    const json::object& conf = parsed.as_object();
    EXPECT_EQ(conf.at("pulsarServiceURL").as_string(), "pulsar://broker:6650");
    EXPECT_EQ(conf.at("instanceID").as_int64(), 7);
    EXPECT_EQ(conf.at("funcID").as_string(), "7-" + std::string(kUid));
    for (const char* key :
         {"clusterName", "tenant", "name", "logTopic", "subscriptionName", "sourceSpecsTopic", "sinkSpecsTopic"}) {
      EXPECT_EQ(conf.at(key).as_string(), text) << key;
    }
    EXPECT_EQ(conf.at("userConfig").as_string(), make_details(function, StreamNames::kAsWritten).user_config);
    EXPECT_EQ(conf.at("cpu").as_int64(), 2);
    EXPECT_EQ(conf.at("sourceInputSpecs").at("in").as_string(), "{}");
    EXPECT_EQ(conf.at("tlsTrustCertsFilePath").as_string(), "/etc/tls/pulsar-functions/" + text);
    const auto* parameters = conf.if_contains("clientAuthenticationParameters");
    EXPECT_EQ(parameters != nullptr, function.spec.pulsar->auth_config.has_value());
    EXPECT_TRUE(!parameters || parameters->as_string() == text);
  }
}

}  // namespace
}  // namespace fmesh::plan
