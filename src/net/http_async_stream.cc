#include "net/http_async_private.h"

namespace fmesh::net::async {
namespace {

constexpr size_t kPieceSizeBytes = 64 * 1024;

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

asio::awaitable<Status> read_stream(StatePtr state, StreamPtr stream, const http::request<http::string_body>* message,
                                    int64_t idle_ms) {
  Connection* link = stream->connection.get();
  beast::tcp_stream& lowest = link->tcp();
  lowest.expires_after(Milliseconds(idle_ms));
  auto [code, count] = co_await http::async_write(*link, *message, kWithCode);
  if (code) co_return fail(to_error(*state, "send the request", code, true));
  http::response_parser<http::buffer_body> parser;
  parser.header_limit(kHeaderSizeMaxBytes);
  parser.body_limit(boost::none);
  lowest.expires_after(Milliseconds(idle_ms));
  std::tie(code, count) = co_await http::async_read_header(*link, link->buffer, parser, kWithCode);
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
    std::tie(code, count) = co_await http::async_read_some(*link, link->buffer, parser, kWithCode);
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
    outcome = co_await read_stream(state, stream, &message, idle_ms);
  }
  if (stream->ended || state->closed) co_return;
  stream->ended = true;
  stream->handler.on_end(std::move(outcome));
}

}  // namespace

std::unique_ptr<HttpStream> open_stream(StatePtr state, AsyncRequest request, HttpStreamHandler handler) {
  auto stream = std::make_shared<StreamState>();
  stream->handler = std::move(handler);
  asio::io_context& io = state->io;
  asio::co_spawn(io, run_stream(std::move(state), stream, std::move(request)), asio::detached);
  return std::make_unique<Stream>(std::move(stream));
}

}  // namespace fmesh::net::async
