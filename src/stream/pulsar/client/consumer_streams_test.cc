#include "stream/pulsar/client/consumer_testing_private.h"

namespace fmesh::stream::pulsar {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
namespace proto = wire::proto;
using Command = TestBroker::Command;

// Pitfall 11: the answer to a seek comes after the consumer is attached again.
TEST_F(ConsumerTest, ASeekThatIsAnsweredLateHandsOutNothingOfBefore) {
  open();
  deliver(0, 1);
  uint64_t request_id = 0;
  broker_.before = [&](TestBroker::Link&, const Command& command) {
    if (command.type() != Command::SEEK) return false;
    request_id = command.seek().request_id();
    return true;
  };
  std::optional<Status> sought;
  core_->seek(MessageId::earliest(), 0, [&](const Status& status) { sought = status; });
  loop_.run_ready();
  EXPECT_THAT(poll(), IsEmpty());
  close_by_broker();
  pass(500);
  EXPECT_EQ(broker_.count(Command::SUBSCRIBE), 2U);
  EXPECT_FALSE(sought);
  EXPECT_EQ(permitted(), kFirstWindowRecords);  // nothing is permitted before the broker says that it has moved
  Command success;
  success.set_type(Command::SUCCESS);
  success.mutable_success()->set_request_id(request_id);
  broker_.reply(broker_.last(), success);
  loop_.run_ready();
  EXPECT_TRUE(sought && *sought);
  EXPECT_GT(permitted(), kFirstWindowRecords);
  deliver(0, 1);
  EXPECT_THAT(poll(), ElementsAre("1:0:-1 all"));
}

TEST_F(ConsumerTest, ASeekThatIsRefusedIsToldAndNothingIsLost) {
  open();
  deliver(0, 1);
  broker_.before = [&](TestBroker::Link& link, const Command& command) {
    if (command.type() != Command::SEEK) return false;
    broker_.error(link, command.seek().request_id(), proto::MetadataError, "no");
    return true;
  };
  std::optional<Status> sought;
  core_->seek(MessageId{1, 0, -1, -1}, 0, [&](const Status& status) { sought = status; });
  pass(500);
  ASSERT_TRUE(sought && !*sought);
  EXPECT_THAT(sought->error().text(), HasSubstr("MetadataError: no"));
  deliver(0, 1);
  EXPECT_THAT(poll(), ElementsAre("1:0:-1 all"));
}

// Pitfall 12.
TEST_F(ConsumerTest, AConsumerThatIsClosedWhileItSubscribesIsClosedAtTheBroker) {
  broker_.before = [](TestBroker::Link&, const Command& command) { return command.type() == Command::SUBSCRIBE; };
  open();
  EXPECT_FALSE(opened_);
  consumer_->close();
  loop_.run_ready();
  EXPECT_EQ(broker_.count(Command::CLOSE_CONSUMER), 1U);
  ASSERT_TRUE(opened_);
  EXPECT_EQ(opened_->error().kind(), ErrorKind::kClosed);
}

// Pitfall 8.
TEST_F(ConsumerTest, OnePartitionThatIsAwayDoesNotHoldUpTheOthers) {
  broker_.partitions[kTopic] = 2;
  open();
  ASSERT_TRUE(opened_ && *opened_);
  broker_.before = [](TestBroker::Link&, const Command& command) { return command.type() == Command::SUBSCRIBE; };
  uint64_t first = 0, second = 0;
  for (const Command& command : broker_.heard) {
    if (command.type() != Command::SUBSCRIBE) continue;
    (command.subscribe().topic().ends_with("-0") ? first : second) = command.subscribe().consumer_id();
  }
  Command close;
  close.set_type(Command::CLOSE_CONSUMER);
  close.mutable_close_consumer()->set_consumer_id(first);
  close.mutable_close_consumer()->set_request_id(~uint64_t{0});
  broker_.reply(broker_.last(), close);
  pass(1'000);
  Command message;
  message.set_type(Command::MESSAGE);
  message.mutable_message()->set_consumer_id(second);
  message.mutable_message()->mutable_message_id()->set_ledgerid(9);
  message.mutable_message()->mutable_message_id()->set_entryid(0);
  broker_.reply(broker_.last(), message, std::string(entry_of(1).view()));
  EXPECT_THAT(poll(), ElementsAre("9:0:1 all"));
}

// Pitfall 42.
TEST_F(ConsumerTest, OneTopicThatIsRefusedFailsTheOpening) {
  broker_.before = [&](TestBroker::Link& link, const Command& command) {
    if (command.type() != Command::SUBSCRIBE || !command.subscribe().topic().ends_with("/b")) return false;
    broker_.error(link, command.subscribe().request_id(), proto::AuthorizationError, "not you");
    return true;
  };
  open(with([](ConsumerOptions& options) {
    options.topics = {"persistent://public/default/a", "persistent://public/default/b",
                      "persistent://public/default/c"};
  }));
  ASSERT_TRUE(opened_ && !*opened_);
  EXPECT_THAT(opened_->error().text(), HasSubstr("AuthorizationError: not you"));
  EXPECT_EQ(broker_.count(Command::CLOSE_CONSUMER), broker_.count(Command::SUBSCRIBE) - 1);
}

TEST_F(ConsumerTest, NewPartitionsJoin) {
  PulsarOptions options;
  options.discovery_ms = 1'000;
  make_parts(options);
  broker_.partitions[kTopic] = 1;
  open();
  broker_.partitions[kTopic] = 3;
  pass(1'500);
  EXPECT_EQ(broker_.count(Command::SUBSCRIBE), 3U);
  EXPECT_EQ(broker_.last_heard(Command::SUBSCRIBE).subscribe().initialposition(), proto::CommandSubscribe::Earliest);
}

TEST_F(ConsumerTest, APartitionThatCanNotBeOpenedNowIsOpenedLater) {
  PulsarOptions options;
  options.discovery_ms = 1'000;
  options.operation_timeout_ms = 2'000;
  make_parts(options);
  broker_.partitions[kTopic] = 1;
  open();
  bool ready = false;
  broker_.before = [&](TestBroker::Link& link, const Command& command) {
    if (command.type() != Command::SUBSCRIBE || ready) return false;
    broker_.error(link, command.subscribe().request_id(), proto::ServiceNotReady, "not yet");
    return true;
  };
  broker_.partitions[kTopic] = 2;
  pass(10'000);
  EXPECT_THAT(poll(), IsEmpty());  // it is no failure of the consumer
  ready = true;
  pass(5'000);
  const proto::CommandSubscribe& last = broker_.last_heard(Command::SUBSCRIBE).subscribe();
  EXPECT_TRUE(last.topic().ends_with("-partition-1"));
  EXPECT_EQ(broker_.last_heard(Command::FLOW).flow().consumer_id(), last.consumer_id());
}

// An answer to an attempt that is over does not undo the one that followed it.
TEST_F(ConsumerTest, ALateRefusalIsOfNoConsequence) {
  open();
  uint64_t late = 0;
  broker_.before = [&](TestBroker::Link&, const Command& command) {
    if (command.type() != Command::SUBSCRIBE || late != 0) return false;
    late = command.subscribe().request_id();
    return true;
  };
  close_by_broker();
  pass(500);
  ASSERT_NE(late, 0U);
  close_by_broker();  // while the second attempt waits for its answer
  pass(500);
  EXPECT_EQ(broker_.count(Command::SUBSCRIBE), 3U);
  broker_.error(broker_.last(), late, proto::ServiceNotReady, "late");
  loop_.run_ready();
  deliver(0, 1);
  EXPECT_THAT(poll(), ElementsAre("1:0:-1 all"));
}

TEST_F(ConsumerTest, AConnectionThatIsCutWhileOpeningIsMadeUpFor) {
  int cuts = 3;
  broker_.before = [&](TestBroker::Link& link, const Command& command) {
    if (command.type() != Command::PARTITIONED_METADATA || cuts-- <= 0) return false;
    broker_.cut(link);
    return true;
  };
  open();
  EXPECT_FALSE(opened_);
  pass(2'000);
  EXPECT_TRUE(opened_ && *opened_);
}

TEST_F(ConsumerTest, AnAddressWhereNobodyListensIsToldSoon) {
  broker_.down = true;
  open();
  pass(kNobodyThereMs);
  ASSERT_TRUE(opened_ && !*opened_);
  EXPECT_THAT(opened_->error().text(), HasSubstr("Connection refused"));
  EXPECT_EQ(opened_->error().kind(), ErrorKind::kRetryLater);
}

TEST_F(ConsumerTest, OnePartitionMayBeAskedFor) {
  broker_.partitions[kTopic] = 3;
  open(with([](ConsumerOptions& options) {
    options.topics = {kTopic};
    options.partition = 2;
  }));
  EXPECT_EQ(broker_.count(Command::SUBSCRIBE), 1U);
  EXPECT_TRUE(broker_.last_heard(Command::SUBSCRIBE).subscribe().topic().ends_with("-partition-2"));
}

TEST_F(ConsumerTest, StreamsOfAPatternJoin) {
  PulsarOptions options;
  options.discovery_ms = 1'000;
  make_parts(options);
  std::vector<std::string> topics = {"persistent://public/default/a-1", "persistent://public/default/b",
                                     "persistent://public/default/a-2-partition-0"};
  broker_.before = [&](TestBroker::Link& link, const Command& command) {
    if (command.type() != Command::GET_TOPICS_OF_NAMESPACE) return false;
    EXPECT_EQ(command.gettopicsofnamespace().namespace_(), "public/default");
    Command out;
    out.set_type(Command::GET_TOPICS_OF_NAMESPACE_RESPONSE);
    out.mutable_gettopicsofnamespaceresponse()->set_request_id(command.gettopicsofnamespace().request_id());
    for (const std::string& topic : topics) out.mutable_gettopicsofnamespaceresponse()->add_topics(topic);
    broker_.reply(link, out);
    return true;
  };
  open(with([](ConsumerOptions& options) { options.topic_pattern = "persistent://public/default/a-.*"; }));
  ASSERT_TRUE(opened_ && *opened_) << opened_->error().text();
  EXPECT_EQ(broker_.count(Command::SUBSCRIBE), 2U);
  topics.emplace_back("persistent://public/default/a-3");
  pass(1'500);
  EXPECT_EQ(broker_.count(Command::SUBSCRIBE), 3U);
}

TEST_F(ConsumerTest, AReaderGoesOnBehindWhatItHas) {
  open(with([](ConsumerOptions& options) { options.read_only = true; }));
  EXPECT_FALSE(broker_.last_heard(Command::SUBSCRIBE).subscribe().durable());
  deliver(0, 1);
  deliver(1, 1);
  broker_.cut(broker_.last());
  pass(500);
  const auto& subscribe = broker_.last_heard(Command::SUBSCRIBE).subscribe();
  EXPECT_EQ(subscribe.start_message_id().entryid(), 1U);
  deliver(1, 1);  // the broker may begin with the entry that was named
  deliver(2, 1);
  EXPECT_THAT(poll(), ElementsAre("1:0:-1 all", "1:1:-1 all", "1:2:-1 all"));
}

TEST_F(ConsumerTest, IsDrainedOnlyWhenNothingIsLeftAnywhere) {
  int64_t last = 0, marked = -1;
  broker_.before = [&](TestBroker::Link& link, const Command& command) {
    Command out;
    if (command.type() == Command::GET_LAST_MESSAGE_ID) {
      out.set_type(Command::GET_LAST_MESSAGE_ID_RESPONSE);
      auto& answer = *out.mutable_getlastmessageidresponse();
      answer.set_request_id(command.getlastmessageid().request_id());
      answer.mutable_last_message_id()->set_ledgerid(1);
      answer.mutable_last_message_id()->set_entryid(static_cast<uint64_t>(last));
      answer.mutable_consumer_mark_delete_position()->set_ledgerid(1);
      answer.mutable_consumer_mark_delete_position()->set_entryid(static_cast<uint64_t>(marked));
    } else if (command.type() == Command::CONSUMER_STATS) {
      out.set_type(Command::CONSUMER_STATS_RESPONSE);
      out.mutable_consumerstatsresponse()->set_request_id(command.consumerstats().request_id());
      out.mutable_consumerstatsresponse()->set_msgbacklog(static_cast<uint64_t>(last - marked));
    } else {
      return false;
    }
    broker_.reply(link, out);
    return true;
  };
  open();
  const auto drained = [&] {
    static_cast<void>(consumer_->drained());
    pass(200);
    return consumer_->drained();
  };
  EXPECT_FALSE(drained());
  EXPECT_EQ(consumer_->stats().backlog_entries, 1);
  deliver(0, 1);
  poll();
  EXPECT_FALSE(drained());
  acknowledge(0);
  pass(100);
  marked = 0;
  EXPECT_TRUE(drained());
  last = 1;
  EXPECT_FALSE(drained());
}

}  // namespace
}  // namespace fmesh::stream::pulsar
