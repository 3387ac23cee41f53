#include <algorithm>
#include <array>
#include <boost/url/parse.hpp>
#include <string_view>

#include "net/http_connection_private.h"

namespace fmesh::net {
namespace {

// The header may come in one piece with what follows it.
constexpr size_t kReadBufferMaxBytes = kHeaderSizeMaxBytes + 64 * 1024;
constexpr size_t kReadSizeBytes = 8 * 1024;
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

std::string lower(std::string_view text) {
  std::string name(text);
  for (char& c : name)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return name;
}

// Origin form, or the absolute form that goes to proxies and that servers have to take too (RFC 9112, 3.2.2); its
// authority replaces the Host.
bool read_target(std::string_view target, HttpRequest& request) {
  const boost::core::string_view text(target.data(), target.size());
  const auto parsed = target.starts_with('/') ? boost::urls::parse_origin_form(text) : boost::urls::parse_uri(text);
  if (!parsed) return false;
  if (!target.starts_with('/')) {
    if (!parsed->has_authority()) return false;
    if (parsed->scheme() != "http" && parsed->scheme() != "https") return false;
    request.headers["host"] = std::string(parsed->encoded_host_and_port());
  }
  request.path = parsed->path().empty() ? "/" : parsed->path();
  for (const auto& param : parsed->params()) request.query[param.key] = param.has_value ? param.value : "";
  return true;
}

bool peer_is_gone(const ErrorCode& code) {
  return code == http::error::end_of_stream || code == http::error::partial_message || code == asio::error::eof ||
         code == asio::error::connection_reset || code == asio::error::broken_pipe ||
         code == asio::error::operation_aborted || code == beast::error::timeout ||
         code == asio::ssl::error::stream_truncated;
}

// Answers 500 if nobody holds it any more and no answer was given: a peer does not wait for ever.
class Answering {
 public:
  Answering(std::shared_ptr<ServerCore> core, std::function<void(HttpResponse)> respond)
      : core_(std::move(core)), respond_(std::move(respond)) {}
  Answering(const Answering&) = delete;
  ~Answering() {
    HttpResponse response;
    response.status = 500;
    response.headers["content-type"] = "application/json";
    response.body = "{\"error\":\"the request was dropped without an answer\"}\n";
    answer(std::move(response));
  }
  void answer(HttpResponse response) {
    if (answered_.exchange(true)) return;  // the first answer counts
    core_->post([respond = respond_, response = std::move(response)]() mutable { respond(std::move(response)); });
  }

 private:
  std::shared_ptr<ServerCore> core_;
  std::function<void(HttpResponse)> respond_;
  std::atomic<bool> answered_{false};
};

}  // namespace

void ServerCore::end() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  io.restart();
  io.poll();
  open.clear();
}

Connection::Connection(std::shared_ptr<ServerCore> core, stream_protocol::socket socket, bool unix_socket,
                       bool loopback)
    : core_(std::move(core)),
      unix_socket_(unix_socket),
      loopback_(loopback),
      stream_(SocketStream::Plain(std::move(socket)), unix_socket ? nullptr : core_->tls),
      buffer_(kReadBufferMaxBytes) {}

void Connection::open() {
  core_->open.insert(shared_from_this());
  core_->open_count = core_->open.size();
}

void Connection::start() {
  open();
  if (!stream_.secure()) return next_request();
  lowest().expires_after(std::chrono::milliseconds(core_->options.header_timeout_ms));
  stream_.handshake(asio::ssl::stream_base::server, [self = shared_from_this()](ErrorCode code) {
    if (code) return self->close();
    self->next_request();
  });
}

void Connection::turn_away() {
  if (stream_.secure()) return;  // closed with the last reference: a handshake would cost what there is too little of
  open();
  refuse(503,
         "this server has " + std::to_string(core_->options.connections_max) + " connections, its limit; come back");
}

void Connection::stop() {
  keep_alive_ = false;
  if (body_) body_->close();
  if (idle_) close();
  if (finishing_) lowest().expires_after(std::chrono::milliseconds(kLingerStoppingMs));
}

void Connection::close() {
  if (closed_) return;
  closed_ = true;
  const std::shared_ptr<Connection> self = shared_from_this();
  release_body_bytes();
  ErrorCode ignored;
  lowest().socket().shutdown(stream_protocol::socket::shutdown_both, ignored);
  lowest().close();
  if (body_) std::exchange(body_, nullptr)->gone();
  core_->open.erase(self);
  core_->open_count = core_->open.size();
}

void Connection::finish() {
  if (closed_ || finishing_) return;
  finishing_ = true;
  lowest().expires_after(std::chrono::milliseconds(core_->stopping ? kLingerStoppingMs : kLingerTimeoutMs));
  if (stream_.secure()) {
    stream_.shutdown([self = shared_from_this()](ErrorCode) { self->close(); });
    return;
  }
  ErrorCode ignored;
  lowest().socket().shutdown(stream_protocol::socket::shutdown_send, ignored);
  discard();
}

