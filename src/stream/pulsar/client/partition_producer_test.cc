#include "stream/pulsar/client/partition_producer.h"

#include <gmock/gmock.h>

#include "stream/pulsar/client/broker_testing_private.h"

namespace fmesh::stream::pulsar {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
namespace proto = wire::proto;
using Command = TestBroker::Command;

class PartitionProducerTest : public BrokerTest {
 protected:
  void open(bool deduplicate = false) {
    PartitionProducerOptions options;
    options.topic = "persistent://public/default/t";
    options.deduplicate = deduplicate;
    if (deduplicate) options.name = "mine";
    producer_ = std::make_shared<PartitionProducer>(*parts_, std::move(options));
    producer_->open([this](const Status& status) { opened_ = status; });
    loop_.run_ready();
  }
  void TearDown() override {
    producer_ = nullptr;
    BrokerTest::TearDown();
  }
  // What became of it is told in results_, by its place.
  void send(const SharedBytes& entry, uint32_t count = 1) {
    auto sending = producer_->prepare(entry, count);
    ASSERT_TRUE(sending.has_value());
    const size_t place = results_.size();
    results_.emplace_back();
    sending->done = [this, place](Result<MessageId> result) { results_[place] = std::move(result); };
    producer_->send(std::move(*sending));
  }
  std::string result(size_t place) const {
    if (!results_[place]) return "waits";
    return *results_[place] ? to_string(**results_[place]) : results_[place]->error().text();
  }

