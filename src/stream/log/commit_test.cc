#include <gmock/gmock.h>

#include "base/rng.h"
#include "stream/log/log_test_support.h"

namespace fmesh::stream::log::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Commits : public LogTest {
 protected:
  Result<Receipt> send(const std::shared_ptr<Producer>& out, const std::string& text, uint64_t sequence_id) {
    Commit one;
    one.appends.push_back(append_to(out, entry_of({text}, sequence_id), 1, 0, sequence_id));
    return commit(std::move(one));
  }
  static std::string value_of(const std::shared_ptr<StateTable>& table, std::string_view key) {
    const auto value = table->get(key);
    EXPECT_TRUE(value);
    return value && *value ? **value : "-";
  }
  void put_and_stage(Commit& commit, const std::shared_ptr<StateTable>& table, const std::string& key,
                     const std::string& value) {
    ASSERT_TRUE(table->put(key, value));
    commit.changes.push_back({table, key, value});
  }
};

TEST_F(Commits, DropDuplicatesOfWhatIsDurable) {
  auto out = producer("orders", "me", true);
  auto in = consumer(reading({"orders"}));
  EXPECT_EQ(out->last_sequence_id(0), -1);
  ASSERT_TRUE(send(out, "a", 7));
  EXPECT_EQ(out->last_sequence_id(0), 7);
  const auto again = send(out, "a", 7);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->ids[0], MessageId());
  EXPECT_NE(send(out, "b", 8)->ids[0], MessageId());
  EXPECT_THAT(take(in), ElementsAre("a", "b"));
}

TEST_F(Commits, DropDuplicatesAfterARestartToo) {
  ASSERT_TRUE(send(producer("orders", "me", true), "a", 7));
  for (const bool with_checkpoint : {false, true}) {
    if (with_checkpoint) {
      ASSERT_TRUE(journal->take_checkpoint());
    }
    reopen();
    EXPECT_EQ(send(producer("orders", "me", true), "a", 7)->ids[0], MessageId());
  }
  EXPECT_NE(send(producer("orders", "other", true), "a", 7)->ids[0], MessageId());
}

TEST_F(Commits, LeaveADuplicateOpenWhileTheFirstIsUnderWay) {
  auto out = producer("orders", "me", true);
  log->step();
  Commit first;
  first.appends.push_back(append_to(out, entry_of({"a"}, 1), 1, 0, 1));
  Commit second = first;
  std::optional<Result<Receipt>> answer;
  log->commit(std::move(first), nullptr);
  log->commit(std::move(second), [&](Result<Receipt> receipt) { answer = std::move(receipt); });
  ASSERT_TRUE(answer && !*answer);
  EXPECT_EQ(answer->error().kind(), ErrorKind::kRetryLater);
  journal->failing = 1;
  log->step();
  EXPECT_NE(send(out, "a", 1)->ids[0], MessageId()) << "the first failed, so this is no duplicate";
}

TEST_F(Commits, AnswerInTheOrderOfTheCalls) {
  auto out = producer("orders", "me", true);
  ASSERT_TRUE(send(out, "a", 1));
  std::vector<int> ended;
  Commit fresh;
  fresh.appends.push_back(append_to(out, entry_of({"b"}, 2), 1, 0, 2));
  Commit duplicate;
  duplicate.appends.push_back(append_to(out, entry_of({"a"}, 1), 1, 0, 1));
  log->commit(std::move(fresh), [&](const Result<Receipt>&) { ended.push_back(1); });
  log->commit(std::move(duplicate), [&](const Result<Receipt>&) { ended.push_back(2); });
  EXPECT_THAT(ended, IsEmpty());
  log->step();
  EXPECT_THAT(ended, ElementsAre(1, 2));
}

TEST_F(Commits, HoldProducersBackAtTheBacklogLimit) {
  ASSERT_TRUE(log->create_stream("orders", {.backlog_size_max_bytes = 300}));
  auto out = producer("orders");
  produce(out, {"nobody subscribes, nothing is unacknowledged"});
  EXPECT_TRUE(out->writable());
  auto in = consumer(reading({"orders"}));
  while (out->writable()) produce(out, {"some text that takes room"});
  int wakes = 0;
  out->notify_writable([&] { ++wakes; });
  EXPECT_EQ(wakes, 0);
  acknowledge(in, poll(in));
  EXPECT_EQ(wakes, 1);
  EXPECT_TRUE(out->writable());
}

