#include <gmock/gmock.h>

#include <algorithm>

#include "stream/log/log_test_support.h"

namespace fmesh::stream::log::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using Texts = std::vector<std::string>;

class Subscriptions : public LogTest {};

TEST_F(Subscriptions, HandOutOnlyWhatIsDurableAndInOrder) {
  auto out = producer("orders");
  auto in = consumer(reading({"orders"}, SubscriptionType::kExclusive));
  Commit one;
  one.appends.push_back(append_to(out, entry_of({"a", "b"}), 2));
  log->commit(std::move(one), nullptr);
  EXPECT_THAT(take(in), IsEmpty());
  log->step();
  produce(out, {"c"});
  EXPECT_THAT(take(in), ElementsAre("a", "b", "c"));
  EXPECT_THAT(take(in), IsEmpty());
}

TEST_F(Subscriptions, WakeOnceWhenSomethingIsThere) {
  auto out = producer("orders");
  auto in = consumer(reading({"orders"}));
  int wakes = 0;
  in->notify([&] { ++wakes; });
  log->step();
  EXPECT_EQ(wakes, 0);
  produce(out, {"a"});
  EXPECT_EQ(wakes, 1);
  produce(out, {"b"});
  EXPECT_EQ(wakes, 1);
  in->notify([&] { ++wakes; });
  EXPECT_EQ(wakes, 2) << "what is there already wakes at once";
}

TEST_F(Subscriptions, RefuseASecondExclusiveConsumerWithTheFirstOnesName) {
  auto first = consumer(reading({"orders"}, SubscriptionType::kExclusive, "first"));
  auto second = log->open_consumer(reading({"orders"}, SubscriptionType::kExclusive, "second"));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kFixInput);
  EXPECT_THAT(second.error().text(), ::testing::HasSubstr("first holds it"));
  first->close();
  EXPECT_TRUE(log->open_consumer(reading({"orders"}, SubscriptionType::kExclusive, "second")));
}

TEST_F(Subscriptions, RefuseAConsumerOfAnotherType) {
  auto first = consumer(reading({"orders"}, SubscriptionType::kShared));
  auto second = log->open_consumer(reading({"orders"}, SubscriptionType::kFailover));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kFixInput);
}

TEST_F(Subscriptions, ShareEntriesEvenly) {
  auto out = producer("orders");
  for (int i = 0; i < 60; ++i) produce(out, {std::to_string(i)});
  auto a = consumer(reading({"orders"}));
  auto b = consumer(reading({"orders"}));
  auto c = consumer(reading({"orders"}));
  std::map<std::shared_ptr<Consumer>, size_t> got;
  for (bool more = true; more;) {
    more = false;
    for (const auto& in : {a, b, c}) {
      const size_t count = take(in).size();
      got[in] += count;
      more = more || count > 0;
    }
  }
  EXPECT_EQ(got[a] + got[b] + got[c], 60u);
  for (const auto& in : {a, b, c}) EXPECT_NEAR(static_cast<double>(got[in]), 20, 8);
}

TEST_F(Subscriptions, GiveWhatAClosedConsumerHadToTheOthers) {
  auto out = producer("orders");
  produce(out, {"a", "b"});
  auto first = consumer(reading({"orders"}));
  auto second = consumer(reading({"orders"}));
  const auto had = poll(first);
  ASSERT_EQ(texts_of(had), (Texts{"a", "b"}));
  acknowledge(first, had[0].id, only(2, {0}));
  int wakes = 0;
  second->notify([&] { ++wakes; });
  first->close();
  EXPECT_EQ(wakes, 1);
  const auto again = poll(second);
  EXPECT_THAT(texts_of(again), ElementsAre("b"));
  EXPECT_EQ(again[0].redelivery_count, 0u) << "a consumer that left did not refuse it";
}

TEST_F(Subscriptions, RefuseTheCommitOfAClosedConsumer) {
  auto out = producer("orders");
  produce(out, {"a"});
  auto in = consumer(reading({"orders"}));
  const auto had = poll(in);
  in->close();
  const auto answer = acknowledge(in, had);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind(), ErrorKind::kClosed);
}

TEST_F(Subscriptions, FailOverToTheNextNameWhenTheFirstCloses) {
  auto out = producer("orders");
  produce(out, {"a"});
  auto b = consumer(reading({"orders"}, SubscriptionType::kFailover, "b"));
  auto c = consumer(reading({"orders"}, SubscriptionType::kFailover, "c"));
  EXPECT_THAT(take(c), IsEmpty());
  EXPECT_THAT(take(b), ElementsAre("a"));
  produce(out, {"d"});
  b->close();
  EXPECT_THAT(take(c), ElementsAre("a", "d"));
}

