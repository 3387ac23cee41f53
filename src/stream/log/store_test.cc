// What the log says of its streams as a Store, and consumers of one partition.
#include <gmock/gmock.h>

#include <set>

#include "stream/log/log_test_support.h"

namespace fmesh::stream::log::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr const char* kOrders = "persistent://public/default/orders";

class StoreOfStreams : public LogTest {
 protected:
  void partitioned(int32_t partitions) {
    StreamOptions options;
    options.partitions = partitions;
    ASSERT_TRUE(log->create_stream("orders", options));
  }
  static ConsumerOptions reading_one(int32_t partition, SubscriptionType type, const std::string& name = "") {
    ConsumerOptions options = reading({"orders"}, type, name);
    options.partition = partition;
    return options;
  }
};

TEST_F(StoreOfStreams, ConsumersOfOnePartitionLeaveTheOthersAlone) {
  partitioned(3);
  auto out = producer("orders");
  auto first = consumer(reading_one(0, SubscriptionType::kExclusive, "first"));
  auto second = consumer(reading_one(1, SubscriptionType::kExclusive, "second"));
  EXPECT_FALSE(log->open_consumer(reading_one(1, SubscriptionType::kExclusive, "third")));
  EXPECT_FALSE(log->open_consumer(reading({"orders"}, SubscriptionType::kExclusive, "all")));
  for (int32_t partition = 0; partition < 3; ++partition) produce(out, {std::to_string(partition)}, partition);
  EXPECT_THAT(take(first), ElementsAre("0"));
  EXPECT_THAT(take(second), ElementsAre("1"));
  EXPECT_THAT(take(first), IsEmpty());
  second->close();
  auto later = consumer(reading_one(1, SubscriptionType::kExclusive, "third"));
  EXPECT_THAT(take(later), ElementsAre("1"));
}

TEST_F(StoreOfStreams, RefuseAPartitionThatIsNotThere) {
  partitioned(2);
  EXPECT_FALSE(log->open_consumer(reading_one(2, SubscriptionType::kShared)));
  ConsumerOptions reader = reading_one(2, SubscriptionType::kShared);
  reader.read_only = true;
  EXPECT_FALSE(log->open_consumer(reader));
  ConsumerOptions two = reading({"orders", "others"});
  two.partition = 0;
  EXPECT_FALSE(log->open_consumer(two));
}

TEST_F(StoreOfStreams, KeysOfAPartitionGoToThoseWhoReadIt) {
  partitioned(2);
  auto out = producer("orders");
  auto here = consumer(reading_one(0, SubscriptionType::kKeyShared, "here"));
  auto there = consumer(reading_one(1, SubscriptionType::kKeyShared, "there"));
  std::vector<std::string> sent;
  for (int i = 0; i < 50; ++i) {
    sent.push_back("k" + std::to_string(i) + ":x");
    produce(out, {sent.back()}, 0);
  }
  EXPECT_THAT(take(here), ::testing::ElementsAreArray(sent));
  EXPECT_THAT(take(there), IsEmpty());
}

TEST_F(StoreOfStreams, FailoverOfAPartitionIsAmongThoseWhoReadIt) {
  partitioned(2);
  auto out = producer("orders");
  auto other = consumer(reading_one(0, SubscriptionType::kFailover, "a"));
  auto first = consumer(reading_one(1, SubscriptionType::kFailover, "b"));
  auto second = consumer(reading_one(1, SubscriptionType::kFailover, "c"));
  produce(out, {"x"}, 1);
  // The second of two by name has the partition with number 1.
  EXPECT_THAT(take(first), IsEmpty());
  EXPECT_THAT(take(second), ElementsAre("x"));
}

TEST_F(StoreOfStreams, WholeEntriesGoByTheKeyOfTheirMetadata) {
  auto out = producer("orders");
  ConsumerOptions options = reading({"orders"}, SubscriptionType::kKeyShared, "a");
  options.whole_entries = true;
  auto first = consumer(options);
  options.name = "b";
  auto second = consumer(options);
  for (int i = 0; i < 30; ++i) produce(out, {"k" + std::to_string(i) + ":x", "other:y"});
  std::set<std::string> keys_first;
  std::set<std::string> keys_second;
  const auto collect = [&](const std::shared_ptr<Consumer>& from, std::set<std::string>& keys) {
    for (auto entries = poll(from); !entries.empty(); entries = poll(from))
      for (const auto& entry : entries) {
        EXPECT_TRUE(entry.records.is_all());
        keys.insert(std::string(read_entry_info(entry.bytes.view())->partition_key));
      }
  };
  collect(first, keys_first);
  collect(second, keys_second);
  collect(first, keys_first);
  EXPECT_EQ(keys_first.size() + keys_second.size(), 30U);
  EXPECT_FALSE(keys_first.empty());
  EXPECT_FALSE(keys_second.empty());
  options.whole_entries = false;
  options.name = "c";
  EXPECT_FALSE(log->open_consumer(options)) << "batches can't be taken whole by some and apart by others";
}

