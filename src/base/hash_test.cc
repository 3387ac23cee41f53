#include "base/hash.h"

#include <gtest/gtest.h>

#include <string>

#include "base/rng.h"

namespace fmesh {
namespace {

TEST(Crc32c, GivesTheCheckValueOfTheSpecification) { EXPECT_EQ(crc32c("123456789"), 0xe3069283u); }

// RFC 3720, B.4.
TEST(Crc32c, GivesTheValuesOfTheExamplesOfIscsi) {
  std::string rising, falling;
  for (int i = 0; i < 32; ++i) {
    rising += static_cast<char>(i);
    falling += static_cast<char>(31 - i);
  }
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(crc32c(rising), 0x46dd794eu);
  EXPECT_EQ(crc32c(falling), 0x113fdb5cu);
}

TEST(Crc32c, IsTheSameInOnePieceAndInTwo) {
  Rng rng(7);
  std::string bytes;
  for (int i = 0; i < 20'000; ++i) bytes += static_cast<char>(rng.next());
  for (size_t size : {size_t{0}, size_t{1}, size_t{7}, size_t{3071}, size_t{3072}, size_t{9999}, bytes.size()}) {
    const std::string_view whole(bytes.data(), size);
    const size_t cut = size == 0 ? 0 : rng.below(size);
    // One byte at a time never enters the three-lane loop, so it is an oracle for it.
    uint32_t slow = 0;
    for (char c : whole) slow = crc32c(std::string_view(&c, 1), slow);
    EXPECT_EQ(crc32c(whole), slow) << size;
    EXPECT_EQ(crc32c(whole.substr(cut), crc32c(whole.substr(0, cut))), slow) << size;
  }
}

// Vectors computed with Pulsar's own classes (facts: pulsar.md 10).
TEST(Murmur3, GivesPulsarsValues) {
  EXPECT_EQ(murmur3_32(""), 0u);
  EXPECT_EQ(murmur3_32("key1"), 462881061u);
  EXPECT_EQ(murmur3_32("k\u00e4y"), 1504466074u);
  EXPECT_EQ(murmur3_32("\U0001F600"), 1051995898u);
  EXPECT_EQ(murmur3_32("NONE_KEY"), 504741539u);
}

TEST(JavaStringHash, GivesPulsarsValues) {
  EXPECT_EQ(java_string_hash(""), 0u);
  EXPECT_EQ(java_string_hash("key1"), 3288498u);
  EXPECT_EQ(java_string_hash("k\u00e4y"), 110016u);
  EXPECT_EQ(java_string_hash("\U0001F600"), 1772899u);
  EXPECT_EQ(java_string_hash("NONE_KEY"), 45784248u);
}

}  // namespace
}  // namespace fmesh
