#include "stream/pulsar/client/unacked.h"

#include <gtest/gtest.h>

namespace fmesh::stream::pulsar {
namespace {

AckSet set_of(std::initializer_list<uint32_t> indexes, uint32_t count) {
  AckSet set = AckSet::none(count);
  for (const uint32_t index : indexes) set.add(index);
  return set;
}

std::string text_of(const std::optional<AckSet>& set, uint32_t count) {
  if (!set) return "none";
  if (set->is_all()) return "all";
  std::string text;
  for (uint32_t index = 0; index < count; ++index) {
    if (set->has(index)) text += (text.empty() ? "" : ",") + std::to_string(index);
  }
  return text;
}

constexpr EntryKey kEntry{1, 2};

TEST(Unacked, WhatIsWithTheUserIsNotHandedOutAgain) {
  Unacked unacked;
  EXPECT_EQ(text_of(unacked.came(0, kEntry, 3, 0, AckSet::all()), 3), "all");
  EXPECT_EQ(text_of(unacked.came(0, kEntry, 3, 1, AckSet::all()), 3), "none");
  EXPECT_EQ(unacked.out_records(), 3);
  EXPECT_TRUE(unacked.acknowledge(kEntry, AckSet::all()).is_over);
  EXPECT_EQ(unacked.out_records(), 0);
  EXPECT_EQ(text_of(unacked.came(0, kEntry, 3, 1, AckSet::all()), 3), "all");
}

TEST(Unacked, AnEntryIsOverWhenEachOfItsRecordsIs) {
  Unacked unacked;
  unacked.came(0, kEntry, 3, 0, AckSet::all());
  Unacked::Left left = unacked.acknowledge(kEntry, set_of({1}, 3));
  EXPECT_FALSE(left.is_over);
  EXPECT_EQ(left.words, std::vector<uint64_t>{0b101});
  EXPECT_EQ(left.acked, 1U);
  left = unacked.acknowledge(kEntry, set_of({0, 1, 2}, 3));
  EXPECT_TRUE(left.is_over);
  EXPECT_EQ(left.acked, 2U);
  EXPECT_EQ(unacked.entries(), 0U);
}

// Pitfall 28.
TEST(Unacked, WhatTheBrokerKnowsAsAcknowledgedIsNotHandedOut) {
  Unacked unacked;
  EXPECT_EQ(text_of(unacked.came(0, kEntry, 4, 1, set_of({1, 3}, 4)), 4), "1,3");
  EXPECT_EQ(unacked.out_records(), 2);
  EXPECT_FALSE(unacked.acknowledge(kEntry, set_of({1}, 4)).is_over);
  EXPECT_TRUE(unacked.acknowledge(kEntry, set_of({3}, 4)).is_over);
}

TEST(Unacked, OnlyWhatWasSentAwayComesAgain) {
  Unacked unacked;
  unacked.came(0, kEntry, 4, 0, AckSet::all());
  unacked.acknowledge(kEntry, set_of({0}, 4));
  EXPECT_EQ(unacked.send_away(kEntry, set_of({1, 2}, 4))->records, 2U);
  EXPECT_EQ(unacked.away_records(), 2);
  // Too early, after a reconnect.
  EXPECT_EQ(text_of(unacked.came(0, kEntry, 4, 1, AckSet::all()), 4), "none");
  EXPECT_EQ(unacked.call_back(kEntry), 2U);
  EXPECT_EQ(text_of(unacked.came(0, kEntry, 4, 2, AckSet::all()), 4), "1,2");
  EXPECT_EQ(unacked.away_records(), 0);
  EXPECT_EQ(unacked.out_records(), 3);
  EXPECT_TRUE(unacked.acknowledge(kEntry, set_of({1, 2, 3}, 4)).is_over);
}

// Pitfall 29: an ack timeout after a negative acknowledgement asks for nothing more.
TEST(Unacked, WhatIsAwayIsNotSentAwayAgain) {
  Unacked unacked;
  unacked.came(0, kEntry, 2, 0, AckSet::all());
  EXPECT_TRUE(unacked.send_away(kEntry, AckSet::all()));
  EXPECT_FALSE(unacked.send_away(kEntry, AckSet::all()));
  EXPECT_FALSE(unacked.send_away(kEntry, set_of({0}, 2)));
  EXPECT_EQ(unacked.call_back(kEntry), 2U);
  EXPECT_EQ(unacked.call_back(kEntry), 0U);
}

TEST(Unacked, AWholeEntryThatIsCalledBackIsForgotten) {
  Unacked unacked;
  unacked.came(0, kEntry, 2, 3, AckSet::all());
  EXPECT_EQ(unacked.send_away(kEntry, AckSet::all())->redelivery_count, 3U);
  unacked.call_back(kEntry);
  EXPECT_EQ(unacked.entries(), 0U);  // another consumer may get it
}

TEST(Unacked, CountsReturnToNothing) {
  Unacked unacked;
  for (int64_t entry = 0; entry < 10; ++entry) unacked.came(0, {1, entry}, 70, 0, AckSet::all());
  unacked.send_away({1, 0}, set_of({69}, 70));
  unacked.call_back({1, 0});
  unacked.send_away({1, 1}, AckSet::all());
  unacked.acknowledge({1, 2}, set_of({64}, 70));
  unacked.not_handed_out({1, 3});
  unacked.forget_away(0);
  unacked.forget(0, std::nullopt);
  EXPECT_EQ(unacked.out_records(), 0);
  EXPECT_EQ(unacked.away_records(), 0);
  EXPECT_EQ(unacked.entries(), 0U);
}

TEST(Unacked, NothingIsKnownOfOtherEntries) {
  Unacked unacked;
  EXPECT_FALSE(unacked.acknowledge(kEntry, AckSet::all()).is_known);
  EXPECT_FALSE(unacked.send_away(kEntry, AckSet::all()));
}

}  // namespace
}  // namespace fmesh::stream::pulsar