TEST_F(Commits, HoldProducersBackWhileTheJournalIsFull) {
  auto out = producer("orders");
  journal->full = true;
  EXPECT_FALSE(out->writable());
  int wakes = 0;
  out->notify_writable([&] { ++wakes; });
  EXPECT_EQ(wakes, 0);
  journal->make_room();
  EXPECT_EQ(wakes, 1);
}

TEST_F(Commits, GoToThePartitionTheyNameWithItsNumberInTheId) {
  ASSERT_TRUE(log->create_stream("orders", {.partitions = 3}));
  auto out = producer("orders");
  EXPECT_EQ(out->partition_count(), 3);
  const MessageId first = produce(out, {"a"}, 2);
  EXPECT_EQ(first.partition, 2);
  EXPECT_EQ(first.entry, 0);
  EXPECT_EQ(produce(out, {"b"}, 2).entry, 1);
  EXPECT_NE(produce(out, {"c"}, 0).ledger, first.ledger);
  Commit wrong;
  wrong.appends.push_back(append_to(out, entry_of({"x"}), 1, 3));
  EXPECT_FALSE(commit(std::move(wrong)));
}

TEST_F(Commits, MakeStateVisibleAtOnceAndDurableTogether) {
  auto table = *log->open_state("public/default/count");
  Commit one;
  put_and_stage(one, table, "a", "1");
  EXPECT_EQ(value_of(table, "a"), "1");
  ASSERT_TRUE(commit(std::move(one)));
  ASSERT_TRUE(table->put("b", "never committed"));
  table.reset();
  reopen();
  table = *log->open_state("public/default/count");
  EXPECT_EQ(value_of(table, "a"), "1");
  EXPECT_EQ(value_of(table, "b"), "-");
}

TEST_F(Commits, RollStateBackWhenTheyFail) {
  auto table = *log->open_state("public/default/count");
  Commit first;
  put_and_stage(first, table, "a", "1");
  ASSERT_TRUE(commit(std::move(first)));
  Commit second;
  put_and_stage(second, table, "a", "2");
  put_and_stage(second, table, "b", "2");
  journal->failing = 1;
  ASSERT_FALSE(commit(std::move(second)));
  EXPECT_EQ(value_of(table, "a"), "1");
  EXPECT_EQ(value_of(table, "b"), "-");
}

TEST_F(Commits, KeepALaterPutWhileAnEarlierOneBecomesDurable) {
  auto table = *log->open_state("public/default/count");
  Commit first;
  put_and_stage(first, table, "a", "1");
  log->commit(std::move(first), nullptr);
  ASSERT_TRUE(table->put("a", "2"));
  log->step();
  EXPECT_EQ(value_of(table, "a"), "2");
}

TEST_F(Commits, ScanDurableAndStagedStateInOrder) {
  auto table = *log->open_state("public/default/count");
  auto other = *log->open_state("public/default/counts");
  Commit one;
  for (const char* key : {"k1", "k3", "k5", "x"}) put_and_stage(one, table, key, key);
  put_and_stage(one, other, "k2", "not mine");
  ASSERT_TRUE(commit(std::move(one)));
  ASSERT_TRUE(table->put("k2", "staged"));
  ASSERT_TRUE(table->put("k3", std::nullopt));
  ASSERT_TRUE(table->put("k6", "staged"));
  std::vector<std::string> keys;
  ASSERT_TRUE(table->scan("k", [&](std::string_view key, std::string_view) {
    keys.emplace_back(key);
    return true;
  }));
  EXPECT_THAT(keys, ElementsAre("k1", "k2", "k5", "k6"));
}

