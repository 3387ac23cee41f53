// A small real proxy for tests: HTTP (CONNECT and whole URLs), the same over TLS, or SOCKS 5. Whatever name it is asked
// for, it connects to one port of 127.0.0.1.
#pragma once

#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/ssl.hpp>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "net/certificate.h"
#include "net/proxy.h"

namespace fmesh::net {

namespace asio = boost::asio;

class TestProxy {
 public:
  struct Options {
    Proxy::Kind kind = Proxy::Kind::kHttp;
    uint16_t target_port = 0;
    std::string user{}, password{};  // who may pass; empty: all
    KeyPair tls = {};
  };

  explicit TestProxy(Options options) : options_(std::move(options)), tls_(asio::ssl::context::tls_server) {
    if (!options_.tls.key.empty()) {
      tls_.use_certificate_chain(asio::buffer(options_.tls.certificate));
      tls_.use_private_key(asio::buffer(options_.tls.key), asio::ssl::context::pem);
    }
    asio::co_spawn(io_, accept(), asio::detached);
    thread_ = std::thread([this] { io_.run(); });
  }
  ~TestProxy() {
    io_.stop();
    thread_.join();
  }

  uint16_t port() const { return listener_.local_endpoint().port(); }
  // What clients asked for: the first line of a request, or "SOCKS host:port".
  std::vector<std::string> asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  using Tcp = asio::ip::tcp;
  template <class T>
  using Awaitable = asio::awaitable<T>;
  static constexpr auto kUse = asio::use_awaitable;

  Awaitable<void> accept() {
    while (true) {
      auto socket = std::make_shared<Tcp::socket>(co_await listener_.async_accept(kUse));
      if (options_.kind == Proxy::Kind::kHttps) {
        asio::co_spawn(io_, serve_tls(socket), asio::detached);
      } else {
        asio::co_spawn(io_, serve(socket), asio::detached);
      }
    }
  }

  Awaitable<void> serve_tls(std::shared_ptr<Tcp::socket> socket) {
    auto stream = std::make_shared<asio::ssl::stream<Tcp::socket>>(std::move(*socket), tls_);
    co_await stream->async_handshake(asio::ssl::stream_base::server, kUse);
    co_await serve(stream);
  }

  template <class Stream>
  Awaitable<void> serve(std::shared_ptr<Stream> client) {
    if (options_.kind == Proxy::Kind::kSocks5) {
      co_await serve_socks(client);
    } else {
      co_await serve_http(client);
    }
  }

  template <class Stream>
  Awaitable<void> serve_http(std::shared_ptr<Stream> client) {
    std::string head;
    const size_t size = co_await asio::async_read_until(*client, asio::dynamic_buffer(head, 65536), "\r\n\r\n", kUse);
    note(head.substr(0, head.find("\r\n")));
    const std::string wanted = "Proxy-Authorization: " + basic_authorization(options_.user, options_.password);
    if (!options_.user.empty() && !head.contains(wanted)) {
      const std::string no = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
      co_await asio::async_write(*client, asio::buffer(no), kUse);
      co_return;
    }
    const bool tunnel = head.starts_with("CONNECT ");
    const auto server = co_await connect();
    const std::string to_client = tunnel ? "HTTP/1.1 200 OK\r\n\r\n" : "";
    const std::string to_server = tunnel ? head.substr(size) : head;
    co_await asio::async_write(*client, asio::buffer(to_client), kUse);
    co_await asio::async_write(*server, asio::buffer(to_server), kUse);
    co_await pump_both(client, server);
  }

  template <class Stream>
  Awaitable<void> serve_socks(std::shared_ptr<Stream> client) {
    std::string bytes = co_await read(client, 2);
    bytes = co_await read(client, static_cast<size_t>(bytes[1]));
    const bool login = !options_.user.empty();
    std::string method = {5, static_cast<char>(login ? 2 : 0)};
    co_await write(client, std::move(method));
    if (login) {
      bytes = co_await read(client, 2);
      bytes = co_await read(client, static_cast<size_t>(bytes[1]) + 1);
      const std::string user = bytes.substr(0, bytes.size() - 1);
      bytes = co_await read(client, static_cast<size_t>(bytes.back()));
      const bool good = user == options_.user && bytes == options_.password;
      std::string verdict = {1, static_cast<char>(good ? 0 : 1)};
      co_await write(client, std::move(verdict));
      if (!good) co_return;
    }
    bytes = co_await read(client, 5);
    const size_t length = static_cast<unsigned char>(bytes[4]);
    bytes = co_await read(client, length + 2);
    const unsigned high = static_cast<unsigned char>(bytes[length]),
                   low = static_cast<unsigned char>(bytes[length + 1]);
    note("SOCKS " + bytes.substr(0, length) + ":" + std::to_string(high * 256 + low));
    const auto server = co_await connect();
    std::string reply = {5, 0, 0, 1, 127, 0, 0, 1, 0, 0};
    co_await write(client, std::move(reply));
    co_await pump_both(client, server);
  }

  template <class Stream>
  Awaitable<std::string> read(std::shared_ptr<Stream> from, size_t count) {
    std::string bytes(count, '\0');
    co_await asio::async_read(*from, asio::buffer(bytes), kUse);
    co_return bytes;
  }
  template <class Stream>
  Awaitable<void> write(std::shared_ptr<Stream> to, std::string bytes) {
    co_await asio::async_write(*to, asio::buffer(bytes), kUse);
  }
  Awaitable<std::shared_ptr<Tcp::socket>> connect() {
    auto server = std::make_shared<Tcp::socket>(io_);
    const Tcp::endpoint target(asio::ip::address_v4::loopback(), options_.target_port);
    co_await server->async_connect(target, kUse);
    co_return server;
  }
  template <class From, class To>
  Awaitable<void> pump(std::shared_ptr<From> from, std::shared_ptr<To> to) {
    std::vector<char> bytes(16384);
    while (true) {
      const size_t count = co_await from->async_read_some(asio::buffer(bytes), kUse);
      co_await asio::async_write(*to, asio::buffer(bytes.data(), count), kUse);
    }
  }
  template <class A, class B>
  Awaitable<void> pump_both(std::shared_ptr<A> a, std::shared_ptr<B> b) {
    using asio::experimental::awaitable_operators::operator&&;
    co_await (pump(a, b) && pump(b, a));
  }

  void note(std::string what) {
    const std::lock_guard lock(mutex_);
    asked_.push_back(std::move(what));
  }

  const Options options_;
  asio::io_context io_{1};
  asio::ssl::context tls_;
  Tcp::acceptor listener_{io_, Tcp::endpoint(asio::ip::address_v4::loopback(), 0)};
  std::mutex mutex_;
  std::vector<std::string> asked_;
  std::thread thread_;
};

}  // namespace fmesh::net
