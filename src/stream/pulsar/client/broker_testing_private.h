// A broker for unit tests, in memory and on the test's ManualLoop: it answers what a broker answers, writes down what
// it is told, and breaks off, refuses or falls silent when the test says so.
#pragma once

#include <gtest/gtest.h>
#include <stream/pulsar/wire/commands.pb.h>

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/loop.h"
#include "stream/entry.h"
#include "stream/pulsar/client/parts.h"

namespace fmesh::stream::pulsar {

class TestBroker {
 public:
  using Command = wire::proto::BaseCommand;

  explicit TestBroker(ManualLoop& loop) : loop_(loop) {}

  // One connection, as the broker sees it.
  struct Link {
    uint64_t number = 0;
    BrokerAddress address;
    net::ByteStreamHandler client;  // what the client gave
    wire::FrameReader reader;
    bool open = true;
  };

  Connect connect() {
    return [this](const BrokerAddress& address, auto done) {
      loop_.post([this, address, done] {
        if (down) return done(fail(ErrorKind::kRetryLater, "connect: Connection refused"));
        auto link = std::make_shared<Link>();
        link->number = ++connections;
        link->address = address;
        links.push_back(link);
        done(std::make_unique<Stream>(*this, link));
      });
    };
  }

  // Called before the usual answer; true: the test has dealt with it.
  std::function<bool(Link&, const Command&)> before;
  bool down = false;
  uint64_t connections = 0;
  std::vector<std::shared_ptr<Link>> links;
  std::vector<Command> heard;
  std::map<std::string, uint32_t> partitions;
  struct Sent {
    uint64_t producer_id = 0, sequence_id = 0, highest = 0;
    std::string entry;
  };
  std::vector<Sent> stored;  // every SEND, in order
  bool silent_on_send = false;

  void reply(Link& link, const Command& command, const std::string& entry = "") {
    std::string bytes;
    if (entry.empty()) {
      wire::append_frame(bytes, command);
    } else {
      bytes = wire::frame_head(command, entry) + entry;
    }
    write(link, bytes);
  }
  // Bytes as they are, to the client.
  void write(Link& link, std::string bytes) {
    loop_.post([link = find(link), bytes = std::move(bytes)] {
      for (size_t at = 0; link && at < bytes.size() && link->open && link->client.room;) {
        const std::span<char> room = link->client.room();
        const size_t count = std::min(room.size(), bytes.size() - at);
        std::copy_n(bytes.data() + at, count, room.data());
        at += count;
        const auto received = link->client.received;
        received(count);
      }
    });
  }
  void cut(Link& link, const std::string& why = "cut") {
    loop_.post([link = find(link), why] {
      if (!link || !link->open) return;
      link->open = false;
      const auto ended = link->client.ended;
      if (ended) ended(Error(ErrorKind::kRetryLater, why));
    });
  }
  void cut_all() {
    for (const auto& link : links) cut(*link);
  }
  Link& last() { return *links.back(); }

  size_t count(Command::Type type) const {
    return static_cast<size_t>(std::ranges::count_if(heard, [&](const Command& one) { return one.type() == type; }));
  }
  const Command& last_heard(Command::Type type) const {
    static const Command none;
    for (auto at = heard.rbegin(); at != heard.rend(); ++at) {
      if (at->type() == type) return *at;
    }
    return none;
  }

  // A message to the consumer of the last SUBSCRIBE.
  void deliver(const std::string& entry, int64_t entry_id, uint32_t redeliveries = 0,
               std::vector<uint64_t> ack_set = {}, int64_t ledger = 1) {
    Command command;
    command.set_type(Command::MESSAGE);
    auto& message = *command.mutable_message();
    message.set_consumer_id(last_heard(Command::SUBSCRIBE).subscribe().consumer_id());
    message.mutable_message_id()->set_ledgerid(static_cast<uint64_t>(ledger));
    message.mutable_message_id()->set_entryid(static_cast<uint64_t>(entry_id));
    message.set_redelivery_count(redeliveries);
    if (epoch > 0) message.set_consumer_epoch(epoch);
    for (const uint64_t word : ack_set) message.add_ack_set(static_cast<int64_t>(word));
    reply(last(), command, entry);
  }
  uint64_t epoch = 0;  // told with each message; 0: not told