void Connection::discard() {
  buffer_.clear();
  stream_.async_read_some(buffer_.prepare(kReadSizeBytes), [self = shared_from_this()](ErrorCode code, size_t size) {
    self->discarded_bytes_ += size;
    if (code || self->discarded_bytes_ > kLingerMaxBytes) return self->close();
    self->discard();
  });
}

void Connection::expire_step() {
  const auto step = Clock::now() + std::chrono::milliseconds(core_->options.idle_timeout_ms);
  lowest().expires_at(std::min(step, deadline_));
}

void Connection::next_request() {
  if (core_->stopping) return finish();
  parser_.emplace();
  parser_->body_limit(core_->options.body_size_max_bytes);
  parser_->header_limit(kHeaderSizeMaxBytes);
  parser_->eager(true);
  request_ = {};
  if (buffer_.size() > 0) return read_header();
  idle_ = true;
  lowest().expires_after(std::chrono::milliseconds(core_->options.idle_timeout_ms));
  stream_.async_read_some(buffer_.prepare(kReadSizeBytes), [self = shared_from_this()](ErrorCode code, size_t size) {
    self->idle_ = false;
    if (code) return self->close();
    self->buffer_.commit(size);
    self->read_header();
  });
}

void Connection::read_header() {
  deadline_ = Clock::now() + std::chrono::milliseconds(core_->options.request_timeout_ms);
  lowest().expires_after(std::chrono::milliseconds(core_->options.header_timeout_ms));
  http::async_read_header(stream_, buffer_, *parser_,
                          [self = shared_from_this()](ErrorCode code, size_t) { self->on_header(code); });
}

void Connection::on_header(ErrorCode code) {
  if (code == http::error::body_limit) return refuse(413, "the body is larger than this server takes");
  if (code == http::error::header_limit || code == http::error::buffer_overflow)
    return refuse(431, "the header is larger than " + std::to_string(kHeaderSizeMaxBytes) + " bytes");
  if (code && peer_is_gone(code)) return close();
  if (code) return refuse(400, "this is not HTTP: " + code.message());
  const auto& message = parser_->get();
  if (message.version() != 10 && message.version() != 11) return refuse(505, "this server speaks HTTP/1.1");
  if (message.count(http::field::host) != 1 && (message.version() == 11 || message.count(http::field::host) > 1))
    return refuse(400, "a request has one Host header");
  request_.method = message.method_string();
  request_.from_unix_socket = unix_socket_;
  request_.from_loopback = loopback_ || unix_socket_;
  for (const auto& field : message) {
    const auto [known, added] = request_.headers.emplace(lower(field.name_string()), field.value());
    if (!added) known->second += ", " + std::string(field.value());
  }
  if (!read_target(message.target(), request_)) return refuse(400, "the target of the request is not a path");
  keep_alive_ = message.keep_alive();
  head_only_ = request_.method == "HEAD";
  const auto expect = message.find(http::field::expect);
  if (expect == message.end() || message.version() == 10 || parser_->is_done()) return read_body();
  if (!beast::iequals(expect->value(), "100-continue")) return refuse(417, "only Expect: 100-continue is understood");
  expire_step();
  asio::async_write(stream_, asio::buffer(kContinue), [self = shared_from_this()](ErrorCode failed, size_t) {
    if (failed) return self->close();
    self->read_body();
  });
}

void Connection::read_body() {
  if (parser_->is_done()) return dispatch();
  expire_step();
  http::async_read_some(stream_, buffer_, *parser_,
                        [self = shared_from_this()](ErrorCode code, size_t) { self->on_body(code); });
}

void Connection::on_body(ErrorCode code) {
  if (code == http::error::body_limit) return refuse(413, "the body is larger than this server takes");
  if (code && peer_is_gone(code)) return close();
  if (code) return refuse(400, "this is not HTTP: " + code.message());
  if (!take_body_bytes()) return refuse(503, "too many large requests at once; come back");
  read_body();
}

bool Connection::take_body_bytes() {
  const size_t size = parser_->get().body().size();
  core_->body_bytes += size - held_body_bytes_;
  held_body_bytes_ = size;
  return core_->body_bytes <= std::max(kRequestBodiesMaxBytes, core_->options.body_size_max_bytes);
}

void Connection::release_body_bytes() {
  core_->body_bytes -= held_body_bytes_;
  held_body_bytes_ = 0;
}

void Connection::dispatch() {
  request_.body = std::move(parser_->get().body());
  release_body_bytes();
  expire_never();  // how long an answer takes is the handler's affair
  const auto answering = std::make_shared<Answering>(core_, [weak = weak_from_this()](HttpResponse response) {
    if (const auto self = weak.lock(); self && !self->closed_) self->respond(std::move(response));
  });
  core_->handler(std::exchange(request_, {}),
                 [answering](HttpResponse response) { answering->answer(std::move(response)); });
}

