// Pods of what fmesh's own image runs: command, environment, package, probes, image, and what is refused.
#include "plan/cluster/objects_test_support.h"

namespace fmesh::plan {
namespace {

using testing::HasSubstr;
using testing::Not;

model::Component native(std::string_view runtime, std::string_view more = "") {
  return component_of("Function", fmt::format("className: enrich, genericRuntime: {{{}}}, input: {{topics: [in]}}, "
                                              "output: {{topic: out}}{}{}",
                                              runtime, more.empty() ? "" : ", ", more));
}
model::Component native_with_pulsar(std::string_view runtime, std::string_view more = "") {
  return native(runtime, fmt::format("pulsar: {{pulsarConfig: blue}}{}{}", more.empty() ? "" : ", ", more));
}

std::string env_of(const boost::json::value& pod, const std::string& container, const std::string& name) {
  for (const auto& entry : pod.at_pointer(container + "/env").as_array()) {
    if (entry.at("name").as_string() == name)
      return entry.as_object().contains("value") ? std::string(entry.at("value").as_string()) : "from elsewhere";
  }
  return "absent";
}

std::vector<std::string> words_at(const boost::json::value& pod, std::string_view pointer) {
  std::vector<std::string> out;
  for (const auto& word : pod.at_pointer(pointer).as_array()) out.emplace_back(word.as_string());
  return out;
}

TEST(NativePod, RunsFmeshInstanceWithoutAShell) {
  const auto pod = pod_of(objects_of(component_of(
      "Source", "sourceType: generator, sourceConfig: {rate: 5}, output: {topic: out}, pulsar: {pulsarConfig: blue}")));
  EXPECT_EQ(names_in(pod, "/containers"), "pulsar-source");
  EXPECT_EQ(text_at(pod, "/containers/0/image"), "\"fmesh:" FMESH_VERSION "\"");
  const auto words = words_at(pod, "/containers/0/command");
  EXPECT_THAT(words, testing::ElementsAre("/usr/bin/fmesh", "instance", "--runs", "source", "--function_details",
                                          HasSubstr("\"builtin\":\"generator\""), "--pulsar-env", "--cluster_name",
                                          "kubernetes", "--metrics_port", "9094", "--bind-address", "*"));
  EXPECT_EQ(env_of(pod, "/containers/0", "POD_NAME"), "from elsewhere");
  EXPECT_EQ(text_at(pod, "/containers/0/envFrom"), R"([{"configMapRef":{"name":"blue"}}])");
  EXPECT_EQ(text_at(pod, "/containers/0/readinessProbe/httpGet"), R"({"path":"/readyz","port":9094,"scheme":"HTTP"})");
  EXPECT_EQ(text_at(pod, "/containers/0/livenessProbe/httpGet/path"), "\"/healthz\"");
  EXPECT_EQ(names_in(pod, "/containers/0/ports"), "tcp-grpc,http-metrics");
  EXPECT_EQ(text_at(pod, "/initContainers"), "absent");
}

TEST(NativePod, ALivenessOfOnesOwnKeepsItsTimes) {
  const auto pod = pod_of(objects_of(native_with_pulsar(
      "language: builtin",
      "pod: {liveness: {initialDelaySeconds: 7, periodSeconds: 30}, terminationGracePeriodSeconds: 60}")));
  EXPECT_EQ(text_at(pod, "/containers/0/livenessProbe/periodSeconds"), "30");
  EXPECT_EQ(text_at(pod, "/containers/0/livenessProbe/initialDelaySeconds"), "7");
  const auto words = words_at(pod, "/containers/0/command");
  EXPECT_EQ(words.back(), "45000ms") << "the rest of the grace period is for the parent";
}

// Kubernetes replaces $(NAME) in commands and variables, and makes one $ of two.
TEST(NativePod, TextOfAUserStaysAsItIs) {
  const auto pod = pod_of(
      objects_of(native("language: builtin",
                        "funcConfig: {expression: '$(POD_NAME) $$ $x'}, pulsar: {pulsarConfig: blue, authConfig: "
                        "{genericAuth: {clientAuthenticationPlugin: token, clientAuthenticationParameters: "
                        "'token:$(HOME)'}}}")));
  EXPECT_THAT(text_at(pod, "/containers/0/command"), HasSubstr("$$(POD_NAME) $$$$ $$x"));
  EXPECT_EQ(env_of(pod, "/containers/0", "clientAuthenticationParameters"), "token:$$(HOME)");
  EXPECT_THAT(text_at(pod, "/containers/0/command"), Not(HasSubstr("token:"))) << "no secret among the arguments";
}

TEST(NativePod, WhoItIsAndWhomItTrustsComesAsEnvironment) {
  const auto pod = pod_of(objects_of(native(
      "language: builtin",
      "pulsar: {pulsarConfig: blue, authConfig: {oauth2Config: {audience: a, issuerUrl: 'https://i', keySecretName: "
      "keys, keySecretKey: key.json}}, tlsConfig: {enabled: true, hostnameVerification: true, certSecretName: trust, "
      "certSecretKey: ca.pem}}")));
  EXPECT_THAT(env_of(pod, "/containers/0", "clientAuthenticationParameters"), HasSubstr("/etc/oauth2/key.json"));
  EXPECT_EQ(env_of(pod, "/containers/0", "tlsTrustCertsFilePath"), "/etc/tls/pulsar-functions/ca.pem");
  EXPECT_EQ(env_of(pod, "/containers/0", "useTls"), "true");
  EXPECT_EQ(env_of(pod, "/containers/0", "tlsHostnameVerificationEnable"), "true");
  EXPECT_EQ(names_in(pod, "/volumes"), "trust-ca-pem,keys-key-json");
  const auto old = pod_of(
      objects_of(native("language: builtin", "pulsar: {pulsarConfig: blue, authSecret: who, tlsSecret: trust}")));
  EXPECT_EQ(env_of(old, "/containers/0", "useTls"), "true");
  EXPECT_EQ(env_of(old, "/containers/0", "tlsTrustCertsFilePath"), "absent") << "the Secret has it";
  EXPECT_EQ(text_at(old, "/containers/0/envFrom"),
            R"([{"configMapRef":{"name":"blue"}},{"secretRef":{"name":"who"}},{"secretRef":{"name":"trust"}}])");
}

TEST(NativePod, APackageIsFetchedByAnInitContainer) {
  const std::string pin(64, 'a');
  const auto pod = pod_of(objects_of(native_with_pulsar(
      fmt::format("language: cpp, functionFile: lib/enrich.so, functionFileLocation: "
                  "'function://public/default/enrich@v1#sha256={}'",
                  pin),
      "pulsarPackageService: {pulsarConfig: packages, tlsConfig: {enabled: true, certSecretName: trust, certSecretKey: "
      "ca.pem}}, resources: {limits: {memory: 64Mi}}")));
  EXPECT_EQ(names_in(pod, "/initContainers"), "downloader");
  const auto fetch = words_at(pod, "/initContainers/0/command");
  EXPECT_THAT(fetch,
              testing::ElementsAre("/usr/bin/fmesh", "fetch-package",
                                   "function://public/default/enrich@v1#sha256=" + pin, "--to", "/fmesh/package",
                                   "--file", "lib/enrich.so", "--pulsar-env", "--pulsar-env-prefix", "PACKAGE_"));
  EXPECT_EQ(text_at(pod, "/initContainers/0/envFrom"), R"([{"prefix":"PACKAGE_","configMapRef":{"name":"packages"}}])");
  EXPECT_EQ(env_of(pod, "/initContainers/0", "PACKAGE_tlsTrustCertsFilePath"),
            "/etc/tls/pulsar-functions-package-service/ca.pem");
  EXPECT_EQ(text_at(pod, "/initContainers/0/resources"), R"({"limits":{"memory":"64Mi"}})");
  EXPECT_EQ(text_at(pod, "/initContainers/0/image"), text_at(pod, "/containers/0/image"));
  const auto words = words_at(pod, "/containers/0/command");
  EXPECT_THAT(words, testing::IsSupersetOf({"--runs", "native", "--library", "/fmesh/package/lib/enrich.so"}));
  EXPECT_THAT(text_at(pod, "/containers/0/volumeMounts"),
              HasSubstr(R"({"name":"downloader-volume","mountPath":"/fmesh/package","readOnly":true})"));
}

TEST(NativePod, ImagesAreChosenByLanguageThenForAll) {
  const ClusterOptions options{.runner = {.fmesh_image = "corp/fmesh", .generic_images = {{"cpp", "corp/functions"}}}};
  const auto image = [&](const model::Component& component) {
    return text_at(pod_of(objects_of(component, options)), "/containers/0/image");
  };
  EXPECT_EQ(image(native_with_pulsar("language: builtin")), "\"corp/fmesh\"");
  EXPECT_EQ(image(native_with_pulsar("language: cpp, functionFile: /f.so")), "\"corp/functions\"");
  EXPECT_EQ(image(native_with_pulsar("language: cpp, functionFile: /f.so", "image: mine")), "\"mine\"");
  EXPECT_EQ(image(component_of("Sink", "sinkType: drop, input: {topics: [in]}, pulsar: {pulsarConfig: b}")),
            "\"corp/fmesh\"");
}

TEST(NativePod, LogLinesGoToTheLogTopicWithoutASidecar) {
  const auto pod = pod_of(objects_of(component_of(
      "Sink",
      "sinkType: drop, input: {topics: [in]}, logTopic: l, logTopicAgent: sidecar, pulsar: {pulsarConfig: b}")));
  EXPECT_EQ(names_in(pod, "/containers"), "pulsar-sink");
  EXPECT_THAT(text_at(pod, "/containers/0/command"), HasSubstr(R"(\"logTopic\":\"l\")"));
}

// Files are shared out by the count; elsewhere a scale must not change the pods.
TEST(NativePod, OnlyFilesAndEffectivelyOnceNeedToKnowTheCount) {
  const auto function = [](const char* guarantee, int replicas) {
    return text_at(
        pod_of(objects_of(native_with_pulsar(
            "language: builtin", fmt::format("processingGuarantee: {}, replicas: {}", guarantee, replicas)))),
        "/containers/0/command");
  };
  EXPECT_NE(function("effectively_once", 1), function("effectively_once", 2));
  EXPECT_EQ(function("atleast_once", 1), function("atleast_once", 2));
  const auto command = [](const char* type, int replicas) {
    return text_at(pod_of(objects_of(component_of(
                       "Source", fmt::format("sourceType: {}, sourceConfig: {{path: /a}}, output: {{topic: o}}, "
                                             "replicas: {}, pulsar: {{pulsarConfig: b}}",
                                             type, replicas)))),
                   "/containers/0/command");
  };
  EXPECT_NE(command("file", 1), command("file", 2));
  EXPECT_EQ(command("generator", 1), command("generator", 2));
}

TEST(NativePod, WhatAPodCantDoIsRefusedWithAWayOut) {
  const std::vector<std::tuple<std::string, std::string, const char*>> cases = {
      {"language: cpp, functionFile: enrich.so", "", "a pod has no folder that enrich.so could be relative to"},
      {"language: cpp, functionFile: /enrich.so", "", "/enrich.so is nowhere"},
      {"language: cpp, functionFile: /lib/../enrich.so", "image: mine", "is no path of a file"},
      {"language: cpp, functionFile: /a.so, functionFileLocation: 'https://h/a.so'", "", "is no path in a package"},
      {"language: cpp, functionFile: ../a.so, functionFileLocation: 'https://h/a.so'", "", "is no path in a package"},
      {"language: cpp, functionFile: a.so, functionFileLocation: 'function://a/b/c'", "", "NAME@VERSION"},
      {"language: cpp, functionFile: a.so, functionFileLocation: 'ftp://h/a.so'", "", "is no place of a package"},
      {"language: cpp, functionFile: a.so, functionFileLocation: 'https://h/a.so#sha256=12'", "", "64 hexadecimal"},
      {"language: fmesh-python, functionFile: /a.js", "image: mine", "is no Python package"},
      {"language: cpp", "", "functionFile: is missing"},
      {"language: builtin", "sourceConfig: {sourceType: x}", "write a Source or Sink of its own"},
      {"language: builtin", "output: {topic: o, producerConf: {cryptoConfig: {encryptionKeys: [k]}}}",
       "encrypts no payloads"},
  };
  for (const auto& [runtime, more, text] : cases) {
    const std::string head = more.starts_with("output") ? "" : "output: {topic: out}, ";
    const auto component = component_of(
        "Function", fmt::format("className: enrich, genericRuntime: {{{}}}, input: {{topics: [in]}}, {}{}{}"
                                "pulsar: {{pulsarConfig: b}}",
                                runtime, head, more, more.empty() ? "" : ", "));
    EXPECT_THAT(refusal_of(component), HasSubstr(text)) << runtime;
  }
  EXPECT_EQ(refusal_of(native_with_pulsar("language: cpp, functionFile: /f/a.so",
                                          "pod: {volumes: [{name: v, configMap: {name: c}}]}, volumeMounts: [{name: v, "
                                          "mountPath: /f}]")),
            "it was rendered");
  const std::string large(140'000, 'x');
  EXPECT_THAT(refusal_of(native_with_pulsar("language: builtin", fmt::format("funcConfig: {{a: {}}}", large))),
              HasSubstr("make funcConfig"));
}

}  // namespace
}  // namespace fmesh::plan
