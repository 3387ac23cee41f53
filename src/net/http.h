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
#include "net/certificate.h"

namespace fmesh::net {

struct HttpRequest {
  std::string method = "GET";
  std::string path = "/";                      // decoded, without the query
  std::map<std::string, std::string> query;    // decoded
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  bool from_unix_socket = false;  // server: the peer passed the socket's file permissions
  bool from_loopback = false;     // server: it listens on a loopback address, so the peer is on this machine
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

// Bounds of the server that nobody needs to change.
inline constexpr size_t kHeaderSizeMaxBytes = 64 * 1024;            // else 431
inline constexpr size_t kRequestBodiesMaxBytes = 64 * 1024 * 1024;  // being read, of all connections; else 503
inline constexpr size_t kTurnedAwayMax = 64;                        // told 503 at once; more are just closed
inline constexpr int64_t kLingerTimeoutMs = 2'000;                  // after the last answer, for the peer to close
inline constexpr int64_t kLingerStoppingMs = 100;                   // the same while the server stops
inline constexpr size_t kLingerMaxBytes = 16 * 1024 * 1024;         // read and dropped in that time
inline constexpr int64_t kAcceptPauseMs = 100;                      // when no file descriptor is left

struct HttpServerOptions {
  std::string address;  // "127.0.0.1:8080", "[::1]:0", or "unix:/path"; a Unix socket gets mode 0600
  size_t body_size_max_bytes = 16 * 1024 * 1024;  // else 413
  size_t connections_max = 1024;                  // else 503
  int64_t header_timeout_ms = 10'000;             // from the first byte of a request to the end of its header
  int64_t idle_timeout_ms = 60'000;               // between requests, and between two pieces of a body or an answer
  int64_t request_timeout_ms = 300'000;           // for the whole body of a request, and for the whole answer
  TlsFiles tls{};                                 // empty: plain
  KeyPair tls_pair{};                             // the same as texts; used if given
};

class HttpServer {
 public:
  // Requests of one connection are answered one after the other. A Respond that is let go of unused answers 500.
  // Requests that are refused here are answered {"error": text}.
  // Errors: kFixInput with the address and the cause (in use, not permitted, not an address).
  static Result<std::unique_ptr<HttpServer>> start(HttpServerOptions options, HttpHandler handler);
  virtual ~HttpServer() = default;  // stops
  virtual uint16_t port() const = 0;
  // Connections from now on get this certificate; those that are open keep theirs. From any thread.
  // Errors: kFixInput: it can't be read, its key does not fit, or the server is plain; nothing changes then.
  virtual Status set_certificate(const KeyPair& pair) = 0;
  // Stops listening, ends streams, lets running requests finish for at most `limit_ms`. No handler runs afterwards.
  virtual void stop(int64_t limit_ms) = 0;
};

struct HttpClientOptions {
  // http://host:port, https://…, or unix:/path; its path is put before each request's, its query added to it.
  std::string url;
  int64_t timeout_ms = 30'000;  // for one request, connecting included; finding the host's address is not
  size_t body_size_max_bytes = 64 * 1024 * 1024;
  TlsFiles tls;
};

inline constexpr int kInterimAnswersMax = 8;  // 1xx answers before the one that counts

// Keeps one connection open between requests; used by one thread at a time.
class HttpClient {
 public:
  static Result<std::unique_ptr<HttpClient>> make(HttpClientOptions options);
  virtual ~HttpClient() = default;
  // A request that can be repeated without harm (GET, HEAD, PUT, DELETE, OPTIONS) is sent again once if a kept
  // connection turns out to be closed.
  // Errors: kRetryLater if the peer can't be reached, breaks off or the time is up; kFixInput for TLS trust and an
  // answer larger than body_size_max_bytes.
  virtual Result<HttpResponse> send(HttpRequest request) = 0;
  // Calls `piece` with each part of the body as it comes, until it returns false or the body ends. No timeout after the
  // head. An answer other than 2xx is not streamed but returned with its body.
  // Errors: as send(); kRetryLater if the body breaks off.
  virtual Result<HttpResponse> stream(HttpRequest request, std::function<bool(std::string_view)> piece) = 0;
};

}  // namespace fmesh::net
