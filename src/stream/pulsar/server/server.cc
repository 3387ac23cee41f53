#include "stream/pulsar/server/server.h"

#include <fmt/format.h>

#include <future>
#include <memory>
#include <unordered_map>
#include <utility>

#include "net/address.h"
#include "net/byte_stream.h"
#include "net/http.h"
#include "net/io_loop.h"
#include "stream/pulsar/server/admin_answer_private.h"
#include "stream/pulsar/server/connection_private.h"
#include "stream/pulsar/server/live_broker_private.h"

namespace fmesh::stream::pulsar::server {
namespace {

constexpr int64_t kHttpStopLimitMs = 500;

class ServerImpl final : public Server {
 public:
  ~ServerImpl() override {
    if (!loop_) return;
    if (http_) http_->stop(kHttpStopLimitMs);
    std::promise<void> ended;
    loop_->post([this, &ended] {
      listener_.reset();
      while (!connections_.empty()) {
        const auto connection = connections_.begin()->second;
        connection->end();
      }
      ended.set_value();
    });
    ended.get_future().wait();
    if (broker_) broker_->stop();
    loop_->stop();
  }

  Status open(const Clock& clock, Store& store, const ServerOptions& options) {
    FMESH_CHECK(check_exposure("--listen", options.address, !options.token_file.empty(), options.tls.has_value()));
    if (!options.token_file.empty()) {
      FMESH_TRY([[maybe_unused]] const std::string token, read_token_file(options.token_file));
    }
    if (!options.http_address.empty())
      FMESH_CHECK(check_exposure("--http", options.http_address, !options.token_file.empty(), options.tls.has_value()));
    FMESH_TRY(const net::Address address, net::parse_address(options.address));
    if (options.advertised_address.empty() && (address.host == "0.0.0.0" || address.host == "::"))
      return fail(ErrorKind::kFixInput,
                  fmt::format("--listen {}: clients have to be told one address that they can connect to; give it with "
                              "--advertise HOST:PORT",
                              options.address));
    loop_ = net::IoLoop::start(clock, "pulsar");
    // On the loop, so that nobody is accepted before all is there.
    std::promise<Status> opened;
    loop_->post([&] { opened.set_value(listen(store, options, address)); });
    FMESH_CHECK(opened.get_future().get());
    return options.http_address.empty() ? Status() : listen_http(clock, store, options);
  }

  uint16_t port() const override { return listener_->port(); }
  const std::string& url() const override { return url_; }
  const std::string& http_url() const override { return http_url_; }

 private:
  Status listen(Store& store, const ServerOptions& options, const net::Address& address) {
    net::ListenOptions listen{.address = options.address, .connections_max = options.connections_max};
    listen.tls = options.tls;
    FMESH_TRY(listener_,
              net::listen_streams(*loop_, std::move(listen),
                                  [this](std::unique_ptr<net::ByteStream> stream) { accepted(std::move(stream)); }));
    BrokerOptions broker;
    broker.cluster = options.cluster;
    broker.address = options.advertised_address;
    if (broker.address.empty())
      broker.address =
          fmt::format("{}:{}", address.host.contains(':') ? "[" + address.host + "]" : address.host, listener_->port());
    broker.tls = options.tls.has_value();
    broker.partitions = options.partitions;
    broker.deduplicate = options.deduplicate;
    broker.access.token_file = options.token_file;
    url_ = (broker.tls ? "pulsar+ssl://" : "pulsar://") + broker.address;
    broker_ = std::make_unique<Broker>(loop_, store, std::move(broker));
    return {};
  }

  Status listen_http(const Clock& clock, Store& store, const ServerOptions& options) {
    net::HttpServerOptions http;
    http.address = options.http_address;
    if (options.tls) http.tls_pair = *options.tls;
    // The name by which clients find this machine is the same for both.
    const std::string& advertised = broker_->options().address;
    const std::string host = advertised.substr(0, advertised.rfind(':'));
    live_ = std::make_unique<LiveBroker>(*broker_);
    // The worker makes the API before it comes to the first request; the port is known once the server runs.
    auto port = std::make_shared<std::promise<uint16_t>>();
    const std::string scheme = options.tls ? "https" : "http";
    AdminOptions admin{.cluster = options.cluster, .service_url = url_, .http_url = {}, .tls = options.tls.has_value()};
    broker_->on_worker([this, port, scheme, host, admin, &store, &clock]() mutable {
      admin.http_url = fmt::format("{}://{}:{}", scheme, host, port->get_future().get());
      admin_ = std::make_unique<AdminApi>(store, *live_, clock, std::move(admin));
    });
    auto started = net::HttpServer::start(std::move(http), [this](net::HttpRequest request, net::Respond respond) {
      if (auto refused = http_refusal(request, broker_->access(), broker_->options().address))
        return respond(problem(refused->status, refused->reason));
      broker_->on_worker(
          [this, request = std::move(request), respond = std::move(respond)] { respond(admin_->answer(request)); });
    });
    port->set_value(started ? (*started)->port() : uint16_t{0});
    FMESH_TRY(http_, std::move(started));
    http_url_ = fmt::format("{}://{}:{}", scheme, host, http_->port());
    return {};
  }

  void accepted(std::unique_ptr<net::ByteStream> stream) {
    const auto connection = std::make_shared<Connection>(*broker_, std::move(stream),
                                                         [this](Connection* over) { connections_.erase(over); });
    connections_[connection.get()] = connection;
    connection->start();
  }

  std::shared_ptr<net::IoLoop> loop_;
  std::unique_ptr<Broker> broker_;
  std::unique_ptr<net::StreamListener> listener_;
  std::unordered_map<Connection*, std::shared_ptr<Connection>> connections_;
  std::string url_, http_url_;
  std::unique_ptr<LiveBroker> live_;
  std::unique_ptr<AdminApi> admin_;
  std::unique_ptr<net::HttpServer> http_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::start(const Clock& clock, Store& store, ServerOptions options) {
  auto server = std::make_unique<ServerImpl>();
  FMESH_CHECK(server->open(clock, store, options));
  return server;
}

}  // namespace fmesh::stream::pulsar::server
