// Who may speak to the server: everybody, or who shows the token. A server that is reached from other machines has to
// ask for one and to speak TLS, which the caller checks before it listens.
//
// Values; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http.h"

namespace fmesh::stream::pulsar::server {

struct AccessOptions {
  std::string token_file;  // its first line is the token; read for each connection, so it may be replaced; empty: none
};

class Access {
 public:
  explicit Access(AccessOptions options) : options_(std::move(options)) {}
  bool needs_token() const { return !options_.token_file.empty(); }
  // `method` and `data` as CONNECT has them. Errors: kFixInput with what is wrong, fit for the client to see.
  Status check(std::string_view method, std::string_view data) const;

 private:
  AccessOptions options_;
};

struct HttpRefusal {
  int status = 403;
  std::string reason;
};
// Nothing if a request to the admin API may go on. A web page in a browser of this machine could reach the port, by a
// cross-site request or with a name that it points here, so browsers are refused and the Host has to be an address,
// this machine's name for itself, or the advertised one.
std::optional<HttpRefusal> http_refusal(const net::HttpRequest& request, const Access& access,
                                        std::string_view advertised_address);

// The first line of a file with a token. Errors: kFixInput if there is none.
Result<std::string> read_token_file(const std::string& path);
// Errors: kFixInput with the way out if `address` is reached from other machines and lacks a token or TLS.
Status check_exposure(const std::string& flag, const std::string& address, bool has_token, bool has_tls);

}  // namespace fmesh::stream::pulsar::server
