// One connection of the HTTP server: request, answer, request, ... with a time limit on every step. Private to the
// room.
//
// Everything here lives on the server's io thread, apart from what says otherwise. A connection is kept by
// ServerCore::open until it is closed; what an operation in flight holds is only borrowed beside that. A handler holds
// no connection, just a way to find it again, so that a server ends even if an answer never comes.
#pragma once

#include <atomic>
#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast.hpp>
#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "net/http.h"
#include "net/socket_stream_private.h"

namespace fmesh::net {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::generic::stream_protocol;
using ErrorCode = boost::system::error_code;

class Connection;

// What all connections of a server share.
struct ServerCore {
  HttpServerOptions options;
  HttpHandler handler;
  asio::io_context io{1};
  std::shared_ptr<asio::ssl::context> tls;  // of the next connections
  std::atomic<bool> stopping{false};
  std::set<std::shared_ptr<Connection>> open;
  std::atomic<size_t> open_count{0};
  size_t body_bytes = 0;  // of requests that are being read

  // From any thread; drops `work` once the server has ended.
  template <class Work>
  void post(Work&& work) {
    const std::lock_guard lock(mutex_);
    if (!ended_) asio::post(io, std::forward<Work>(work));
  }
  // REQUIRES: the io thread has been joined. Lets go of everything that still waits.
  void end();

 private:
  std::mutex mutex_;
  bool ended_ = false;
};

// Pieces wait here until the socket has taken the one before.
class ChunkedBody final : public BodyStream, public std::enable_shared_from_this<ChunkedBody> {
 public:
  ChunkedBody(std::shared_ptr<ServerCore> core, std::shared_ptr<Connection> connection, bool chunked)
      : core_(std::move(core)), connection_(std::move(connection)), chunked_(chunked) {}
  bool write(std::string piece) override;  // from any thread
  void close() override;                   // from any thread
  void gone();

 private:
  void pump();
  void write_piece();
  void write_end();

  std::shared_ptr<ServerCore> core_;
  std::shared_ptr<Connection> connection_;  // until the stream ends; changed on the io thread only
  const bool chunked_;                      // false: HTTP/1.0, the end of the connection ends the body
  std::mutex mutex_;
  std::deque<std::string> pieces_;
  size_t waiting_bytes_ = 0;
  bool writing_ = false, closed_ = false, gone_ = false;
  std::string at_work_;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Clock = std::chrono::steady_clock;

  Connection(std::shared_ptr<ServerCore> core, stream_protocol::socket socket, bool unix_socket, bool loopback);

  void start();
  // Instead of start(): answers without reading a request.
  void turn_away();
  // The server stops: idle connections close, streams end, what is being answered is finished.
  void stop();
  void close();

  // For ChunkedBody.
  SocketStream& stream() { return stream_; }
  void expire_step();
  // A stream may go on for ever, each of its pieces may not.
  void deadline_of_piece() {
    deadline_ = Clock::now() + std::chrono::milliseconds(core_->options.idle_timeout_ms);
    expire_step();
  }
  void expire_never() { lowest().expires_never(); }
  // Ends what is sent and waits a while for the peer to end too: a connection closed while bytes of the peer are
  // unread is reset, and the peer may lose the answer.
  void finish();

 private:
  SocketStream::Plain& lowest() { return stream_.lowest(); }
  void open();
  void next_request();
  void read_header();
  void on_header(ErrorCode code);
  void read_body();
  void on_body(ErrorCode code);
  bool take_body_bytes();
  void release_body_bytes();
  void dispatch();
  void refuse(int status, const std::string& text);
  void respond(HttpResponse response);
  void write_some();
  void respond_streaming(HttpResponse response);
  void watch_peer();
  void discard();

  std::shared_ptr<ServerCore> core_;
  const bool unix_socket_, loopback_;
  SocketStream stream_;
  beast::flat_buffer buffer_;
  Clock::time_point deadline_;  // of the whole request, or of the whole answer
  std::optional<http::request_parser<http::string_body>> parser_;
  std::optional<http::response<http::string_body>> response_;
  std::optional<http::response_serializer<http::string_body>> response_writer_;
  std::optional<http::response<http::empty_body>> head_;
  std::optional<http::response_serializer<http::empty_body>> head_writer_;
  std::shared_ptr<ChunkedBody> body_;
  HttpRequest request_;
  size_t held_body_bytes_ = 0, discarded_bytes_ = 0;
  bool keep_alive_ = false, head_only_ = false, idle_ = false, closed_ = false, finishing_ = false;
};

}  // namespace fmesh::net
