#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast.hpp>
#include <boost/url/parse.hpp>
#include <chrono>
#include <deque>
#include <mutex>
#include <set>
#include <thread>

#include "net/address.h"
#include "net/http.h"

namespace fmesh::net {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::generic::stream_protocol;
using ErrorCode = boost::system::error_code;

constexpr size_t kHeaderSizeMaxBytes = 64 * 1024;

// What all connections share. Lives on the one io thread, apart from what is atomic.
struct ServerCore {
  HttpServerOptions options;
  HttpHandler handler;
  asio::io_context io{1};
  std::unique_ptr<asio::ssl::context> tls;
  std::atomic<bool> stopping{false};
  std::atomic<int> connections{0};
};

class Connection;

// Pieces wait here until the socket has taken the one before.
class ChunkedBody final : public BodyStream, public std::enable_shared_from_this<ChunkedBody> {
 public:
  explicit ChunkedBody(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}
  bool write(std::string piece) override;
  void close() override;

  // Called on the io thread.
  void pump();
  void gone();

 private:
  std::shared_ptr<Connection> connection_;  // until the stream ends
  std::mutex mutex_;
  std::deque<std::string> pieces_;
  size_t waiting_bytes_ = 0;
  bool writing_ = false, closed_ = false, gone_ = false;
  std::string at_work_;
  friend class Connection;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<ServerCore> core, stream_protocol::socket socket, bool unix_socket, bool loopback)
      : core_(std::move(core)), unix_socket_(unix_socket), loopback_(loopback) {
    ++core_->connections;
    if (core_->tls && !unix_socket) {
      tls_ = std::make_unique<asio::ssl::stream<beast::basic_stream<stream_protocol>>>(
          beast::basic_stream<stream_protocol>(std::move(socket)), *core_->tls);
    } else {
      plain_ = std::make_unique<beast::basic_stream<stream_protocol>>(std::move(socket));
    }
  }
  ~Connection() { --core_->connections; }

  void start() {
    if (!tls_) return read();
    expire();
    tls_->async_handshake(asio::ssl::stream_base::server, [self = shared_from_this()](ErrorCode code) {
      if (!code) self->read();
    });
  }

  beast::basic_stream<stream_protocol>& lowest() { return tls_ ? beast::get_lowest_layer(*tls_) : *plain_; }
  void expire() { lowest().expires_after(std::chrono::milliseconds(core_->options.idle_timeout_ms)); }

  // Calls `use` with the stream that is in use, plain or TLS.
  template <class Use>
  void with_stream(Use&& use) {
    if (tls_) {
      use(*tls_);
    } else {
      use(*plain_);
    }
  }

  void read() {
    if (core_->stopping) return close();
    parser_.emplace();
    parser_->body_limit(core_->options.body_size_max_bytes);
    parser_->header_limit(kHeaderSizeMaxBytes);
    expire();
    with_stream([this](auto& stream) {
      http::async_read(stream, buffer_, *parser_,
                       [self = shared_from_this()](ErrorCode code, size_t) { self->on_read(code); });
    });
  }

  void on_read(ErrorCode code) {
    if (code == http::error::body_limit) return refuse(413, "the body is larger than this server takes");
    if (code == http::error::header_limit) return refuse(431, "the header is larger than this server takes");
    if (code == http::error::end_of_stream || code == beast::error::timeout || code == asio::error::eof ||
        code == asio::error::connection_reset || code == asio::error::operation_aborted)
      return close();
    if (code) return refuse(400, "this is not HTTP: " + code.message());
    const auto& message = parser_->get();
    keep_alive_ = message.keep_alive();
    HttpRequest request;
    request.method = message.method_string();
    request.from_unix_socket = unix_socket_;
    request.from_loopback = loopback_ || unix_socket_;
    if (!read_target(message.target(), request)) return refuse(400, "the target of the request is not a path");
    for (const auto& field : message) {
      std::string name(field.name_string());
      for (char& c : name)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
      request.headers[name] = field.value();
    }
    request.body = std::move(parser_->get().body());
    lowest().expires_never();  // how long an answer takes is the handler's affair
    head_only_ = request.method == "HEAD";
    auto answered = std::make_shared<std::atomic<bool>>(false);
    core_->handler(std::move(request), [self = shared_from_this(), answered](HttpResponse response) {
      if (answered->exchange(true)) return;  // the first answer counts
      asio::post(self->core_->io,
                 [self, response = std::move(response)]() mutable { self->respond(std::move(response)); });
    });
  }

  static bool read_target(std::string_view target, HttpRequest& request) {
    const auto parsed = boost::urls::parse_origin_form({target.data(), target.size()});
    if (!parsed) return false;
    request.path = parsed->path();
    for (const auto& param : parsed->params()) request.query[param.key] = param.has_value ? param.value : "";
    return true;
  }

