// The server in front of a real log, driven by commands one by one: what each is answered, and what a client may not
// do.
#include <gtest/gtest.h>

#include <set>

#include "pulsar_server_case.h"

namespace fmesh::stream::pulsar::server {
namespace {

// ---------------------------------------------------------------------------------------------------------- handshake

TEST_F(PulsarServer, AnswersTheHandshakeWithTheLowerVersion) {
  WireClient client(server_->port());
  const Got answer = client.connect();
  EXPECT_EQ(answer.command.connected().protocol_version(), 21);
  EXPECT_EQ(answer.command.connected().max_message_size(), 5 * 1024 * 1024 - 10 * 1024);
  EXPECT_FALSE(answer.command.connected().feature_flags().supports_topic_watchers());
}

TEST_F(PulsarServer, EndsAConnectionThatDoesNotBeginWithConnect) {
  WireClient client(server_->port());
  client.flow(1);
  EXPECT_TRUE(client.ends());
}

TEST_F(PulsarServer, EndsAConnectionThatDoesNotSpeakTheProtocol) {
  WireClient client(server_->port());
  client.send_bytes("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_TRUE(client.ends());
}

TEST_F(PulsarServer, AnswersPing) {
  const auto client = this->client();
  proto::BaseCommand ping;
  ping.set_type(proto::BaseCommand::PING);
  ping.mutable_ping();
  client->send(ping);
  EXPECT_TRUE(client->next(proto::BaseCommand::PONG));
}

// ---------------------------------------------------------------------------------------------------------- producing

TEST_F(PulsarServer, ConfirmsInTheOrderOfSending) {
  const auto client = this->client();
  EXPECT_EQ(client->produce(kTopic).command.type(), proto::BaseCommand::PRODUCER_SUCCESS);
  fill(*client, 0, 500);
}

TEST_F(PulsarServer, AnswersABadMessageInItsPlace) {
  const auto client = this->client();
  client->produce(kTopic);
  client->send_records({"a"}, 0);
  client->send_entry(SharedBytes(std::string("\0\0\0\x09nonsense", 12)), 1);
  client->send_records({"b"}, 2);
  EXPECT_EQ(client->next()->command.send_receipt().sequence_id(), 0U);
  const auto refused = client->next();
  EXPECT_EQ(refused->command.send_error().sequence_id(), 1U);
  EXPECT_EQ(refused->command.send_error().error(), proto::NotAllowedError);
  EXPECT_EQ(client->next()->command.send_receipt().sequence_id(), 2U);
}

TEST_F(PulsarServer, EndsAConnectionThatSendsForAProducerThatNeverWas) {
  const auto client = this->client();
  client->send_records({"a"}, 0, 77);
  EXPECT_TRUE(client->ends());
}

TEST_F(PulsarServer, DropsWhatIsSentForAProducerThatWasClosed) {
  const auto client = this->client();
  client->produce(kTopic);
  proto::BaseCommand close;
  close.set_type(proto::BaseCommand::CLOSE_PRODUCER);
  close.mutable_close_producer()->set_producer_id(1);
  close.mutable_close_producer()->set_request_id(client->next_request());
  client->send(close);
  EXPECT_TRUE(client->next(proto::BaseCommand::SUCCESS));
  client->send_records({"late"}, 0);
  EXPECT_EQ(client->produce(kTopic, 2).command.type(), proto::BaseCommand::PRODUCER_SUCCESS);
}

TEST_F(PulsarServer, RefusesASecondProducerOfTheSameNameButTakesOneThatComesAgain) {
  const auto first = this->client();
  const auto second = this->client();
  first->produce(kTopic, 1, "p");
  EXPECT_EQ(second->produce(kTopic, 1, "p").command.error().error(), proto::ProducerBusy);
  const auto again = second->produce(kTopic, 1, "p", [](proto::CommandProducer& producer) { producer.set_epoch(1); });
  EXPECT_EQ(again.command.type(), proto::BaseCommand::PRODUCER_SUCCESS);
}

TEST_F(PulsarServer, GivesExclusiveAccessToOneAndThenToTheOneThatWaits) {
  const auto first = this->client();
  const auto second = this->client();
  const auto mode = [](proto::ProducerAccessMode wanted) {
    return [wanted](proto::CommandProducer& producer) { producer.set_producer_access_mode(wanted); };
  };
  EXPECT_EQ(first->produce(kTopic, 1, "a", mode(proto::Exclusive)).command.type(),
            proto::BaseCommand::PRODUCER_SUCCESS);
  EXPECT_EQ(second->produce(kTopic, 1, "b", mode(proto::Exclusive)).command.error().error(), proto::ProducerFenced);
  EXPECT_EQ(second->produce(kTopic, 2, "c").command.error().error(), proto::ProducerBusy);
  EXPECT_FALSE(
      second->produce(kTopic, 3, "d", mode(proto::WaitForExclusive)).command.producer_success().producer_ready());
  first->close();
  const auto ready = second->next(proto::BaseCommand::PRODUCER_SUCCESS);
  ASSERT_TRUE(ready);
  EXPECT_TRUE(ready->command.producer_success().producer_ready());
  EXPECT_EQ(ready->command.producer_success().topic_epoch(), 1U);
}

TEST_F(PulsarServer, DropsWhatIsSentTwiceAndSaysSo) {
  ServerOptions options;
  options.deduplicate = true;
  open(options);
  auto client = this->client();
  client->produce(kTopic, 1, "p");
  fill(*client, 0, 3);
  client = this->client();
  const auto again = client->produce(kTopic, 1, "p", [](proto::CommandProducer& producer) { producer.set_epoch(1); });
  EXPECT_EQ(again.command.producer_success().last_sequence_id(), 2);
  client->send_records({"2"}, 2);
  const auto receipt = client->next(proto::BaseCommand::SEND_RECEIPT);
  ASSERT_TRUE(receipt);
  EXPECT_EQ(receipt->command.send_receipt().message_id().ledgerid(), UINT64_MAX);
  EXPECT_EQ(log_->find_stream(kTopic).value()->entries, 3);
}

TEST_F(PulsarServer, HoldsProducersBackWhileTheBacklogIsFullAndLetsConsumersRun) {
  StreamOptions small;
  small.backlog_size_max_bytes = 2'000;
  open({}, small);
  const auto client = this->client();
  client->subscribe(kTopic, "s", proto::CommandSubscribe::Exclusive);
  client->produce(kTopic);
  for (uint64_t i = 0; i < 40; ++i) client->send_records({std::string(200, 'x')}, i);
  // What it was confirmed is kept; then it is told to come again, over the connection on which the consumer reads.
  ASSERT_TRUE(client->next(proto::BaseCommand::CLOSE_PRODUCER));
  EXPECT_EQ(client->produce(kTopic, 2).command.error().error(), proto::ProducerBlockedQuotaExceededError);
  client->flow(1'000);
  const auto entries = log_->find_stream(kTopic).value()->entries;
  proto::MessageIdData last;
  for (int64_t i = 0; i < entries; ++i) {
    const auto message = client->next(proto::BaseCommand::MESSAGE);
    ASSERT_TRUE(message);
    last = message->command.message().message_id();
  }
  client->ack(last, {}, 1, proto::CommandAck::Cumulative);
  EXPECT_EQ(client->produce(kTopic, 3).command.type(), proto::BaseCommand::PRODUCER_SUCCESS);
}

// ---------------------------------------------------------------------------------------------------------- consuming

TEST_F(PulsarServer, SendsNothingBeforePermitsAndCountsThemInRecords) {
  const auto client = this->client();
  client->produce(kTopic);
  client->subscribe(kTopic, "s", proto::CommandSubscribe::Shared);
  client->send_records({"a", "b", "c"}, 0);
  client->send_records({"d", "e", "f"}, 3);
  client->next(proto::BaseCommand::SEND_RECEIPT);
  client->next(proto::BaseCommand::SEND_RECEIPT);
  EXPECT_FALSE(client->next(proto::BaseCommand::MESSAGE, 100));
  client->flow(2);
  const auto first = client->next(proto::BaseCommand::MESSAGE);
  ASSERT_TRUE(first);
  EXPECT_EQ(texts_of(first->entry), (std::vector<std::string>{"a", "b", "c"}));
  // One batch took three permits, so one is owed.
  client->flow(1);
  EXPECT_FALSE(client->next(proto::BaseCommand::MESSAGE, 100));
  client->flow(1);
  EXPECT_TRUE(client->next(proto::BaseCommand::MESSAGE));
}

TEST_F(PulsarServer, EndsAConnectionThatGrantsNoPermits) {
  const auto client = this->client();
  client->subscribe(kTopic, "s", proto::CommandSubscribe::Shared);
  client->flow(0);
  EXPECT_TRUE(client->ends());
}

TEST_F(PulsarServer, MakesOneConsumerOfThreeRequestsForIt) {
  const auto client = this->client();
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(client->subscribe(kTopic, "s", proto::CommandSubscribe::Exclusive).command.type(),
              proto::BaseCommand::SUCCESS);
  EXPECT_EQ(log_->find_stream(kTopic).value()->subscriptions[0].consumers, 1);
}

TEST_F(PulsarServer, RefusesASecondExclusiveConsumerAndAnotherType) {
  const auto first = this->client();
  const auto second = this->client();
  first->subscribe(kTopic, "s", proto::CommandSubscribe::Exclusive);
  EXPECT_EQ(second->subscribe(kTopic, "s", proto::CommandSubscribe::Exclusive).command.error().error(),
            proto::ConsumerBusy);
  EXPECT_EQ(second->subscribe(kTopic, "s", proto::CommandSubscribe::Shared).command.error().error(),
            proto::ConsumerBusy);
}

TEST_F(PulsarServer, SendsUnacknowledgedMessagesToTheNextConsumer) {
  auto client = this->client();
  client->produce(kTopic);
  client->subscribe(kTopic, "s", proto::CommandSubscribe::Shared);
  fill(*client, 0, 3);
  client->flow(10);
  std::vector<proto::MessageIdData> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(client->next(proto::BaseCommand::MESSAGE)->command.message().message_id());
  EXPECT_FALSE(client->ack(ids[1]).command.ackresponse().has_error());
  client = this->client();
  client->subscribe(kTopic, "s", proto::CommandSubscribe::Shared);
  client->flow(10);
  EXPECT_EQ(texts_of(client->next(proto::BaseCommand::MESSAGE)->entry), std::vector<std::string>{"0"});
  const auto last = client->next(proto::BaseCommand::MESSAGE);
  EXPECT_EQ(texts_of(last->entry), std::vector<std::string>{"2"});
  EXPECT_EQ(last->command.message().redelivery_count(), 0U);
}

TEST_F(PulsarServer, SendsAgainWhatIsAskedForAndCountsIt) {
  const auto client = this->client();
  client->produce(kTopic);
  client->subscribe(kTopic, "s", proto::CommandSubscribe::Shared);
  fill(*client, 0, 2);
  client->flow(10);
  const auto first = client->next(proto::BaseCommand::MESSAGE);
  client->next(proto::BaseCommand::MESSAGE);
  for (uint32_t times = 1; times <= 2; ++times) {
    proto::BaseCommand again;
    again.set_type(proto::BaseCommand::REDELIVER_UNACKNOWLEDGED_MESSAGES);
    auto& redeliver = *again.mutable_redeliverunacknowledgedmessages();
    redeliver.set_consumer_id(1);
    *redeliver.add_message_ids() = first->command.message().message_id();
    client->send(again);
    const auto message = client->next(proto::BaseCommand::MESSAGE);
    ASSERT_TRUE(message);
    EXPECT_EQ(texts_of(message->entry), std::vector<std::string>{"0"});
    EXPECT_EQ(message->command.message().redelivery_count(), times);
  }
}

TEST_F(PulsarServer, AnExclusiveConsumerGoesBackToTheFirstUnacknowledgedAndRaisesItsEpoch) {
  const auto client = this->client();
  client->produce(kTopic);
  client->subscribe(kTopic, "s", proto::CommandSubscribe::Exclusive);
  fill(*client, 0, 4);
  client->flow(100);
  std::vector<proto::MessageIdData> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(client->next(proto::BaseCommand::MESSAGE)->command.message().message_id());
  client->ack(ids[0], {}, 1, proto::CommandAck::Cumulative);
  proto::BaseCommand again;
  again.set_type(proto::BaseCommand::REDELIVER_UNACKNOWLEDGED_MESSAGES);
  again.mutable_redeliverunacknowledgedmessages()->set_consumer_id(1);
  again.mutable_redeliverunacknowledgedmessages()->set_consumer_epoch(3);
  client->send(again);
  for (int i = 1; i < 4; ++i) {
    const auto message = client->next(proto::BaseCommand::MESSAGE);
    ASSERT_TRUE(message);
    EXPECT_EQ(texts_of(message->entry), std::vector<std::string>{std::to_string(i)});
    EXPECT_EQ(message->command.message().consumer_epoch(), 3U);
  }
}

TEST_F(PulsarServer, RemembersWhichRecordsOfABatchAreAcknowledged) {
  auto client = this->client();
  client->produce(kTopic);
  client->subscribe(kTopic, "s", proto::CommandSubscribe::Shared);
  client->send_records({"a", "b", "c", "d"}, 0);
  client->flow(10);
  const auto message = client->next(proto::BaseCommand::MESSAGE);
  ASSERT_TRUE(message);
  const auto id = message->command.message().message_id();
  client->ack(id, {0b1101});  // b
  client->ack(id, {0b0111});  // d, by a client that knows of b only by itself
  client = this->client();
  client->subscribe(kTopic, "s", proto::CommandSubscribe::Shared);
  client->flow(2);
  const auto again = client->next(proto::BaseCommand::MESSAGE);
  ASSERT_TRUE(again);
  ASSERT_EQ(again->command.message().ack_set_size(), 1);
  EXPECT_EQ(again->command.message().ack_set(0), 0b0101);
  client->ack(id, {0});
  EXPECT_EQ(log_->find_stream(kTopic).value()->subscriptions[0].backlog_records, 0);
}

TEST_F(PulsarServer, StopsAtTheBoundOfUnacknowledgedRecords) {
  const auto client = this->client();
  client->produce(kTopic);
  client->subscribe(kTopic, "s", proto::CommandSubscribe::Shared);
  const std::vector<std::string> batch(1'000, "x");
  for (uint64_t i = 0; i < 60; ++i) client->send_records(batch, i * 1'000);
  for (uint64_t i = 0; i < 60; ++i) ASSERT_TRUE(client->next(proto::BaseCommand::SEND_RECEIPT));
  client->flow(1'000'000);
  std::vector<proto::MessageIdData> ids;
  while (auto message = client->next(proto::BaseCommand::MESSAGE, 200))
    ids.push_back(message->command.message().message_id());
  EXPECT_EQ(ids.size(), 50U);
  proto::BaseCommand ack;
  ack.set_type(proto::BaseCommand::ACK);
  ack.mutable_ack()->set_consumer_id(1);
  ack.mutable_ack()->set_ack_type(proto::CommandAck::Individual);
  *ack.mutable_ack()->add_message_id() = ids[7];
  client->send(ack);
  EXPECT_TRUE(client->next(proto::BaseCommand::MESSAGE));
}

TEST_F(PulsarServer, KeepsWholeBatchesTogetherByKey) {
  const auto first = this->client();
  const auto second = this->client();
  first->produce(kTopic);
  const auto name = [](const char* text) {
    return [text](proto::CommandSubscribe& subscribe) { subscribe.set_consumer_name(text); };
  };
  first->subscribe(kTopic, "s", proto::CommandSubscribe::Key_Shared, 1, name("a"));
  second->subscribe(kTopic, "s", proto::CommandSubscribe::Key_Shared, 1, name("b"));
  first->flow(1'000);
  second->flow(1'000);
  for (uint64_t i = 0; i < 100; ++i) first->send_records({"x", "y"}, i * 2, 1, "key-" + std::to_string(i % 10));
  std::set<std::string> keys_first;
  std::set<std::string> keys_second;
  size_t entries = 0;
  const auto take = [&](WireClient& client, std::set<std::string>& keys) {
    while (auto message = client.next(proto::BaseCommand::MESSAGE, 300)) {
      ++entries;
      EXPECT_EQ(message->command.message().ack_set_size(), 0);
      keys.insert(std::string(read_entry_info(message->entry.view())->partition_key));
    }
  };
  take(*first, keys_first);
  take(*second, keys_second);
  EXPECT_EQ(entries, 100U);
  EXPECT_EQ(keys_first.size() + keys_second.size(), 10U);
  EXPECT_FALSE(keys_first.empty());
  EXPECT_FALSE(keys_second.empty());
}

TEST_F(PulsarServer, GivesKeysToTheConsumerOfTheirRange) {
  const auto client = this->client();
  const auto sticky = [](std::vector<std::pair<int, int>> ranges) {
    return [ranges](proto::CommandSubscribe& subscribe) {
      subscribe.mutable_keysharedmeta()->set_keysharedmode(proto::STICKY);
      for (const auto& [start, end] : ranges) {
        auto& range = *subscribe.mutable_keysharedmeta()->add_hashranges();
        range.set_start(start);
        range.set_end(end);
      }
    };
  };
  const auto subscribe = [&](uint64_t id, std::vector<std::pair<int, int>> ranges) {
    return client->subscribe(kTopic, "s", proto::CommandSubscribe::Key_Shared, id, sticky(std::move(ranges)));
  };
  EXPECT_EQ(subscribe(1, {{0, 20'000}}).command.type(), proto::BaseCommand::SUCCESS);
  for (const auto& wrong : std::vector<std::vector<std::pair<int, int>>>{{},
                                                                         {{5, 6}},
                                                                         {{30'000, 40'000}, {20'000, 20'000}},
                                                                         {{40'000, 30'000}},
                                                                         {{-1, 5}},
                                                                         {{1, 65'536}},
                                                                         {{30'000, 40'000}, {35'000, 36'000}}})
    EXPECT_EQ(subscribe(2, wrong).command.error().error(), proto::ConsumerAssignError);
  EXPECT_EQ(client->subscribe(kTopic, "s", proto::CommandSubscribe::Key_Shared, 2).command.type(),
            proto::BaseCommand::ERROR)
      << "a consumer that takes its share of all keys";
  client->produce(kTopic);
  client->flow(100, 1);
  // Their places, as Pulsar's own classes compute them: 293 and 48803 (facts: pulsar.md 10).
  for (uint64_t i = 0; i < 10; ++i) client->send_records({"x"}, i, 1, i % 2 == 0 ? "key1" : "NONE_KEY");
  const auto take = [&](uint64_t consumer, const std::string& key, int count) {
    for (int i = 0; i < count; ++i) {
      const auto message = client->next(proto::BaseCommand::MESSAGE);
      ASSERT_TRUE(message) << key << i;
      EXPECT_EQ(message->command.message().consumer_id(), consumer);
      EXPECT_EQ(read_entry_info(message->entry.view())->partition_key, key);
    }
    EXPECT_FALSE(client->next(proto::BaseCommand::MESSAGE, 100));
  };
  take(1, "key1", 5);
  // What nobody took waits for the one who does, and comes at once (pitfall 51).
  EXPECT_EQ(subscribe(2, {{20'001, 65'535}}).command.type(), proto::BaseCommand::SUCCESS);
  client->flow(100, 2);
  take(2, "NONE_KEY", 5);
}

TEST_F(PulsarServer, ReadsCompactedTopicsWhole) {
  const auto client = this->client();
  const auto compacted = [](proto::CommandSubscribe& subscribe) { subscribe.set_read_compacted(true); };
  client->produce(kTopic);
  fill(*client, 0, 3);
  EXPECT_EQ(client->subscribe(kTopic, "s", proto::CommandSubscribe::Shared, 1, compacted).command.error().error(),
            proto::NotAllowedError);
  EXPECT_EQ(client->subscribe(kTopic, "s", proto::CommandSubscribe::Exclusive, 1, compacted).command.type(),
            proto::BaseCommand::SUCCESS);
  client->flow(10);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(client->next(proto::BaseCommand::MESSAGE)) << i;
}

// Regression of brokers: delayed messages were skipped when a replay was pending, and came at once after a restart.
TEST_F(PulsarServer, DeliversDelayedMessagesOnceOverARestart) {
  constexpr int kMessages = 500;
  constexpr int64_t kDelayMs = 1'500;
  auto client = this->client();
  client->produce(kTopic);
  client->subscribe(kTopic, "s", proto::CommandSubscribe::Shared);
  const int64_t due_ms = clock_.wall_ms() + kDelayMs;
  for (int i = 0; i < kMessages; ++i) client->send_delayed(std::to_string(i), static_cast<uint64_t>(i), due_ms);
  for (int i = 0; i < kMessages; ++i) ASSERT_TRUE(client->next(proto::BaseCommand::SEND_RECEIPT));
  client->flow(kMessages * 2);
  EXPECT_FALSE(client->next(proto::BaseCommand::MESSAGE, 100));
  open();
  client = this->client();
  client->subscribe(kTopic, "s", proto::CommandSubscribe::Shared);
  client->flow(kMessages * 2);
  std::set<std::string> seen;
  for (int i = 0; i < kMessages; ++i) {
    const auto message = client->next(proto::BaseCommand::MESSAGE);
    ASSERT_TRUE(message) << i;
    EXPECT_GE(clock_.wall_ms(), due_ms) << "not early";
    EXPECT_TRUE(seen.insert(std::string(read_entry_info(message->entry.view())->payload)).second) << "not twice";
  }
  EXPECT_FALSE(client->next(proto::BaseCommand::MESSAGE, 100));
}

TEST_F(PulsarServer, TellsAFailoverSubscriptionWhoseTurnItIs) {
  auto first = this->client();
  const auto second = this->client();
  const auto name = [](const char* text) {
    return [text](proto::CommandSubscribe& subscribe) { subscribe.set_consumer_name(text); };
  };
  first->produce(kTopic);
  fill(*first, 0, 3);
  first->subscribe(kTopic, "s", proto::CommandSubscribe::Failover, 1, name("a"));
  EXPECT_TRUE(first->next(proto::BaseCommand::ACTIVE_CONSUMER_CHANGE)->command.active_consumer_change().is_active());
  second->subscribe(kTopic, "s", proto::CommandSubscribe::Failover, 1, name("b"));
  EXPECT_FALSE(second->next(proto::BaseCommand::ACTIVE_CONSUMER_CHANGE)->command.active_consumer_change().is_active());
  first->flow(10);
  second->flow(10);
  const auto id = first->next(proto::BaseCommand::MESSAGE)->command.message().message_id();
  EXPECT_FALSE(second->next(proto::BaseCommand::MESSAGE, 100));
  first->ack(id);
  first.reset();
  EXPECT_TRUE(second->next(proto::BaseCommand::ACTIVE_CONSUMER_CHANGE)->command.active_consumer_change().is_active());
  EXPECT_EQ(texts_of(second->next(proto::BaseCommand::MESSAGE)->entry), std::vector<std::string>{"1"});
}

TEST_F(PulsarServer, AFailoverConsumerThatComesFirstByNameTakesOverWhatIsUnacknowledged) {
  const auto first = this->client();
  const auto second = this->client();
  const auto name = [](const char* text) {
    return [text](proto::CommandSubscribe& subscribe) { subscribe.set_consumer_name(text); };
  };
  first->produce(kTopic);
  fill(*first, 0, 2);
  first->subscribe(kTopic, "s", proto::CommandSubscribe::Failover, 1, name("b"));
  first->flow(10);
  EXPECT_TRUE(first->next(proto::BaseCommand::MESSAGE));
  second->subscribe(kTopic, "s", proto::CommandSubscribe::Failover, 1, name("a"));
  second->flow(10);
  EXPECT_EQ(texts_of(second->next(proto::BaseCommand::MESSAGE)->entry), std::vector<std::string>{"0"});
}

}  // namespace
}  // namespace fmesh::stream::pulsar::server
