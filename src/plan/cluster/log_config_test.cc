#include "plan/cluster/log_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace fmesh::plan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

model::Component java(const model::LogSettings& log, const std::string& agent = "") {
  model::Component out;
  out.spec.name = "f";
  out.spec.log_topic_agent = agent;
  out.spec.java.emplace().log = log;
  return out;
}

model::Component python(const model::LogSettings& log) {
  model::Component out;
  out.spec.name = "it's 5%";
  out.spec.python.emplace().log = log;
  return out;
}

TEST(LogConfig, JavaWritesFilesWhereAskedOrWhereASidecarReadsThem) {
  EXPECT_THAT(log_settings(plan_java_log(java({})).write), ElementsAre("INFO", "PatternLayout"));
  EXPECT_THAT(log_settings(plan_java_log(java({}, "sidecar")).write),
              ElementsAre("10MB", "INFO", "PatternLayout", "RollingRandomAccessFile", "SizeBasedTriggeringPolicy"));
  model::LogSettings log;
  log.level = "debug";
  log.format = "json";
  log.rotate_policy = "TimedPolicyWithWeekly";
  EXPECT_THAT(log_settings(plan_java_log(java(log)).write),
              ElementsAre("0 0 0 ? * 1 *", "CronTriggeringPolicy", "DEBUG", "JSONLayout", "RollingRandomAccessFile"));
  EXPECT_EQ(plan_java_log(java(log)).level, "DEBUG");
}

TEST(LogConfig, JavaYamlAlwaysWritesAFile) {
  model::LogSettings log;
  log.java_log4j_config_file_type = "yaml";
  const LogPlan plan = plan_java_log(java(log));
  EXPECT_EQ(plan.path, "/pulsar/conf/java-log/java_instance_log4j.yaml");
  EXPECT_THAT(log_settings(plan.write), ElementsAre("10MB", "INFO", "PatternLayout", "RollingRandomAccessFile",
                                                    "SizeBasedTriggeringPolicy", "TimeBasedTriggeringPolicy"));
  log.rotate_policy = "SizedPolicyWith100MB";
  EXPECT_THAT(log_settings(plan_java_log(java(log)).write), testing::Contains("100MB"));
}

TEST(LogConfig, JavaIniBecomesXmlWhichLog4jHas) {
  model::LogSettings log;
  log.java_log4j_config_file_type = "ini";
  const LogPlan plan = plan_java_log(java(log));
  EXPECT_EQ(plan.path, "/pulsar/conf/java-log/java_instance_log4j.xml");
  EXPECT_THAT(plan.write, HasSubstr("<Configuration"));
}

TEST(LogConfig, LevelsAreTheRuntimesOwn) {
  const auto levels = [](const std::string& level) {
    model::LogSettings log;
    log.level = level;
    return plan_java_log(java(log)).level + " " + plan_python_log(python(log)).level;
  };
  EXPECT_EQ(levels("warn"), "WARN WARNING");
  EXPECT_EQ(levels("fatal"), "FATAL CRITICAL");
  EXPECT_EQ(levels("trace"), "TRACE INFO");
  EXPECT_EQ(levels("panic"), "INFO INFO");
  EXPECT_EQ(levels("off"), "OFF INFO");
  EXPECT_EQ(levels(""), " ");
}

TEST(LogConfig, PythonNamesItsFileWhateverTheName) {
  model::LogSettings log;
  log.level = "error";
  log.rotate_policy = "TimedPolicyWithMonthly";
  log.format = "json";
  const std::string write = plan_python_log(python(log)).write;
  EXPECT_THAT(write, HasSubstr("args=('logs/functions/it\\\\'s 5%%.log', 'D', 30, 5)\n"));
  EXPECT_THAT(write, HasSubstr("class=pythonjsonlogger.jsonlogger.JsonFormatter\n"));
  EXPECT_THAT(write, testing::EndsWith("&& sed -i.bak 's/^level=.*/level=ERROR/g' "
                                       "/pulsar/conf/python-log/python_instance_logging.ini && "));
  EXPECT_THAT(plan_python_log(python({})).write, Not(HasSubstr("sed ")));
}

TEST(LogConfig, AConfigMapOfTheUserTakesThePlace) {
  model::LogSettings log;
  log.level = "error";
  log.log_config = model::KeyReference{.name = "logs", .key = "k"};
  const LogPlan plan = plan_java_log(java(log));
  EXPECT_EQ(plan.write, "");
  EXPECT_EQ(plan.level, "ERROR");
  ASSERT_EQ(plan.volumes.size(), 1u);
  EXPECT_EQ(
      boost::json::serialize(plan.volumes[0]),
      R"({"name":"logs-java-log-conf","configMap":{"name":"logs","items":[{"key":"k","path":"java_instance_log4j.xml"}]}})");
  EXPECT_EQ(boost::json::serialize(plan.volume_mounts.at(0)),
            R"({"name":"logs-java-log-conf","mountPath":"/pulsar/conf/java-log/"})");
  const LogPlan ini = plan_python_log(python(log));
  EXPECT_EQ(ini.write, "");
  EXPECT_EQ(ini.path, "/pulsar/conf/python-log/python_instance_logging.ini");
  model::Component go;
  go.spec.golang.emplace().log = log;
  EXPECT_TRUE(go_log_environment(go).empty());
}

}  // namespace
}  // namespace fmesh::plan
