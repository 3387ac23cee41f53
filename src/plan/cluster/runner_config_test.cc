#include "plan/cluster/image.h"
#include "plan/cluster/objects_test_support.h"

namespace fmesh::plan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

RunnerConfig config_of(const char* text) {
  auto config = read_runner_config("c.yaml", text);
  EXPECT_TRUE(config) << (config ? "" : config.error().to_string());
  return config.value_or(RunnerConfig());
}

std::string error_of(const char* text) {
  const auto config = read_runner_config("c.yaml", text);
  return config ? "it was read" : config.error().to_string();
}

TEST(RunnerConfigFile, IsReadWhateverTheCaseOfItsKeys) {
  const RunnerConfig config = config_of(
      "runnerImages: {java: j, PYTHON: p, go: g, fmesh: f, genericRuntime: {nodejs: n}}\nRunnerImagePullSecrets: "
      "[{name: s}]\n"
      "runnerimagepullpolicy: Always\nresourceLabels: {l: '1'}\nresourceAnnotations: {a: '2'}\nlogLevel: debug\n");
  EXPECT_EQ(config.java_image, "j");
  EXPECT_EQ(config.python_image, "p");
  EXPECT_EQ(config.go_image, "g");
  EXPECT_EQ(config.fmesh_image, "f");
  EXPECT_EQ(config.generic_images.at("nodejs"), "n");
  EXPECT_THAT(config.image_pull_secrets, ElementsAre("s"));
  EXPECT_EQ(config.image_pull_policy, "Always");
  EXPECT_EQ(config.labels.at("l"), "1");
  EXPECT_EQ(config.annotations.at("a"), "2");
  EXPECT_THAT(config.warnings, testing::IsEmpty());
}

// Defect 5 of the golden page: the key that is documented has no effect upstream.
TEST(RunnerConfigFile, BothSpellingsOfThePullPolicyCount) {
  EXPECT_EQ(config_of("imagePullPolicy: Always").image_pull_policy, "Always");
  EXPECT_EQ(config_of("runnerImagePullPolicy: Never\nimagePullPolicy: Always").image_pull_policy, "Never");
}

TEST(RunnerConfigFile, UnknownKeysAreWarnedOfWithTheirPlace) {
  EXPECT_THAT(config_of("runnerImage: {java: j}\nfuture: 1\n").warnings,
              ElementsAre("c.yaml:1:1: runnerImage has no effect; did you mean runnerImages?",
                          "c.yaml:2:1: future has no effect"));
}

TEST(RunnerConfigFile, MayBeEmpty) {
  EXPECT_EQ(config_of("").java_image, "");
  EXPECT_EQ(config_of("runnerImages:\n").java_image, "");
}

TEST(RunnerConfigFile, ErrorsNameTheirPlace) {
  EXPECT_EQ(error_of("runnerImages:\n  java: 3\n"),
            "c.yaml:2:9: runnerImages.java: expected a string, found the number 3");
  EXPECT_THAT(error_of("imagePullPolicy: sometimes"), HasSubstr("expected Always, IfNotPresent or Never"));
  EXPECT_THAT(error_of("runnerImagePullSecrets: [s]"), HasSubstr("c.yaml:1:26: runnerImagePullSecrets[0]: expected"));
  EXPECT_THAT(error_of("- a"), HasSubstr("expected a mapping"));
  EXPECT_THAT(error_of("a: [b"), HasSubstr("c.yaml:"));
  EXPECT_THAT(error_of("a: 1\n---\nb: 2"), HasSubstr("c.yaml:3:1: expected one document"));
}

std::string image_of(const model::Component& component, const RunnerConfig& config = {}) {
  return component_image(component, config).value_or("refused");
}

TEST(Image, IsTheResourcesThenTheConfigFilesThenUpstreams) {
  const RunnerConfig config{.java_image = "corp/java", .generic_images = {{"nodejs", "corp/node"}}};
  EXPECT_EQ(image_of(java_function()), "streamnative/pulsar-functions-java-runner:2.10.0.0-rc10");
  EXPECT_EQ(image_of(java_function(), config), "corp/java");
  EXPECT_EQ(image_of(java_function("image: own"), config), "own");
  EXPECT_EQ(image_of(component_of("Function", "python: {py: a}")),
            "streamnative/pulsar-functions-python-runner:2.10.0.0-rc10");
  EXPECT_EQ(image_of(component_of("Function", "golang: {go: a}")),
            "streamnative/pulsar-functions-go-runner:2.10.0.0-rc10");
  const auto node = component_of("Function", "genericRuntime: {functionFile: a, language: nodejs}");
  EXPECT_EQ(image_of(node), "streamnative/pulsar-functions-generic-nodejs-runner:0.1.0");
  EXPECT_EQ(image_of(node, config), "corp/node");
}

TEST(Image, OfAConnectorHasPulsarsConnectorsUnlessItIsAPackage) {
  EXPECT_EQ(image_of(component_of("Sink", "java: {jar: a.nar}")), "streamnative/pulsar-all:2.10.0.0-rc10");
  EXPECT_EQ(image_of(component_of("Source", "java: {jar: a.nar, jarLocation: 'https://x/a.nar'}")),
            "streamnative/pulsar-all:2.10.0.0-rc10");
  EXPECT_EQ(image_of(component_of("Source", "java: {jar: a.nar, jarLocation: 'source://a/b/c'}")),
            "streamnative/pulsar-functions-java-runner:2.10.0.0-rc10");
}

TEST(Image, OfAnUnknownLanguageIsAskedFor) {
  EXPECT_THAT(refusal_of(component_of("Function",
                                      "genericRuntime: {functionFile: a, language: cobol}, pulsar: {pulsarConfig: b}")),
              HasSubstr("spec.genericRuntime.language: no runner image is known for 'cobol'; set spec.image"));
}

// D8
TEST(Image, PullPolicyOfTheResourceCounts) {
  const RunnerConfig config{.image_pull_policy = "Always"};
  EXPECT_EQ(component_pull_policy(java_function("imagePullPolicy: Never").spec, config), "Never");
  EXPECT_EQ(component_pull_policy(java_function().spec, config), "Always");
  EXPECT_EQ(component_pull_policy(java_function().spec, {}), "IfNotPresent");
}

}  // namespace
}  // namespace fmesh::plan
