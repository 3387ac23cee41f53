#include "base/proto_wire.h"
#include "stream/pulsar/client/consumer_testing_private.h"

namespace fmesh::stream::pulsar {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
namespace proto = wire::proto;
using Command = TestBroker::Command;

TEST_F(ConsumerTest, SubscribesPermitsAndHandsOut) {
  open();
  ASSERT_TRUE(opened_ && *opened_);
  EXPECT_EQ(permitted(), kFirstWindowRecords);
  bool woken = false;
  consumer_->notify([&] { woken = true; });
  deliver(0, 3);
  EXPECT_TRUE(woken);
  EXPECT_THAT(poll(), ElementsAre("1:0:-1 all"));
  EXPECT_THAT(poll(), IsEmpty());
  acknowledge(0);
  pass(kAckDelayMs);
  EXPECT_THAT(acked(), ElementsAre("0"));
  EXPECT_EQ(consumer_->stats().unacked_records, 0);
}

TEST_F(ConsumerTest, AKeySharedSubscriptionSaysHowKeysAreSplit) {
  open(with([](ConsumerOptions& options) { options.type = SubscriptionType::kKeyShared; }));
  EXPECT_TRUE(broker_.last_heard(Command::SUBSCRIBE).subscribe().keysharedmeta().has_keysharedmode());
}

// Pitfall 1.
TEST_F(ConsumerTest, NeverPermitsNothing) {
  open();
  for (int64_t entry = 0; entry < 50; ++entry) {
    deliver(entry, 1);
    poll();
  }
  for (const Command& command : broker_.heard) {
    EXPECT_TRUE(command.type() != Command::FLOW || command.flow().messagepermits() > 0);
  }
  EXPECT_EQ(broker_.connections, 1U);
}

// Pitfalls 2, 7 and 9: whatever is dropped, delivered + outstanding stays what was permitted.
TEST_F(ConsumerTest, NoDroppedMessageLeaksAPermit) {
  open();
  int64_t came = 0;
  for (int64_t round = 0; round < 5'000; ++round) {
    deliver(round % 7, 10);  // most are with the user already
    came += 10;
    if (round % 5 == 0) poll();
  }
  poll();
  pass(10);
  EXPECT_GE(permitted() - came, kFirstWindowRecords / 2);
}

TEST_F(ConsumerTest, ThePermittedRecordsFollowTheirSize) {
  PulsarOptions options;
  options.receive_size_max_bytes = 100'000;
  make_parts(options);
  open();
  const std::string large = [] {
    EntryBuilder builder("p", Compression::kNone);
    const std::string payload(10'000, 'x');
    RecordView record;
    record.payload = payload;
    builder.add(record);
    return std::string(builder.finish(1).view());
  }();
  for (int64_t entry = 0; entry < 1'000; ++entry) {
    broker_.deliver(large, entry);
    poll();
  }
  const int64_t before = permitted();
  for (int64_t entry = 1'000; entry < 1'100; ++entry) {
    broker_.deliver(large, entry);
    poll();
  }
  // Ten of ten thousand bytes fit, so no command permits more.
  EXPECT_LE(broker_.last_heard(Command::FLOW).flow().messagepermits(), 10U);
  EXPECT_LE(permitted() - before, 110);
}

TEST_F(ConsumerTest, AfterAReconnectOnlyWhatIsNotWithTheUserIsHandedOut) {
  open();
  deliver(0, 2);
  poll();
  deliver(1, 2);  // queued, not polled
  broker_.cut(broker_.last());
  pass(500);
  EXPECT_EQ(broker_.count(Command::SUBSCRIBE), 2U);
  EXPECT_EQ(broker_.heard.back().type(), Command::FLOW);  // as if nothing had been permitted before
  deliver(0, 2, 1);
  deliver(1, 2, 1);
  EXPECT_THAT(poll(), ElementsAre("1:1:-1 all x1"));
}

// Pitfall 33.
TEST_F(ConsumerTest, AcknowledgementsThatWereNotConfirmedGoFirstAfterAReconnect) {
  open();
  deliver(0, 1);
  deliver(1, 1);
  poll();
  broker_.before = [](TestBroker::Link&, const Command& command) { return command.type() == Command::ACK; };
  acknowledge(0);
  pass(kAckDelayMs);
  EXPECT_THAT(acked(), ElementsAre("0"));
  acknowledge(1);  // still waits for others
  broker_.before = nullptr;
  broker_.cut(broker_.last());
  loop_.run_ready();
  broker_.heard.clear();
  pass(500);
  EXPECT_THAT(acked(), ElementsAre("0", "1"));
  const auto first = std::ranges::find_if(broker_.heard, [](const Command& command) {
    return command.type() == Command::ACK || command.type() == Command::FLOW;
  });
  EXPECT_EQ(first->type(), Command::ACK);
  EXPECT_TRUE(core_->counts().unacked_records == 0);
}

TEST_F(ConsumerTest, PartsOfABatchAreAcknowledgedByWhatIsLeft) {
  open();
  deliver(0, 4);
  poll();
  acknowledge(0, set_of({0, 2}, 4));
  pass(kAckDelayMs);
  acknowledge(0, set_of({1, 3}, 4));
  pass(kAckDelayMs);
  EXPECT_THAT(acked(), ElementsAre("0/10", "0"));
}

// Pitfall 34: of an entry that was never received here, one record can't be acknowledged without the others.
TEST_F(ConsumerTest, APartOfAnUnknownEntryIsNotAcknowledged) {
  open();
  acknowledge(7, set_of({1}, 2));
  pass(kAckDelayMs);
  EXPECT_THAT(acked(), IsEmpty());
  acknowledge(7);
  pass(kAckDelayMs);
  EXPECT_THAT(acked(), ElementsAre("7"));
}

// Pitfall 28.
TEST_F(ConsumerTest, WhatTheBrokerKnowsAsAcknowledgedIsNotHandedOut) {
  open();
  deliver(0, 4, 1, {0b1010});
  EXPECT_THAT(poll(), ElementsAre("1:0:-1 13 x1"));
}

// Pitfall 32.
TEST_F(ConsumerTest, ANegativeAcknowledgementWaitsItsTimeAndThenAsks) {
  open(with([](ConsumerOptions& options) { options.nack_delay_min_ms = 1'000; }));
  deliver(0, 1);
  deliver(1, 1);
  poll();
  negative_ack(0);
  EXPECT_EQ(consumer_->stats().waiting_retry, 1);
  pass(999);
  EXPECT_THAT(redelivered(), IsEmpty());
  pass(2);
  EXPECT_THAT(redelivered(), ElementsAre("0"));
  deliver(0, 1, 1);
  EXPECT_THAT(poll(), ElementsAre("1:0:-1 all x1"));
  // Twice as long the second time.
  negative_ack(0);
  pass(1'999);
  EXPECT_EQ(redelivered().size(), 1U);
  pass(2);
  EXPECT_EQ(redelivered().size(), 2U);
}

TEST_F(ConsumerTest, ANegativeAcknowledgementOfSomeRecordsBringsThoseAgain) {
  open(with([](ConsumerOptions& options) { options.nack_delay_min_ms = 100; }));
  deliver(0, 3);
  poll();
  negative_ack(0, set_of({1}, 3));
  acknowledge(0, set_of({0}, 3));
  pass(101);
  EXPECT_THAT(redelivered(), ElementsAre("0"));
  deliver(0, 3, 1);
  EXPECT_THAT(poll(), ElementsAre("1:0:-1 1 x1"));
  acknowledge(0, set_of({1, 2}, 3));
  pass(kAckDelayMs);
  EXPECT_EQ(acked().back(), "0");
}

// Pitfalls 29 and 30.
TEST_F(ConsumerTest, AnAckTimeoutAndANegativeAcknowledgementAskOnce) {
  open(with([](ConsumerOptions& options) {
    options.ack_timeout_ms = 1'000;
    options.nack_delay_min_ms = 100;
  }));
  deliver(0, 1);
  poll();
  negative_ack(0);
  pass(3'000);
  EXPECT_THAT(redelivered(), ElementsAre("0"));
  deliver(0, 1, 1);
  poll();
  pass(1'500);
  EXPECT_THAT(redelivered(), ElementsAre("0", "0"));
  negative_ack(0);  // too late: it is on its way already
  pass(3'000);
  EXPECT_EQ(redelivered().size(), 2U);
}

TEST_F(ConsumerTest, TheAckTimeoutCountsFromThePoll) {
  open(with([](ConsumerOptions& options) { options.ack_timeout_ms = 1'000; }));
  deliver(0, 1);
  pass(5'000);
  EXPECT_THAT(redelivered(), IsEmpty());
  poll();
  pass(900);
  EXPECT_THAT(redelivered(), IsEmpty());
  pass(300);
  EXPECT_THAT(redelivered(), ElementsAre("0"));
}

TEST_F(ConsumerTest, AnExclusiveSubscriptionRewindsInOrder) {
  open(with([](ConsumerOptions& options) {
    options.type = SubscriptionType::kExclusive;
    options.nack_delay_min_ms = 100;
  }));
  for (int64_t entry = 0; entry < 4; ++entry) deliver(entry, 1);
  poll();
  deliver(4, 1);  // queued
  negative_ack(2);
  EXPECT_THAT(poll(), IsEmpty());
  deliver(5, 1);  // on its way: goes too
  pass(101);
  EXPECT_THAT(redelivered(), ElementsAre(""));
  const auto& rewind = broker_.last_heard(Command::REDELIVER_UNACKNOWLEDGED_MESSAGES).redeliverunacknowledgedmessages();
  EXPECT_EQ(rewind.consumer_epoch(), 1U);
  deliver(5, 1);  // still of the time before
  for (const int64_t entry : {0, 1, 2, 3, 4, 5}) {
    broker_.epoch = 1;
    deliver(entry, 1);
  }
  // 0 and 1 are with the user.
  EXPECT_THAT(poll(), ElementsAre("1:5:-1 all", "1:2:-1 all", "1:3:-1 all", "1:4:-1 all"));
}

TEST_F(ConsumerTest, ACumulativeAcknowledgementIsOneId) {
  open(with([](ConsumerOptions& options) { options.type = SubscriptionType::kExclusive; }));
  for (int64_t entry = 0; entry < 4; ++entry) deliver(entry, 2);
  poll();
  core_->acknowledge({nullptr, {1, 2, -1, 0}, AckSet::all(), true});
  pass(kAckDelayMs);
  EXPECT_EQ(broker_.last_heard(Command::ACK).ack().ack_type(), proto::CommandAck::Cumulative);
  EXPECT_THAT(acked(), ElementsAre("2/2"));
  EXPECT_EQ(consumer_->stats().unacked_records, 3);
}

TEST_F(ConsumerTest, AShareIsAcknowledgedOneByOneEvenIfCumulative) {
  open();
  for (int64_t entry = 0; entry < 3; ++entry) deliver(entry, 1);
  poll();
  acknowledge(1, AckSet::all(), true);
  pass(kAckDelayMs);
  EXPECT_EQ(broker_.last_heard(Command::ACK).ack().ack_type(), proto::CommandAck::Individual);
  EXPECT_THAT(acked(), ElementsAre("0", "1"));
}

// Pitfall 37.
TEST_F(ConsumerTest, AMessageOfChunksSharesOneFate) {
  open(with([](ConsumerOptions& options) { options.nack_delay_min_ms = 100; }));
  const auto deliver_chunks = [&](uint32_t redeliveries) {
    for (int64_t index = 0; index < 3; ++index) {
      std::string metadata;
      fmesh::proto::put_bytes(metadata, 1, "p");
      fmesh::proto::put_uint(metadata, 2, 7);
      fmesh::proto::put_uint(metadata, 3, 1);
      fmesh::proto::put_bytes(metadata, 26, "p-7");
      fmesh::proto::put_uint(metadata, 27, 3);
      fmesh::proto::put_uint(metadata, 28, 6);
      fmesh::proto::put_uint(metadata, 29, static_cast<uint64_t>(index));
      broker_.deliver(std::string(3, '\0') + static_cast<char>(metadata.size()) + metadata + "ab", index, redeliveries);
    }
  };
  deliver_chunks(0);
  EXPECT_THAT(poll(), ElementsAre("1:2:-1 all"));
  negative_ack(2);
  pass(101);
  EXPECT_THAT(redelivered(), ElementsAre("0,1,2"));
  deliver_chunks(1);
  EXPECT_THAT(poll(), ElementsAre("1:2:-1 all x1"));
  acknowledge(2);
  pass(kAckDelayMs);
  EXPECT_THAT(acked(), ElementsAre("0", "1", "2"));
}

TEST_F(ConsumerTest, ADamagedEntryIsFetchedAgainOnceAndThenTold) {
  open();
  const std::string entry(entry_of(1).view());
  const auto deliver_damaged = [&] {
    Command command;
    command.set_type(Command::MESSAGE);
    command.mutable_message()->set_consumer_id(broker_.last_heard(Command::SUBSCRIBE).subscribe().consumer_id());
    command.mutable_message()->mutable_message_id()->set_ledgerid(1);
    command.mutable_message()->mutable_message_id()->set_entryid(0);
    std::string bytes = wire::frame_head(command, entry) + entry;
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    broker_.write(broker_.last(), bytes);
    loop_.run_ready();
  };
  deliver_damaged();
  pass(500);
  EXPECT_EQ(broker_.connections, 2U);
  EXPECT_THAT(poll(), IsEmpty());
  deliver_damaged();
  EXPECT_THAT(poll(), ElementsAre(HasSubstr("t, entry 1:0:-1: its checksum does not fit")));
  deliver(1, 1);
  EXPECT_THAT(poll(), ElementsAre("1:1:-1 all"));
}

}  // namespace
}  // namespace fmesh::stream::pulsar