TEST_F(Subscriptions, FailoverHandsAPartitionOverOnlyWhenItsOwnerIsDone) {
  auto out = producer("orders");
  produce(out, {"a"});
  auto b = consumer(reading({"orders"}, SubscriptionType::kFailover, "b"));
  const auto had = poll(b);
  auto a = consumer(reading({"orders"}, SubscriptionType::kFailover, "a"));
  produce(out, {"c"});
  EXPECT_THAT(take(b), IsEmpty()) << "the first by name is due to take over";
  EXPECT_THAT(take(a), IsEmpty()) << "a is still out with b";
  int wakes = 0;
  a->notify([&] { ++wakes; });
  acknowledge(b, had);
  EXPECT_EQ(wakes, 1);
  EXPECT_THAT(take(a), ElementsAre("c"));
}

TEST_F(Subscriptions, FailoverSpreadsPartitionsOverConsumers) {
  ASSERT_TRUE(log->create_stream("orders", {.partitions = 4}));
  auto out = producer("orders");
  for (int partition = 0; partition < 4; ++partition) produce(out, {std::to_string(partition)}, partition);
  auto a = consumer(reading({"orders"}, SubscriptionType::kFailover, "a"));
  auto b = consumer(reading({"orders"}, SubscriptionType::kFailover, "b"));
  EXPECT_THAT(take(a), UnorderedElementsAre("0", "2"));
  EXPECT_THAT(take(b), UnorderedElementsAre("1", "3"));
}

TEST_F(Subscriptions, KeySharedGivesEachKeyToOneConsumer) {
  auto out = producer("orders");
  Texts sent;
  for (int i = 0; i < 40; ++i) {
    Texts batch;
    for (int k = 0; k < 10; ++k) batch.push_back("key" + std::to_string(k) + ":" + std::to_string(i));
    produce(out, batch);
    sent.insert(sent.end(), batch.begin(), batch.end());
  }
  auto a = consumer(reading({"orders"}, SubscriptionType::kKeyShared, "a"));
  auto b = consumer(reading({"orders"}, SubscriptionType::kKeyShared, "b"));
  std::map<std::string, Texts> got;
  std::map<std::string, std::set<std::string>> owners;
  for (bool more = true; more;) {
    more = false;
    for (const auto& [name, in] : {std::pair{"a", a}, {"b", b}}) {
      for (const std::string& text : take(in, {.records_max = 50})) {
        got[key_of(text)].push_back(text);
        owners[key_of(text)].insert(name);
        more = true;
      }
    }
  }
  std::map<std::string, int> keys_of;
  for (int k = 0; k < 10; ++k) {
    const std::string key = "key" + std::to_string(k);
    Texts wanted;
    for (int i = 0; i < 40; ++i) wanted.push_back(key + ":" + std::to_string(i));
    EXPECT_EQ(got[key], wanted);
    EXPECT_EQ(owners[key].size(), 1u) << key;
    ++keys_of[*owners[key].begin()];
  }
  EXPECT_GT(keys_of["a"], 0);
  EXPECT_GT(keys_of["b"], 0);
}

TEST_F(Subscriptions, KeySharedHoldsAKeyBackUntilItsFormerConsumerIsDone) {
  auto out = producer("orders");
  Texts keys;
  for (int k = 0; k < 40; ++k) keys.push_back("key" + std::to_string(k) + ":1");
  produce(out, keys);
  auto a = consumer(reading({"orders"}, SubscriptionType::kKeyShared, "a"));
  const auto first = poll(a);
  ASSERT_EQ(texts_of(first).size(), 40u);
  auto b = consumer(reading({"orders"}, SubscriptionType::kKeyShared, "b"));
  for (std::string& key : keys) key.back() = '2';
  produce(out, keys);
  EXPECT_THAT(take(b), IsEmpty()) << "all its keys have a record out with a";
  const auto second = poll(a);
  EXPECT_LT(texts_of(second).size(), 40u) << "some keys have moved to b";
  int wakes = 0;
  b->notify([&] { ++wakes; });
  EXPECT_EQ(wakes, 0);
  acknowledge(a, first);
  EXPECT_EQ(wakes, 1);
  EXPECT_EQ(texts_of(second).size() + take(b).size(), 40u);
}

