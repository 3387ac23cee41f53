#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <boost/url.hpp>

#include "net/http_async_private.h"
#include "net/tls_private.h"

namespace fmesh::net::async {
namespace {

using asio::ip::tcp;

constexpr size_t kHostMaxBytes = 255;  // RFC 1035, 2.3.4
constexpr unsigned kStatusProxyLogin = 407;

bool is_address(const std::string& text) {
  ErrorCode code;
  asio::ip::make_address(text, code);
  return !code;
}

struct Address {
  std::string host, port;
  bool checked = false;  // check_address is asked
};

// The host's addresses. getaddrinfo can't be broken off, so it is left behind when the time is up.
asio::awaitable<Result<std::vector<tcp::endpoint>>> resolve(StatePtr state, Address address,
                                                            SteadyClock::time_point deadline) {
  struct Answer {
    explicit Answer(asio::io_context& io) : resolver(io), timer(io) {}
    tcp::resolver resolver;
    asio::steady_timer timer;
    ErrorCode code = beast::error::timeout;
    std::vector<tcp::endpoint> found;
  };
  const auto answer = std::make_shared<Answer>(state->io);
  answer->timer.expires_at(deadline);
  answer->resolver.async_resolve(address.host, address.port,
                                 [answer](const ErrorCode& code, const tcp::resolver::results_type& results) {
                                   answer->code = code;
                                   for (const auto& one : results) answer->found.push_back(one.endpoint());
                                   answer->timer.cancel();
                                 });
  co_await answer->timer.async_wait(kWithCode);
  if (answer->code) {
    const std::string whose =
        state->proxy ? "find the address of the proxy " + state->proxy->shown : "find the host's address";
    co_return fail(to_error(*state, whose, answer->code, false));
  }
  std::vector<tcp::endpoint> allowed;
  Status refused;
  for (const tcp::endpoint& endpoint : answer->found) {
    const bool ask = address.checked && state->options.check_address;
    Status fits = ask ? state->options.check_address(endpoint.address().to_string()) : Status();
    if (fits) {
      allowed.push_back(endpoint);
    } else {
      refused = std::move(fits);
    }
  }
  if (allowed.empty() && !refused) co_return fail(std::move(refused).error());
  co_return allowed;
}

// Asks an HTTP proxy for a way through.
asio::awaitable<Status> ask_tunnel(StatePtr state, Connection* connection) {
  const std::string request = connect_request(*state->proxy, state->endpoint.host, state->endpoint.port);
  const std::string what = "ask the proxy " + state->proxy->shown + " for a way through";
  auto [code, count] = co_await asio::async_write(*connection, asio::buffer(request), kWithCode);
  if (code) co_return fail(to_error(*state, what, code, false));
  http::response_parser<http::empty_body> parser;
  parser.header_limit(kHeaderSizeMaxBytes);
  parser.skip(true);
  std::tie(code, count) = co_await http::async_read_header(*connection, connection->buffer, parser, kWithCode);
  if (code) co_return fail(to_error(*state, what, code, false));
  const unsigned status = parser.get().result_int();
  if (status / 100 == 2 && connection->buffer.size() == 0) co_return Status();
  const std::string why = status / 100 == 2
                              ? "it goes on talking after its answer"
                              : "it answered " + std::to_string(status) + " " + std::string(parser.get().reason());
  co_return fail(status == kStatusProxyLogin ? ErrorKind::kFixInput : ErrorKind::kRetryLater,
                 state->endpoint.url + ": " + what + ": " + why + "; nothing was sent");
}

asio::awaitable<Status> ask_socks(StatePtr state, Connection* connection) {
  SocksHandshake handshake(*state->proxy, state->endpoint.host,
                           static_cast<uint16_t>(std::stoul(state->endpoint.port)));
  std::string bytes;
  while (!handshake.done()) {
    const std::string words = handshake.to_send();
    auto [code, count] = co_await asio::async_write(*connection, asio::buffer(words), kWithCode);
    if (!code) {
      bytes.resize(handshake.wanted_bytes());
      std::tie(code, count) = co_await asio::async_read(*connection, asio::buffer(bytes), kWithCode);
    }
    if (code) co_return fail(to_error(*state, "speak to the proxy " + state->proxy->shown, code, false));
    if (Status fed = handshake.feed(bytes); !fed) co_return fail(fed.error().within(state->endpoint.url));
  }
  co_return Status();
}

asio::awaitable<Status> secure(StatePtr state, Connection* connection, Trust trust, std::string name,
                               std::string what) {
  Status done = co_await connection->start_tls(std::move(trust), std::move(name));
  if (!done) done = fail(done.error().within(state->endpoint.url + ": " + what));
  co_return done;
}

// From TCP to where a request can be sent.
asio::awaitable<Status> prepare(StatePtr state, Connection* connection) {
  Status ready;
  if (state->proxy) {
    const Proxy proxy = *state->proxy;
    std::string what = "TLS to the proxy " + proxy.shown;
    const Trust trust = connection->trusts.proxy;
    if (trust) ready = co_await secure(state, connection, trust, proxy.host, std::move(what));
    if (ready && proxy.kind == Proxy::Kind::kSocks5) {
      ready = co_await ask_socks(state, connection);
    } else if (ready && state->endpoint.secure) {
      ready = co_await ask_tunnel(state, connection);
    }
  }
  const Trust trust = connection->trusts.server;
  if (!ready || !trust) co_return ready;
  std::string name = state->options.tls.server_name;
  if (name.empty()) name = state->endpoint.host;
  ready = co_await secure(state, connection, trust, std::move(name), "TLS");
  co_return ready;
}

}  // namespace

Result<Endpoint> parse_endpoint(const std::string& text) {
  const auto url = boost::urls::parse_uri(text);
  if (!url || (url->scheme() != "http" && url->scheme() != "https") || url->host().empty() ||
      url->host().size() > kHostMaxBytes || (url->has_port() && url->port_number() == 0)) {
    return fail(ErrorKind::kFixInput, "\"" + text + "\" is not a URL; expected http(s)://HOST[:PORT][/PATH]");
  }
  Endpoint out;
  out.url = text;
  out.secure = url->scheme() == "https";
  out.host = url->host_address();
  out.port = url->has_port() ? std::string(url->port()) : out.secure ? "443" : "80";
  out.host_header = std::string(url->encoded_host()) + (url->has_port() ? ":" + out.port : "");
  out.prefix = std::string(url->encoded_path());
  while (out.prefix.ends_with('/')) out.prefix.pop_back();
  return out;
}

Result<Trusts> make_trusts(const TlsIdentity& identity, const Endpoint& endpoint, const Proxy* proxy) {
  Trusts out;
  if (endpoint.secure) {
    FMESH_TRY(out.server, make_client_context(identity, endpoint.host));
  }
  if (proxy && proxy->kind == Proxy::Kind::kHttps) {
    // A proxy may be the cluster's own or a public one, and is not told who we are to the server.
    TlsIdentity of_proxy = identity;
    of_proxy.certificate.clear();
    of_proxy.key.clear();
    of_proxy.server_name.clear();
    FMESH_TRY(out.proxy, make_client_context(of_proxy, proxy->host));
    ErrorCode code;
    out.proxy->set_default_verify_paths(code);
    if (code)
      return fail(ErrorKind::kFixInput, "the system's certificate authorities can't be used: " + code.message());
  }
  return out;
}

asio::awaitable<Status> Connection::start_tls(Trust trust, std::string name) {
  SSL* ssl = outer_ ? inner_.emplace(*outer_, *trust).native_handle() : outer_.emplace(tcp_, *trust).native_handle();
  // A name, not an address, may be told (RFC 6066, 3).
  if (!is_address(name)) SSL_set_tlsext_host_name(ssl, name.c_str());
  ErrorCode code;
  if (inner_) {
    std::tie(code) = co_await inner_->async_handshake(asio::ssl::stream_base::client, kWithCode);
  } else {
    std::tie(code) = co_await outer_->async_handshake(asio::ssl::stream_base::client, kWithCode);
  }
  if (!code) co_return Status();
  if (code.category() != asio::error::get_ssl_category()) co_return fail(ErrorKind::kRetryLater, words_of(code));
  const long verified = SSL_get_verify_result(ssl);
  if (verified == X509_V_OK) co_return fail(ErrorKind::kFixInput, words_of(code));
  co_return fail(ErrorKind::kFixInput, "the certificate for " + name +
                                           " is not trusted: " + std::string(X509_verify_cert_error_string(verified)));
}

void Connection::read_some(Room room, Done done) {
  if (inner_) return inner_->async_read_some(room, std::move(done));
  if (outer_) return outer_->async_read_some(room, std::move(done));
  tcp_.async_read_some(room, std::move(done));
}

void Connection::write_some(Bytes bytes, Done done) {
  if (inner_) return inner_->async_write_some(bytes, std::move(done));
  if (outer_) return outer_->async_write_some(bytes, std::move(done));
  tcp_.async_write_some(bytes, std::move(done));
}

bool Connection::peer_closed() {
  char byte = 0;
  ErrorCode code;
  tcp_.socket().non_blocking(true, code);
  if (code) return true;
  const ssize_t got = ::recv(tcp_.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

asio::awaitable<Result<std::unique_ptr<Connection>>> connect(StatePtr state, SteadyClock::time_point deadline) {
  Address address{state->endpoint.host, state->endpoint.port, true};
  if (state->proxy) address = {state->proxy->host, state->proxy->port, false};
  Result<std::vector<tcp::endpoint>> endpoints = co_await resolve(state, std::move(address), deadline);
  if (!endpoints) co_return fail(std::move(endpoints).error());
  ErrorCode code = asio::error::host_not_found;
  auto connection = std::make_unique<Connection>(state->io, state->trusts);
  for (const tcp::endpoint& endpoint : *endpoints) {
    connection->tcp().expires_at(deadline);
    std::tie(code) = co_await connection->tcp().async_connect(endpoint, kWithCode);
    if (!code || code == beast::error::timeout) break;
    connection->close();
  }
  const std::string what = state->proxy ? "connect to the proxy " + state->proxy->shown : "connect";
  if (code) co_return fail(to_error(*state, what, code, false));
  connection->tcp().socket().set_option(tcp::no_delay(true), code);
  connection->tcp().expires_at(deadline);
  Status ready = co_await prepare(state, connection.get());
  if (!ready) co_return fail(std::move(ready).error());
  co_return connection;
}

}  // namespace fmesh::net::async
