// A client of Pulsar's protocol that does exactly what a test says: commands out, commands in, blocking, over TCP.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <stream/pulsar/wire/commands.pb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/proto_wire.h"
#include "stream/entry.h"
#include "stream/pulsar/wire/frame.h"

namespace fmesh::test {

namespace proto = stream::pulsar::wire::proto;
namespace proto_field = fmesh::proto;

struct Got {
  proto::BaseCommand command;
  SharedBytes entry;
};

class WireClient {
 public:
  explicit WireClient(uint16_t port) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0) << std::strerror(errno);
  }
  ~WireClient() { close(); }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

  void send_bytes(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }
  void send(const proto::BaseCommand& command) {
    std::string bytes;
    stream::pulsar::wire::append_frame(bytes, command);
    send_bytes(bytes);
  }

  // The next command, or nothing once the connection is closed or nothing came for `wait_ms`.
  std::optional<Got> next(int wait_ms = 5'000) {
    stream::pulsar::wire::Frame frame;
    while (true) {
      const auto cut = reader_.next(frame);
      EXPECT_TRUE(cut) << cut.error().text();
      if (!cut) return std::nullopt;
      if (*cut) return Got{*frame.command, frame.entry};
      pollfd waiting{fd_, POLLIN, 0};
      if (::poll(&waiting, 1, wait_ms) <= 0) return std::nullopt;
      const auto room = reader_.room();
      const ssize_t count = ::recv(fd_, room.data(), room.size(), 0);
      if (count <= 0) {
        closed_ = true;
        return std::nullopt;
      }
      reader_.received(static_cast<size_t>(count));
    }
  }
  // The next command of this type; others before it are dropped.
  std::optional<Got> next(proto::BaseCommand::Type type, int wait_ms = 5'000) {
    while (auto got = next(wait_ms))
      if (got->command.type() == type) return got;
    return std::nullopt;
  }
  // Whether the server closes the connection.
  bool ends() {
    while (next()) {
    }
    return closed_;
  }

  Got connect(const std::string& token = "") {
    proto::BaseCommand command;
    command.set_type(proto::BaseCommand::CONNECT);
    auto& connect = *command.mutable_connect();
    connect.set_client_version("test");
    connect.set_protocol_version(21);
    if (!token.empty()) {
      connect.set_auth_method_name("token");
      connect.set_auth_data(token);
    }
    send(command);
    return next().value_or(Got{});
  }

  Got produce(const std::string& topic, uint64_t id = 1, const std::string& name = "",
              const std::function<void(proto::CommandProducer&)>& change = {}) {
    proto::BaseCommand command;
    command.set_type(proto::BaseCommand::PRODUCER);
    auto& producer = *command.mutable_producer();
    producer.set_topic(topic);
    producer.set_producer_id(id);
    producer.set_request_id(++requests_);
    if (!name.empty()) producer.set_producer_name(name);
    if (change) change(producer);
    send(command);
    return next().value_or(Got{});
  }

  // An entry of records that are just their text.
  void send_records(const std::vector<std::string>& texts, uint64_t sequence_id, uint64_t producer_id = 1,
                    const std::string& key = "") {
    stream::EntryBuilder builder("test", stream::Compression::kNone);
    for (size_t i = 0; i < texts.size(); ++i)
      builder.add({.payload = texts[i], .key = key, .sequence_id = sequence_id + i, .has_key = !key.empty()});
    send_entry(builder.finish(1'700'000'000'000), sequence_id, texts.size(), producer_id);
  }
  // A message without batch framing, with fields of MessageMetadata that the builder writes none of.
  void send_plain(const std::string& text, uint64_t sequence_id, const std::string& more_metadata) {
    std::string metadata;
    proto_field::put_bytes(metadata, 1, "test");
    proto_field::put_uint(metadata, 2, sequence_id);
    proto_field::put_uint(metadata, 3, 1'700'000'000'000);
    metadata += more_metadata;
    ASSERT_LT(metadata.size(), 128U);
    std::string entry{'\0', '\0', '\0', static_cast<char>(metadata.size())};
    send_entry(SharedBytes(entry + metadata + text), sequence_id);
  }
  // One that is not to be delivered before `due_ms`.
  void send_delayed(const std::string& text, uint64_t sequence_id, int64_t due_ms) {
    std::string due;
    proto_field::put_uint(due, 19, static_cast<uint64_t>(due_ms));
    send_plain(text, sequence_id, due);
  }
  void send_entry(const SharedBytes& entry, uint64_t sequence_id, size_t count = 1, uint64_t producer_id = 1) {
    proto::BaseCommand command;
    command.set_type(proto::BaseCommand::SEND);
    auto& message = *command.mutable_send();
    message.set_producer_id(producer_id);
    message.set_sequence_id(sequence_id);
    message.set_num_messages(static_cast<int32_t>(count));
    message.set_highest_sequence_id(sequence_id + count - 1);
    send_bytes(stream::pulsar::wire::frame_head(command, entry.view()) + std::string(entry.view()));
  }

  Got subscribe(const std::string& topic, const std::string& subscription, proto::CommandSubscribe::SubType type,
                uint64_t id = 1, const std::function<void(proto::CommandSubscribe&)>& change = {}) {
    proto::BaseCommand command;
    command.set_type(proto::BaseCommand::SUBSCRIBE);
    auto& subscribe = *command.mutable_subscribe();
    subscribe.set_topic(topic);
    subscribe.set_subscription(subscription);
    subscribe.set_subtype(type);
    subscribe.set_consumer_id(id);
    subscribe.set_request_id(++requests_);
    subscribe.set_initialposition(proto::CommandSubscribe::Earliest);
    if (change) change(subscribe);
    send(command);
    return next().value_or(Got{});
  }
  void flow(uint32_t permits, uint64_t id = 1) {
    proto::BaseCommand command;
    command.set_type(proto::BaseCommand::FLOW);
    command.mutable_flow()->set_consumer_id(id);
    command.mutable_flow()->set_messagepermits(permits);
    send(command);
  }
  // Acknowledges and waits for the answer. `left`: the ack_set, empty for the whole entry.
  Got ack(const proto::MessageIdData& message, const std::vector<int64_t>& left = {}, uint64_t id = 1,
          proto::CommandAck::AckType type = proto::CommandAck::Individual) {
    proto::BaseCommand command;
    command.set_type(proto::BaseCommand::ACK);
    auto& ack = *command.mutable_ack();
    ack.set_consumer_id(id);
    ack.set_ack_type(type);
    ack.set_request_id(++requests_);
    auto& data = *ack.add_message_id();
    data = message;
    data.clear_ack_set();
    for (const int64_t word : left) data.add_ack_set(word);
    send(command);
    return next(proto::BaseCommand::ACK_RESPONSE).value_or(Got{});
  }
  uint64_t next_request() { return ++requests_; }

 private:
  int fd_ = -1;
  bool closed_ = false;
  uint64_t requests_ = 0;
  stream::pulsar::wire::FrameReader reader_;
};

// The texts of an entry's records.
inline std::vector<std::string> texts_of(const SharedBytes& entry) {
  std::vector<std::string> texts;
  auto reader = stream::EntryReader::open(entry);
  EXPECT_TRUE(reader);
  stream::RecordView record;
  while (reader && reader->next(record)) texts.emplace_back(record.payload);
  return texts;
}

}  // namespace fmesh::test
