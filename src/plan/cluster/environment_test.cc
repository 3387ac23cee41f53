#include "plan/cluster/environment.h"

#include "plan/cluster/objects_test_support.h"

namespace fmesh::plan {
namespace {

std::string unique(std::string_view entries) {
  const auto result = unique_environment(boost::json::parse(entries).as_array());
  return result ? model::write_json(*result) : result.error().text();
}

TEST(Environment, TheLastOfANameStaysAtItsPlace) {
  EXPECT_EQ(unique(R"([{"name":"A","value":"1"},{"name":"B","value":"2"},{"name":"A","value":"3"}])"),
            R"([{"name":"B","value":"2"},{"name":"A","value":"3"}])");
}

TEST(Environment, AReferenceToTheEarlierOfTwoKeepsItsValue) {
  EXPECT_EQ(unique(R"x([{"name":"P","value":"/a"},{"name":"Q","value":"$(P)/q"},{"name":"P","value":"$(P):/b"},)x"
                   R"x({"name":"R","value":"$(P)"}])x"),
            R"x([{"name":"Q","value":"/a/q"},{"name":"P","value":"/a:/b"},{"name":"R","value":"$(P)"}])x");
}

TEST(Environment, AReferenceToASecretGivenTwiceIsRefused) {
  EXPECT_THAT(unique(R"([{"name":"P","valueFrom":{}},{"name":"P","value":"$(P)x"}])"),
              testing::HasSubstr("P is given twice"));
}

TEST(Environment, EscapedReferencesStay) {
  EXPECT_EQ(replace_reference("$$(A) $(A) $(AB) $( $", "A", "x"), "$$(A) x $(AB) $( $");
  EXPECT_EQ(replace_reference("$$$(A)", "A", "x"), "$$x");
}

TEST(Environment, WhatIsNoVariableStays) {
  EXPECT_EQ(unique(R"([3,{"value":"a"},{"name":5},null])"), R"([3,{"value":"a"},{"name":5},null])");
}

}  // namespace
}  // namespace fmesh::plan
