#include "net/address.h"

#include <arpa/inet.h>

#include <charconv>

namespace fmesh::net {

Result<Address> parse_address(std::string_view text) {
  Address address;
  if (text.starts_with("unix:")) {
    address.is_unix = true;
    address.host = text.substr(5);
    if (!address.host.empty()) return address;
  } else {
    const size_t colon = text.rfind(':');
    std::string_view host = text.substr(0, colon);
    const bool in_brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
    if (in_brackets) host = host.substr(1, host.size() - 2);
    // Without brackets it is unclear where an IPv6 address ends and the port begins.
    if (colon != std::string_view::npos && !host.empty() && host.contains(':') == in_brackets) {
      const std::string_view port = text.substr(colon + 1);
      const auto [stop, code] = std::from_chars(port.data(), port.data() + port.size(), address.port);
      if (code == std::errc() && stop == port.data() + port.size()) {
        address.host = host;
        return address;
      }
    }
  }
  return fail(ErrorKind::kFixInput,
              "\"" + std::string(text) + "\" is not an address; expected HOST:PORT, [IPV6]:PORT or unix:PATH");
}

bool is_loopback(const Address& address) {
  if (address.is_unix || address.host == "localhost") return true;
  in_addr four{};
  if (::inet_pton(AF_INET, address.host.c_str(), &four) == 1) return (ntohl(four.s_addr) >> 24) == 127;
  in6_addr six{};
  return ::inet_pton(AF_INET6, address.host.c_str(), &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

}  // namespace fmesh::net