  std::shared_ptr<PartitionProducer> producer_;
  std::optional<Status> opened_;
  std::vector<std::optional<Result<MessageId>>> results_;
};

TEST_F(PartitionProducerTest, SendsInOrderAndHandsOutTheIdsOfTheReceipts) {
  open();
  ASSERT_TRUE(opened_ && *opened_);
  EXPECT_EQ(producer_->name(), "made-up");
  for (uint64_t i = 0; i < 3; ++i) send(entry_of(2, 2 * i), 2);
  loop_.run_ready();
  EXPECT_EQ(result(0), "1:0:-1");
  EXPECT_EQ(result(2), "1:2:-1");
  ASSERT_EQ(broker_.stored.size(), 3U);
  EXPECT_EQ(broker_.stored[2].sequence_id, 4U);
  EXPECT_EQ(broker_.stored[2].highest, 5U);
  EXPECT_EQ(broker_.last_heard(Command::SEND).send().num_messages(), 2);
}

TEST_F(PartitionProducerTest, SendsAgainWhatHasNoReceiptAfterAReconnectAndKeepsItsName) {
  open();
  broker_.silent_on_send = true;
  for (uint64_t i = 0; i < 3; ++i) send(entry_of(1, i));
  loop_.run_ready();
  EXPECT_EQ(result(0), "waits");
  broker_.silent_on_send = false;
  broker_.cut(broker_.last());
  pass(500);
  EXPECT_EQ(broker_.count(Command::PRODUCER), 2U);
  const proto::CommandProducer& again = broker_.last_heard(Command::PRODUCER).producer();
  EXPECT_EQ(again.producer_name(), "made-up");
  EXPECT_FALSE(again.user_provided_producer_name());
  EXPECT_EQ(again.epoch(), 1U);
  EXPECT_EQ(broker_.stored.size(), 6U);
  EXPECT_EQ(result(0), "1:3:-1");
  EXPECT_EQ(result(2), "1:5:-1");
}

// Pitfall 18.
TEST_F(PartitionProducerTest, AMissingReceiptIsMadeUpForByOneReconnect) {
  open();
  bool dropped = false;
  broker_.before = [&](TestBroker::Link&, const Command& command) {
    return command.type() == Command::SEND && !std::exchange(dropped, true);
  };
  send(entry_of(1, 0));
  send(entry_of(1, 1));
  loop_.run_ready();
  pass(1'000);
  EXPECT_EQ(broker_.connections, 2U);
  EXPECT_NE(result(0), "waits");
  EXPECT_NE(result(1), "waits");
}

TEST_F(PartitionProducerTest, AReceiptOfWhatIsOverIsPassedOver) {
  open();
  send(entry_of(1, 7));
  loop_.run_ready();
  broker_.receipt(broker_.last(), broker_.stored[0].producer_id, 7, 7, 1, 99);
  broker_.silent_on_send = true;
  send(entry_of(1, 8));
  loop_.run_ready();
  broker_.receipt(broker_.last(), broker_.stored[0].producer_id, 7, 7, 1, 99);
  loop_.run_ready();
  EXPECT_EQ(result(1), "waits");
  EXPECT_EQ(broker_.connections, 1U);
}

// Pitfall 20.
TEST_F(PartitionProducerTest, WhatWaitsTooLongWhileTheBrokerIsAwayEndsInTime) {
  open();
  broker_.down = true;
  broker_.cut(broker_.last());
  loop_.run_ready();
  send(entry_of(1, 0));
  send(entry_of(1, 1));
  pass(29'000);
  EXPECT_EQ(result(0), "waits");
  pass(2'000);
  EXPECT_THAT(result(0), HasSubstr("no receipt within 30000 ms"));
  EXPECT_THAT(result(0), HasSubstr("Connection refused"));
  EXPECT_EQ(results_[1]->error().kind(), ErrorKind::kRetryLater);
  // And nothing of it is sent later.
  broker_.down = false;
  pass(30'000);
  EXPECT_TRUE(broker_.stored.empty());
  send(entry_of(1, 2));
  loop_.run_ready();
  EXPECT_EQ(result(2), "1:0:-1");
}

// Pitfall 21 is the caller's count: each send ends once, whatever happens.
TEST_F(PartitionProducerTest, EachSendEndsOnceWhateverHappens) {
  open();
  broker_.silent_on_send = true;
  for (uint64_t i = 0; i < 4; ++i) send(entry_of(1, i));
  loop_.run_ready();
  pass(31'000);
  broker_.cut(broker_.last());
  pass(1'000);
  producer_->close();
  for (size_t i = 0; i < 4; ++i) EXPECT_NE(result(i), "waits");
  send(entry_of(1, 9));
  EXPECT_EQ(results_[4]->error().kind(), ErrorKind::kClosed);
}

// Pitfall 23.
TEST_F(PartitionProducerTest, ATerminatedTopicFailsAllAtOnce) {
  open();
  broker_.before = [&](TestBroker::Link& link, const Command& command) {
    if (command.type() != Command::SEND) return false;
    Command error;
    error.set_type(Command::SEND_ERROR);
    error.mutable_send_error()->set_producer_id(command.send().producer_id());
    error.mutable_send_error()->set_sequence_id(command.send().sequence_id());
    error.mutable_send_error()->set_error(proto::TopicTerminatedError);
    error.mutable_send_error()->set_message("it is over");
    broker_.reply(link, error);
    return true;
  };
  send(entry_of(1, 0));
  send(entry_of(1, 1));
  loop_.run_ready();
  for (const size_t i : {0U, 1U}) {
    EXPECT_THAT(result(i), HasSubstr("TopicTerminatedError: it is over"));
    EXPECT_EQ(results_[i]->error().kind(), ErrorKind::kFixInput);
  }
  EXPECT_EQ(broker_.connections, 1U);
}

TEST_F(PartitionProducerTest, WhatIsNotAllowedFailsAlone) {
  open();
  broker_.before = [&](TestBroker::Link& link, const Command& command) {
    if (command.type() != Command::SEND || command.send().sequence_id() != 0) return false;
    Command error;
    error.set_type(Command::SEND_ERROR);
    error.mutable_send_error()->set_producer_id(command.send().producer_id());
    error.mutable_send_error()->set_sequence_id(command.send().highest_sequence_id());
    error.mutable_send_error()->set_error(proto::NotAllowedError);
    error.mutable_send_error()->set_message("too large");
    broker_.reply(link, error);
    return true;
  };
  send(entry_of(3, 0), 3);
  send(entry_of(1, 3));
  loop_.run_ready();
  EXPECT_THAT(result(0), HasSubstr("NotAllowedError: too large"));
  EXPECT_EQ(result(1), "1:1:-1");
}

TEST_F(PartitionProducerTest, OtherErrorsAreMadeUpForByAReconnect) {
  open();
  bool failed = false;
  broker_.before = [&](TestBroker::Link& link, const Command& command) {
    if (command.type() != Command::SEND || std::exchange(failed, true)) return false;
    Command error;
    error.set_type(Command::SEND_ERROR);
    error.mutable_send_error()->set_producer_id(command.send().producer_id());
    error.mutable_send_error()->set_sequence_id(command.send().sequence_id());
    error.mutable_send_error()->set_error(proto::PersistenceError);
    error.mutable_send_error()->set_message("cannot determine");
    broker_.reply(link, error);
    return true;
  };
  send(entry_of(1, 0));
  pass(500);
  EXPECT_EQ(broker_.connections, 2U);
  EXPECT_EQ(result(0), "1:1:-1");
}

// Pitfall 24.
TEST_F(PartitionProducerTest, ADuplicateIsToldAsMinusOne) {
  open();
  broker_.silent_on_send = true;
  send(entry_of(1, 5));
  loop_.run_ready();
  broker_.receipt(broker_.last(), broker_.stored[0].producer_id, 5, 5, ~uint64_t{0}, ~uint64_t{0});
  loop_.run_ready();
  EXPECT_EQ(result(0), "-1:-1:-1");
}

TEST_F(PartitionProducerTest, TheBrokersOwnWordsAreToldWhenItRefuses) {
  broker_.before = [&](TestBroker::Link& link, const Command& command) {
    if (command.type() != Command::PRODUCER) return false;
    broker_.error(link, command.producer().request_id(), proto::ProducerBusy, "already connected");
    return true;
  };
  open();
  ASSERT_TRUE(opened_ && !*opened_);
  EXPECT_THAT(opened_->error().text(), HasSubstr("ProducerBusy: already connected"));
  EXPECT_EQ(opened_->error().kind(), ErrorKind::kFixInput);
}

TEST_F(PartitionProducerTest, ABrokerThatIsNotReadyIsAskedAgainUntilItIs) {
  int refusals = 3;
  broker_.before = [&](TestBroker::Link& link, const Command& command) {
    if (command.type() != Command::PRODUCER || refusals-- <= 0) return false;
    broker_.error(link, command.producer().request_id(), proto::ServiceNotReady, "not yet");
    return true;
  };
  open();
  EXPECT_FALSE(opened_);
  pass(2'000);
  EXPECT_TRUE(opened_ && *opened_);
}

TEST_F(PartitionProducerTest, ProducersThatAreHeldBackWaitAsLongAsItTakes) {
  open();
  bool held = true;
  broker_.before = [&](TestBroker::Link& link, const Command& command) {
    if (command.type() != Command::PRODUCER || !held) return false;
    broker_.error(link, command.producer().request_id(), proto::ProducerBlockedQuotaExceededError, "backlog");
    return true;
  };
  Command close;
  close.set_type(Command::CLOSE_PRODUCER);
  close.mutable_close_producer()->set_producer_id(broker_.last_heard(Command::PRODUCER).producer().producer_id());
  close.mutable_close_producer()->set_request_id(~uint64_t{0});
  broker_.reply(broker_.last(), close);
  loop_.run_ready();
  send(entry_of(1, 0));
  pass(120'000);
  EXPECT_TRUE(producer_->is_held_back());
  EXPECT_EQ(result(0), "waits");
  held = false;
  pass(15'000);
  EXPECT_EQ(result(0), "1:0:-1");
}

TEST_F(PartitionProducerTest, AnEntryThatTheBrokerNeverTakesFailsAlone) {
  broker_.before = [&](TestBroker::Link& link, const Command& command) {
    if (command.type() != Command::CONNECT) return false;
    Command connected;
    connected.set_type(Command::CONNECTED);
    connected.mutable_connected()->set_server_version("small");
    connected.mutable_connected()->set_max_message_size(1'000);
    broker_.reply(link, connected);
    return true;
  };
  open();
  send(entry_of(2'000), 2'000);
  send(entry_of(1, 2'000));
  loop_.run_ready();
  EXPECT_EQ(results_[0]->error().kind(), ErrorKind::kFixInput);
  EXPECT_EQ(result(1), "1:0:-1");
}

class DeduplicationTest : public PartitionProducerTest {
 protected:
  // The broker says it has everything up to this id, and drops entries that begin at or below it.
  void SetUp() override {
    PartitionProducerTest::SetUp();
    broker_.before = [this](TestBroker::Link& link, const Command& command) {
      if (command.type() == Command::PRODUCER) {
        if (busy-- > 0) {
          broker_.error(link, command.producer().request_id(), proto::ProducerBusy, "already connected");
          return true;
        }
        Command out;
        out.set_type(Command::PRODUCER_SUCCESS);
        out.mutable_producer_success()->set_request_id(command.producer().request_id());
        out.mutable_producer_success()->set_producer_name("mine");
        out.mutable_producer_success()->set_last_sequence_id(told);
        broker_.reply(link, out);
        return true;
      }
      if (command.type() != Command::SEND || static_cast<int64_t>(command.send().sequence_id()) > has) return false;
      broker_.receipt(link, command.send().producer_id(), command.send().sequence_id(),
                      command.send().highest_sequence_id(), UINT64_MAX, UINT64_MAX);
      return true;
    };
  }
  int busy = 0;
  int64_t told = -1, has = -1;
};

TEST_F(DeduplicationTest, WaitsUntilItsNameIsFree) {
  busy = 3;
  open(true);
  EXPECT_FALSE(opened_);
  pass(5'000);
  ASSERT_TRUE(opened_);
  EXPECT_TRUE(*opened_);
  EXPECT_EQ(broker_.count(Command::PRODUCER), 4U);
}

TEST_F(DeduplicationTest, ADuplicateThatTheBrokerSaidItHasIsStored) {
  open(true);
  broker_.silent_on_send = true;
  send(entry_of(2, 10), 2);
  loop_.run_ready();
  told = has = 11;
  broker_.silent_on_send = false;
  broker_.cut(broker_.last());
  pass(500);
  EXPECT_EQ(result(0), "-1:-1:-1");
}

TEST_F(DeduplicationTest, ADuplicateThatSomebodyElseMadeEndsIt) {
  open(true);
  has = 10;  // of the two records the second is nowhere, and the broker drops both
  send(entry_of(2, 10), 2);
  loop_.run_ready();
  EXPECT_THAT(result(0), HasSubstr("another producer of the name mine has written"));
  EXPECT_EQ((*results_[0]).error().kind(), ErrorKind::kRetryLater);
  send(entry_of(1, 12));
  EXPECT_THAT(result(1), HasSubstr("another producer"));
}

TEST_F(DeduplicationTest, ABrokerThatForgotWhatItHadEndsIt) {
  told = 10;
  open(true);
  EXPECT_EQ(producer_->last_sequence_id(), 10);
  told = 5;
  broker_.cut(broker_.last());
  pass(500);
  send(entry_of(1, 11));
  loop_.run_ready();
  EXPECT_THAT(result(0), HasSubstr("forgotten"));
  EXPECT_EQ((*results_[0]).error().kind(), ErrorKind::kRetryLater);
}

TEST_F(DeduplicationTest, WaitsForReceiptsHoweverLongTheyTake) {
  open(true);
  broker_.silent_on_send = true;
  send(entry_of(1, 1));
  pass(parts_->options.send_timeout_ms * 3);
  EXPECT_EQ(result(0), "waits");
}

}  // namespace
}  // namespace fmesh::stream::pulsar
