// An HTTP/1.1 client for a loop: it never blocks, keeps a bounded set of connections and streams answers. TLS is
// verified; trust, names and client certificates are values that may be replaced while it runs (credentials rotate).
// A proxy is asked for a tunnel (CONNECT, SOCKS 5), or for the whole URL if the server is plain.
//
// Everything, callbacks included, happens on the IoLoop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http.h"
#include "net/io_loop.h"
#include "net/tls_identity.h"

namespace fmesh::net {

struct AsyncHttpClientOptions {
  std::string url;      // http(s)://host:port[/prefix], IPv6 in brackets
  std::string proxy{};  // as parse_proxy() of proxy.h takes it; empty: none
  TlsIdentity tls{};
  size_t connections_max = 32;  // for send(); further requests wait in a line of at most waiting_max
  size_t waiting_max = 10'000;
  int64_t timeout_ms = 30'000;       // of one request, from the moment it leaves the line
  int64_t idle_timeout_ms = 60'000;  // a kept connection is closed after it
  size_t body_size_max_bytes = 64 * 1024 * 1024;
  // Asked with each resolved address ("10.0.0.7", "fd00::1") before connecting to it; one that is refused is not tried,
  // and if none is left the request ends with the last refusal. Empty: every address. Not asked for a proxy.
  std::function<Status(const std::string& ip)> check_address{};
};

struct AsyncRequest {
  std::string method = "GET";
  std::string target{};  // sent as it is, after the URL's prefix
  std::multimap<std::string, std::string> headers{};
  std::string body{};
  int64_t timeout_ms = 0;  // 0: the client's; of a stream: between two pieces of the answer
};

class HttpStream {
 public:
  virtual ~HttpStream() = default;  // ends it; no callback runs afterwards
};

struct HttpStreamHandler {
  std::function<void(HttpResponse)> on_head;  // body only for an answer other than 200
  std::function<void(std::string_view)> on_data;
  std::function<void(Status)> on_end;
};

class AsyncHttpClient {
 public:
  // Errors: kFixInput for a URL, proxy or PEM text that can't be used.
  static Result<std::unique_ptr<AsyncHttpClient>> make(IoLoop& loop, AsyncHttpClientOptions options);
  // Open requests end with kClosed, without a callback.
  virtual ~AsyncHttpClient() = default;
  // `done` runs once, never within send().
  // Errors: kRetryLater if there was no whole answer (the text says whether the request had been sent); kFixInput for
  // trust.
  virtual void send(AsyncRequest request, std::function<void(Result<HttpResponse>)> done) = 0;
  // On a connection of its own, not counted in connections_max.
  virtual std::unique_ptr<HttpStream> open(AsyncRequest request, HttpStreamHandler handler) = 0;
  // For connections made from now on; kept ones are not used again. Errors: kFixInput; nothing changes then.
  virtual Status set_tls(TlsIdentity tls) = 0;
};

}  // namespace fmesh::net