  void refuse(int status, std::string text) {
    keep_alive_ = false;
    HttpResponse response;
    response.status = status;
    response.headers["content-type"] = "text/plain";
    response.body = std::move(text) + "\n";
    respond(std::move(response));
  }

  void respond(HttpResponse response) {
    if (core_->stopping) keep_alive_ = false;
    if (response.stream) return respond_streaming(std::move(response));
    response_ = {static_cast<http::status>(response.status), 11};
    fill_head(*response_, response);
    response_->body() = std::move(response.body);
    response_->prepare_payload();
    if (head_only_) response_->body().clear();
    expire();
    with_stream([this](auto& stream) {
      http::async_write(stream, *response_, [self = shared_from_this()](ErrorCode code, size_t) {
        if (code || !self->keep_alive_) return self->close();
        self->read();
      });
    });
  }

  template <class Message>
  void fill_head(Message& message, const HttpResponse& response) {
    for (const auto& [name, value] : response.headers) message.set(name, value);
    message.keep_alive(keep_alive_);
  }

  void respond_streaming(HttpResponse response) {
    keep_alive_ = false;
    head_ = {static_cast<http::status>(response.status), 11};
    fill_head(*head_, response);
    head_->chunked(true);
    serializer_.emplace(*head_);
    auto body = std::make_shared<ChunkedBody>(shared_from_this());
    with_stream([&, this](auto& stream) {
      http::async_write_header(stream, *serializer_,
                               [self = shared_from_this(), body, start = response.stream](ErrorCode code, size_t) {
                                 if (code) return body->gone();
                                 self->watch_peer(body);
                                 start(body);
                               });
    });
  }

  // Reads nothing, but notices when the peer goes away.
  void watch_peer(std::shared_ptr<ChunkedBody> body) {
    lowest().socket().async_wait(stream_protocol::socket::wait_read, [self = shared_from_this(), body](ErrorCode code) {
      char byte = 0;
      ErrorCode peek_code;
      if (!code)
        self->lowest().socket().receive(asio::buffer(&byte, 1), stream_protocol::socket::message_peek, peek_code);
      if (code || peek_code) body->gone();
    });
  }

  void close() {
    ErrorCode ignored;
    lowest().socket().shutdown(stream_protocol::socket::shutdown_both, ignored);
    lowest().socket().close(ignored);
  }

  ServerCore& core() { return *core_; }

 private:
  std::shared_ptr<ServerCore> core_;
  bool unix_socket_, loopback_;
  std::unique_ptr<beast::basic_stream<stream_protocol>> plain_;
  std::unique_ptr<asio::ssl::stream<beast::basic_stream<stream_protocol>>> tls_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::optional<http::response<http::string_body>> response_;
  std::optional<http::response<http::empty_body>> head_;
  std::optional<http::response_serializer<http::empty_body>> serializer_;
  bool keep_alive_ = false, head_only_ = false;
};

bool ChunkedBody::write(std::string piece) {
  if (piece.empty()) return true;
  std::shared_ptr<Connection> connection;
  {
    std::lock_guard lock(mutex_);
    if (gone_ || closed_ || waiting_bytes_ > kStreamBufferMaxBytes) return false;
    waiting_bytes_ += piece.size();
    pieces_.push_back(std::move(piece));
    connection = connection_;
  }
  if (connection) asio::post(connection->core().io, [self = shared_from_this()] { self->pump(); });
  return true;
}

void ChunkedBody::close() {
  std::shared_ptr<Connection> connection;
  {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = true;
    connection = connection_;
  }
  if (connection) asio::post(connection->core().io, [self = shared_from_this()] { self->pump(); });
}

void ChunkedBody::pump() {
  std::unique_lock lock(mutex_);
  if (writing_ || gone_ || !connection_) return;
  if (pieces_.empty()) {
    if (!closed_) return;
    writing_ = true;
    lock.unlock();
    connection_->with_stream([this](auto& stream) {
      asio::async_write(stream, http::make_chunk_last(), [self = shared_from_this()](ErrorCode, size_t) {
        self->connection_->close();
        self->gone();
      });
    });
    return;
  }
  writing_ = true;
  at_work_ = std::move(pieces_.front());
  pieces_.pop_front();
  lock.unlock();
  connection_->expire();
  connection_->with_stream([this](auto& stream) {
    asio::async_write(stream, http::make_chunk(asio::buffer(at_work_)),
                      [self = shared_from_this()](ErrorCode code, size_t) {
                        if (code) return self->gone();
                        {
                          std::lock_guard relock(self->mutex_);
                          self->waiting_bytes_ -= self->at_work_.size();
                          self->writing_ = false;
                          if (self->connection_) self->connection_->lowest().expires_never();
                        }
                        self->pump();
                      });
  });
}

void ChunkedBody::gone() {
  std::shared_ptr<Connection> connection;
  std::lock_guard lock(mutex_);
  gone_ = true;
  pieces_.clear();
  connection.swap(connection_);
}

