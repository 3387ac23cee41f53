// Proxies on the way to a server: which one, and what is said to it. Values and sans-IO; any thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fmesh::net {

struct Proxy {
  enum class Kind { kHttp, kHttps, kSocks5 };
  Kind kind = Kind::kHttp;
  std::string host, port;  // an IPv6 address without brackets
  std::string user, password;
  std::string shown;  // for messages: without user and password
};

// http://[USER[:PASSWORD]@]HOST[:PORT], https://… or socks5://…; without a port 80, 443 or 1080.
// Errors: kFixInput. The text never shows a password.
Result<Proxy> parse_proxy(const std::string& url);

using Environment = std::function<std::optional<std::string>(const std::string& name)>;
// The proxy that HTTPS_PROXY or HTTP_PROXY (or in lower case) names for a URL, by the rules of Go's clients: a plain
// HOST:PORT is http, this machine never goes through a proxy, and neither does what NO_PROXY lists (names with all
// below them, .names, addresses, networks as 10.0.0.0/8, each with a :port if wanted, or *). Empty: none.
std::string proxy_of_environment(const std::string& url, const Environment& environment);

// "Basic …" of RFC 7617.
std::string basic_authorization(std::string_view user, std::string_view password);
// The head that asks for a tunnel (RFC 9110, 9.3.6).
std::string connect_request(const Proxy& proxy, const std::string& host, const std::string& port);
// "host:port", with brackets for IPv6.
std::string host_and_port(const std::string& host, const std::string& port);

// The client's side of SOCKS 5 (RFC 1928) with user and password (RFC 1929). Names are looked up by the proxy.
//   while (!done()) { send(to_send()); feed(read(wanted())) }
class SocksHandshake {
 public:
  // REQUIRES: host is at most 255 bytes, as every name in a URL that resolves.
  SocksHandshake(Proxy proxy, std::string host, uint16_t port);
  bool done() const { return step_ == Step::kDone; }
  std::string to_send();          // once per step; empty: nothing now
  size_t wanted_bytes() const;    // exactly so many are read next
  Status feed(std::string_view);  // Errors: kFixInput for credentials, kRetryLater with the proxy's reason

 private:
  enum class Step { kMethod, kPassword, kReply, kAddress, kDone };
  std::string request() const;
  Status refused(const std::string& why, ErrorKind kind = ErrorKind::kRetryLater) const;

  Proxy proxy_;
  std::string host_;
  uint16_t port_;
  Step step_ = Step::kMethod;
  std::string send_;
  size_t address_bytes_ = 0;
};

}  // namespace fmesh::net
