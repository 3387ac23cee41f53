#include "stream/log/key_ring.h"

#include <gtest/gtest.h>

#include <map>

namespace fmesh::stream::log {
namespace {

// Vectors computed with Pulsar's own classes (facts: pulsar.md 10, sticky hash of the consistent-hashing selector).
TEST(KeyHash, GivesPulsarsPlacesOnTheRing) {
  EXPECT_EQ(key_hash(""), 1);
  EXPECT_EQ(key_hash("key1"), 7357);
  EXPECT_EQ(key_hash("k\u00e4y"), 44615);
  EXPECT_EQ(key_hash("\U0001F600"), 28079);
  EXPECT_EQ(key_hash("NONE_KEY"), 56505);
}

// The same, of the selector that ranges are named for. As Pulsar's, 0 is no place.
TEST(KeyHash, GivesPulsarsPlacesForRanges) {
  EXPECT_EQ(range_hash(""), 1);
  EXPECT_EQ(range_hash("key1"), 293);
  EXPECT_EQ(range_hash("k\u00e4y"), 21658);
  EXPECT_EQ(range_hash("NONE_KEY"), 48803);
}

TEST(KeyRing, GivesAPlaceToTheConsumerThatNamesIt) {
  KeyRing ring;
  ring.add_ranges(1, {{0, 10}, {21, 30}});
  ring.add_ranges(2, {{11, 20}});
  ring.add_ranges(3, {{0, 65'535}});  // of another partition
  const auto of_first = [](ConsumerNumber number) { return number != 3; };
  EXPECT_EQ(ring.owner_among(10, of_first), 1U);
  EXPECT_EQ(ring.owner_among(11, of_first), 2U);
  EXPECT_EQ(ring.owner_among(21, of_first), 1U);
  EXPECT_EQ(ring.owner_among(31, of_first), 0U);
  EXPECT_EQ(ring.owner_among(31, [](ConsumerNumber number) { return number == 3; }), 3U);
  ring.remove(1);
  EXPECT_EQ(ring.owner_among(10, of_first), 0U);
  EXPECT_EQ(ring.owner_among(20, of_first), 2U);
}

TEST(KeyRing, MovesOnlyTheKeysOfTheConsumerThatLeaves) {
  KeyRing ring;
  ring.add(1, "a");
  ring.add(2, "b");
  ring.add(3, "c");
  std::map<int, ConsumerNumber> before;
  std::map<ConsumerNumber, int> share;
  for (int hash = 1; hash <= 65'535; ++hash) ++share[before[hash] = ring.owner(static_cast<KeyHash>(hash))];
  for (ConsumerNumber consumer : {1, 2, 3}) EXPECT_GT(share[consumer], 65'535 / 6) << consumer;
  ring.remove(2);
  for (const auto& [hash, owner] : before) {
    const ConsumerNumber now = ring.owner(static_cast<KeyHash>(hash));
    if (owner == 2) {
      EXPECT_NE(now, 2U) << hash;
    } else {
      ASSERT_EQ(now, owner) << hash;
    }
  }
}

}  // namespace
}  // namespace fmesh::stream::log
