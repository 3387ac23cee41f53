// Partitions, places and schemas of the server, driven by commands one by one.
#include <gtest/gtest.h>

#include "pulsar_server_case.h"

namespace fmesh::stream::pulsar::server {
namespace {

// ----------------------------------------------------------------------------------------------- partitions, positions

TEST_F(PulsarServer, ReadsPartitionsOneByOne) {
  ServerOptions options;
  options.partitions = 3;
  open(options);
  const auto client = this->client();
  proto::BaseCommand ask;
  ask.set_type(proto::BaseCommand::PARTITIONED_METADATA);
  ask.mutable_partitionmetadata()->set_topic("orders");
  ask.mutable_partitionmetadata()->set_request_id(client->next_request());
  client->send(ask);
  EXPECT_EQ(client->next()->command.partitionmetadataresponse().partitions(), 3U);
  EXPECT_EQ(client->produce(kTopic).command.error().error(), proto::NotAllowedError);
  const std::string part = std::string(kTopic) + "-partition-2";
  EXPECT_EQ(client->produce(part).command.type(), proto::BaseCommand::PRODUCER_SUCCESS);
  EXPECT_EQ(client->produce(std::string(kTopic) + "-partition-3", 9).command.error().error(), proto::TopicNotFound);
  client->subscribe(part, "s", proto::CommandSubscribe::Exclusive);
  EXPECT_EQ(client->subscribe(std::string(kTopic) + "-partition-0", "s", proto::CommandSubscribe::Exclusive, 2)
                .command.type(),
            proto::BaseCommand::SUCCESS);
  fill(*client, 0, 1);
  client->flow(10, 1);
  client->flow(10, 2);
  const auto message = client->next(proto::BaseCommand::MESSAGE);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->command.message().consumer_id(), 1U);
  EXPECT_EQ(message->command.message().message_id().partition(), 2);
  EXPECT_FALSE(client->next(proto::BaseCommand::MESSAGE, 100));
}

TEST_F(PulsarServer, MovesASubscriptionAndTellsItsConsumersToComeAgain) {
  const auto client = this->client();
  client->produce(kTopic);
  client->subscribe(kTopic, "s", proto::CommandSubscribe::Exclusive);
  fill(*client, 0, 5);
  client->flow(100);
  std::vector<proto::MessageIdData> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(client->next(proto::BaseCommand::MESSAGE)->command.message().message_id());
  client->ack(ids[4], {}, 1, proto::CommandAck::Cumulative);
  proto::BaseCommand seek;
  seek.set_type(proto::BaseCommand::SEEK);
  seek.mutable_seek()->set_consumer_id(1);
  seek.mutable_seek()->set_request_id(client->next_request());
  *seek.mutable_seek()->mutable_message_id() = ids[3];
  client->send(seek);
  EXPECT_EQ(client->next()->command.type(), proto::BaseCommand::CLOSE_CONSUMER);
  EXPECT_EQ(client->next()->command.type(), proto::BaseCommand::SUCCESS);
  client->subscribe(kTopic, "s", proto::CommandSubscribe::Exclusive);
  client->flow(100);
  EXPECT_EQ(texts_of(client->next(proto::BaseCommand::MESSAGE)->entry), std::vector<std::string>{"3"});
}

// Clients send what they have acknowledged right before they seek.
TEST_F(PulsarServer, AcknowledgementsRightBeforeASeekTakeNothingFromIt) {
  constexpr int kMessages = 50;
  const auto client = this->client();
  client->produce(kTopic);
  fill(*client, 0, kMessages);
  for (int round = 0; round < 20; ++round) {
    const auto id = static_cast<uint64_t>(round) + 1;
    client->subscribe(kTopic, "s", proto::CommandSubscribe::Shared, id);
    client->flow(kMessages, id);
    proto::BaseCommand acks;
    acks.set_type(proto::BaseCommand::ACK);
    acks.mutable_ack()->set_consumer_id(id);
    acks.mutable_ack()->set_ack_type(proto::CommandAck::Individual);
    for (int i = 0; i < kMessages; ++i) {
      const auto message = client->next(proto::BaseCommand::MESSAGE);
      ASSERT_TRUE(message) << "round " << round << ", message " << i;
      *acks.mutable_ack()->add_message_id() = message->command.message().message_id();
    }
    proto::BaseCommand seek;
    seek.set_type(proto::BaseCommand::SEEK);
    seek.mutable_seek()->set_consumer_id(id);
    seek.mutable_seek()->set_request_id(client->next_request());
    seek.mutable_seek()->set_message_publish_time(0);
    std::string bytes;
    stream::pulsar::wire::append_frame(bytes, acks);
    stream::pulsar::wire::append_frame(bytes, seek);
    stream::pulsar::wire::append_frame(bytes, acks);
    client->send_bytes(bytes);
    ASSERT_TRUE(client->next(proto::BaseCommand::SUCCESS));
  }
}

TEST_F(PulsarServer, AReaderBeginsWhereItSaysAndLeavesNothingBehind) {
  const auto client = this->client();
  client->produce(kTopic);
  fill(*client, 0, 4);
  const int64_t ledger = log_->find_stream(kTopic).value()->partitions[0].first.ledger;
  client->subscribe(kTopic, "reader-1", proto::CommandSubscribe::Exclusive, 1, [&](proto::CommandSubscribe& subscribe) {
    subscribe.set_durable(false);
    subscribe.mutable_start_message_id()->set_ledgerid(static_cast<uint64_t>(ledger));
    subscribe.mutable_start_message_id()->set_entryid(2);
  });
  client->flow(10);
  // The client leaves the entry out if it wants to begin behind it.
  EXPECT_EQ(texts_of(client->next(proto::BaseCommand::MESSAGE)->entry), std::vector<std::string>{"2"});
  EXPECT_TRUE(log_->find_stream(kTopic).value()->subscriptions.empty());
}

TEST_F(PulsarServer, SaysWhatTheLastMessageIs) {
  const auto client = this->client();
  client->produce(kTopic);
  client->subscribe(kTopic, "s", proto::CommandSubscribe::Exclusive);
  const auto last = [&] {
    proto::BaseCommand ask;
    ask.set_type(proto::BaseCommand::GET_LAST_MESSAGE_ID);
    ask.mutable_getlastmessageid()->set_consumer_id(1);
    ask.mutable_getlastmessageid()->set_request_id(client->next_request());
    client->send(ask);
    return client->next(proto::BaseCommand::GET_LAST_MESSAGE_ID_RESPONSE)->command.getlastmessageidresponse();
  };
  EXPECT_EQ(last().last_message_id().entryid(), UINT64_MAX);
  client->send_records({"a", "b", "c"}, 0);
  client->next(proto::BaseCommand::SEND_RECEIPT);
  EXPECT_EQ(last().last_message_id().entryid(), 0U);
  EXPECT_EQ(last().last_message_id().batch_index(), 2);
  EXPECT_EQ(last().consumer_mark_delete_position().entryid(), UINT64_MAX);
}

TEST_F(PulsarServer, RefusesTransactions) {
  const auto client = this->client();
  proto::BaseCommand ask;
  ask.set_type(proto::BaseCommand::TC_CLIENT_CONNECT_REQUEST);
  ask.mutable_tcclientconnectrequest()->set_request_id(client->next_request());
  ask.mutable_tcclientconnectrequest()->set_tc_id(0);
  client->send(ask);
  EXPECT_EQ(client->next()->command.tcclientconnectresponse().error(), proto::TransactionCoordinatorNotFound);
}

// ------------------------------------------------------------------------------------------------------------- schemas

TEST_F(PulsarServer, KeepsSchemasOverARestartAndRefusesWhatDoesNotFit) {
  const auto record = [](const std::string& fields) {
    return [fields](proto::CommandProducer& producer) {
      producer.mutable_schema()->set_name("");
      producer.mutable_schema()->set_type(proto::Schema::Json);
      producer.mutable_schema()->set_schema_data(R"({"type":"record","name":"R","fields":[)" + fields + "]}");
    };
  };
  const std::string one = R"({"name":"a","type":"int"})";
  const std::string two = one + R"(,{"name":"b","type":["null","string"],"default":null})";
  const std::string wrong = one + R"(,{"name":"c","type":"string"})";
  auto client = this->client();
  const auto version = [](const Got& got) { return got.command.producer_success().schema_version(); };
  EXPECT_EQ(version(client->produce(kTopic, 1)), "");
  EXPECT_EQ(version(client->produce(kTopic, 2, "", record(one))), std::string("\0\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(version(client->produce(kTopic, 3, "", record(two))), std::string("\0\0\0\0\0\0\0\1", 8));
  EXPECT_EQ(client->produce(kTopic, 4, "", record(wrong)).command.error().error(), proto::IncompatibleSchema);
  open();
  client = this->client();
  EXPECT_EQ(version(client->produce(kTopic, 1, "", record(one))), std::string("\0\0\0\0\0\0\0\0", 8));
  proto::BaseCommand ask;
  ask.set_type(proto::BaseCommand::GET_SCHEMA);
  ask.mutable_getschema()->set_topic(kTopic);
  ask.mutable_getschema()->set_request_id(client->next_request());
  ask.mutable_getschema()->set_schema_version("");
  client->send(ask);
  const auto got = client->next()->command.getschemaresponse();
  EXPECT_EQ(got.schema_version(), std::string("\0\0\0\0\0\0\0\1", 8));
  EXPECT_EQ(got.schema().type(), proto::Schema::Json);
}

}  // namespace
}  // namespace fmesh::stream::pulsar::server
