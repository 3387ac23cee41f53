#include "net/http_async.h"

#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast.hpp>
#include <boost/url.hpp>
#include <chrono>
#include <deque>
#include <optional>
#include <vector>

#include "net/io_loop_private.h"
#include "net/tls_private.h"

namespace fmesh::net {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using ErrorCode = boost::system::error_code;
using Plain = beast::tcp_stream;
using Tls = asio::ssl::stream<Plain>;
using SteadyClock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

constexpr auto kWithCode = asio::as_tuple(asio::use_awaitable);
constexpr size_t kReadBufferMaxBytes = kHeaderSizeMaxBytes + 64 * 1024;
constexpr size_t kPieceSizeBytes = 64 * 1024;

bool broke_off(const ErrorCode& code) {
  return code == http::error::end_of_stream || code == http::error::partial_message || code == asio::error::eof ||
         code == asio::error::connection_reset || code == asio::error::broken_pipe ||
         code == asio::ssl::error::stream_truncated;
}

struct Endpoint {
  std::string host, port, host_header, prefix, url;
  bool secure = false;
};

Result<Endpoint> parse_endpoint(const std::string& text) {
  const auto url = boost::urls::parse_uri(text);
  if (!url || (url->scheme() != "http" && url->scheme() != "https") || url->host().empty() ||
      (url->has_port() && url->port_number() == 0)) {
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

// One connection, plain or with TLS.
class Connection {
 public:
  Connection(asio::io_context& io, std::shared_ptr<asio::ssl::context> trust) : trust_(std::move(trust)) {
    if (trust_) {
      tls_.emplace(io, *trust_);
    } else {
      plain_.emplace(io);
    }
  }

  Plain& lowest() { return tls_ ? beast::get_lowest_layer(*tls_) : *plain_; }
  Tls* tls() { return tls_ ? &*tls_ : nullptr; }
  const std::shared_ptr<asio::ssl::context>& trust() const { return trust_; }

  void close() {
    ErrorCode ignored;
    lowest().socket().close(ignored);
  }
  // Between two answers nothing may come; what comes all the same is the end.
  bool peer_closed() {
    char byte = 0;
    ErrorCode code;
    lowest().socket().non_blocking(true, code);
    if (code) return true;
    const ssize_t got = ::recv(lowest().socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
  }

  beast::flat_buffer buffer{kReadBufferMaxBytes};
  SteadyClock::time_point idle_since;

 private:
  std::shared_ptr<asio::ssl::context> trust_;
  std::optional<Plain> plain_;
  std::optional<Tls> tls_;
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
  std::shared_ptr<asio::ssl::context> trust;  // null: plain
  std::vector<std::unique_ptr<Connection>> idle;
  std::deque<Job> waiting;
  size_t active = 0;
  bool closed = false;
};
using StatePtr = std::shared_ptr<State>;

http::request<http::string_body> to_message(const State& state, AsyncRequest request) {
  http::request<http::string_body> message;
  message.version(11);
  message.method_string(request.method);
  message.target(state.endpoint.prefix + request.target);
  message.set(http::field::host, state.endpoint.host_header);
  for (const auto& [name, value] : request.headers) message.set(name, value);
  message.body() = std::move(request.body);
  if (!message.body().empty() || request.method == "POST" || request.method == "PUT" || request.method == "PATCH") {
    message.prepare_payload();
  }
  return message;
}

template <class Message>
HttpResponse head_of(const Message& message) {
  HttpResponse response;
  response.status = message.result_int();
  for (const auto& field : message) {
    std::string name(field.name_string());
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    response.headers[std::move(name)] = std::string(field.value());
  }
  return response;
}

Error to_error(const State& state, const std::string& what, const ErrorCode& code, bool sent) {
  const bool trust = code.category() == asio::error::get_ssl_category() && code != asio::ssl::error::stream_truncated;
  std::string why = broke_off(code) ? "the connection was closed" : code.message();
  if (code == beast::error::timeout) why = "no answer in time";
  if (code == http::error::body_limit) {
    why = "the answer is larger than " + std::to_string(state.options.body_size_max_bytes) + " bytes";
  }
  const bool fix = trust && !sent;
  std::string text = state.endpoint.url + ": " + what + ": " + why;
  if (sent) text += " (the request had been sent; its outcome is unknown)";
  return Error(fix ? ErrorKind::kFixInput : ErrorKind::kRetryLater, std::move(text));
}

// The host's addresses. getaddrinfo can't be broken off, so it is left behind when the time is up.
asio::awaitable<Result<std::vector<tcp::endpoint>>> resolve(StatePtr state, SteadyClock::time_point deadline) {
  struct Answer {
    explicit Answer(asio::io_context& io) : resolver(io), timer(io) {}
    tcp::resolver resolver;
    asio::steady_timer timer;
    ErrorCode code = beast::error::timeout;
    std::vector<tcp::endpoint> found;
  };
  const auto answer = std::make_shared<Answer>(state->io);
  answer->timer.expires_at(deadline);
  answer->resolver.async_resolve(state->endpoint.host, state->endpoint.port,
                                 [answer](const ErrorCode& code, const tcp::resolver::results_type& results) {
                                   answer->code = code;
                                   for (const auto& one : results) answer->found.push_back(one.endpoint());
                                   answer->timer.cancel();
                                 });
  co_await answer->timer.async_wait(kWithCode);
  if (answer->code) co_return fail(to_error(*state, "find the host's address", answer->code, false));
  std::vector<tcp::endpoint> allowed;
  Status refused;
  for (const tcp::endpoint& endpoint : answer->found) {
    Status fits =
        state->options.check_address ? state->options.check_address(endpoint.address().to_string()) : Status();
    if (fits) {
      allowed.push_back(endpoint);
    } else {
      refused = std::move(fits);
    }
  }
  if (allowed.empty() && !refused) co_return fail(std::move(refused).error());
  co_return allowed;
}

asio::awaitable<Result<std::unique_ptr<Connection>>> connect(StatePtr state, SteadyClock::time_point deadline) {
  Result<std::vector<tcp::endpoint>> endpoints = co_await resolve(state, deadline);
  if (!endpoints) co_return fail(std::move(endpoints).error());
  ErrorCode code = asio::error::host_not_found;
  auto connection = std::make_unique<Connection>(state->io, state->trust);
  for (const tcp::endpoint& endpoint : *endpoints) {
    connection->lowest().expires_at(deadline);
    std::tie(code) = co_await connection->lowest().async_connect(endpoint, kWithCode);
    if (!code || code == beast::error::timeout) break;
    connection->close();
  }
  if (code) co_return fail(to_error(*state, "connect", code, false));
  connection->lowest().socket().set_option(tcp::no_delay(true), code);
  if (Tls* tls = connection->tls()) {
    set_server_name(tls->native_handle(), state->options.tls, state->endpoint.host);
    connection->lowest().expires_at(deadline);
    std::tie(code) = co_await tls->async_handshake(asio::ssl::stream_base::client, kWithCode);
    if (code) co_return fail(to_error(*state, "TLS", code, false));
  }
  co_return connection;
}

// A kept connection that seems fit; null without one.
std::unique_ptr<Connection> take_idle(State& state) {
  const auto now = SteadyClock::now();
  while (!state.idle.empty()) {
    std::unique_ptr<Connection> connection = std::move(state.idle.back());
    state.idle.pop_back();
    const bool stale = now - connection->idle_since > Milliseconds(state.options.idle_timeout_ms);
    if (!stale && connection->trust() == state.trust && !connection->peer_closed()) return connection;
    connection->close();
  }
  return nullptr;
}

struct Exchanged {
  Result<HttpResponse> response;
  bool answered = false;  // a byte of an answer came
  bool keep = false;
};

asio::awaitable<Exchanged> exchange(StatePtr state, Connection* connection,
                                    const http::request<http::string_body>* message, SteadyClock::time_point deadline) {
  ErrorCode code;
  size_t count = 0;
  connection->lowest().expires_at(deadline);
  if (Tls* tls = connection->tls()) {
    std::tie(code, count) = co_await http::async_write(*tls, *message, kWithCode);
  } else {
    std::tie(code, count) = co_await http::async_write(connection->lowest(), *message, kWithCode);
  }
  if (code) co_return Exchanged{fail(to_error(*state, "send the request", code, true)), false, false};
  for (int interim = 0;; ++interim) {
    http::response_parser<http::string_body> parser;
    parser.header_limit(kHeaderSizeMaxBytes);
    parser.body_limit(state->options.body_size_max_bytes);
    parser.skip(message->method() == http::verb::head);
    connection->lowest().expires_at(deadline);
    if (Tls* tls = connection->tls()) {
      std::tie(code, count) = co_await http::async_read(*tls, connection->buffer, parser, kWithCode);
    } else {
      std::tie(code, count) = co_await http::async_read(connection->lowest(), connection->buffer, parser, kWithCode);
    }
    if (code) {
      const bool answered = parser.got_some() || connection->buffer.size() > 0;
      co_return Exchanged{fail(to_error(*state, "read the answer", code, true)), answered, false};
    }
    if (parser.get().result_int() / 100 == 1 && interim < kInterimAnswersMax) continue;
    const bool keep = parser.keep_alive();
    HttpResponse response = head_of(parser.get());
    response.body = std::move(parser.get().body());
    co_return Exchanged{std::move(response), true, keep};
  }
}

asio::awaitable<Result<HttpResponse>> perform(StatePtr state, AsyncRequest request) {
  const int64_t limit_ms = request.timeout_ms > 0 ? request.timeout_ms : state->options.timeout_ms;
  const auto deadline = SteadyClock::now() + Milliseconds(limit_ms);
  const bool repeatable = request.method == "GET" || request.method == "HEAD";
  const http::request<http::string_body> message = to_message(*state, std::move(request));
  while (true) {
    std::unique_ptr<Connection> connection = take_idle(*state);
    const bool kept = connection != nullptr;
    if (!connection) {
      Result<std::unique_ptr<Connection>> made = co_await connect(state, deadline);
      if (!made) co_return fail(std::move(made).error());
      connection = std::move(*made);
    }
    Exchanged exchanged = co_await exchange(state, connection.get(), &message, deadline);
    if (exchanged.response && exchanged.keep && !state->closed) {
      connection->lowest().expires_never();
      connection->idle_since = SteadyClock::now();
      state->idle.push_back(std::move(connection));
    }
    // The peer had closed it while it was idle.
    if (!exchanged.response && kept && !exchanged.answered && repeatable && SteadyClock::now() < deadline) continue;
    co_return std::move(exchanged.response);
  }
}

void start_next(const StatePtr& state);

asio::awaitable<void> run_job(StatePtr state, Job job) {
  Result<HttpResponse> response = co_await perform(state, std::move(job.request));
  --state->active;
  if (state->closed) co_return;
  job.done(std::move(response));
  if (!state->closed) start_next(state);
}

void start_next(const StatePtr& state) {
  while (state->active < state->options.connections_max && !state->waiting.empty()) {
    Job job = std::move(state->waiting.front());
    state->waiting.pop_front();
    ++state->active;
    asio::co_spawn(state->io, run_job(state, std::move(job)), asio::detached);
  }
}

// --- streams ---

struct StreamState {
  HttpStreamHandler handler;
  std::unique_ptr<Connection> connection;
  bool ended = false;  // by its holder
};
using StreamPtr = std::shared_ptr<StreamState>;

class Stream final : public HttpStream {
 public:
  explicit Stream(StreamPtr state) : state_(std::move(state)) {}
  ~Stream() override {
    state_->ended = true;
    if (state_->connection) state_->connection->close();
  }

 private:
  StreamPtr state_;
};

template <class Link>
asio::awaitable<Status> read_stream(StatePtr state, StreamPtr stream, Link* link,
                                    const http::request<http::string_body>* message, int64_t idle_ms) {
  Plain& lowest = stream->connection->lowest();
  lowest.expires_after(Milliseconds(idle_ms));
  auto [code, count] = co_await http::async_write(*link, *message, kWithCode);
  if (code) co_return fail(to_error(*state, "send the request", code, true));
  http::response_parser<http::buffer_body> parser;
  parser.header_limit(kHeaderSizeMaxBytes);
  parser.body_limit(boost::none);
  lowest.expires_after(Milliseconds(idle_ms));
  std::tie(code, count) = co_await http::async_read_header(*link, stream->connection->buffer, parser, kWithCode);
  if (code) co_return fail(to_error(*state, "read the answer", code, true));
  if (stream->ended || state->closed) co_return Status();
  HttpResponse head = head_of(parser.get());
  const bool streamed = head.status == 200;
  if (streamed) stream->handler.on_head(head);
  std::vector<char> piece(kPieceSizeBytes);
  while (!parser.is_done() && !stream->ended && !state->closed) {
    parser.get().body().data = piece.data();
    parser.get().body().size = piece.size();
    parser.get().body().more = true;
    lowest.expires_after(Milliseconds(idle_ms));
    std::tie(code, count) = co_await http::async_read_some(*link, stream->connection->buffer, parser, kWithCode);
    if (code == http::error::need_buffer) code = {};
    const std::string_view got(piece.data(), piece.size() - parser.get().body().size);
    if (stream->ended || state->closed) co_return Status();
    if (streamed) {
      if (!got.empty()) stream->handler.on_data(got);
    } else if (head.body.size() + got.size() <= state->options.body_size_max_bytes) {
      head.body += got;
    }
    if (code) co_return fail(to_error(*state, "read on", code, true));
  }
  if (!streamed && !stream->ended && !state->closed) stream->handler.on_head(std::move(head));
  co_return Status();
}

asio::awaitable<void> run_stream(StatePtr state, StreamPtr stream, AsyncRequest request) {
  const int64_t idle_ms = request.timeout_ms > 0 ? request.timeout_ms : state->options.timeout_ms;
  const http::request<http::string_body> message = to_message(*state, std::move(request));
  Status outcome;
  Result<std::unique_ptr<Connection>> made =
      co_await connect(state, SteadyClock::now() + Milliseconds(state->options.timeout_ms));
  if (stream->ended || state->closed) co_return;
  if (!made) {
    outcome = fail(std::move(made).error());
  } else {
    stream->connection = std::move(*made);
    if (Tls* tls = stream->connection->tls()) {
      outcome = co_await read_stream(state, stream, tls, &message, idle_ms);
    } else {
      outcome = co_await read_stream(state, stream, &stream->connection->lowest(), &message, idle_ms);
    }
  }
  if (stream->ended || state->closed) co_return;
  stream->ended = true;
  stream->handler.on_end(std::move(outcome));
}

class Client final : public AsyncHttpClient {
 public:
  explicit Client(StatePtr state) : state_(std::move(state)) {}
  ~Client() override {
    state_->closed = true;
    for (auto& connection : state_->idle) connection->close();
    state_->idle.clear();
    state_->waiting.clear();
  }

  void send(AsyncRequest request, std::function<void(Result<HttpResponse>)> done) override {
    if (state_->waiting.size() >= state_->options.waiting_max) {
      asio::post(state_->io, [state = state_, done = std::move(done)] {
        if (state->closed) return;
        done(fail(ErrorKind::kRetryLater, state->endpoint.url + ": " + std::to_string(state->options.waiting_max) +
                                              " requests wait already; nothing was sent"));
      });
      return;
    }
    state_->waiting.push_back({std::move(request), std::move(done)});
    start_next(state_);
  }

  std::unique_ptr<HttpStream> open(AsyncRequest request, HttpStreamHandler handler) override {
    auto stream = std::make_shared<StreamState>();
    stream->handler = std::move(handler);
    asio::co_spawn(state_->io, run_stream(state_, stream, std::move(request)), asio::detached);
    return std::make_unique<Stream>(std::move(stream));
  }

  Status set_tls(TlsIdentity tls) override {
    if (!state_->endpoint.secure) return {};
    FMESH_TRY(auto trust, make_client_context(tls, state_->endpoint.host));
    state_->trust = std::move(trust);
    state_->options.tls = std::move(tls);
    return {};
  }

 private:
  StatePtr state_;
};

}  // namespace

Result<std::unique_ptr<AsyncHttpClient>> AsyncHttpClient::make(IoLoop& loop, AsyncHttpClientOptions options) {
  FMESH_TRY(Endpoint endpoint, parse_endpoint(options.url));
  if (!options.proxy.empty()) {
    return fail(ErrorKind::kFixInput, "a proxy is not supported yet: " + options.url);
  }
  auto state = std::make_shared<State>(context_of(loop), std::move(options));
  if (endpoint.secure) {
    FMESH_TRY(state->trust, make_client_context(state->options.tls, endpoint.host));
  }
  state->endpoint = std::move(endpoint);
  return std::make_unique<Client>(std::move(state));
}

}  // namespace fmesh::net
