// One connection of a client: the handshake, who it is, its keepalive, and the way of each command to the part that
// answers it (https://pulsar.apache.org/docs/developing-binary-protocol/; facts: pulsar.md 1.5-1.12). Bounds what a
// client can make the server hold: what it has sent and is not durable, and what it does not read.
//
// On the loop. Owned by the server; its producers and consumers end with it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "net/byte_stream.h"
#include "stream/pulsar/server/broker_private.h"
#include "stream/pulsar/server/consumers_private.h"
#include "stream/pulsar/server/outbox_private.h"
#include "stream/pulsar/server/producers_private.h"
#include "stream/pulsar/wire/frame.h"

namespace fmesh::stream::pulsar::server {

// A client that does not read its answers is not listened to either, until it has read them.
inline constexpr size_t kOutputMaxBytes = 8 * 1024 * 1024;
// Messages wait in the store rather than here.
inline constexpr size_t kMessagesQueuedMaxBytes = 4 * 1024 * 1024;
// A silent peer is asked, and given up after as long again.
inline constexpr int64_t kKeepAliveMs = 30'000;
inline constexpr int64_t kHandshakeTimeoutMs = 10'000;
// For the last answers to leave before the connection is let go of.
inline constexpr int64_t kCloseLingerMs = 2'000;

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // `ended` is called once, on the loop, when it is over.
  Connection(Broker& broker, std::unique_ptr<net::ByteStream> stream, std::function<void(Connection*)> ended);
  void start();
  // Ends it now. A no-op if it is over.
  void end();

  // --- for its parts ---
  Broker& broker() { return broker_; }
  const std::string& peer() const { return peer_; }
  const std::string& client_version() const { return client_version_; }
  bool open() const { return stream_ != nullptr; }
  void send(const proto::BaseCommand& command);
  void send(const proto::BaseCommand& command, const SharedBytes& entry);
  void succeed(uint64_t request_id);
  void refuse(uint64_t request_id, const Refusal& refusal);
  // Whether there is room for more messages.
  bool takes_messages() const { return outbox_.queued_bytes() < kMessagesQueuedMaxBytes; }
  // Reads on, or stops for a while, as its bounds say.
  void check_reading();
  Consumers& consumers() { return consumers_; }
  Producers& producers() { return producers_; }

 private:
  enum class State : uint8_t { kNew, kConnected, kOver };

  void received(size_t count);
  void take_frames();
  void drained();
  void keep_alive();
  void handle(const wire::Frame& frame);
  void connect(const proto::CommandConnect& command);
  void partition_metadata(const proto::CommandPartitionedTopicMetadata& command);
  void lookup(const proto::CommandLookupTopic& command);
  void topics_of_namespace(const proto::CommandGetTopicsOfNamespace& command);
  void get_schema(const proto::CommandGetSchema& command);
  void get_or_create_schema(const proto::CommandGetOrCreateSchema& command);
  Answer<std::string> schema_stream(const std::string& topic);
  void handle_rare(const proto::BaseCommand& command);
  void flush_later();

  Broker& broker_;
  std::unique_ptr<net::ByteStream> stream_;
  const std::string peer_;
  std::function<void(Connection*)> ended_;
  Outbox outbox_;
  wire::FrameReader reader_;
  Producers producers_;
  Consumers consumers_;
  std::string client_version_;
  State state_ = State::kNew;
  bool flushing_ = false;
  bool heard_ = false;       // since the last look
  bool asked_ = false;       // whether the peer is still there
  bool has_frames_ = false;  // not handled, as the output is full
  uint64_t timer_ = 0;
};

}  // namespace fmesh::stream::pulsar::server
