#include "net/http_async.h"

#include "net/http_async_private.h"
#include "net/io_loop_private.h"

namespace fmesh::net {
namespace async {
namespace {

bool broke_off(const ErrorCode& code) {
  return code == http::error::end_of_stream || code == http::error::partial_message || code == asio::error::eof ||
         code == asio::error::connection_reset || code == asio::error::broken_pipe ||
         code == asio::ssl::error::stream_truncated;
}

}  // namespace

http::request<http::string_body> to_message(const State& state, AsyncRequest request) {
  http::request<http::string_body> message;
  message.version(11);
  message.method_string(request.method);
  // A proxy that is asked for something plain is told the whole URL (RFC 9112, 3.2.2).
  const bool whole = state.proxy && state.proxy->kind != Proxy::Kind::kSocks5 && !state.endpoint.secure;
  const std::string origin = whole ? "http://" + state.endpoint.host_header : "";
  message.target(origin + state.endpoint.prefix + request.target);
  message.set(http::field::host, state.endpoint.host_header);
  if (whole && !state.proxy->user.empty()) {
    message.set(http::field::proxy_authorization, basic_authorization(state.proxy->user, state.proxy->password));
  }
  for (const auto& [name, value] : request.headers) message.insert(name, value);
  message.body() = std::move(request.body);
  if (!message.body().empty() || request.method == "POST" || request.method == "PUT" || request.method == "PATCH") {
    message.prepare_payload();
  }
  return message;
}

HttpResponse head_of(const http::response_header<>& message) {
  HttpResponse response;
  response.status = message.result_int();
  for (const auto& field : message) {
    std::string name(field.name_string());
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    response.headers[std::move(name)] = std::string(field.value());
  }
  return response;
}

std::string words_of(const ErrorCode& code) {
  if (code == beast::error::timeout) return "no answer in time";
  return broke_off(code) ? "the connection was closed" : code.message();
}

Error to_error(const State& state, const std::string& what, const ErrorCode& code, bool sent) {
  const bool trust = code.category() == asio::error::get_ssl_category();
  std::string why = words_of(code);
  if (code == http::error::body_limit) {
    why = "the answer is larger than " + std::to_string(state.options.body_size_max_bytes) + " bytes";
  }
  const bool fix = trust && !sent;
  std::string text = state.endpoint.url + ": " + what + ": " + why;
  if (sent) text += " (the request had been sent; its outcome is unknown)";
  return Error(fix ? ErrorKind::kFixInput : ErrorKind::kRetryLater, std::move(text));
}

namespace {

// A kept connection that seems fit; null without one.
std::unique_ptr<Connection> take_idle(State& state) {
  const auto now = SteadyClock::now();
  while (!state.idle.empty()) {
    std::unique_ptr<Connection> connection = std::move(state.idle.back());
    state.idle.pop_back();
    const bool stale = now - connection->idle_since > Milliseconds(state.options.idle_timeout_ms);
    if (!stale && connection->trusts == state.trusts && !connection->peer_closed()) return connection;
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
  connection->tcp().expires_at(deadline);
  std::tie(code, count) = co_await http::async_write(*connection, *message, kWithCode);
  if (code) co_return Exchanged{fail(to_error(*state, "send the request", code, true)), false, false};
  for (int interim = 0;; ++interim) {
    http::response_parser<http::string_body> parser;
    parser.header_limit(kHeaderSizeMaxBytes);
    parser.body_limit(state->options.body_size_max_bytes);
    parser.skip(message->method() == http::verb::head);
    connection->tcp().expires_at(deadline);
    std::tie(code, count) = co_await http::async_read(*connection, connection->buffer, parser, kWithCode);
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
      connection->tcp().expires_never();
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
    return open_stream(state_, std::move(request), std::move(handler));
  }

  Status set_tls(TlsIdentity tls) override {
    FMESH_TRY(Trusts trusts, make_trusts(tls, state_->endpoint, state_->proxy ? &*state_->proxy : nullptr));
    state_->trusts = std::move(trusts);
    state_->options.tls = std::move(tls);
    return {};
  }

 private:
  StatePtr state_;
};

}  // namespace
}  // namespace async

Result<std::unique_ptr<AsyncHttpClient>> AsyncHttpClient::make(IoLoop& loop, AsyncHttpClientOptions options) {
  FMESH_TRY(async::Endpoint endpoint, async::parse_endpoint(options.url));
  auto state = std::make_shared<async::State>(context_of(loop), std::move(options));
  if (!state->options.proxy.empty()) {
    FMESH_TRY(state->proxy, parse_proxy(state->options.proxy));
  }
  FMESH_TRY(state->trusts, async::make_trusts(state->options.tls, endpoint, state->proxy ? &*state->proxy : nullptr));
  state->endpoint = std::move(endpoint);
  return std::make_unique<async::Client>(std::move(state));
}

}  // namespace fmesh::net
