#include "runtime/builtin/builtin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/logic_testing.h"

namespace fmesh::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

model::InstanceSpec spec_of(const std::string& name, const std::string& config) {
  model::InstanceSpec spec;
  spec.host = model::HostKind::kBuiltin;
  spec.component = "mine";
  spec.details.class_name = name;
  spec.details.user_config = config;
  return spec;
}

FakeBatch run(const std::string& name, const std::string& config, const std::vector<LogicRecord>& records) {
  FakeLogicContext context(spec_of(name, config));
  auto logic = make_logic(context.spec(), "");
  EXPECT_TRUE(logic) << logic.error().text();
  const Status opened = (*logic)->open(context);
  EXPECT_TRUE(opened) << opened.error().text();
  FakeBatch batch;
  (*logic)->process(records, batch);
  return batch;
}

std::string config_error(const std::string& name, const std::string& config) {
  FakeLogicContext context(spec_of(name, config));
  const auto logic = make_logic(context.spec(), "");
  const Status status = logic ? (*logic)->open(context) : fail(logic.error());
  if (status) return "no error";
  EXPECT_EQ(status.error().kind(), ErrorKind::kFixInput);
  return status.error().text();
}

TEST(Builtin, IdentityPassesRecordsOnWholeWithKeyAndProperties) {
  const std::vector<std::string> payloads = {"\x01 any bytes"};
  std::vector<LogicRecord> records = records_of(payloads);
  const stream::Property property{"p", "v"};
  records[0].record.has_key = true;
  records[0].record.key = "k";
  records[0].record.properties = {&property, 1};
  records[0].record.event_time_ms = 5;
  const FakeBatch batch = run("identity", "", records);
  ASSERT_EQ(batch.written.size(), 1U);
  EXPECT_EQ(batch.written[0].payload, "\x01 any bytes");
  EXPECT_EQ(batch.written[0].key, "k");
  EXPECT_EQ(batch.written[0].properties.at("p"), "v");
  EXPECT_EQ(batch.written[0].event_time_ms, 5);
}

TEST(Builtin, FilterPassesTheVeryBytesForWhichTheExpressionHolds) {
  const FakeBatch batch =
      run("filter", R"({"expression":".n > 1"})", records_of({R"({"n": 2.0})", R"({"n":1})", "{}"}));
  EXPECT_THAT(batch.payloads(), ElementsAre(R"({"n": 2.0})"));
  EXPECT_TRUE(batch.failures.empty());
}

TEST(Builtin, MapWritesEveryResultAndNoneForEmpty) {
  const FakeBatch batch =
      run("map", R"({"expression":".items[]"})", records_of({R"({"items":[1,{"b":2,"a":3}]})", R"({"items":[]})"}));
  EXPECT_THAT(batch.payloads(), ElementsAre("1", R"({"b":2,"a":3})"));
}

TEST(Builtin, MapTakesTheKeyFromAnExpressionOnTheResult) {
  const FakeBatch batch =
      run("map", R"({"expression":".","key":".id"})", records_of({R"({"id":"a\"b"})", R"({"id":7})"}));
  ASSERT_EQ(batch.written.size(), 2U);
  EXPECT_EQ(batch.written[0].key, "a\"b");
  EXPECT_EQ(batch.written[1].key, "7");
}

TEST(Builtin, ARecordThatDoesNotFitFailsAloneOrIsDropped) {
  const std::vector<std::string> payloads = {"no JSON", R"({"a":"x"})", R"({"a":1})"};
  const std::vector<LogicRecord> records = records_of(payloads);
  const FakeBatch failing = run("map", R"({"expression":".a + 1"})", records);
  EXPECT_THAT(failing.payloads(), ElementsAre("2"));
  EXPECT_THAT(failing.failures.at(0), HasSubstr("not JSON"));
  EXPECT_THAT(failing.failures.at(1), HasSubstr("cannot be added"));
  const FakeBatch dropping = run("map", R"({"expression":".a + 1","onError":"drop"})", records);
  EXPECT_THAT(dropping.payloads(), ElementsAre("2"));
  EXPECT_TRUE(dropping.failures.empty());
}

TEST(Builtin, AWrongConfigurationIsNamedByItsField) {
  EXPECT_THAT(config_error("filter", "{}"), HasSubstr("funcConfig.expression is missing"));
  EXPECT_THAT(config_error("filter", R"({"expression":".a >"})"), HasSubstr("jq does not accept \".a >\""));
  EXPECT_THAT(config_error("map", R"({"expression":".","key":".a >"})"),
              HasSubstr("funcConfig.key: jq does not accept"));
  EXPECT_THAT(config_error("map", R"({"expression":5})"), HasSubstr("funcConfig.expression: expected a string"));
  EXPECT_THAT(config_error("map", R"({"expression":".","onError":"skip"})"), HasSubstr("funcConfig.onError"));
  EXPECT_THAT(config_error("map", R"({"expresion":"."})"), HasSubstr("funcConfig.expresion: no such field"));
  EXPECT_THAT(config_error("filtre", ""), HasSubstr("identity, filter, map"));
}

}  // namespace
}  // namespace fmesh::runtime
