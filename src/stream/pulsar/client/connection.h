// One connection to a broker: the handshake, requests and their answers, keep-alive both ways, and the way of what
// comes unasked to the producer or consumer that it is for (facts: pulsar.md 1.5).
//
// Belongs to the client's loop. It is shared by those who use it and by the pool; whoever it hands things to lets
// itself be removed before it goes.
#pragma once

#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/loop.h"
#include "net/byte_stream.h"
#include "stream/pulsar/client/authentication.h"
#include "stream/pulsar/client/refusal.h"
#include "stream/pulsar/client/service_url.h"
#include "stream/pulsar/wire/frame.h"

namespace fmesh::stream::pulsar {

namespace wire::proto {
class CommandSendReceipt;
class CommandSendError;
class CommandMessage;
}  // namespace wire::proto

// The broker's answer, valid during the call, or why there is none.
using Answer = std::expected<const wire::proto::BaseCommand*, Refusal>;

// Requests that wait for an answer on one connection; a client that asks for more has lost its way.
inline constexpr size_t kRequestsMax = 50'000;

class ProducerEnd {
 public:
  virtual ~ProducerEnd() = default;
  virtual void receipt(const wire::proto::CommandSendReceipt& receipt) = 0;
  virtual void send_error(const wire::proto::CommandSendError& error) = 0;
  // The broker, or the connection, let go of this producer. Called once per add_producer().
  virtual void lost(const Error& why) = 0;
};

class ConsumerEnd {
 public:
  virtual ~ConsumerEnd() = default;
  virtual void message(const wire::proto::CommandMessage& message, wire::Frame& frame) = 0;
  virtual void lost(const Error& why) = 0;
};

struct ConnectionOptions {
  BrokerAddress address;            // what was connected to
  std::string proxy_to_broker_url;  // "host:port" of the broker behind the proxy that is connected to; empty: none
  int64_t handshake_timeout_ms = 10'000;
  int64_t keep_alive_ms = 30'000;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Loop& loop, Authentication& authentication, ConnectionOptions options);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Says hello; `ready` is called once: with nothing, or with why the broker does not want this client.
  void start(std::unique_ptr<net::ByteStream> stream, std::function<void(std::optional<Refusal>)> ready);
  bool is_open() const { return state_ == State::kReady; }
  // Tells everyone on it, once. `why` is told to them.
  void close(const Refusal& why);

  void send(const wire::proto::BaseCommand& command);
  // A frame with an entry; `head` is of wire::frame_head().
  void send(const SharedBytes& head, const SharedBytes& entry);
  // `done` is called once, not from within: with an answer, a refusal of the broker, or kRetryLater when the time is up
  // or the connection ends. REQUIRES: `request_id` is what `command` has, and new.
  void request(uint64_t request_id, const wire::proto::BaseCommand& command, int64_t timeout_ms,
               std::function<void(Answer)> done);

  void add_producer(uint64_t id, ProducerEnd* end) { producers_[id] = end; }
  void remove_producer(uint64_t id) { producers_.erase(id); }
  void add_consumer(uint64_t id, ConsumerEnd* end) { consumers_[id] = end; }
  void remove_consumer(uint64_t id) { consumers_.erase(id); }

  // Of one entry, as CONNECTED says.
  size_t entry_size_max_bytes() const { return entry_size_max_bytes_; }
  bool looks_without_making() const { return looks_without_making_; }
  const BrokerAddress& address() const { return options_.address; }

 private:
  enum class State { kNew, kShakingHands, kReady, kClosed };
  struct Request {
    std::function<void(Answer)> done;
    uint64_t timer = 0;
  };
  void say_hello(const std::string& data);
  void answer_challenge();
  void read();
  void dispatch(wire::Frame& frame);
  void dispatch_ready(wire::Frame& frame);
  void connected(const wire::proto::BaseCommand& command);
  void answered(uint64_t request_id, const wire::proto::BaseCommand& command);
  void let_go_of_producer(uint64_t id);
  void let_go_of_consumer(uint64_t id);
  void keep_alive();
  std::string where() const { return "broker " + peer_; }

  Loop& loop_;
  Authentication& authentication_;
  const ConnectionOptions options_;
  State state_ = State::kNew;
  std::unique_ptr<net::ByteStream> stream_;
  std::string peer_;
  wire::FrameReader reader_;
  std::function<void(std::optional<Refusal>)> ready_;
  std::map<uint64_t, Request> requests_;
  std::map<uint64_t, ProducerEnd*> producers_;
  std::map<uint64_t, ConsumerEnd*> consumers_;
  uint64_t handshake_timer_ = 0, keep_alive_timer_ = 0;
  bool heard_ = false;   // something came since the last tick
  bool pinged_ = false;  // and a PING waits for its answer
  size_t entry_size_max_bytes_ = 0;
  bool looks_without_making_ = false;
};

}  // namespace fmesh::stream::pulsar
