// Addresses as people write them: "127.0.0.1:8080", "[::1]:0", "localhost:80", "unix:/path". A value type.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fmesh::net {

struct Address {
  bool is_unix = false;
  std::string host;  // without brackets; the path of a Unix socket
  uint16_t port = 0;
};

// Errors: kFixInput with the forms that are accepted.
Result<Address> parse_address(std::string_view text);
// True for 127.0.0.0/8, ::1, localhost and Unix sockets.
bool is_loopback(const Address& address);

}  // namespace fmesh::net
