#include "plan/cluster/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "model/resource_set.h"

namespace fmesh::plan {
namespace {

namespace json = boost::json;
using testing::HasSubstr;
using testing::Not;

model::Component component(const std::string& yaml) {
  const model::ResourceSet set = model::read_text("test.yaml", yaml);
  EXPECT_EQ(render(set.findings, set.sources), "");
  return set.components.empty() ? model::Component{} : set.components.front();
}

model::Component function(const std::string& members) {
  return component(
      "apiVersion: compute.functionmesh.io/v1alpha1\nkind: Function\nmetadata: {name: f}\nspec:\n"
      "  clusterName: blue\n  input: {topics: [in]}\n  output: {topic: out}\n  pulsar: {pulsarConfig: c}\n" +
      members);
}

std::string command_text(const model::Component& component, const ClusterOptions& options = {}) {
  const auto command = make_pod_command(component, options, "{uid}");
  EXPECT_TRUE(command) << command.error().to_string();
  return command ? command->command.back() : std::string();
}

TEST(PodCommand, StartsTheJavaInstanceAsUpstreamDoes) {
  const std::string text = command_text(function("  className: a.B\n  java: {jar: a.jar}\n"));
  EXPECT_THAT(text, testing::StartsWith("SHARD_ID=${POD_NAME##*-} && echo shardId=${SHARD_ID} && "
                                        "mkdir -p /pulsar/conf/java-log/ && echo \"<Configuration"));
  EXPECT_THAT(
      text,
      HasSubstr("\" > /pulsar/conf/java-log/java_instance_log4j.xml && exec java -cp "
                "/pulsar/instances/java-instance.jar:"
                "$(echo /pulsar/lib/com.fasterxml.jackson.dataformat-jackson-dataformat-yaml-*.jar):"
                "$(echo /pulsar/lib/org.yaml-snakeyaml-*.jar) -Dpulsar.functions.instance.classpath=/pulsar/lib/* "
                "-Dlog4j.configurationFile=/pulsar/conf/java-log/java_instance_log4j.xml "
                "-Dpulsar.function.log.dir=logs/functions -Dpulsar.function.log.file=f-${SHARD_ID} "
                "-Dpulsar.allocator.exit_on_oom=true  -XX:MaxRAMPercentage=70 -XX:MaxDirectMemorySize=214748364 "
                "-XX:+UseG1GC -XX:+HeapDumpOnOutOfMemoryError -XX:HeapDumpPath=/pulsar/tmp/heapdump-%p.hprof "
                "-XX:+ExitOnOutOfMemoryError "
                "-Xlog:gc*:file=/pulsar/logs/gc.log:time,level,tags:filecount=5,filesize=10M  "
                "org.apache.pulsar.functions.instance.JavaInstanceMain --jar a.jar --instance_id ${SHARD_ID} "
                "--function_id ${SHARD_ID}-{uid} --function_version 0 --function_details '{\"tenant\":\"public\""));
  EXPECT_THAT(text, testing::EndsWith("}' --pulsar_serviceurl $brokerServiceURL --max_buffered_tuples 100 --port 9093 "
                                      "--metrics_port 9094 --expected_healthcheck_interval 0 --cluster_name blue "
                                      "--use_tls false --pending_async_requests 1000"));
}

std::string refusal(const model::Component& component) {
  const auto command = make_pod_command(component, {}, "{uid}");
  EXPECT_FALSE(command);
  return command ? std::string() : command.error().to_string();
}

TEST(PodCommand, RefusesWhatNothingRuns) {
  model::Component source = function("  java: {jar: a.jar}\n");
  source.kind = model::Kind::kSource;
  source.spec.java.reset();
  EXPECT_THAT(refusal(source), HasSubstr("a Source in a cluster needs `java`"));
  model::Component none = function("  java: {jar: a.jar}\n");
  none.spec.java.reset();
  EXPECT_THAT(refusal(none), HasSubstr("no runtime is given"));
  EXPECT_THAT(refusal(none), testing::StartsWith("test.yaml:4")) << "the place";
  model::Component nul = function("  java: {jar: a.jar}\n");
  nul.spec.cluster_name = std::string("a\0b", 3);
  EXPECT_THAT(refusal(nul), HasSubstr("NUL"));
}

TEST(PodCommand, ChoosesTheFirstRuntimeAsUpstreamDoes) {
  model::Component both = function("  java: {jar: a.jar}\n");
  both.spec.python = model::PythonRuntime{.py = "a.py", .py_location = "", .log = {}};
  EXPECT_THAT(command_text(both), HasSubstr("exec java "));
  both.spec.java.reset();
  both.spec.golang.emplace().go = "g";
  EXPECT_THAT(command_text(both), HasSubstr("exec python "));
}

TEST(PodCommand, SharesMemoryAsUpstreamDoes) {
  const auto direct_memory = [](const std::string& limit) {
    model::Component component = function("  java: {jar: a.jar}\n");
    component.spec.resources.limits["memory"] = limit;
    const std::string text = command_text(component);
    const size_t at = text.find("MaxDirectMemorySize=") + 20;
    return text.substr(at, text.find(' ', at) - at);
  };
  EXPECT_EQ(direct_memory("1100M"), "220M");
  EXPECT_EQ(direct_memory("1Gi"), "214748364");
  EXPECT_EQ(direct_memory("2G"), "400M");
  EXPECT_EQ(direct_memory("5T"), "1T");
  EXPECT_EQ(direct_memory("0"), "0");
}

TEST(PodCommand, GivesGoItsLevelAndItsStreams) {
  model::Component go = function("  golang: {go: /pulsar/g, log: {level: panic}}\n");
  auto command = make_pod_command(go, {}, "{uid}");
  ASSERT_TRUE(command);
  ASSERT_EQ(command->env.size(), 1u);
  EXPECT_EQ(json::serialize(command->env[0]), R"({"name":"LOGGING_LEVEL","value":"panic"})");
  EXPECT_THAT(command->command.back(), HasSubstr(R"(\"sourceSpecsTopic\":\"in\",\"sourceSchemaType\":\"\",)"
                                                 R"(\"isRegexPatternSubscription\":false)"));
  EXPECT_THAT(command->command.back(), Not(HasSubstr("sourceInputSpecs")));
  // Upstream's operator dies of this one.
  go.spec.input.topics.clear();
  go.spec.input.topic_pattern = "persistent://public/default/.*";
  EXPECT_THAT(command_text(go), HasSubstr(R"(\"sourceSpecsTopic\":\"persistent://public/default/.\\u002a\")"));
  EXPECT_THAT(command_text(go), HasSubstr(R"(\"isRegexPatternSubscription\":true)"));
  go.spec.input = {};
  EXPECT_THAT(command_text(go), HasSubstr(R"(\"sourceSpecsTopic\":\"\")"));
}

}  // namespace
}  // namespace fmesh::plan
