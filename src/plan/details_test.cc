#include "plan/details.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fmesh::plan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

model::ResourceSet set_of(std::string_view kind, std::string_view spec) {
  model::ResourceSet set = model::read_text(
      "a.yaml",
      fmt::format("apiVersion: compute.functionmesh.io/v1alpha1\nkind: {}\nmetadata: {{name: part}}\nspec: {{{}}}\n",
                  kind, spec));
  EXPECT_EQ(render(set.findings, set.sources), "");
  return set;
}

model::FunctionDetails details_of(std::string_view kind, std::string_view spec) {
  return make_details(set_of(kind, spec).components.at(0), StreamNames::kAsWritten);
}

TEST(Details, OfAJavaFunctionAreUpstreams) {
  EXPECT_EQ(
      to_json(details_of("Function",
                         "className: org.F, java: {jar: f.jar}, input: {topics: [in]}, output: {topic: out}, "
                         "timeout: 30, maxMessageRetry: 2, funcConfig: {b: 2, a: '<'}, "
                         "resources: {requests: {cpu: 200m, memory: 1G}, limits: {memory: 1G}}, "
                         "secretsMap: {K: {path: s, key: k}}")),
      R"({"tenant":"public","namespace":"default","name":"part","className":"org.F",)"
      R"("userConfig":"{\"a\":\"\\u003c\",\"b\":2}","secretsMap":"{\"K\":{\"path\":\"s\",\"key\":\"k\"}}",)"
      R"("autoAck":true,"parallelism":1,"source":{"typeClassName":"[B","inputSpecs":{"in":{}},"timeoutMs":"30",)"
      R"("subscriptionPosition":"EARLIEST","negativeAckRedeliveryDelayMs":"30"},)"
      R"("sink":{"typeClassName":"[B","topic":"out","forwardSourceMessageProperty":true},)"
      R"("resources":{"cpu":0.2,"ram":"1000000000"},)"
      R"("retryDetails":{"maxMessageRetries":2,"deadLetterTopic":"public-default-part-DLQ"},"componentType":"FUNCTION"})");
}

TEST(Details, SubscribeByOrderAndGuarantee) {
  const auto type = [](const char* more) {
    return details_of("Sink", fmt::format("sinkType: drop, input: {{topics: [a]}}{}", more)).source->subscription_type;
  };
  using Type = model::DetailsSubscriptionType;
  EXPECT_EQ(type(""), Type::kShared);
  EXPECT_EQ(type(", retainKeyOrdering: true"), Type::kKeyShared);
  EXPECT_EQ(type(", retainOrdering: true"), Type::kFailover);
  EXPECT_EQ(type(", processingGuarantee: effectively_once"), Type::kFailover);
}

TEST(Details, LaterInputSettingsReplaceEarlierOnes) {
  const auto details =
      details_of("Function",
                 "className: f, java: {jar: j}, input: {topics: [a], topicPattern: 'p.*', customSerdeSources: {a: S}, "
                 "customSchemaSources: {b: json}, sourceSpecs: {b: {receiverQueueSize: 0}}}");
  const auto& specs = details.source->input_specs;
  EXPECT_EQ(specs.at("a").serde_class_name, "S");
  EXPECT_TRUE(specs.at("p.*").is_regex_pattern);
  EXPECT_EQ(specs.at("b").schema_type, "");
  EXPECT_EQ(specs.at("b").receiver_queue_size, 0);
}

TEST(Details, CarryTheWindowInUserConfig) {
  const char* spec =
      "className: map, {}, input: {{topics: [a]}}, funcConfig: {{x: 1}}, windowConfig: {{windowLengthCount: 5, "
      "lateDataTopic: late}}";
  const auto native = set_of("Function", fmt::format(fmt::runtime(spec), "genericRuntime: {language: builtin}"));
  const auto details = make_details(native.components.at(0), StreamNames::kFull);
  EXPECT_EQ(details.class_name, "map");
  EXPECT_EQ(
      details.user_config,
      R"({"__WINDOWCONFIGS__":{"actualWindowFunctionClassName":"map","windowLengthCount":5,"slidingIntervalCount":5,)"
      R"("lateDataTopic":"persistent://public/default/late"},"x":1})");
  EXPECT_EQ(details_of("Function", fmt::format(fmt::runtime(spec), "java: {jar: j}")).class_name,
            "org.apache.pulsar.functions.windowing.WindowFunctionExecutor");
}

TEST(Details, NameBuiltinConnectorsAndIgnoreThemBesideJava) {
  EXPECT_EQ(details_of("Source", "sourceType: file, output: {topic: a}").source->builtin, "file");
  EXPECT_EQ(details_of("Sink", "sinkType: drop, sinkConfig: {k: 1}, input: {topics: [a]}").sink->configs, R"({"k":1})");
  EXPECT_EQ(details_of("Source", "sourceType: file, className: c, java: {jar: j}, output: {topic: a}").source->builtin,
            "");
}

TEST(Details, FlattenConnectorsWithinAFunction) {
  const auto details =
      details_of("Function",
                 "className: f, java: {jar: j}, sourceConfig: {configs: {archive: 'builtin://gen', className: C, "
                 "configs: {a: 1}, b: 2}}, sinkConfig: {sinkType: es, configs: {c: 3}}");
  EXPECT_EQ(details.source->builtin, "gen");
  EXPECT_EQ(details.source->class_name, "C");
  EXPECT_EQ(details.source->configs, R"({"a":1,"b":2})");
  EXPECT_EQ(details.sink->configs, R"({"c":3,"sinkType":"es"})");
}

TEST(Details, SendDeadLettersWhereUpstreamDoes) {
  const auto topics = [](const char* more) {
    return dead_letter_topics(
        set_of("Sink", fmt::format("sinkType: drop, input: {{topics: [a, b]}}{}", more)).components.at(0));
  };
  EXPECT_THAT(topics(""), IsEmpty());
  EXPECT_THAT(topics(", maxMessageRetry: 1"), ElementsAre("persistent://public/default/public-default-part-DLQ"));
  EXPECT_THAT(topics(", maxMessageRetry: 1, deadLetterTopic: t/n/dead"), ElementsAre("persistent://t/n/dead"));
  EXPECT_THAT(topics(", maxMessageRetry: 1, subscriptionName: s"),
              ElementsAre("persistent://public/default/a-s-DLQ", "persistent://public/default/b-s-DLQ"));
}

}  // namespace
}  // namespace fmesh::plan
