#include "stream/pulsar/client/connection_pool.h"

#include <optional>

namespace fmesh::stream::pulsar {

ConnectionPool::ConnectionPool(Loop& loop, Authentication& authentication, Connect connect, PoolOptions options)
    : loop_(loop),
      authentication_(authentication),
      connect_(std::move(connect)),
      options_(std::move(options)),
      service_index_(options_.first % options_.service.size()) {}

ConnectionPool::~ConnectionPool() { close(Error(ErrorKind::kClosed, "the client is closed")); }

void ConnectionPool::service(Ready ready) { try_service(0, ready); }

void ConnectionPool::try_service(size_t attempt, const Ready& ready) {
  const size_t index = (service_index_ + attempt) % options_.service.size();
  get(options_.service[index], "",
      [this, weak = std::weak_ptr(self_), attempt, index,
       ready](std::expected<std::shared_ptr<Connection>, Refusal> got) {
        const bool last = attempt + 1 >= options_.service.size();
        // Who is refused by one host is refused by all; who is away has others beside it.
        if (weak.expired() || got || last || got.error().code) {
          if (!weak.expired() && got) service_index_ = index;
          return ready(std::move(got));
        }
        try_service(attempt + 1, ready);
      });
}

void ConnectionPool::get(const BrokerAddress& address, const std::string& proxy_to, Ready ready) {
  const Key key{address, proxy_to};
  auto found = slots_.find(key);
  if (found != slots_.end() && found->second.is_ready && !found->second.connection->is_open()) {
    slots_.erase(found);
    found = slots_.end();
  }
  if (found != slots_.end() && !found->second.is_ready) return found->second.waiting.push_back(std::move(ready));
  if (found != slots_.end() || closed_ || slots_.size() >= kConnectionsMax) {
    std::expected<std::shared_ptr<Connection>, Refusal> outcome;
    if (closed_) {
      outcome = std::unexpected(Refusal{Error(ErrorKind::kClosed, "the client is closed"), {}});
    } else if (found == slots_.end()) {
      outcome = std::unexpected(Refusal{Error(ErrorKind::kRetryLater, "too many connections to brokers are open"), {}});
    } else {
      outcome = found->second.connection;
    }
    loop_.post([ready = std::move(ready), outcome = std::move(outcome)] { ready(outcome); });
    return;
  }
  slots_[key].waiting.push_back(std::move(ready));
  connect_(address, [this, weak = std::weak_ptr(self_), key](Result<std::unique_ptr<net::ByteStream>> stream) {
    if (!weak.expired()) connected(key, std::move(stream));
  });
}

void ConnectionPool::connected(const Key& key, Result<std::unique_ptr<net::ByteStream>> stream) {
  const auto found = slots_.find(key);
  if (found == slots_.end()) return;
  if (!stream) {
    return settle(key, std::unexpected(Refusal{stream.error().within("connect to " + key.first.url()), {}}));
  }
  ConnectionOptions options;
  options.address = key.first;
  options.proxy_to_broker_url = key.second;
  options.handshake_timeout_ms = options_.handshake_timeout_ms;
  options.keep_alive_ms = options_.keep_alive_ms;
  const auto connection = std::make_shared<Connection>(loop_, authentication_, std::move(options));
  found->second.connection = connection;
  connection->start(std::move(*stream), [this, weak = std::weak_ptr(self_), key](std::optional<Refusal> refusal) {
    if (weak.expired()) return;
    if (refusal) return settle(key, std::unexpected(*std::move(refusal)));
    const auto slot = slots_.find(key);
    if (slot != slots_.end()) settle(key, slot->second.connection);
  });
}

void ConnectionPool::settle(const Key& key, const std::expected<std::shared_ptr<Connection>, Refusal>& outcome) {
  const auto found = slots_.find(key);
  if (found == slots_.end()) return;
  const auto waiting = std::exchange(found->second.waiting, {});
  if (outcome) {
    found->second.is_ready = true;
  } else {
    slots_.erase(found);
  }
  for (const Ready& ready : waiting) ready(outcome);
}

void ConnectionPool::close(const Error& why) {
  if (closed_) return;
  closed_ = true;
  const auto slots = std::exchange(slots_, {});
  for (const auto& [key, slot] : slots) {
    if (slot.connection) slot.connection->close({why, {}});
    for (const Ready& ready : slot.waiting) ready(std::unexpected(Refusal{why, {}}));
  }
}

}  // namespace fmesh::stream::pulsar
