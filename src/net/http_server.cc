#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio.hpp>
#include <chrono>
#include <cstring>
#include <optional>
#include <thread>

#include "net/address.h"
#include "net/http.h"
#include "net/http_connection_private.h"
#include "net/tls_private.h"

namespace fmesh::net {
namespace {

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
    working_.emplace(core_->io.get_executor());
    thread_ = std::thread([core = core_] { core->io.run(); });
    return {};
  }

  uint16_t port() const override { return port_; }

  Status set_certificate(const KeyPair& pair) override {
    if (!has_tls_) return failed("a certificate for a server without TLS");
    FMESH_TRY(std::shared_ptr<asio::ssl::context> context, make_context(pair));
    core_->post([core = core_, context] { core->tls = context; });
    return {};
  }

  void stop(int64_t limit_ms) override {
    if (!thread_.joinable()) return;
    core_->stopping = true;
    core_->post([this] {
      ErrorCode ignored;
      acceptor_.close(ignored);
      pause_.cancel();
      for (const auto& connection : std::set(core_->open)) connection->stop();
    });
    constexpr int64_t kStepMs = 5;
    for (int64_t waited_ms = 0; core_->open_count > 0 && waited_ms < limit_ms; waited_ms += kStepMs)
      std::this_thread::sleep_for(std::chrono::milliseconds(kStepMs));
    core_->post([this] {
      for (const auto& connection : std::set(core_->open)) connection->close();
      working_.reset();
    });
    thread_.join();
    core_->end();
    if (!unix_path_.empty()) ::unlink(unix_path_.c_str());
  }

 private:
  std::unexpected<Error> failed(const std::string& why) const {
    return fail(ErrorKind::kFixInput, "listen on " + core_->options.address + ": " + why);
  }

  Status load_tls() {
    const TlsFiles& files = core_->options.tls;
    const KeyPair& pair = core_->options.tls_pair;
    has_tls_ = true;
    if (!pair.certificate.empty() || !pair.key.empty()) {
      FMESH_TRY(core_->tls, make_context(pair));
      return {};
    }
    has_tls_ = !files.certificate.empty() || !files.key.empty();
    if (!has_tls_) return {};
    auto context = new_server_context();
    ErrorCode code;
    context->use_certificate_chain_file(files.certificate, code);
    if (code) return failed("certificate " + files.certificate + ": " + code.message());
    context->use_private_key_file(files.key, asio::ssl::context::pem, code);
    if (code) return failed("key " + files.key + ": " + code.message());
    core_->tls = std::move(context);
    return {};
  }

  Result<std::shared_ptr<asio::ssl::context>> make_context(const KeyPair& pair) const {
    auto context = make_server_context(pair);
    if (!context) return failed(context.error().text());
    return context;
  }

  // What a person can do about it, where there is something.
  std::unexpected<Error> can_not_listen(const ErrorCode& code) const {
    std::string way_out;
    if (code == asio::error::address_in_use) way_out = "; stop the program that listens there or choose another port";
    if (code == asio::error::access_denied) way_out = "; ports below 1024 need a permission, others do not";
    if (code == boost::system::errc::address_not_available) way_out = "; no network interface here has this address";
    return failed(code.message() + (unix_socket_ ? "" : way_out));
  }

  Status bind(const stream_protocol::endpoint& endpoint) {
    ErrorCode code;
    acceptor_.open(endpoint.protocol(), code);
    if (code) return can_not_listen(code);
    acceptor_.set_option(asio::socket_base::reuse_address(true), code);
    acceptor_.bind(endpoint, code);
    if (code) return can_not_listen(code);
    return {};
  }

  Status begin_to_listen() {
    ErrorCode code;
    acceptor_.listen(asio::socket_base::max_listen_connections, code);
    if (code) return can_not_listen(code);
    return {};
  }

  Status listen_tcp(const Address& address) {
    ErrorCode code;
    const std::string host = address.host == "localhost" ? "127.0.0.1" : address.host;
    const auto ip = asio::ip::make_address(host, code);
    if (code) return failed("\"" + address.host + "\" is not an IP address");
    loopback_ = ip.is_loopback();
    FMESH_CHECK(bind(asio::ip::tcp::endpoint(ip, address.port)));
    FMESH_CHECK(begin_to_listen());
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
    const char* path = address.host.c_str();
    const asio::local::stream_protocol::endpoint endpoint(address.host);
    struct stat found{};
    if (::lstat(path, &found) == 0) {
      if (!S_ISSOCK(found.st_mode)) return failed("a file that is not a socket lies there");
      // A socket that a dead process left is replaced; one that somebody listens on is not.
      if (somebody_listens(endpoint)) return failed("another process listens there");
      ::unlink(path);
    }
    FMESH_CHECK(bind(endpoint));
    unix_path_ = address.host;
    // Nobody can connect before listen(), so the mode is right from the first connection on.
    if (::chmod(path, 0600) != 0) return failed(std::string("set its mode to 0600: ") + std::strerror(errno));
    return begin_to_listen();
  }

  // Does not wait: a listener with a full queue is one too.
  static bool somebody_listens(const asio::local::stream_protocol::endpoint& endpoint) {
    asio::io_context probe_io;
    asio::local::stream_protocol::socket probe(probe_io);
    ErrorCode code;
    probe.open(endpoint.protocol(), code);
    probe.native_non_blocking(true, code);
    if (code) return false;
    return ::connect(probe.native_handle(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) == 0 ||
           errno == EAGAIN || errno == EINPROGRESS;
  }

  void accept() {
    acceptor_.async_accept([this](ErrorCode code, stream_protocol::socket socket) {
      if (code == asio::error::operation_aborted || core_->stopping) return;
      if (code) return accept_later();
      if (core_->open.size() < core_->options.connections_max) {
        std::make_shared<Connection>(core_, std::move(socket), unix_socket_, loopback_)->start();
      } else if (core_->open.size() < core_->options.connections_max + kTurnedAwayMax) {
        std::make_shared<Connection>(core_, std::move(socket), unix_socket_, loopback_)->turn_away();
      }
      accept();
    });
  }

  // No file descriptor is left, for example; trying at once would only burn a core.
  void accept_later() {
    pause_.expires_after(std::chrono::milliseconds(kAcceptPauseMs));
    pause_.async_wait([this](ErrorCode code) {
      if (!code && !core_->stopping) accept();
    });
  }

  std::shared_ptr<ServerCore> core_;
  asio::basic_socket_acceptor<stream_protocol> acceptor_{core_->io};
  asio::steady_timer pause_{core_->io};
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> working_;
  std::thread thread_;
  std::string unix_path_;
  uint16_t port_ = 0;
  bool unix_socket_ = false, loopback_ = false, has_tls_ = false;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::start(HttpServerOptions options, HttpHandler handler) {
  auto server = std::make_unique<Server>(std::move(options), std::move(handler));
  FMESH_CHECK(server->listen());
  return server;
}

}  // namespace fmesh::net
