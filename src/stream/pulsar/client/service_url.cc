#include "stream/pulsar/client/service_url.h"

#include <charconv>

namespace fmesh::stream::pulsar {
namespace {

constexpr uint16_t kPort = 6650, kTlsPort = 6651;

std::unexpected<Error> refuse(std::string_view text, const std::string& why) {
  return fail(ErrorKind::kFixInput,
              "service URL " + std::string(text) + ": " + why +
                  "; expected pulsar://HOST:PORT or pulsar+ssl://HOST:PORT, more hosts with commas");
}

bool is_host(std::string_view host, bool bracketed) {
  if (host.empty() || host.size() > 253) return false;
  for (const char c : host) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
    if (!plain && !(bracketed && (c == ':' || c == '%'))) return false;
  }
  return true;
}

Result<BrokerAddress> parse_host(std::string_view text, std::string_view part, bool tls) {
  BrokerAddress address;
  address.tls = tls;
  address.port = tls ? kTlsPort : kPort;
  std::string_view port;
  const bool bracketed = part.starts_with('[');
  if (bracketed) {
    const size_t end = part.find(']');
    if (end == std::string_view::npos) return refuse(text, "a bracket is not closed");
    address.host = part.substr(1, end - 1);
    port = part.substr(end + 1);
  } else {
    const size_t colon = part.find(':');
    address.host = part.substr(0, colon);
    port = colon == std::string_view::npos ? std::string_view() : part.substr(colon);
  }
  if (!is_host(address.host, bracketed))
    return refuse(text, "found \"" + std::string(part) + "\" where a host belongs");
  if (port.empty()) return address;
  port.remove_prefix(1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (error != std::errc() || end != port.data() + port.size() || address.port == 0) {
    return refuse(text, "\"" + std::string(port) + "\" is no port");
  }
  return address;
}

}  // namespace

std::string BrokerAddress::host_and_port() const {
  return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(port);
}

std::string BrokerAddress::url() const { return (tls ? "pulsar+ssl://" : "pulsar://") + host_and_port(); }

Result<std::vector<BrokerAddress>> parse_service_url(std::string_view text) {
  constexpr std::string_view kPlain = "pulsar://", kTls = "pulsar+ssl://";
  const bool tls = text.starts_with(kTls);
  if (!tls && !text.starts_with(kPlain)) {
    const bool web = text.starts_with("http://") || text.starts_with("https://");
    return refuse(text, web ? "this is the address of the admin API" : "no such scheme");
  }
  std::string_view rest = text.substr(tls ? kTls.size() : kPlain.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);
  std::vector<BrokerAddress> hosts;
  while (true) {
    const size_t comma = rest.find(',');
    FMESH_TRY(BrokerAddress address, parse_host(text, rest.substr(0, comma), tls));
    hosts.push_back(std::move(address));
    if (hosts.size() > kServiceHostsMax)
      return refuse(text, "more than " + std::to_string(kServiceHostsMax) + " hosts");
    if (comma == std::string_view::npos) return hosts;
    rest.remove_prefix(comma + 1);
  }
}

}  // namespace fmesh::stream::pulsar
