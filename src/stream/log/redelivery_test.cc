#include <gmock/gmock.h>

#include "stream/log/log_test_support.h"

namespace fmesh::stream::log::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Texts = std::vector<std::string>;

class Redelivery : public LogTest {};

TEST_F(Redelivery, ComesAfterADelayThatDoublesUpToItsMaximum) {
  auto out = producer("orders");
  produce(out, {"a"});
  ConsumerOptions options = reading({"orders"});
  options.nack_delay_min_ms = 100;
  options.nack_delay_max_ms = 300;
  auto in = consumer(options);
  auto got = poll(in);
  for (const int64_t delay_ms : {100, 200, 300, 300}) {
    in->negative_ack(got.at(0).id, AckSet::all());
    EXPECT_EQ(in->stats().waiting_retry, 1);
    int wakes = 0;
    in->notify([&] { ++wakes; });
    clock.advance_ms(delay_ms - 1);
    log->tick();
    EXPECT_EQ(wakes, 0) << delay_ms;
    EXPECT_THAT(take(in), IsEmpty());
    clock.advance_ms(1);
    log->tick();
    EXPECT_EQ(wakes, 1) << delay_ms;
    const uint32_t before = got.at(0).redelivery_count;
    got = poll(in);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].redelivery_count, before + 1);
    EXPECT_FALSE(in->drained());
  }
  acknowledge(in, got);
  EXPECT_TRUE(in->drained());
}

TEST_F(Redelivery, OfSomeRecordsLeavesTheOthersOfTheEntryAlone) {
  auto out = producer("orders");
  produce(out, {"a", "b", "c"});
  ConsumerOptions options = reading({"orders"});
  options.nack_delay_min_ms = 0;
  auto in = consumer(options);
  const auto got = poll(in);
  in->negative_ack(got[0].id, only(3, {1}));
  acknowledge(in, got[0].id, only(3, {0, 2}));
  EXPECT_FALSE(in->drained());
  const auto again = poll(in);
  EXPECT_THAT(texts_of(again), ElementsAre("b"));
  acknowledge(in, again);
  EXPECT_TRUE(in->drained());
}