TEST_F(Commits, KeepStateThroughCheckpointsAndRestarts) {
  std::map<std::string, std::string> wanted;
  Rng rng(1);
  for (int round = 0; round < 30; ++round) {
    auto table = *log->open_state("t/n/f");
    Commit one;
    for (int i = 0; i < 5; ++i) {
      const std::string key = "k" + std::to_string(rng.below(20));
      if (rng.below(4) == 0) {
        ASSERT_TRUE(table->put(key, std::nullopt));
        one.changes.push_back({table, key, std::nullopt});
        wanted.erase(key);
      } else {
        put_and_stage(one, table, key, std::to_string(round));
        wanted[key] = std::to_string(round);
      }
    }
    ASSERT_TRUE(commit(std::move(one)));
    if (rng.below(3) == 0) {
      ASSERT_TRUE(journal->take_checkpoint());
    }
    table.reset();
    if (rng.below(2) == 0) reopen();
    std::map<std::string, std::string> found;
    table = *log->open_state("t/n/f");
    for (int k = 0; k < 20; ++k) {
      const std::string key = "k" + std::to_string(k);
      EXPECT_EQ(value_of(table, key), wanted.contains(key) ? wanted[key] : "-") << "round " << round << " " << key;
    }
  }
}

TEST_F(Commits, OpenNoStateFileBeforeStateIsUsed) {
  auto out = producer("orders");
  produce(out, {"a"});
  ASSERT_TRUE(journal->take_checkpoint());
  EXPECT_FALSE(std::filesystem::exists(directory.path() + "/state.db"));
}

// ---------------------------------------------------------------------------------------------------- streams,
// retention

class Orders : public LogTest {
 protected:
  Commit numbered(const std::shared_ptr<Producer>& out, const std::string& text, std::shared_ptr<CommitOrder> order) {
    Commit one;
    one.appends.push_back(append_to(out, entry_of({text}), 1));
    one.order = std::move(order);
    return one;
  }
};

TEST_F(Orders, ACommitBehindAFailedOneFailsTooAndOthersDoNot) {
  auto out = producer("orders");
  const auto order = std::make_shared<CommitOrder>();
  log->step();
  journal->failing = 1;
  EXPECT_FALSE(commit(numbered(out, "a", order)));
  EXPECT_FALSE(commit(numbered(out, "b", order)));
  EXPECT_TRUE(commit(numbered(out, "c", nullptr)));
  EXPECT_TRUE(commit(numbered(out, "d", std::make_shared<CommitOrder>())));
  EXPECT_THAT(take(consumer(reading({"orders"}))), ElementsAre("c", "d"));
}

TEST_F(Orders, WhatWasComputedFromStateThatNeverBecameDurableIsRefused) {
  auto out = producer("orders");
  auto table = *log->open_state("t/n/f");
  log->step();
  const auto put = [&](const std::string& value, std::shared_ptr<CommitOrder> read) {
    Commit one = numbered(out, value, nullptr);
    EXPECT_TRUE(table->put("k", value));
    one.changes.push_back({table, "k", value});
    if (read) one.relies_on.push_back(std::move(read));
    return commit(std::move(one));
  };
  EXPECT_TRUE(put("1", nullptr));
  const auto read = table->order();
  journal->failing = 1;
  EXPECT_FALSE(put("2", read));
  EXPECT_EQ(*table->get("k"), "1");
  EXPECT_FALSE(put("3", read)) << "somebody who saw the 2 goes on from it";
  EXPECT_EQ(*table->get("k"), "1");
  EXPECT_TRUE(put("4", table->order()));
  reopen();
  EXPECT_EQ(*(*log->open_state("t/n/f"))->get("k"), "4");
}

TEST_F(Orders, AnUndonePutGivesBackWhatWasThereBefore) {
  auto table = *log->open_state("t/n/f");
  const auto put = [&](const std::string& value) { ASSERT_TRUE(table->put("k", value)); };
  put("1");
  table->restore("k", std::nullopt, true);
  EXPECT_EQ(*table->get("k"), std::nullopt);
  put("1");
  put("2");
  table->restore("k", "1", false);
  EXPECT_EQ(*table->get("k"), "1");
  Commit one;
  one.changes.push_back({table, "k", "1"});
  log->commit(std::move(one), [](const Result<Receipt>& receipt) { EXPECT_TRUE(receipt); });
  put("2");
  table->restore("k", "1", true);
  EXPECT_EQ(*table->get("k"), "1") << "that is what the commit under way carries";
  log->step();
  EXPECT_EQ(*table->get("k"), "1");
  put("2");
  table->restore("k", "1", true);
  EXPECT_EQ(*table->get("k"), "1");
}

