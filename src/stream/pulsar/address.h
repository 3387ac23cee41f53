// Where Pulsar's admin API is, as a resource says it, and whether the operator may go there. Resources are written by
// people who may not reach all that the operator's pod reaches, so every connection on their behalf is checked twice:
// by the host they name, and by each address it resolves to.
//
// Values and pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fmesh::stream::pulsar {

struct AdminUrl {
  bool secure = false;
  std::string host;  // in lower case; IPv6 without brackets
  uint16_t port = 0;
  std::string prefix;  // path before /admin/v2, encoded, without a slash at its end

  // Of several with commas, as Pulsar writes them, the first counts.
  // Errors: kFixInput for what is no http(s) URL, or has a user, a query or a fragment. A password in it is not
  // repeated.
  static Result<AdminUrl> parse(std::string_view text);
  std::string origin() const;  // "https://host:8443"
  bool operator==(const AdminUrl&) const = default;
};

// The path and query of a redirect's `location`, an absolute URL or a path, if it leads to `from`'s scheme, host and
// port. Errors: kFixInput that names where it leads.
Result<std::string> same_host_target(const AdminUrl& from, std::string_view location);

// Which hosts the operator may connect to on behalf of resources.
class AllowedHosts {
 public:
  static constexpr size_t kEntriesMax = 1000;

  // Every host but loopback, link-local, metadata and other special addresses.
  AllowedHosts() = default;
  // Entries: a host name, "*." and a domain (any name below it), an address, or a network ("10.0.0.0/8"). Special
  // addresses stay refused, save loopback if an address or a network of the list has it. No entries: as AllowedHosts().
  // Errors: kFixInput that names the entry.
  static Result<AllowedHosts> parse(const std::vector<std::string>& entries);

  // Whether to connect to `ip`, which `host` resolved to, or is. Errors: kFixInput with the reason.
  Status check(const std::string& host, const std::string& ip) const;

 private:
  struct Network {
    std::string bytes;  // 16, IPv4 mapped into IPv6
    int bits = 0;
  };

  std::vector<std::string> names_;  // in lower case
  std::vector<Network> networks_;
};

}  // namespace fmesh::stream::pulsar