  void error(Link& link, uint64_t request_id, wire::proto::ServerError code, const std::string& text) {
    Command command;
    command.set_type(Command::ERROR);
    command.mutable_error()->set_request_id(request_id);
    command.mutable_error()->set_error(code);
    command.mutable_error()->set_message(text);
    reply(link, command);
  }
  void receipt(Link& link, uint64_t producer_id, uint64_t sequence_id, uint64_t highest, uint64_t ledger,
               uint64_t entry) {
    Command command;
    command.set_type(Command::SEND_RECEIPT);
    auto& receipt = *command.mutable_send_receipt();
    receipt.set_producer_id(producer_id);
    receipt.set_sequence_id(sequence_id);
    receipt.set_highest_sequence_id(highest);
    receipt.mutable_message_id()->set_ledgerid(ledger);
    receipt.mutable_message_id()->set_entryid(entry);
    reply(link, command);
  }

 private:
  class Stream final : public net::ByteStream {
   public:
    Stream(TestBroker& broker, std::shared_ptr<Link> link) : broker_(broker), link_(std::move(link)) {}
    ~Stream() override {
      link_->open = false;
      link_->client = {};
    }
    void start(net::ByteStreamHandler handler) override { link_->client = std::move(handler); }
    void write(std::span<const SharedBytes> pieces) override {
      std::string bytes;
      for (const SharedBytes& piece : pieces) bytes += piece.view();
      broker_.loop_.post([&broker = broker_, link = link_, bytes = std::move(bytes)] { broker.hear(link, bytes); });
    }
    size_t queued_bytes() const override { return 0; }
    void pause_reading(bool) override {}
    void close_after_writes() override {}
    const std::string& peer() const override { return peer_; }

   private:
    TestBroker& broker_;
    const std::shared_ptr<Link> link_;
    const std::string peer_ = "test:6650";
  };

  std::shared_ptr<Link> find(Link& link) {
    for (const auto& one : links) {
      if (one.get() == &link) return one;
    }
    return nullptr;
  }

  void hear(const std::shared_ptr<Link>& link, const std::string& bytes) {
    for (size_t at = 0; at < bytes.size();) {
      const std::span<char> room = link->reader.room();
      const size_t count = std::min(room.size(), bytes.size() - at);
      std::copy_n(bytes.data() + at, count, room.data());
      at += count;
      link->reader.received(count);
      wire::Frame frame;
      while (true) {
        const Result<bool> found = link->reader.next(frame);
        ASSERT_TRUE(found.has_value()) << found.error().text();
        if (!*found) break;
        heard.push_back(*frame.command);
        const Command command = *frame.command;
        if (command.type() == Command::SEND) {
          stored.push_back({command.send().producer_id(), command.send().sequence_id(),
                            command.send().highest_sequence_id(), std::string(frame.entry.view())});
        }
        if (before && before(*link, command)) continue;
        answer(*link, command);
      }
    }
  }