TEST_F(StoreOfStreams, SayWhereEachSubscriptionStands) {
  auto out = producer("orders");
  auto in = consumer(reading({"orders"}));
  const MessageId first = produce(out, {"a", "b"});
  produce(out, {"c"});
  poll(in);
  ASSERT_TRUE(acknowledge(in, first));
  const auto info = log->find_stream("orders").value();
  ASSERT_TRUE(info);
  ASSERT_EQ(info->partitions.size(), 1U);
  EXPECT_EQ(info->partitions[0].last, (MessageId{first.ledger, 1, -1, -1}));
  EXPECT_EQ(info->partitions[0].records, 3);
  ASSERT_EQ(info->subscriptions.size(), 1U);
  EXPECT_EQ(info->subscriptions[0].places[0].next, (MessageId{first.ledger, 1, -1, -1}));
  EXPECT_EQ(info->subscriptions[0].places[0].backlog_entries, 1);
  EXPECT_FALSE(log->find_stream("nothing").value());
}

TEST_F(StoreOfStreams, GiveTheEntryOfAnId) {
  auto out = producer("orders");
  const MessageId id = produce(out, {"a", "b"});
  const auto entry = log->read_entry("orders", id).value();
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->record_count, 2U);
  EXPECT_THAT(texts_of({*entry}), ElementsAre("a", "b"));
  EXPECT_FALSE(log->read_entry("orders", {id.ledger, 1, -1, -1}).value());
  EXPECT_FALSE(log->read_entry("orders", {id.ledger + 7, 0, -1, -1}).value());
  EXPECT_FALSE(log->read_entry("nothing", id).value());
}

TEST_F(StoreOfStreams, FindTheFirstEntryOfATime) {
  auto out = producer("orders");
  produce(out, {"a"});
  clock.advance_ms(1'000);
  const MessageId second = produce(out, {"b"});
  EXPECT_EQ(log->find_time("orders", -1, clock.wall_ms() - 10).value(), second);
  EXPECT_EQ(log->find_time("orders", -1, clock.wall_ms() + 10).value().entry, second.entry + 1);
  EXPECT_FALSE(log->find_time("orders", 3, 0));
}

TEST_F(StoreOfStreams, MoveASubscriptionThatNobodyReadsAndOneThatSomebodyReads) {
  auto out = producer("orders");
  auto in = consumer(reading({"orders"}, SubscriptionType::kExclusive));
  std::vector<MessageId> ids;
  for (const char* text : {"a", "b", "c"}) ids.push_back(produce(out, {text}));
  EXPECT_THAT(take(in), ElementsAre("a", "b", "c"));
  ASSERT_TRUE(log->move_subscription("orders", "sub", ids[1]));
  EXPECT_THAT(take(in), ElementsAre("b", "c"));
  in->close();
  ASSERT_TRUE(log->move_subscription("orders", "sub", {ids[0].ledger, 3, -1, -1}));
  auto again = consumer(reading({"orders"}, SubscriptionType::kExclusive));
  EXPECT_THAT(take(again), IsEmpty());
  EXPECT_FALSE(log->move_subscription("orders", "other", ids[0]));
  EXPECT_FALSE(log->move_subscription("orders", "sub", {ids[0].ledger + 5, 0, -1, -1}));
}

TEST_F(StoreOfStreams, KeepNotesOverARestartFromTheJournalAndFromACheckpoint) {
  ASSERT_TRUE(log->create_stream("orders", {}));
  ASSERT_TRUE(log->put_note("orders", "schema/0", std::string("a\0b", 3)));
  ASSERT_TRUE(log->put_note("orders", "old", "x"));
  reopen();
  ASSERT_TRUE(log->put_note("orders", "old", ""));
  ASSERT_TRUE(journal->take_checkpoint());
  reopen();
  const auto notes = log->notes("orders").value();
  EXPECT_THAT(notes, ElementsAre(std::pair<const std::string, std::string>("schema/0", std::string("a\0b", 3))));
  EXPECT_FALSE(log->put_note("orders", "big", std::string(kNotesSizeMaxBytes, 'x')));
  EXPECT_FALSE(log->put_note("nothing", "a", "b"));
  ASSERT_TRUE(log->delete_stream(kOrders));
  EXPECT_FALSE(log->notes("orders"));
}

}  // namespace
}  // namespace fmesh::stream::log::test
