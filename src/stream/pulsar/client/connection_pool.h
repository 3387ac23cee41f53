// The connections of one client: one per broker, and one per broker behind each proxy. Whoever asks for one that is
// being made waits for it together with the others.
//
// Belongs to the client's loop.
#pragma once

#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/loop.h"
#include "net/byte_stream.h"
#include "stream/pulsar/client/connection.h"
#include "stream/pulsar/client/service_url.h"

namespace fmesh::stream::pulsar {

// How a connection is made; injected, so that tests put a peer of their own there. Calls back once, later.
using Connect =
    std::function<void(const BrokerAddress& address, std::function<void(Result<std::unique_ptr<net::ByteStream>>)>)>;

// A cluster of more brokers than this is none that one client talks to.
inline constexpr size_t kConnectionsMax = 1'000;

struct PoolOptions {
  std::vector<BrokerAddress> service;  // at least one
  size_t first = 0;                    // of these, tried first
  int64_t handshake_timeout_ms = 10'000;
  int64_t keep_alive_ms = 30'000;
};

class ConnectionPool {
 public:
  using Ready = std::function<void(std::expected<std::shared_ptr<Connection>, Refusal>)>;

  ConnectionPool(Loop& loop, Authentication& authentication, Connect connect, PoolOptions options);
  ~ConnectionPool();
  ConnectionPool(const ConnectionPool&) = delete;
  ConnectionPool& operator=(const ConnectionPool&) = delete;

  // A connection to one of the hosts of the service URL: the one that worked last, or the next that does.
  void service(Ready ready);
  // To the broker at `address`; with `proxy_to` ("host:port") to that broker through the proxy at `address`.
  void get(const BrokerAddress& address, const std::string& proxy_to, Ready ready);
  // Ends all connections; none is made any more.
  void close(const Error& why);

 private:
  using Key = std::pair<BrokerAddress, std::string>;
  struct Slot {
    std::shared_ptr<Connection> connection;  // null: the peer has not answered yet
    std::vector<Ready> waiting;
    bool is_ready = false;
  };
  void try_service(size_t attempt, const Ready& ready);
  void connected(const Key& key, Result<std::unique_ptr<net::ByteStream>> stream);
  void settle(const Key& key, const std::expected<std::shared_ptr<Connection>, Refusal>& outcome);

  Loop& loop_;
  Authentication& authentication_;
  const Connect connect_;
  const PoolOptions options_;
  size_t service_index_;
  std::map<Key, Slot> slots_;
  bool closed_ = false;
  std::shared_ptr<ConnectionPool*> self_ = std::make_shared<ConnectionPool*>(this);  // answers that come late look here
};

}  // namespace fmesh::stream::pulsar
