#include "local/test_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace fmesh::local {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kGood = R"(mesh: mesh.yaml
tests:
  - name: doubles a number
    advanceMs: 10
    given:
      - stream: numbers
        records:
          - {key: a, value: {num: 2}, eventTimeMs: 5}
          - text: plain
    expect:
      - stream: doubled
        ordered: false
        records:
          - value: {num: 4.0}
      - stream: dead
)";

TEST(TestFile, ReadsWhatIsGivenAndExpected) {
  const auto file = read_test_text("tests/numbers.yaml", kGood);
  ASSERT_TRUE(file) << file.error().text();
  EXPECT_THAT(file->mesh_files, ElementsAre("tests/mesh.yaml"));
  const TestCase& test = file->cases.at(0);
  EXPECT_EQ(test.advance_ms, 10);
  EXPECT_EQ(test.given.at(0).topic, "persistent://public/default/numbers");
  EXPECT_EQ(test.given.at(0).records.at(0).payload, R"({"num":2})");
  EXPECT_EQ(test.given.at(0).records.at(0).event_time_ms, 5);
  EXPECT_EQ(test.given.at(0).records.at(1).payload, "plain");
  EXPECT_FALSE(test.expect.at(0).ordered);
  EXPECT_TRUE(test.expect.at(1).records.empty());
}

TEST(TestFile, NamesEveryMistakeWithItsPlace) {
  const auto file = read_test_text("t.yaml", R"(mesh: mesh.yaml
tests:
  - name: x
    givn: []
    expect:
      - stream: 7
        records:
          - {value: 1, text: a}
)");
  ASSERT_FALSE(file);
  EXPECT_THAT(file.error().text(), HasSubstr("t.yaml:4:5: tests[0].givn: no such field; did you mean given?"));
  EXPECT_THAT(file.error().text(), HasSubstr("tests[0].expect[0].stream"));
  EXPECT_THAT(file.error().text(), HasSubstr("exclude each other"));
}

observe::RecordLine record(const std::string& payload) {
  observe::RecordLine line;
  line.payload = payload;
  return line;
}

TEST(Differences, AreNoneForEqualJsonHoweverItIsWritten) {
  ExpectedRecord expected;
  expected.value = boost::json::parse(R"({"a":1,"b":[1.0,"x"]})");
  EXPECT_FALSE(difference(expected, record(R"({ "b": [1, "x"], "a": 1.0 })")));
  EXPECT_TRUE(difference(expected, record(R"({"a":1,"b":[1,"x"],"c":0})")));
  EXPECT_TRUE(difference(expected, record("not json")));
}

TEST(Differences, AreOrderedOrNotAsTheTestSays) {
  ExpectedStream expected{"s", true, {}};
  expected.records.resize(2);
  expected.records[0].text = "a";
  expected.records[1].text = "b";
  EXPECT_THAT(differences(expected, {record("b"), record("a")}),
              ElementsAre("record 0: expected a, found b", "record 1: expected b, found a"));
  expected.ordered = false;
  EXPECT_TRUE(differences(expected, {record("b"), record("a")}).empty());
  EXPECT_THAT(differences(expected, {record("b"), record("c")}), ElementsAre("missing: a", "not expected: c"));
}

}  // namespace
}  // namespace fmesh::local
