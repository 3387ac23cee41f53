// HTTP as values, and a server and a client for them (RFC 9110, 9112). Boost.Beast stays behind this header.
//
// The server runs on threads of its own and calls its handler there; a handler answers now or later, from any thread,
// with a whole response or a stream. It listens on TCP or on a Unix socket. The client blocks its caller, so it is for
// commands and for workers, never for a loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace fmesh::net {

struct HttpRequest {
  std::string method = "GET";
  std::string path = "/";                      // decoded, without the query
  std::map<std::string, std::string> query;    // decoded
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  bool from_unix_socket = false;  // server: the peer passed the socket's file permissions
  bool from_loopback = false;     // server: the peer's address is loopback
};

// The body of an answer that is written piece by piece (chunked). From any thread.
class BodyStream {
 public:
  virtual ~BodyStream() = default;
  // False once the peer is gone or kStreamBufferMaxBytes wait: the writer stops or drops.
  virtual bool write(std::string piece) = 0;
  virtual void close() = 0;
};
inline constexpr size_t kStreamBufferMaxBytes = 1024 * 1024;

struct HttpResponse {
  int status = 200;
  std::map<std::string, std::string> headers;  // names in lower case; content-length is set by the server
  std::string body;
  // Set instead of `body`: called once the head is sent.
  std::function<void(std::shared_ptr<BodyStream>)> stream;
};

using Respond = std::function<void(HttpResponse)>;
using HttpHandler = std::function<void(HttpRequest, Respond)>;

struct TlsFiles {
  std::string certificate;  // PEM chain
  std::string key;          // PEM
  std::string ca;           // PEM; client: who is trusted besides the system's (empty: the system's only)
};

struct HttpServerOptions {
  std::string address;  // "127.0.0.1:8080", "[::1]:0", or "unix:/path"; a Unix socket gets mode 0600
  size_t body_size_max_bytes = 16 * 1024 * 1024;
  size_t connections_max = 1024;
  int64_t idle_timeout_ms = 60'000;
  TlsFiles tls;  // empty: plain
};

class HttpServer {
 public:
  // Errors: kFixInput with the address and the cause (in use, not permitted, not an address).
  static Result<std::unique_ptr<HttpServer>> start(HttpServerOptions options, HttpHandler handler);
  virtual ~HttpServer() = default;  // stops
  virtual uint16_t port() const = 0;
  // Stops listening, lets running requests finish for at most `limit_ms`.
  virtual void stop(int64_t limit_ms) = 0;
};

struct HttpClientOptions {
  std::string url;              // http://host:port, https://…, or unix:/path; its path is put before each request's
  int64_t timeout_ms = 30'000;  // for one request, connecting included
  size_t body_size_max_bytes = 64 * 1024 * 1024;
  TlsFiles tls;
};

// Keeps one connection open between requests; used by one thread at a time.
class HttpClient {
 public:
  static Result<std::unique_ptr<HttpClient>> make(HttpClientOptions options);
  virtual ~HttpClient() = default;
  // Errors: kRetryLater if the peer can't be reached or the time is up; kFixInput for TLS trust.
  virtual Result<HttpResponse> send(HttpRequest request) = 0;
  // Calls `piece` with each part of the body as it comes, until it returns false or the body ends. No timeout after the
  // head.
  virtual Result<HttpResponse> stream(HttpRequest request, std::function<bool(std::string_view)> piece) = 0;
};

}  // namespace fmesh::net
