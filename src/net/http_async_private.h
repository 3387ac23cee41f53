// The parts of the asynchronous client: what its files share. Connections are made in http_async_connect.cc, streams
// run in http_async_stream.cc, requests and the waiting line in http_async.cc. Everything lives on the client's loop.
#pragma once

#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast.hpp>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/erased_stream_private.h"
#include "net/http_async.h"
#include "net/proxy.h"

namespace fmesh::net::async {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using ErrorCode = boost::system::error_code;
using SteadyClock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;
using Trust = std::shared_ptr<asio::ssl::context>;

inline constexpr auto kWithCode = asio::as_tuple(asio::use_awaitable);
inline constexpr size_t kReadBufferMaxBytes = kHeaderSizeMaxBytes + 64 * 1024;

struct Endpoint {
  std::string host, port, host_header, prefix, url;
  bool secure = false;
};
Result<Endpoint> parse_endpoint(const std::string& text);

// Trust for connections that are made from now on.
struct Trusts {
  Trust server;  // null: plain
  Trust proxy;   // null: no https proxy
  bool operator==(const Trusts&) const = default;
};
Result<Trusts> make_trusts(const TlsIdentity& identity, const Endpoint& endpoint, const Proxy* proxy);

// A TCP connection and the TLS on it: none, to the server or the proxy, or to the server through TLS to the proxy.
// What is read and written goes through the innermost.
class Connection : public ErasedStream {
 public:
  Connection(asio::io_context& io, Trusts given) : trusts(std::move(given)), tcp_(io) {}

  executor_type get_executor() override { return tcp_.get_executor(); }
  beast::tcp_stream& tcp() { return tcp_; }
  // Speaks TLS from here on. `name` is told to the peer (SNI) if it is no address. Errors: kFixInput for trust.
  asio::awaitable<Status> start_tls(Trust trust, std::string name);

  void close() {
    ErrorCode ignored;
    tcp_.socket().close(ignored);
  }
  // Between two answers nothing may come; what comes all the same is the end.
  bool peer_closed();

  const Trusts trusts;  // that it is made with
  beast::flat_buffer buffer{kReadBufferMaxBytes};
  SteadyClock::time_point idle_since;

 private:
  void read_some(Room room, Done done) override;
  void write_some(Bytes bytes, Done done) override;

  using Outer = asio::ssl::stream<beast::tcp_stream&>;
  using Inner = asio::ssl::stream<Outer&>;

  beast::tcp_stream tcp_;
  std::optional<Outer> outer_;
  std::optional<Inner> inner_;
};

struct Job {
  AsyncRequest request;
  std::function<void(Result<HttpResponse>)> done;
};

// What outlives the client while its coroutines end.
struct State {
  State(asio::io_context& context, AsyncHttpClientOptions given) : io(context), options(std::move(given)) {}

  asio::io_context& io;
  AsyncHttpClientOptions options;
  Endpoint endpoint;
  std::optional<Proxy> proxy;
  Trusts trusts;
  std::vector<std::unique_ptr<Connection>> idle;
  std::deque<Job> waiting;
  size_t active = 0;
  bool closed = false;
};
using StatePtr = std::shared_ptr<State>;

// Ready to send a request on.
asio::awaitable<Result<std::unique_ptr<Connection>>> connect(StatePtr state, SteadyClock::time_point deadline);

http::request<http::string_body> to_message(const State& state, AsyncRequest request);
HttpResponse head_of(const http::response_header<>& message);
std::string words_of(const ErrorCode& code);
Error to_error(const State& state, const std::string& what, const ErrorCode& code, bool sent);

std::unique_ptr<HttpStream> open_stream(StatePtr state, AsyncRequest request, HttpStreamHandler handler);

}  // namespace fmesh::net::async
