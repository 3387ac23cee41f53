#include "plan/cluster/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "model/resource_set.h"

namespace fmesh::plan {
namespace {

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

}  // namespace
}  // namespace fmesh::plan