class Streams : public LogTest {};

TEST_F(Streams, RefuseAnotherNumberOfPartitions) {
  ASSERT_TRUE(log->create_stream("orders", {.partitions = 2}));
  EXPECT_TRUE(log->create_stream("persistent://public/default/orders", {.partitions = 2}));
  const auto other = log->create_stream("orders", {.partitions = 3});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().kind(), ErrorKind::kFixInput);
  EXPECT_THAT(other.error().text(), HasSubstr("is there with 2 partitions"));
}

TEST_F(Streams, AreDurableWithTheirFirstRecordEvenIfMakingThemFailed) {
  journal->failing = 2;  // the ops that make stream and subscription
  auto in = consumer(reading({"orders"}));
  auto out = producer("orders");
  log->step();
  produce(out, {"a"});
  acknowledge(in, poll(in));
  produce(out, {"b"});
  reopen();
  EXPECT_THAT(take(consumer(reading({"orders"}))), ElementsAre("b"));
}

TEST_F(Streams, AreGoneForGoodOnceDeleted) {
  auto out = producer("orders");
  produce(out, {"a"});
  auto in = consumer(reading({"orders"}));
  EXPECT_FALSE(log->delete_stream("orders")) << "it has a consumer";
  in->close();
  ASSERT_TRUE(log->delete_stream("orders"));
  Commit late;
  late.appends.push_back(append_to(out, entry_of({"late"}), 1));
  const auto answer = commit(std::move(late));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind(), ErrorKind::kClosed);
  reopen();
  EXPECT_THAT(*log->list_streams(), IsEmpty());
  EXPECT_THAT(take(consumer(reading({"orders"}))), IsEmpty()) << "a new stream of the name has a partition of its own";
}

TEST_F(Streams, SayWhatTheyHoldAndWhoIsBehind) {
  auto out = producer("orders");
  produce(out, {"a", "b"});
  produce(out, {"c"});
  auto in = consumer(reading({"orders"}));
  acknowledge(in, poll(in, {.records_max = 2}));
  const auto streams = *log->list_streams();
  ASSERT_EQ(streams.size(), 1u);
  EXPECT_EQ(streams[0].entries, 2);
  EXPECT_EQ(streams[0].records, 3);
  EXPECT_EQ(streams[0].options.retention_size_bytes, kRetentionSizeDefaultBytes);
  ASSERT_EQ(streams[0].subscriptions.size(), 1u);
  EXPECT_EQ(streams[0].subscriptions[0].backlog_records, 1);
  EXPECT_EQ(streams[0].subscriptions[0].consumers, 1);
  EXPECT_EQ(streams[0].subscriptions[0].records_out_total, 2);
  ASSERT_TRUE(log->delete_subscription("orders", "none").error().kind() == ErrorKind::kFixInput);
  in->close();
  ASSERT_TRUE(log->delete_subscription("orders", "sub"));
  EXPECT_THAT((*log->list_streams())[0].subscriptions, IsEmpty());
}