  void answer(Link& link, const Command& command) {
    Command out;
    switch (command.type()) {
      case Command::CONNECT:
        out.set_type(Command::CONNECTED);
        out.mutable_connected()->set_server_version("test");
        out.mutable_connected()->set_protocol_version(wire::kProtocolVersion);
        out.mutable_connected()->set_max_message_size(5 * 1024 * 1024);
        out.mutable_connected()->mutable_feature_flags()->set_supports_get_partitioned_metadata_without_auto_creation(
            true);
        return reply(link, out);
      case Command::PARTITIONED_METADATA:
        out.set_type(Command::PARTITIONED_METADATA_RESPONSE);
        out.mutable_partitionmetadataresponse()->set_request_id(command.partitionmetadata().request_id());
        out.mutable_partitionmetadataresponse()->set_partitions(partitions[command.partitionmetadata().topic()]);
        return reply(link, out);
      case Command::LOOKUP:
        out.set_type(Command::LOOKUP_RESPONSE);
        out.mutable_lookuptopicresponse()->set_request_id(command.lookuptopic().request_id());
        out.mutable_lookuptopicresponse()->set_response(wire::proto::CommandLookupTopicResponse::Connect);
        out.mutable_lookuptopicresponse()->set_brokerserviceurl("pulsar://test:6650");
        return reply(link, out);
      case Command::PRODUCER:
        out.set_type(Command::PRODUCER_SUCCESS);
        out.mutable_producer_success()->set_request_id(command.producer().request_id());
        out.mutable_producer_success()->set_producer_name(
            command.producer().producer_name().empty() ? "made-up" : command.producer().producer_name());
        return reply(link, out);
      case Command::SEND:
        if (silent_on_send) return;
        return receipt(link, command.send().producer_id(), command.send().sequence_id(),
                       command.send().highest_sequence_id(), 1, stored.size() - 1);
      case Command::ACK:
        out.set_type(Command::ACK_RESPONSE);
        out.mutable_ackresponse()->set_consumer_id(command.ack().consumer_id());
        out.mutable_ackresponse()->set_request_id(command.ack().request_id());
        return reply(link, out);
      case Command::SUBSCRIBE:
        return success(link, command.subscribe().request_id());
      case Command::CLOSE_CONSUMER:
        return success(link, command.close_consumer().request_id());
      case Command::CLOSE_PRODUCER:
        return success(link, command.close_producer().request_id());
      case Command::PING:
        out.set_type(Command::PONG);
        out.mutable_pong();
        return reply(link, out);
      default:
        return;
    }
  }
  void success(Link& link, uint64_t request_id) {
    Command out;
    out.set_type(Command::SUCCESS);
    out.mutable_success()->set_request_id(request_id);
    reply(link, out);
  }

  ManualLoop& loop_;
};

// A client's parts over such a broker.
class BrokerTest : public testing::Test {
 protected:
  void make_parts(PulsarOptions options = {}) {
    options.service_url = "pulsar://test:6650";
    auto authentication = Authentication::make(nullptr, options.auth_plugin, options.auth_params);
    ASSERT_TRUE(authentication.has_value()) << authentication.error().text();
    parts_ = std::make_shared<Parts>(loop_, options, std::move(*authentication), broker_.connect(),
                                     parse_service_url(options.service_url).value(), 1);
  }
  void SetUp() override { make_parts(); }
  void TearDown() override {
    if (parts_) parts_->pool.close(Error(ErrorKind::kClosed, "the test is over"));
    loop_.run_ready();
  }
  // Lets `ms` of the clock pass.
  void pass(int64_t ms) {
    const int64_t end_ns = clock_.monotonic_ns() + ms * 1'000'000;
    loop_.run_ready();
    while (loop_.advance_to_next((end_ns - clock_.monotonic_ns()) / 1'000'000)) {
    }
    if (clock_.monotonic_ns() < end_ns) clock_.advance_ms((end_ns - clock_.monotonic_ns()) / 1'000'000);
    loop_.run_ready();
  }
  // A batch entry of records "0", "1", ... with rising sequence ids.
  static SharedBytes entry_of(uint32_t count, uint64_t first_sequence_id = 0) {
    EntryBuilder builder("made-up", Compression::kNone);
    std::vector<std::string> payloads;
    for (uint32_t i = 0; i < count; ++i) payloads.push_back(std::to_string(i));
    for (uint32_t i = 0; i < count; ++i) {
      RecordView record;
      record.payload = payloads[i];
      record.sequence_id = first_sequence_id + i;
      builder.add(record);
    }
    return builder.finish(1'700'000'000'000);
  }

  ManualClock clock_;
  ManualLoop loop_{clock_};
  TestBroker broker_{loop_};
  std::shared_ptr<Parts> parts_;
};

}  // namespace fmesh::stream::pulsar
