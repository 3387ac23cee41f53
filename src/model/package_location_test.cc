#include "model/package_location.h"

#include <gtest/gtest.h>

namespace fmesh::model {
namespace {

TEST(PackageLocation, IsReadWithItsPin) {
  const std::string pin(64, 'A');
  const auto location = parse_package_location("FUNCTION://a/b/c@v1#sha256=" + pin);
  ASSERT_TRUE(location);
  EXPECT_EQ(location->address, "function://a/b/c@v1");
  EXPECT_EQ(location->sha256, std::string(64, 'a'));
  for (const char* wrong :
       {"", "a.so", "ftp://h/a", "function://a/b/c", "function://a/b@1", "function://a//c@1", "function://a/b/c@",
        "function://a/b/c@1@2", "https://", "https:///a", "https://h/a#x", "https://h/a#sha256=ab"}) {
    EXPECT_FALSE(parse_package_location(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace fmesh::model