TEST_F(Streams, KeepWhatIsNotAcknowledgedWhateverTheRetention) {
  ASSERT_TRUE(log->create_stream("orders", {.retention_size_bytes = 0, .retention_time_ms = 0}));
  auto out = producer("orders");
  auto in = consumer(reading({"orders"}));
  for (int i = 0; i < 50; ++i) produce(out, {std::to_string(i)});
  clock.advance_ms(1'000'000'000);
  ASSERT_TRUE(log->collect_garbage());
  EXPECT_EQ((*log->list_streams())[0].entries, 50);
  const auto got = poll(in);
  for (size_t i = 0; i < 10; ++i) acknowledge(in, got[i].id);
  ASSERT_TRUE(log->collect_garbage());
  EXPECT_EQ((*log->list_streams())[0].entries, 40);
}

// Pitfall 59 of brokers: what deduplication remembers kept acknowledged entries for ever.
TEST_F(Streams, RememberSequenceIdsOfEntriesThatAreGone) {
  ASSERT_TRUE(log->create_stream("orders", {.retention_size_bytes = 0, .retention_time_ms = 0}));
  auto out = producer("orders", "me", true);
  auto in = consumer(reading({"orders"}));
  const auto send = [&](uint64_t sequence_id) {
    Commit one;
    one.appends.push_back(append_to(out, entry_of({"x"}, sequence_id), 1, 0, sequence_id));
    return commit(std::move(one))->ids.at(0);
  };
  for (uint64_t id = 1; id <= 10; ++id) EXPECT_NE(send(id), MessageId());
  ASSERT_TRUE(acknowledge(in, poll(in)));
  ASSERT_TRUE(log->collect_garbage());
  EXPECT_EQ((*log->list_streams())[0].entries, 0);
  EXPECT_EQ(send(10), MessageId());
  EXPECT_NE(send(11), MessageId());
}

TEST_F(Streams, LetGoByAgeOrSizeWhicheverIsFirst) {
  const auto kept_after = [&](const std::string& topic, StreamOptions options) {
    EXPECT_TRUE(log->create_stream(topic, options));
    auto out = producer(topic);
    for (int i = 0; i < 640; ++i) {
      produce(out, {std::string(100, 'x')});
      clock.advance_ms(1'000);
    }
    EXPECT_TRUE(log->collect_garbage());
    for (const auto streams = *log->list_streams(); const StreamInfo& info : streams)
      if (info.topic.ends_with(topic)) return info;
    return StreamInfo();
  };
  const auto by_size = kept_after("by-size", {.retention_size_bytes = 20'000, .retention_time_ms = 10'000'000});
  EXPECT_GE(by_size.bytes, 20'000);
  EXPECT_LE(by_size.bytes, 30'000);
  const auto by_age = kept_after("by-age", {.retention_size_bytes = 1'000'000'000, .retention_time_ms = 100'000});
  EXPECT_GE(by_age.entries, 99);
  EXPECT_LE(by_age.entries, 140);
  clock.advance_ms(100'001);
  ASSERT_TRUE(log->collect_garbage());
  for (const auto streams = *log->list_streams(); const StreamInfo& info : streams) {
    if (!info.topic.ends_with("by-age")) continue;
    EXPECT_EQ(info.entries, 0);
  }
}

TEST_F(Streams, BeginAtWhatIsStillThereAfterGarbageWasCollected) {
  ASSERT_TRUE(log->create_stream("orders", {.retention_size_bytes = 2'000, .retention_time_ms = 10'000'000}));
  auto out = producer("orders");
  for (int i = 0; i < 100; ++i) produce(out, {std::to_string(i) + std::string(100, '.')});
  ASSERT_TRUE(log->collect_garbage());
  const int64_t held = (*log->list_streams())[0].records;
  ASSERT_LT(held, 50);
  auto in = consumer(reading({"orders"}));
  EXPECT_EQ(in->stats().backlog_records, held);
  const auto got = poll(in);
  EXPECT_EQ(static_cast<int64_t>(got.size()), held);
  acknowledge(in, got);
  EXPECT_EQ(in->stats().backlog_records, 0);
}

TEST_F(Streams, CostLittleWhileIdle) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the memory of the sanitizer would be measured too";
#endif
  std::vector<std::shared_ptr<Consumer>> consumers;
  const auto resident_kib = [] {
    long pages = 0, resident = 0;
    FILE* statm = fopen("/proc/self/statm", "r");
    EXPECT_EQ(fscanf(statm, "%ld %ld", &pages, &resident), 2);
    fclose(statm);
    return resident * 4;
  };
  const long before = resident_kib();
  for (int i = 0; i < 1'000; ++i) consumers.push_back(consumer(reading({"stream-" + std::to_string(i)})));
  log->step();
  EXPECT_LT(resident_kib() - before, 20 * 1'000) << "KiB for 1,000 streams with a consumer each";
}

}  // namespace
}  // namespace fmesh::stream::log::test
