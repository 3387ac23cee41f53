#include "net/address.h"

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
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
    if (colon != std::string_view::npos && !host.empty()) {
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
  return address.is_unix || address.host == "localhost" || address.host == "::1" || address.host.starts_with("127.");
}

}  // namespace fmesh::net