// The texts are our own and hold no quotes.
void Connection::refuse(int status, const std::string& text) {
  release_body_bytes();
  keep_alive_ = false;
  HttpResponse response;
  response.status = status;
  response.headers["content-type"] = "application/json";
  if (status == 503) response.headers["retry-after"] = "1";
  response.body = "{\"error\":\"" + text + "\"}\n";
  respond(std::move(response));
}

void Connection::respond(HttpResponse response) {
  if (core_->stopping) keep_alive_ = false;
  deadline_ = Clock::now() + std::chrono::milliseconds(core_->options.request_timeout_ms);
  if (response.stream) return respond_streaming(std::move(response));
  response_ = {static_cast<http::status>(response.status), 11};
  for (const auto& [name, value] : response.headers) response_->set(name, value);
  response_->keep_alive(keep_alive_);
  response_->body() = std::move(response.body);
  response_->prepare_payload();
  if (head_only_) response_->body().clear();
  response_writer_.emplace(*response_);
  write_some();
}

void Connection::write_some() {
  expire_step();
  http::async_write_some(stream_, *response_writer_, [self = shared_from_this()](ErrorCode code, size_t) {
    if (code) return self->close();
    if (!self->response_writer_->is_done()) return self->write_some();
    self->response_writer_.reset();
    self->response_.reset();
    if (!self->keep_alive_) return self->finish();
    self->next_request();
  });
}

void Connection::respond_streaming(HttpResponse response) {
  keep_alive_ = false;
  const bool chunked = parser_->get().version() == 11;
  head_ = {static_cast<http::status>(response.status), 11};
  for (const auto& [name, value] : response.headers) head_->set(name, value);
  head_->keep_alive(false);
  if (chunked) head_->chunked(true);
  head_writer_.emplace(*head_);
  const bool with_body = !head_only_ && !core_->stopping;
  if (with_body) body_ = std::make_shared<ChunkedBody>(core_, shared_from_this(), chunked);
  expire_step();
  http::async_write_header(
      stream_, *head_writer_,
      [self = shared_from_this(), body = body_, start = std::move(response.stream)](ErrorCode code, size_t) {
        if (code) return self->close();
        if (!body) return self->finish();
        self->expire_never();
        self->watch_peer();
        start(body);
      });
}

// Reads nothing, but notices when the peer goes away.
void Connection::watch_peer() {
  lowest().socket().async_wait(stream_protocol::socket::wait_read, [self = shared_from_this()](ErrorCode code) {
    char byte = 0;
    if (!code && !self->closed_)
      self->lowest().socket().receive(asio::buffer(&byte, 1), stream_protocol::socket::message_peek, code);
    if (code && !self->finishing_) self->close();
  });
}

bool ChunkedBody::write(std::string piece) {
  if (piece.empty()) return true;
  {
    const std::lock_guard lock(mutex_);
    if (gone_ || closed_ || waiting_bytes_ > kStreamBufferMaxBytes) return false;
    waiting_bytes_ += piece.size();
    pieces_.push_back(std::move(piece));
  }
  core_->post([self = shared_from_this()] { self->pump(); });
  return true;
}

void ChunkedBody::close() {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = true;
  }
  core_->post([self = shared_from_this()] { self->pump(); });
}

void ChunkedBody::pump() {
  std::unique_lock lock(mutex_);
  if (writing_ || gone_) return;
  const bool ends = pieces_.empty();
  if (ends && !closed_) return;
  writing_ = true;
  if (!ends) {
    at_work_ = std::move(pieces_.front());
    pieces_.pop_front();
  }
  lock.unlock();
  if (ends) return write_end();
  write_piece();
}

void ChunkedBody::write_piece() {
  connection_->deadline_of_piece();
  auto done = [self = shared_from_this()](ErrorCode code, size_t) {
    if (self->connection_ == nullptr) return;
    if (code) return std::shared_ptr(self->connection_)->close();
    {
      const std::lock_guard lock(self->mutex_);
      self->waiting_bytes_ -= self->at_work_.size();
      self->writing_ = false;
    }
    self->connection_->expire_never();
    self->pump();
  };
  if (chunked_) {
    asio::async_write(connection_->stream(), http::make_chunk(asio::buffer(at_work_)), std::move(done));
  } else {
    asio::async_write(connection_->stream(), asio::buffer(at_work_), std::move(done));
  }
}

void ChunkedBody::write_end() {
  if (!chunked_) return std::shared_ptr(connection_)->finish();
  connection_->deadline_of_piece();
  asio::async_write(connection_->stream(), http::make_chunk_last(),
                    [self = shared_from_this()](ErrorCode code, size_t) {
                      const std::shared_ptr<Connection> connection = self->connection_;
                      if (connection == nullptr) return;
                      if (code) return connection->close();
                      connection->finish();
                    });
}

void ChunkedBody::gone() {
  const std::lock_guard lock(mutex_);
  gone_ = true;
  pieces_.clear();
  connection_.reset();  // never the last reference: Connection::close() calls this
}

}  // namespace fmesh::net