TEST_F(Redelivery, OfAnExclusiveSubscriptionKeepsTheOrder) {
  auto out = producer("orders");
  produce(out, {"a", "b", "c"});
  produce(out, {"d"});
  ConsumerOptions options = reading({"orders"}, SubscriptionType::kExclusive);
  options.nack_delay_min_ms = 1'000;
  auto in = consumer(options);
  const auto got = poll(in);
  ASSERT_EQ(texts_of(got), (Texts{"a", "b", "c", "d"}));
  in->negative_ack(got[0].id, only(3, {1}));
  produce(out, {"e"});
  EXPECT_THAT(take(in), IsEmpty()) << "nothing passes the refused record";
  clock.advance_ms(1'000);
  const auto again = poll(in);
  EXPECT_THAT(texts_of(again), ElementsAre("b", "c", "d", "e"));
  EXPECT_EQ(again[0].redelivery_count, 1u) << "b was refused";
  EXPECT_EQ(again[1].redelivery_count, 0u) << "c was not";
}

TEST_F(Redelivery, FollowsAnAckTimeout) {
  auto out = producer("orders");
  produce(out, {"a"});
  produce(out, {"b"});
  ConsumerOptions options = reading({"orders"});
  options.ack_timeout_ms = 5'000;
  auto in = consumer(options);
  const auto got = poll(in);
  ASSERT_EQ(got.size(), 2u);
  acknowledge(in, got[1].id);
  clock.advance_ms(4'999);
  log->tick();
  EXPECT_THAT(take(in), IsEmpty());
  int wakes = 0;
  in->notify([&] { ++wakes; });
  clock.advance_ms(1);
  log->tick();
  EXPECT_EQ(wakes, 1);
  const auto again = poll(in);
  EXPECT_THAT(texts_of(again), ElementsAre("a"));
  EXPECT_EQ(again[0].redelivery_count, 1u);
  clock.advance_ms(4'000);
  log->tick();
  EXPECT_THAT(take(in), IsEmpty()) << "its time began anew";
}

TEST_F(Redelivery, WaitsBehindTheKeyOfARefusedRecord) {
  auto out = producer("orders");
  produce(out, {"k:1", "other:1"});
  ConsumerOptions options = reading({"orders"}, SubscriptionType::kKeyShared, "a");
  options.nack_delay_min_ms = 1'000;
  auto in = consumer(options);
  const auto got = poll(in);
  in->negative_ack(got[0].id, only(2, {0}));
  acknowledge(in, got[0].id, only(2, {1}));
  produce(out, {"k:2", "other:2"});
  EXPECT_THAT(take(in), ElementsAre("other:2"));
  clock.advance_ms(1'000);
  EXPECT_THAT(take(in), ElementsAre("k:1", "k:2"));
}

TEST_F(Redelivery, ServesOtherConsumersOfASharedSubscription) {
  auto out = producer("orders");
  produce(out, {"a"});
  ConsumerOptions options = reading({"orders"});
  options.nack_delay_min_ms = 0;
  auto first = consumer(options);
  auto second = consumer(options);
  const auto got = poll(first);
  int wakes = 0;
  second->notify([&] { ++wakes; });
  first->negative_ack(got[0].id, AckSet::all());
  EXPECT_EQ(wakes, 1);
  EXPECT_THAT(take(second), ElementsAre("a"));
}

TEST_F(Redelivery, OfAFailedCommitGoesBackToItsConsumer) {
  auto out = producer("orders");
  produce(out, {"a"});
  auto in = consumer(reading({"orders"}));
  const auto got = poll(in);
  log->step();
  journal->failing = 1;
  EXPECT_FALSE(acknowledge(in, got));
  EXPECT_FALSE(in->drained());
  EXPECT_THAT(take(in), IsEmpty()) << "the consumer still has it";
  EXPECT_TRUE(acknowledge(in, got));
  EXPECT_TRUE(in->drained());
}

// ------------------------------------------------------------------------------------------------ acknowledgements,
// seek

class Positions : public LogTest {};

TEST_F(Positions, SurviveARestartRecordByRecord) {
  auto out = producer("orders");
  for (int i = 0; i < 5; ++i) produce(out, {std::to_string(i) + "a", std::to_string(i) + "b"});
  auto in = consumer(reading({"orders"}));
  const auto got = poll(in);
  acknowledge(in, got[0].id);
  acknowledge(in, got[2].id);
  acknowledge(in, got[3].id, only(2, {1}));
  for (const bool with_checkpoint : {false, true}) {
    if (with_checkpoint) {
      ASSERT_TRUE(journal->take_checkpoint());
    }
    reopen();
    auto again = consumer(reading({"orders"}));
    EXPECT_EQ(again->stats().backlog_records, 5);
    EXPECT_THAT(take(again), ElementsAre("1a", "1b", "3a", "4a", "4b"));
  }
}

TEST_F(Positions, TakeAnIdOfOneRecordForThatRecordOnly) {
  auto out = producer("orders");
  produce(out, {"a", "b"});
  auto in = consumer(reading({"orders"}));
  auto got = poll(in);
  MessageId second = got[0].id;
  second.batch_index = 1;
  acknowledge(in, second);
  in->close();
  EXPECT_THAT(take(consumer(reading({"orders"}))), ElementsAre("a"));
}

TEST_F(Positions, MoveCumulativelyIntoABatch) {
  auto out = producer("orders");
  produce(out, {"a"});
  produce(out, {"b", "c", "d"});
  auto in = consumer(reading({"orders"}, SubscriptionType::kExclusive));
  const auto got = poll(in);
  MessageId id = got[1].id;
  id.batch_index = 1;
  acknowledge(in, id, AckSet::all(), true);
  EXPECT_EQ(in->stats().backlog_records, 1);
  in->close();
  EXPECT_THAT(take(consumer(reading({"orders"}, SubscriptionType::kExclusive))), ElementsAre("d"));
}

TEST_F(Positions, CountTheBacklogOnceHoweverOftenARecordIsAcknowledged) {
  auto out = producer("orders");
  produce(out, {"a", "b"});
  produce(out, {"c"});
  auto in = consumer(reading({"orders"}));
  const auto got = poll(in);
  acknowledge(in, got[0].id);
  acknowledge(in, got[0].id);
  EXPECT_EQ(in->stats().backlog_records, 1);
  EXPECT_EQ(in->stats().backlog_entries, 1);
  EXPECT_EQ(in->stats().unacked_records, 1);
}

TEST_F(Positions, SeekToAnIdWithinABatch) {
  auto out = producer("orders");
  produce(out, {"a", "b"});
  const MessageId middle = produce(out, {"c", "d", "e"});
  produce(out, {"f"});
  auto in = consumer(reading({"orders"}));
  acknowledge(in, poll(in));
  ASSERT_TRUE(in->drained());
  MessageId id = middle;
  id.batch_index = 1;
  ASSERT_TRUE(in->seek(id));
  EXPECT_EQ(in->stats().backlog_records, 3);
  EXPECT_THAT(take(in), ElementsAre("d", "e", "f"));
  ASSERT_TRUE(in->seek(MessageId::earliest()));
  EXPECT_EQ(in->stats().backlog_records, 6);
  EXPECT_THAT(take(in), ElementsAre("a", "b", "c", "d", "e", "f"));
  ASSERT_TRUE(in->seek(MessageId::latest()));
  EXPECT_TRUE(in->drained());
  EXPECT_EQ(in->stats().backlog_records, 0);
  reopen();
  EXPECT_THAT(take(consumer(reading({"orders"}))), IsEmpty()) << "the seek was durable";
}

TEST_F(Positions, SeekToATime) {
  auto out = producer("orders");
  for (int i = 0; i < 100; ++i) {
    produce(out, {std::to_string(i)});
    clock.advance_ms(1'000);
  }
  auto in = consumer(reading({"orders"}));
  ASSERT_TRUE(in->seek_time(clock.wall_ms() - 3'500));
  EXPECT_EQ(in->stats().backlog_records, 3);
  EXPECT_THAT(take(in), ElementsAre("97", "98", "99"));
  ASSERT_TRUE(in->seek_time(0));
  EXPECT_EQ(in->stats().backlog_records, 100);
}

TEST_F(Positions, OfASeekVoidTheAcksOfWhatWasOutBefore) {
  auto out = producer("orders");
  produce(out, {"a"});
  auto in = consumer(reading({"orders"}));
  const auto before = poll(in);
  ASSERT_TRUE(in->seek(MessageId::earliest()));
  acknowledge(in, before);
  EXPECT_THAT(take(in), ElementsAre("a"));
}

TEST_F(Positions, StopReadingAheadAtTheWindowsBound) {
  auto out = producer("orders");
  Commit many;
  const SharedBytes entry = entry_of({"a"});
  for (size_t i = 0; i < kWindowEntriesMax + 100; ++i) many.appends.push_back(append_to(out, entry, 1));
  ASSERT_TRUE(commit(std::move(many)));
  auto in = consumer(reading({"orders"}));
  std::vector<ReceivedEntry> all;
  for (auto got = poll(in); !got.empty(); got = poll(in)) std::ranges::move(got, std::back_inserter(all));
  EXPECT_EQ(all.size(), kWindowEntriesMax);
  acknowledge(in, all[0].id);
  EXPECT_EQ(poll(in).size(), 1u);
}

}  // namespace
}  // namespace fmesh::stream::log::test
