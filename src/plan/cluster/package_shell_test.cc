// How packages get into pods, run by a real shell; and what else a command does besides starting the instance.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "plan/cluster/package.h"
#include "plan/cluster/pod_command_test_support.h"

namespace fmesh::plan {
namespace {

namespace json = boost::json;
using model::Component;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;

Component fetched(const std::string& location, const std::string& jar = "a.jar") {
  Component out = java();
  out.spec.java->jar = jar;
  out.spec.java->jar_location = location;
  return out;
}

model::AuthConfig generic_auth(const std::string& text) {
  return {.oauth2_config = std::nullopt,
          .generic_auth =
              model::GenericAuth{.client_authentication_plugin = text, .client_authentication_parameters = text}};
}

model::AuthConfig oauth2(const std::string& text) {
  return {.oauth2_config =
              model::Oauth2Config{
                  .audience = text, .issuer_url = text, .scope = text, .key_secret_name = "s", .key_secret_key = text},
          .generic_auth = std::nullopt};
}

model::TlsConfig tls(const std::string& text) {
  return {.enabled = true,
          .allow_insecure = true,
          .hostname_verification = false,
          .cert_secret_name = "ca",
          .cert_secret_key = text};
}

ClusterOptions init_containers() {
  ClusterOptions options;
  options.init_containers = true;
  return options;
}

class PodPackageInShell : public PodCommandInShell {
 protected:
  // The calls before that of the instance.
  std::vector<StubCall> fetch(const Component& component) {
    std::vector<StubCall> calls = run(component);
    EXPECT_FALSE(calls.empty());
    EXPECT_EQ(calls.empty() ? "" : calls.back().program, "java");
    if (!calls.empty()) calls.pop_back();
    return calls;
  }
  std::vector<StubCall> run_downloader(const Component& component) {
    const auto command = make_pod_command(component, init_containers(), kUid);
    EXPECT_TRUE(command && command->downloader);
    if (!command || !command->downloader) return {};
    Words words;
    for (const json::value& word : command->downloader->at("command").as_array()) words.emplace_back(word.as_string());
    std::vector<StubCall> calls = pod.run(words, kEnvironment);
    EXPECT_EQ(pod.exit_status(), 0) << words.back() << "\n" << pod.output();
    EXPECT_FALSE(pod.was_hacked());
    return calls;
  }
};

TEST_F(PodPackageInShell, PackagesAndPathsComeByPulsarAdmin) {
  EXPECT_THAT(fetch(fetched("function://t/n/f@1")),
              ElementsAre(StubCall{"pulsar-admin",
                                   {"--admin-url", "http://broker:8080", "packages", "download", "function://t/n/f@1",
                                    "--path", "a.jar"}}));
  EXPECT_THAT(fetch(fetched("FUNCTION://t/n/f@1")),
              ElementsAre(Field(&StubCall::arguments, Contains("function://t/n/f@1"))));
  for (const std::string& text : kNasty) {
    SCOPED_TRACE(text);
    EXPECT_THAT(fetch(fetched(text, text)),
                ElementsAre(StubCall{"pulsar-admin",
                                     {"--admin-url", "http://broker:8080", "functions", "download", "--path", text,
                                      "--destination-file", text}}));
    Component guarded = fetched("sink://" + text, text);
    guarded.spec.pulsar->auth_config = generic_auth(text);
    guarded.spec.pulsar->tls_config = tls(text);
    EXPECT_THAT(fetch(guarded), ElementsAre(StubCall{"pulsar-admin",
                                                     {"--admin-url", "http://broker:8080", "--auth-plugin", text,
                                                      "--auth-params", text, "--tls-allow-insecure",
                                                      "--tls-trust-cert-path", "/etc/tls/pulsar-functions/" + text,
                                                      "packages", "download", "sink://" + text, "--path", text}}));
  }
}

TEST_F(PodPackageInShell, SecretsOfTheUserAreReadFromTheEnvironment) {
  Component function = fetched("function://t/n/f");
  function.spec.pulsar->auth_secret = "auth";
  function.spec.pulsar->tls_secret = "tls";
  EXPECT_THAT(fetch(function),
              ElementsAre(StubCall{
                  "pulsar-admin",
                  {"--admin-url", "http://broker:8080", "--auth-plugin", "corp.Plugin", "--auth-params", "token:abc",
                   "--tls-allow-insecure", "--tls-enable-hostname-verification", "--tls-trust-cert-path", "/tls/ca.pem",
                   "packages", "download", "function://t/n/f", "--path", "a.jar"}}));
  function.spec.image_has_pulsarctl = true;
  EXPECT_THAT(fetch(function),
              ElementsAre(StubCall{"pulsarctl", {"oauth2", "activate", "--auth-params", "token:abc"}},
                          StubCall{"pulsarctl",
                                   {"--auth-plugin", "corp.Plugin", "--auth-params", "token:abc", "--admin-service-url",
                                    "http://broker:8080", "--tls-allow-insecure=false",
                                    "--tls-enable-hostname-verification=true", "--tls-trust-cert-path", "/tls/ca.pem",
                                    "packages", "download", "function://t/n/f", "--path", "a.jar"}}));
}

TEST_F(PodPackageInShell, PulsarctlActivatesOauth2First) {
  for (const std::string& text : kNasty) {
    SCOPED_TRACE(text);
    Component function = fetched("function://" + text, text);
    function.spec.image = "corp/pulsar-functions-sn-java-runner:3";
    function.spec.pulsar_package_service.emplace().pulsar_config = "packages";
    function.spec.pulsar_package_service->auth_config = oauth2(text);
    function.spec.pulsar_package_service->tls_config = tls(text);
    EXPECT_THAT(fetch(function),
                ElementsAre(StubCall{"pulsarctl",
                                     {"context", "set", "downloader", "--admin-service-url", "http://packages:8080",
                                      "--issuer-endpoint", text, "--audience", text, "--key-file",
                                      "/etc/oauth2-package-service/" + text, "--scope", text}},
                            StubCall{"pulsarctl", {"oauth2", "activate"}},
                            StubCall{"pulsarctl",
                                     {"--tls-allow-insecure=true", "--tls-enable-hostname-verification=false",
                                      "--tls-trust-cert-path", "/etc/tls/pulsar-functions-package-service/" + text,
                                      "packages", "download", "function://" + text, "--path", text}}));
  }
}

TEST_F(PodPackageInShell, UrlsComeByWgetWhereTheImageHasIt) {
  pod.stub("bin/wget");
  for (const std::string& text : kNasty) {
    SCOPED_TRACE(text);
    Component function = fetched("https://h/" + text, text);
    function.spec.image_has_wget = true;
    EXPECT_THAT(fetch(function), ElementsAre(StubCall{"wget", {"https://h/" + text, "-O", text}}));
  }
}

TEST_F(PodPackageInShell, UrlsComeByWhateverAnUnknownImageHas) {
  const Component function = fetched("https://h/x?a=1&b=$MARK", "it's.jar");
  const std::string url = "https://h/x?a=1&b=a  mark";
  const auto command = make_pod_command(function, {}, kUid);
  ASSERT_TRUE(command);
  EXPECT_THAT(pod.run(command->command, kEnvironment), ElementsAre());
  EXPECT_EQ(pod.exit_status(), 1);
  EXPECT_THAT(pod.output(), HasSubstr("no wget, curl or python3"));
  pod.stub("bin/python3");
  EXPECT_THAT(fetch(function),
              ElementsAre(AllOf(Field(&StubCall::program, "python3"),
                                Field(&StubCall::arguments, ElementsAre("-c", HasSubstr("urllib"), url, "it's.jar")))));
  pod.stub("bin/curl");
  EXPECT_THAT(fetch(function), ElementsAre(StubCall{"curl", {"-fsSL", url, "-o", "it's.jar"}}));
  pod.stub("bin/wget");
  EXPECT_THAT(fetch(function), ElementsAre(StubCall{"wget", {url, "-O", "it's.jar"}}));
}

TEST_F(PodPackageInShell, AFailedDownloadStartsNothing) {
  std::ofstream(pod.root() / "pulsar/bin/pulsar-admin") << "#!/bin/sh\nexit 9\n";
  const auto command = make_pod_command(fetched("function://t/n/f"), {}, kUid);
  ASSERT_TRUE(command);
  EXPECT_THAT(pod.run(command->command, kEnvironment), ElementsAre());
  EXPECT_EQ(pod.exit_status(), 9);
}

TEST_F(PodPackageInShell, AnInitContainerFetchesForEveryRuntime) {
  pod.stub("bin/wget");
  for (const std::string& text : kNasty) {
    SCOPED_TRACE(text);
    if (text.find_first_of("/:") != std::string::npos) continue;  // folders, and what no mount may have
    Component function = component(model::Kind::kFunction);
    function.spec.generic_runtime = model::GenericRuntime{
        .function_file = text, .function_file_location = "https://h/" + text, .language = "nodejs", .log = {}};
    EXPECT_THAT(run_downloader(function),
                ElementsAre(StubCall{"wget", {"https://h/" + text, "-O", pod.here("/pulsar/download/") + text}}));
    const std::vector<StubCall> calls = run(function, init_containers());
    ASSERT_EQ(calls.size(), 1u);
    EXPECT_EQ(calls[0].arguments[1], pod.here("/pulsar/" + text));
  }
}

TEST(PodPackage, IsMountedAloneWhereTheRuntimeLooks) {
  const ClusterOptions options = init_containers();
  const auto mounts = [&](const std::string& jar, const std::string& location) {
    const auto command = make_pod_command(fetched(location, jar), options, kUid);
    EXPECT_TRUE(command);
    json::array out(command->volume_mounts.begin(), command->volume_mounts.end());
    return json::serialize(out) +
           (command->command.back().find("--jar /pulsar/") != std::string::npos ? " below /pulsar" : "");
  };
  EXPECT_EQ(mounts("a.jar", "function://x"),
            R"([{"name":"downloader-volume","mountPath":"/pulsar/a.jar","subPath":"a.jar"}] below /pulsar)");
  EXPECT_EQ(mounts("lib/a.jar", "function://x"),
            R"([{"name":"downloader-volume","mountPath":"/pulsar/lib/a.jar","subPath":"a.jar"}] below /pulsar)");
  EXPECT_EQ(mounts("/tmp/x/a.jar", "function://x"),
            R"([{"name":"downloader-volume","mountPath":"/pulsar/tmp/x/a.jar","subPath":"a.jar"}] below /pulsar)");
  EXPECT_EQ(mounts("a.jar", ""), "[] below /pulsar");
  EXPECT_EQ(mounts("/opt/a.jar", ""), "[]") << "what is in the image stays where it is";
  const auto refused = make_pod_command(fetched("function://x", "$MARK.jar"), options, kUid);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("spec.java.jar is '$MARK.jar'"));
  EXPECT_FALSE(make_pod_command(fetched("function://x", "lib/"), options, kUid));
  EXPECT_FALSE(make_pod_command(fetched("function://x", "a:b.jar"), options, kUid));
}

TEST(PodPackage, KnowsUpstreamsImagesThatHaveTools) {
  EXPECT_TRUE(image_has_tools("streamnative/pulsar-functions-pulsarctl-java-runner:2.10"));
  EXPECT_TRUE(image_has_tools("r/pulsar-functions-generic-base-runner"));
  EXPECT_FALSE(image_has_tools("streamnative/pulsar-functions-java-runner:2.10"));
}

TEST_F(PodPackageInShell, NamesExpandWhereUpstreamsUsersRelyOnIt) {
  Component function = java();
  function.spec.name = "$MARK";
  function.spec.cluster_name = "${MARK}";
  function.spec.class_name = "$MARK";
  *function.spec.java = {.jar = "$MARK.jar",
                         .jar_location = "",
                         .extra_dependencies_dir = "/x/${MARK}",
                         .log = {},
                         .java_opts = {"-Da=$MARK -Db='$MARK'", "-Dc=\"$MARK\""},
                         .instance_path = "",
                         .entry_class = ""};
  const std::vector<StubCall> calls = run(function);
  ASSERT_EQ(calls.size(), 1u);
  const Words& words = calls[0].arguments;
  EXPECT_THAT(words[1], testing::EndsWith(":/x/a  mark/*"));
  EXPECT_THAT(words, Contains("-Dpulsar.function.log.file=$MARK-7")) << "the name is the same in FunctionDetails";
  const auto after = [&](const std::string& word) { return *(std::find(words.begin(), words.end(), word) + 1); };
  EXPECT_EQ(after("--jar"), "a  mark.jar");
  EXPECT_EQ(after("--cluster_name"), "a  mark");
  EXPECT_THAT(after("--function_details"), HasSubstr(R"("className":"$MARK")"));
  const auto options = std::find(words.begin(), words.end(), "-Da=a");
  ASSERT_GE(words.end() - options, 4);
  EXPECT_EQ(Words(options, options + 4), (Words{"-Da=a", "mark", "-Db=$MARK", "-Dc=a  mark"}));
}

TEST_F(PodPackageInShell, GoReadsCredentialsFromTheEnvironmentAndDoesNotShowThem) {
  Component function = component(model::Kind::kFunction);
  function.spec.golang = model::GoRuntime{.go = "gopher", .go_location = "function://t/n/g", .log = {}};
  function.spec.pulsar->auth_secret = "auth";
  function.spec.pulsar->tls_secret = "tls";
  pod.stub("pulsar/gopher");
  const auto command = make_pod_command(function, {}, kUid);
  ASSERT_TRUE(command);
  PodRun::Environment environment = kEnvironment;
  environment["clientAuthenticationParameters"] = "{\"secret\": \"pa\\\\ss  'word'\"}\n";
  const std::vector<StubCall> calls = pod.run(command->command, environment);
  ASSERT_EQ(calls.size(), 2u) << pod.output();
  EXPECT_EQ(calls[0].program, "pulsar-admin");
  EXPECT_EQ(calls[1].program, "gopher");
  const json::value conf = json::parse(calls[1].arguments.at(1));
  EXPECT_EQ(conf.at("clientAuthenticationPlugin").as_string(), "corp.Plugin");
  EXPECT_EQ(conf.at("clientAuthenticationParameters").as_string(), "{\"secret\": \"pa\\\\ss  'word'\"}");
  EXPECT_EQ(conf.at("tlsTrustCertsFilePath").as_string(), "/tls/ca.pem");
  EXPECT_EQ(conf.at("tlsAllowInsecureConnection").as_bool(), false);
  EXPECT_EQ(conf.at("tlsHostnameVerificationEnable").as_bool(), true);
  EXPECT_EQ(pod.output().find("secret"), std::string::npos) << pod.output();
}

TEST(LogSidecar, HasARequestWhereTheAutoscalerNeedsOne) {
  Component function = java();
  function.spec.log_topic = "logs";
  EXPECT_FALSE(make_log_sidecar(function));
  function.spec.log_topic_agent = "sidecar";
  EXPECT_FALSE(make_log_sidecar(function)->contains("resources"));
  function.spec.max_replicas = 3;
  EXPECT_EQ(json::serialize(make_log_sidecar(function)->at("resources")),
            R"({"requests":{"cpu":"10m","memory":"64Mi"}})");
  function.spec.pod.sidecars = model::Json(json::parse(R"([{"name":"x"}])"));
  EXPECT_FALSE(make_log_sidecar(function)->contains("resources")) << "another one has none";
}

TEST_F(PodPackageInShell, FilebeatFindsItsConfiguration) {
  Component function = java();
  function.spec.log_topic = "logs";
  function.spec.log_topic_agent = "sidecar";
  const auto sidecar = make_log_sidecar(function);
  ASSERT_TRUE(sidecar);
  Words words;
  for (const json::value& word : sidecar->at("command").as_array()) words.emplace_back(word.as_string());
  EXPECT_THAT(pod.run(words, kEnvironment),
              ElementsAre(StubCall{"filebeat", {"-e", "-c", pod.here("/usr/share/filebeat/config/filebeat.yaml")}}));
  const std::string config = pod.read_container_file("/usr/share/filebeat/config/filebeat.yaml");
  EXPECT_THAT(config, HasSubstr("  - " + pod.here("/pulsar/") + "logs/functions/*.log\noutput.pulsar:\n"));
  EXPECT_THAT(config, HasSubstr("\n  url: ${brokerServiceURL}\n"));
  EXPECT_THAT(config, HasSubstr("\n  token: ${clientAuthenticationParameters:}\n"));
  EXPECT_THAT(config, HasSubstr("\n    enabled: ${oauth2Enabled:false}\n"));
}

}  // namespace
}  // namespace fmesh::plan
