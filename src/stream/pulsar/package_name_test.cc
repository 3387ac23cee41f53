#include "stream/pulsar/package_name.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fmesh::stream::pulsar {
namespace {

TEST(PackageName, HasTypePlaceNameAndVersion) {
  EXPECT_EQ(*PackageName::parse("function://t/n/f.jar@1.0"), (PackageName{"function", "t", "n", "f.jar", "1.0"}));
  EXPECT_EQ(PackageName::parse("FUNCTION://t/n/F@V1")->full(), "function://t/n/F@V1");
  for (const char* text : {"function://t/n/f@1", "source://t/n/f@v-2", "sink://t/n/a b@x"}) {
    EXPECT_EQ(PackageName::parse(text)->full(), text);
  }
}

TEST(PackageName, AnythingElseIsRefusedByName) {
  for (const char* text :
       {"", "f", "http://t/n/f@1", "function:/t/n/f@1", "function://t/n/f", "function://t/n/f@", "function://t/n/@1",
        "function://t//f@1", "function://n/f@1", "function://t/n/f/g@1", "function://t/n/f@1/2", "function://../n/f@1",
        "function://t/./f@1", "function://t/n/..@1", "function://t/n/f@.."}) {
    const auto name = PackageName::parse(text);
    ASSERT_FALSE(name) << text;
    EXPECT_THAT(name.error().text(), testing::HasSubstr("expected function://TENANT/NAMESPACE/NAME@VERSION"));
  }
}

}  // namespace
}  // namespace fmesh::stream::pulsar
