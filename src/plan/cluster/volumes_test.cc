#include "plan/cluster/volumes.h"

#include <set>

#include "plan/cluster/objects_test_support.h"

namespace fmesh::plan {
namespace {

constexpr const char* kOauth2 =
    "authConfig: {{oauth2Config: {{audience: a, issuerUrl: u, keySecretName: {}, "
    "keySecretKey: {}}}}}";
constexpr const char* kTls = "tlsConfig: {{enabled: true, certSecretName: {}, certSecretKey: {}}}";

model::Component secured(std::string_view tls_name, std::string_view tls_key, std::string_view oauth2_name,
                         std::string_view oauth2_key, std::string_view more = "") {
  return component_of(
      "Function",
      fmt::format("className: C, java: {{jar: a.jar, jarLocation: 'function://a/b/c@1'}}, input: {{topics: "
                  "[in]}}, pulsar: {{pulsarConfig: blue, {}, {}}}{}{}",
                  fmt::format(fmt::runtime(kTls), tls_name, tls_key),
                  fmt::format(fmt::runtime(kOauth2), oauth2_name, oauth2_key), more.empty() ? "" : ", ", more));
}

TEST(PodVolumes, AreInUpstreamsOrder) {
  const model::Component component = component_of(
      "Function",
      "className: C, java: {jar: a.jar, log: {logConfig: {name: logs, key: k}}}, logTopic: l, logTopicAgent: sidecar, "
      "input: {topics: [in], sourceSpecs: {in: {cryptoConfig: {cryptoSecrets: [{secretName: ci, secretKey: k, "
      "asVolume: /ci}]}}}}, output: {producerConf: {cryptoConfig: {cryptoSecrets: [{secretName: co, secretKey: k, "
      "asVolume: /co}]}}}, pod: {volumes: [{name: mine, emptyDir: {}}]}, volumeMounts: [{name: mine, mountPath: "
      "/mine}], "
      "pulsar: {pulsarConfig: blue, tlsConfig: {certSecretName: t, certSecretKey: k}, authConfig: {oauth2Config: "
      "{audience: a, issuerUrl: u, keySecretName: o, keySecretKey: k}}}, pulsarPackageService: {pulsarConfig: p, "
      "tlsConfig: {certSecretName: pt, certSecretKey: k}}");
  const auto pod = pod_of(objects_of(component));
  const std::string names = "mine,filebeat-logs,t-k,o-k,co-k,ci-k,logs-java-log-conf,pt-k";
  EXPECT_EQ(names_in(pod, "/volumes"), names);
  EXPECT_EQ(names_in(pod, "/containers/0/volumeMounts"), names);
}

TEST(PodVolumes, TwoSecretsWhoseNamesWouldBeOneKeepApart) {
  const auto pod = pod_of(objects_of(secured("a", "b-c", "a-b", "c")));
  ASSERT_EQ(pod.at("volumes").as_array().size(), 2U);
  EXPECT_EQ(text_at(pod, "/volumes/0/name"), "\"a-b-c\"");
  EXPECT_EQ(text_at(pod, "/volumes/0/secret/secretName"), "\"a\"");
  EXPECT_NE(text_at(pod, "/volumes/1/name"), "\"a-b-c\"");
  EXPECT_EQ(text_at(pod, "/volumes/1/secret/secretName"), "\"a-b\"");
  EXPECT_EQ(text_at(pod, "/volumes/1/name"), text_at(pod, "/containers/0/volumeMounts/1/name"));
}

TEST(PodVolumes, AreNamedTheSameByTheDownloader) {
  ClusterOptions options;
  options.init_containers = true;
  const auto pod = pod_of(objects_of(secured("a", "b-c", "a-b", "c",
                                             "volumeMounts: [{name: v, mountPath: /v}], pod: "
                                             "{volumes: [{name: v, emptyDir: {}}]}"),
                                     options));
  std::set<std::string> volumes, mounted;
  for (const auto& volume : pod.at("volumes").as_array()) volumes.insert(volume.at("name").as_string().c_str());
  for (const auto& mount : pod.at_pointer("/initContainers/0/volumeMounts").as_array()) {
    mounted.insert(mount.at("name").as_string().c_str());
  }
  EXPECT_EQ(volumes.size(), 4U);
  EXPECT_EQ(mounted, volumes);
}

TEST(PodVolumes, OneSecretForBothPlacesIsOneVolume) {
  const auto pod = pod_of(objects_of(secured("s", "k", "s", "k")));
  EXPECT_EQ(names_in(pod, "/volumes"), "s-k");
  EXPECT_EQ(names_in(pod, "/containers/0/volumeMounts"), "s-k,s-k");
}

TEST(PodVolumes, AUsersVolumeOfTheSameNameIsNotTakenForOurs) {
  const auto pod = pod_of(objects_of(secured("s", "k", "o", "k", "pod: {volumes: [{name: s-k, emptyDir: {}}]}")));
  ASSERT_EQ(pod.at("volumes").as_array().size(), 3U);
  EXPECT_EQ(text_at(pod, "/volumes/0"), R"({"name":"s-k","emptyDir":{}})");
  EXPECT_EQ(text_at(pod, "/volumes/1/secret/secretName"), "\"s\"");
}

TEST(PodVolumes, AClaimOfTheSameNameIsNotTakenForOurs) {
  const auto pod = pod_of(objects_of(secured("s", "k", "o", "k", "volumeClaimTemplates: [{metadata: {name: s-k}}]")));
  EXPECT_NE(text_at(pod, "/volumes/0/name"), "\"s-k\"");
}

TEST(PodVolumes, OneSecretForTwoInputsIsMountedOnce) {
  const std::string crypto = "{cryptoConfig: {cryptoSecrets: [{secretName: s, secretKey: k, asVolume: /keys}]}}";
  const auto pod = pod_of(objects_of(component_of(
      "Function", "className: C, java: {jar: a}, pulsar: {pulsarConfig: b}, input: {sourceSpecs: {x: " + crypto +
                      ", y: " + crypto + "}}")));
  EXPECT_EQ(names_in(pod, "/volumes"), "s-k");
  EXPECT_EQ(names_in(pod, "/containers/0/volumeMounts"), "s-k");
}

TEST(PodVolumes, ASecretWithoutNameIsRefusedWithItsPlace) {
  EXPECT_THAT(refusal_of(secured("t", "k", "''", "k")),
              testing::AllOf(testing::HasSubstr("a.yaml:4:"),
                             testing::HasSubstr("spec.pulsar.authConfig.oauth2Config: names no Secret")));
}

TEST(PodVolumes, LongNamesThatPartLateKeepApart) {
  const std::string head(70, 'x');
  const auto pod = pod_of(objects_of(secured(head + "1", "k", head + "2", "k")));
  const std::string first = text_at(pod, "/volumes/0/name"), second = text_at(pod, "/volumes/1/name");
  EXPECT_NE(first, second);
  EXPECT_LE(second.size(), 65U);
}

}  // namespace
}  // namespace fmesh::plan