TEST_F(Subscriptions, KeySharedAcknowledgesRecordByRecord) {
  auto out = producer("orders");
  Texts keys;
  for (int k = 0; k < 20; ++k) keys.push_back("key" + std::to_string(k) + ":1");
  produce(out, keys);
  auto a = consumer(reading({"orders"}, SubscriptionType::kKeyShared, "a"));
  auto b = consumer(reading({"orders"}, SubscriptionType::kKeyShared, "b"));
  const auto of_a = poll(a);
  const auto of_b = poll(b);
  acknowledge(a, of_a);
  EXPECT_FALSE(a->drained());
  EXPECT_EQ(a->stats().backlog_records, static_cast<int64_t>(texts_of(of_b).size()));
  reopen();
  auto again = consumer(reading({"orders"}, SubscriptionType::kKeyShared, "a"));
  const auto rest = poll(again);
  EXPECT_EQ(texts_of(rest), texts_of(of_b));
  acknowledge(again, rest);
  EXPECT_TRUE(again->drained());
}

TEST_F(Subscriptions, ReadSeveralTopicsInTurn) {
  auto orders = producer("orders");
  auto returns = producer("returns");
  for (int i = 0; i < 3; ++i) {
    produce(orders, {"o" + std::to_string(i)});
    produce(returns, {"r" + std::to_string(i)});
  }
  auto in = consumer(reading({"orders", "returns"}));
  Texts got;
  for (int i = 0; i < 6; ++i)
    for (auto& text : take(in, {.records_max = 1})) got.push_back(text);
  EXPECT_THAT(got, ElementsAre("o0", "r0", "o1", "r1", "o2", "r2"));
}

TEST_F(Subscriptions, FollowStreamsThatMatchTheirPattern) {
  auto old = producer("orders-eu");
  produce(old, {"eu"});
  ConsumerOptions options = reading({});
  options.topic_pattern = "orders-.*";
  auto in = consumer(options);
  EXPECT_THAT(take(in), ElementsAre("eu"));
  int wakes = 0;
  in->notify([&] { ++wakes; });
  auto other = producer("returns");
  produce(other, {"no"});
  EXPECT_EQ(wakes, 0);
  auto fresh = producer("orders-us");
  produce(fresh, {"us"});
  EXPECT_EQ(wakes, 1);
  const auto got = poll(in);
  EXPECT_THAT(texts_of(got), ElementsAre("us"));
  EXPECT_EQ(*got[0].topic, "persistent://public/default/orders-us");
  reopen();
  EXPECT_THAT(take(consumer(options)), UnorderedElementsAre("eu", "us")) << "its subscription there was stored";
}

TEST_F(Subscriptions, LatestBeginsBehindWhatIsThere) {
  auto out = producer("orders");
  produce(out, {"old"});
  ConsumerOptions options = reading({"orders"});
  options.position = InitialPosition::kLatest;
  auto in = consumer(options);
  produce(out, {"new"});
  EXPECT_EQ(in->stats().backlog_records, 1);
  EXPECT_THAT(take(in), ElementsAre("new"));
}

TEST_F(Subscriptions, ReadOnlyConsumersLeaveNoTrace) {
  auto out = producer("orders");
  produce(out, {"a", "b"});
  ConsumerOptions options = reading({"orders"});
  options.read_only = true;
  auto tap = consumer(options);
  const auto seen = poll(tap);
  EXPECT_THAT(texts_of(seen), ElementsAre("a", "b"));
  EXPECT_TRUE(tap->drained());
  EXPECT_TRUE(acknowledge(tap, seen));
  int wakes = 0;
  tap->notify([&] { ++wakes; });
  produce(out, {"c"});
  EXPECT_EQ(wakes, 1);
  EXPECT_THAT(take(tap), ElementsAre("c"));
  const auto streams = log->list_streams();
  ASSERT_TRUE(streams);
  EXPECT_THAT((*streams)[0].subscriptions, IsEmpty());
  options.topics = {"nothing"};
  EXPECT_FALSE(log->open_consumer(options)) << "looking makes no stream";
}

TEST_F(Subscriptions, SkipADamagedEntryAfterReportingIt) {
  auto out = producer("orders");
  for (const char* text : {"a", "b", "c"}) produce(out, {text});
  store.damaged.insert({0, 1});
  auto in = consumer(reading({"orders"}));
  const auto before = poll(in);
  EXPECT_THAT(texts_of(before), ElementsAre("a"));
  const auto damaged = in->poll({});
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().kind(), ErrorKind::kCorrupt);
  EXPECT_THAT(damaged.error().text(), ::testing::HasSubstr("journal-1 at 42"));
  const auto after = poll(in);
  EXPECT_THAT(texts_of(after), ElementsAre("c"));
  acknowledge(in, before);
  acknowledge(in, after);
  EXPECT_TRUE(in->drained());
}

}  // namespace
}  // namespace fmesh::stream::log::test
