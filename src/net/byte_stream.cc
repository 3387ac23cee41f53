#include "net/byte_stream.h"

#include <algorithm>
#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <deque>
#include <vector>

#include "net/address.h"
#include "net/io_loop_private.h"
#include "net/tls_private.h"

namespace fmesh::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using ErrorCode = boost::system::error_code;
using Plain = tcp::socket;
using Tls = asio::ssl::stream<Plain>;

// What one call to the system gathers: IOV_MAX is 1,024, and more bytes do not fit into a socket's buffer anyway.
constexpr size_t kPiecesPerWriteMax = 64;
constexpr size_t kBytesPerWriteMax = 1024 * 1024;
// TLS takes one piece at a time and makes a record of at most 16 KiB of it, so small pieces are joined first.
constexpr size_t kTlsJoinedBytesMax = 256 * 1024;
constexpr int64_t kAcceptPauseAfterFailureMs = 100;
constexpr int64_t kLingerMs = 2'000;  // for the peer to close after us

std::string to_text(const tcp::endpoint& endpoint) {
  const std::string host = endpoint.address().to_string();
  return (endpoint.address().is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(endpoint.port());
}

std::string reason(const ErrorCode& code) {
  const bool closed = code == asio::error::eof || code == asio::error::connection_reset ||
                      code == asio::error::broken_pipe || code == asio::ssl::error::stream_truncated;
  return closed ? "the connection was closed by the other side" : code.message();
}

// The connection itself, kept alive by its pending operations; `Handle` is what its owner holds.
class Link : public std::enable_shared_from_this<Link> {
 public:
  Link(asio::io_context& io, std::shared_ptr<asio::ssl::context> trust)
      : io_(io), linger_(io), trust_(std::move(trust)) {
    if (trust_) {
      tls_.emplace(io, *trust_);
    } else {
      plain_.emplace(io);
    }
  }
  Link(asio::io_context& io, Plain socket, std::shared_ptr<asio::ssl::context> trust)
      : io_(io), linger_(io), trust_(std::move(trust)) {
    if (trust_) {
      tls_.emplace(std::move(socket), *trust_);
    } else {
      plain_.emplace(std::move(socket));
    }
    connected();
  }

  Plain& socket() { return tls_ ? tls_->next_layer() : *plain_; }
  Tls* tls() { return tls_ ? &*tls_ : nullptr; }
  const std::string& peer() const { return peer_; }

  // Its address is known from now on.
  void connected() {
    ErrorCode ignored;
    socket().set_option(tcp::no_delay(true), ignored);
    const tcp::endpoint endpoint = socket().remote_endpoint(ignored);
    if (!ignored) peer_ = to_text(endpoint);
  }

  void start(ByteStreamHandler handler) {
    handler_ = std::move(handler);
    read();
  }

  void write(std::span<const SharedBytes> pieces) {
    if (closing_ || over_) return;
    for (const SharedBytes& piece : pieces) {
      if (piece.empty()) continue;
      queued_bytes_ += piece.size();
      queue_.push_back(piece);
    }
    if (writing_ || queue_.empty()) return;
    writing_ = true;
    // At the end of this turn, so that what else is queued in it goes out with the same call.
    asio::post(io_, [self = shared_from_this()] { self->write_some(); });
  }

  size_t queued_bytes() const { return queued_bytes_; }

  void pause_reading(bool paused) {
    paused_ = paused;
    if (!paused && !reading_) read();
  }

  void close_after_writes() {
    if (closing_ || over_) return;
    closing_ = true;
    if (!writing_) shut_down();
  }

  // By the owner: no callback from here on.
  void let_go() {
    over_ = true;
    handler_ = {};
    linger_.cancel();
    close();
  }

  void close() {
    ErrorCode ignored;
    socket().close(ignored);
  }

 private:
  void read() {
    if (over_ || paused_ || !handler_.room) return;
    reading_ = true;
    const std::span<char> room = handler_.room();
    const auto buffer = asio::buffer(room.data(), room.size());
    const auto done = [self = shared_from_this()](const ErrorCode& code, size_t count) {
      self->read_done(code, count);
    };
    if (tls_) {
      tls_->async_read_some(buffer, done);
    } else {
      plain_->async_read_some(buffer, done);
    }
  }

  void read_done(const ErrorCode& code, size_t count) {
    reading_ = false;
    if (over_) return;
    if (count > 0) handler_.received(count);
    if (code) return end(code);
    if (!reading_) read();
  }

  void write_some() {
    if (over_) return;
    const auto done = [self = shared_from_this()](const ErrorCode& code, size_t count) {
      self->write_done(code, count);
    };
    if (tls_) {
      join_pieces();
      asio::async_write(*tls_, asio::buffer(joined_), done);
    } else {
      gather_pieces();
      asio::async_write(*plain_, gathered_, done);
    }
  }

  void gather_pieces() {
    gathered_.clear();
    size_t bytes = 0;
    for (const SharedBytes& piece : queue_) {
      if (gathered_.size() == kPiecesPerWriteMax || (bytes > 0 && bytes + piece.size() > kBytesPerWriteMax)) break;
      gathered_.emplace_back(piece.view().data(), piece.size());
      bytes += piece.size();
    }
    under_way_ = gathered_.size();
  }

  void join_pieces() {
    joined_.clear();
    under_way_ = 0;
    for (const SharedBytes& piece : queue_) {
      if (!joined_.empty() && joined_.size() + piece.size() > kTlsJoinedBytesMax) break;
      joined_.append(piece.view());
      ++under_way_;
    }
  }

  void write_done(const ErrorCode& code, size_t /*count*/) {
    if (over_) return;
    if (code) return end(code);
    for (; under_way_ > 0; --under_way_) {
      queued_bytes_ -= queue_.front().size();
      queue_.pop_front();
    }
    if (!queue_.empty()) return write_some();
    writing_ = false;
    if (closing_) return shut_down();
    if (handler_.drained) handler_.drained();
  }

  // Closing while bytes of the peer are unread would reset the connection, and the peer could lose what was sent last.
  // So only this side's end is told, and the peer's is waited for.
  void shut_down() {
    ErrorCode ignored;
    socket().shutdown(Plain::shutdown_send, ignored);
    paused_ = false;
    if (!reading_) read();
    linger_.expires_after(std::chrono::milliseconds(kLingerMs));
    linger_.async_wait([self = shared_from_this()](const ErrorCode& cancelled) {
      if (!cancelled) self->end(asio::error::eof);
    });
  }

  void end(const ErrorCode& code) {
    if (over_) return;
    over_ = true;
    linger_.cancel();
    close();
    const ByteStreamHandler handler = std::move(handler_);
    handler_ = {};
    if (handler.ended) handler.ended(Error(ErrorKind::kRetryLater, peer_ + ": " + reason(code)));
  }

  asio::io_context& io_;
  asio::steady_timer linger_;
  std::shared_ptr<asio::ssl::context> trust_;
  std::optional<Plain> plain_;
  std::optional<Tls> tls_;
  std::string peer_;
  ByteStreamHandler handler_;
  std::deque<SharedBytes> queue_;
  size_t queued_bytes_ = 0;
  size_t under_way_ = 0;  // pieces at the front that the system was given
  std::vector<asio::const_buffer> gathered_;
  std::string joined_;
  bool reading_ = false, writing_ = false, paused_ = false, closing_ = false, over_ = false;
};

class Handle final : public ByteStream {
 public:
  explicit Handle(std::shared_ptr<Link> link) : link_(std::move(link)) {}
  ~Handle() override { link_->let_go(); }
  void start(ByteStreamHandler handler) override { link_->start(std::move(handler)); }
  void write(std::span<const SharedBytes> pieces) override { link_->write(pieces); }
  size_t queued_bytes() const override { return link_->queued_bytes(); }
  void pause_reading(bool paused) override { link_->pause_reading(paused); }
  void close_after_writes() override { link_->close_after_writes(); }
  const std::string& peer() const override { return link_->peer(); }

 private:
  const std::shared_ptr<Link> link_;
};

// One attempt to connect. getaddrinfo can't be broken off, so it is left behind when the time is up.
class Attempt : public std::enable_shared_from_this<Attempt> {
 public:
  using Done = std::function<void(Result<std::unique_ptr<ByteStream>>)>;
  Attempt(asio::io_context& io, ConnectOptions options, Done done)
      : io_(io), options_(std::move(options)), done_(std::move(done)), resolver_(io), timer_(io) {}

  void begin() {
    timer_.expires_after(std::chrono::milliseconds(options_.timeout_ms));
    timer_.async_wait([self = shared_from_this()](const ErrorCode& code) {
      if (!code) self->give_up("no answer within " + std::to_string(self->options_.timeout_ms) + " ms");
    });
    if (options_.tls) {
      auto trust = make_client_context(*options_.tls, options_.host);
      if (!trust) return finish(fail(std::move(trust).error()));
      trust_ = std::move(*trust);
    }
    resolver_.async_resolve(options_.host, std::to_string(options_.port),
                            [self = shared_from_this()](const ErrorCode& code, tcp::resolver::results_type found) {
                              if (code) return self->give_up("find the host's address: " + code.message());
                              for (const auto& one : found) self->endpoints_.push_back(one.endpoint());
                              self->try_next();
                            });
  }

 private:
  void try_next() {
    if (!done_) return;
    if (endpoints_.empty()) return give_up(last_.empty() ? "the host has no address" : last_);
    const tcp::endpoint endpoint = endpoints_.front();
    endpoints_.pop_front();
    link_ = std::make_shared<Link>(io_, trust_);
    link_->socket().async_connect(endpoint, [self = shared_from_this()](const ErrorCode& code) {
      if (!self->done_) return;
      if (code) {
        self->last_ = "connect: " + code.message();
        return self->try_next();
      }
      self->link_->connected();
      self->shake_hands();
    });
  }

  void shake_hands() {
    Tls* tls = link_->tls();
    if (tls == nullptr) return finish(std::make_unique<Handle>(link_));
    set_server_name(tls->native_handle(), *options_.tls, options_.host);
    tls->async_handshake(asio::ssl::stream_base::client, [self = shared_from_this()](const ErrorCode& code) {
      if (!self->done_) return;
      if (!code) return self->finish(std::make_unique<Handle>(self->link_));
      const bool trust = code.category() == asio::error::get_ssl_category();
      self->finish(fail(trust ? ErrorKind::kFixInput : ErrorKind::kRetryLater, self->where() + "TLS: " + reason(code)));
    });
  }

  std::string where() const { return options_.host + ":" + std::to_string(options_.port) + ": "; }
  void give_up(const std::string& why) { finish(fail(ErrorKind::kRetryLater, where() + why)); }

  void finish(Result<std::unique_ptr<ByteStream>> result) {
    if (!done_) return;
    timer_.cancel();
    resolver_.cancel();
    if (!result && link_) link_->close();
    const Done done = std::exchange(done_, nullptr);
    done(std::move(result));
  }

  asio::io_context& io_;
  const ConnectOptions options_;
  Done done_;
  tcp::resolver resolver_;
  asio::steady_timer timer_;
  std::shared_ptr<asio::ssl::context> trust_;
  std::deque<tcp::endpoint> endpoints_;
  std::shared_ptr<Link> link_;
  std::string last_;
};

// The listening socket, kept alive by its pending accept.
class Acceptor : public std::enable_shared_from_this<Acceptor> {
 public:
  Acceptor(asio::io_context& io, ListenOptions options, std::function<void(std::unique_ptr<ByteStream>)> accepted)
      : io_(io), options_(std::move(options)), accepted_(std::move(accepted)), acceptor_(io), pause_(io) {}

  Status listen() {
    FMESH_TRY(const Address address, parse_address(options_.address));
    if (address.is_unix) return failed("expected HOST:PORT");
    if (options_.tls) FMESH_CHECK(set_certificate(*options_.tls));
    ErrorCode code;
    tcp::resolver resolver(io_);
    const auto found = resolver.resolve(address.host, std::to_string(address.port), tcp::resolver::passive, code);
    if (code || found.empty()) return failed(code.message());
    const tcp::endpoint endpoint = found.begin()->endpoint();
    acceptor_.open(endpoint.protocol(), code);
    if (!code) acceptor_.set_option(asio::socket_base::reuse_address(true), code);
    if (!code) acceptor_.bind(endpoint, code);
    if (!code) acceptor_.listen(asio::socket_base::max_listen_connections, code);
    if (code == asio::error::address_in_use) {
      return failed(code.message() + "; stop the program that listens there or choose another port");
    }
    if (code) return failed(code.message());
    port_ = acceptor_.local_endpoint(code).port();
    accept();
    return {};
  }

  Status set_certificate(const KeyPair& pair) {
    auto context = make_server_context(pair);
    if (!context) return failed(context.error().text());
    trust_ = std::move(*context);
    return {};
  }

  uint16_t port() const { return port_; }

  void stop() {
    accepted_ = nullptr;
    ErrorCode ignored;
    acceptor_.close(ignored);
    pause_.cancel();
  }

 private:
  std::unexpected<Error> failed(const std::string& why) const {
    return fail(ErrorKind::kFixInput, "listen on " + options_.address + ": " + why);
  }

  void accept() {
    acceptor_.async_accept([self = shared_from_this()](const ErrorCode& code, Plain socket) {
      if (!self->accepted_) return;
      if (code) {  // no file descriptor is left, as a rule
        self->pause_.expires_after(std::chrono::milliseconds(kAcceptPauseAfterFailureMs));
        self->pause_.async_wait([self](const ErrorCode& cancelled) {
          if (!cancelled && self->accepted_) self->accept();
        });
        return;
      }
      self->welcome(std::move(socket));
      self->accept();
    });
  }

  void welcome(Plain socket) {
    if (open_.size() >= options_.connections_max) {
      std::erase_if(open_, [](const std::weak_ptr<Link>& link) { return link.expired(); });
      if (open_.size() >= options_.connections_max) return;
    }
    const auto link = std::make_shared<Link>(io_, std::move(socket), trust_);
    open_.push_back(link);
    Tls* tls = link->tls();
    if (tls == nullptr) return accepted_(std::make_unique<Handle>(link));
    const auto timer = std::make_shared<asio::steady_timer>(io_);
    timer->expires_after(std::chrono::milliseconds(options_.handshake_timeout_ms));
    timer->async_wait([link](const ErrorCode& cancelled) {
      if (!cancelled) link->close();
    });
    tls->async_handshake(asio::ssl::stream_base::server,
                         [self = shared_from_this(), link, timer](const ErrorCode& code) {
                           timer->cancel();
                           if (!code && self->accepted_) self->accepted_(std::make_unique<Handle>(link));
                         });
  }

  asio::io_context& io_;
  const ListenOptions options_;
  std::function<void(std::unique_ptr<ByteStream>)> accepted_;
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  std::shared_ptr<asio::ssl::context> trust_;
  std::vector<std::weak_ptr<Link>> open_;  // at most connections_max
  uint16_t port_ = 0;
};

class ListenerHandle final : public StreamListener {
 public:
  explicit ListenerHandle(std::shared_ptr<Acceptor> acceptor) : acceptor_(std::move(acceptor)) {}
  ~ListenerHandle() override { acceptor_->stop(); }
  uint16_t port() const override { return acceptor_->port(); }
  Status set_certificate(const KeyPair& pair) override { return acceptor_->set_certificate(pair); }

 private:
  const std::shared_ptr<Acceptor> acceptor_;
};

}  // namespace

void connect_stream(IoLoop& loop, ConnectOptions options,
                    std::function<void(Result<std::unique_ptr<ByteStream>>)> done) {
  asio::io_context& io = context_of(loop);
  const auto attempt = std::make_shared<Attempt>(io, std::move(options), std::move(done));
  asio::post(io, [attempt] { attempt->begin(); });
}

Result<std::unique_ptr<StreamListener>> listen_streams(IoLoop& loop, ListenOptions options,
                                                       std::function<void(std::unique_ptr<ByteStream>)> accepted) {
  const auto acceptor = std::make_shared<Acceptor>(context_of(loop), std::move(options), std::move(accepted));
  FMESH_CHECK(acceptor->listen());
  return std::make_unique<ListenerHandle>(acceptor);
}

}  // namespace fmesh::net