class Server final : public HttpServer {
 public:
  explicit Server(HttpServerOptions options, HttpHandler handler) : core_(std::make_shared<ServerCore>()) {
    core_->options = std::move(options);
    core_->handler = std::move(handler);
  }
  ~Server() override { stop(0); }

  Status listen() {
    FMESH_TRY(const Address address, parse_address(core_->options.address));
    FMESH_CHECK(load_tls());
    FMESH_CHECK(address.is_unix ? listen_unix(address) : listen_tcp(address));
    accept();
    thread_ = std::thread([core = core_] {
      auto work = asio::make_work_guard(core->io);
      core->io.run();
    });
    return {};
  }

  uint16_t port() const override { return port_; }

  void stop(int64_t limit_ms) override {
    if (!thread_.joinable()) return;
    core_->stopping = true;
    asio::post(core_->io, [this] {
      ErrorCode ignored;
      acceptor_.close(ignored);
    });
    constexpr int64_t kStepMs = 5;
    for (int64_t waited_ms = 0; core_->connections > 0 && waited_ms < limit_ms; waited_ms += kStepMs)
      std::this_thread::sleep_for(std::chrono::milliseconds(kStepMs));
    core_->io.stop();
    thread_.join();
    if (!unix_path_.empty()) ::unlink(unix_path_.c_str());
  }

 private:
  std::unexpected<Error> failed(const std::string& why) const {
    return fail(ErrorKind::kFixInput, "listen on " + core_->options.address + ": " + why);
  }

  Status load_tls() {
    const TlsFiles& files = core_->options.tls;
    if (files.certificate.empty() && files.key.empty()) return {};
    auto context = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
    ErrorCode code;
    context->set_options(asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1, code);
    context->use_certificate_chain_file(files.certificate, code);
    if (code) return failed("certificate " + files.certificate + ": " + code.message());
    context->use_private_key_file(files.key, asio::ssl::context::pem, code);
    if (code) return failed("key " + files.key + ": " + code.message());
    core_->tls = std::move(context);
    return {};
  }

  Status open(const stream_protocol::endpoint& endpoint) {
    ErrorCode code;
    acceptor_.open(endpoint.protocol(), code);
    if (code) return failed(code.message());
    acceptor_.set_option(asio::socket_base::reuse_address(true), code);
    acceptor_.bind(endpoint, code);
    if (code) return failed(code.message());
    acceptor_.listen(asio::socket_base::max_listen_connections, code);
    if (code) return failed(code.message());
    return {};
  }

  Status listen_tcp(const Address& address) {
    ErrorCode code;
    const std::string host = address.host == "localhost" ? "127.0.0.1" : address.host;
    const auto ip = asio::ip::make_address(host, code);
    if (code) return failed("\"" + address.host + "\" is not an IP address");
    loopback_ = ip.is_loopback();
    FMESH_CHECK(open(asio::ip::tcp::endpoint(ip, address.port)));
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    ::getsockname(acceptor_.native_handle(), reinterpret_cast<sockaddr*>(&bound), &size);
    port_ = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&bound)->sin6_port
                                              : reinterpret_cast<sockaddr_in*>(&bound)->sin_port);
    return {};
  }

  Status listen_unix(const Address& address) {
    if (address.host.size() >= sizeof(sockaddr_un{}.sun_path))
      return failed("a path of a Unix socket has at most " + std::to_string(sizeof(sockaddr_un{}.sun_path) - 1) +
                    " bytes");
    unix_socket_ = true;
    const asio::local::stream_protocol::endpoint endpoint(address.host);
    // A file that a dead process left is replaced; one that somebody answers on is not.
    asio::io_context probe_io;
    asio::local::stream_protocol::socket probe(probe_io);
    ErrorCode code;
    probe.connect(endpoint, code);
    if (!code) return failed("another process listens there");
    if (code == asio::error::connection_refused) ::unlink(address.host.c_str());
    const mode_t before = ::umask(0177);
    Status opened = open(endpoint);
    ::umask(before);
    if (opened) unix_path_ = address.host;
    return opened;
  }

  void accept() {
    acceptor_.async_accept([this](ErrorCode code, stream_protocol::socket socket) {
      if (code == asio::error::operation_aborted || core_->stopping) return;
      if (!code && core_->connections < static_cast<int>(core_->options.connections_max))
        std::make_shared<Connection>(core_, std::move(socket), unix_socket_, loopback_)->start();
      accept();
    });
  }

  std::shared_ptr<ServerCore> core_;
  asio::basic_socket_acceptor<stream_protocol> acceptor_{core_->io};
  std::thread thread_;
  std::string unix_path_;
  uint16_t port_ = 0;
  bool unix_socket_ = false, loopback_ = false;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::start(HttpServerOptions options, HttpHandler handler) {
  auto server = std::make_unique<Server>(std::move(options), std::move(handler));
  FMESH_CHECK(server->listen());
  return server;
}

}  // namespace fmesh::net
