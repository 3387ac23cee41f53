#include "net/proxy.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <boost/url.hpp>
#include <cctype>

namespace fmesh::net {
namespace {

namespace ip = boost::asio::ip;
using ErrorCode = boost::system::error_code;

constexpr size_t kSocksTextMaxBytes = 255;  // a length is one byte

std::string lower_trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

std::optional<ip::address> to_address(const std::string& text) {
  ErrorCode code;
  const ip::address address = ip::make_address(text, code);
  return code ? std::nullopt : std::optional<ip::address>(address);
}

bool in_network(const ip::address& address, const std::string& network) {
  ErrorCode code;
  if (address.is_v4()) {
    const auto net = ip::make_network_v4(network, code);
    return !code &&
           ip::make_network_v4(address.to_v4(), net.prefix_length()).canonical().network() == net.canonical().network();
  }
  const auto net = ip::make_network_v6(network, code);
  return !code &&
         ip::make_network_v6(address.to_v6(), net.prefix_length()).canonical().network() == net.canonical().network();
}

struct HostPort {
  std::string host, port;
};

// "host:port", "[v6]:port"; without a port the whole is the host.
HostPort split_port(const std::string& text) {
  const size_t colon = text.rfind(':');
  const bool bracketed = text.starts_with('[');
  if (colon == std::string::npos || (!bracketed && text.find(':') != colon)) return {text, ""};
  if (!bracketed) return {text.substr(0, colon), text.substr(colon + 1)};
  if (colon == 0 || text[colon - 1] != ']') return {text, ""};
  return {text.substr(1, colon - 2), text.substr(colon + 1)};
}

// One entry of NO_PROXY.
bool entry_matches(const std::string& entry, const std::string& host, const std::string& port) {
  if (entry == "*") return true;
  const auto address = to_address(host);
  if (entry.contains('/')) return address && in_network(*address, entry);
  auto [name, only_port] = split_port(entry);
  if (name.empty() || (!only_port.empty() && only_port != port)) return false;
  if (const auto listed = to_address(name)) return address && *address == *listed;
  if (address) return false;
  if (name.starts_with("*.")) name.erase(0, 1);
  return name.starts_with('.') ? host.ends_with(name) : host == name || host.ends_with("." + name);
}

bool passed_by(const std::string& list, const std::string& host, const std::string& port) {
  size_t begin = 0;
  while (begin <= list.size()) {
    const size_t end = std::min(list.find(',', begin), list.size());
    const std::string entry = lower_trimmed(std::string_view(list).substr(begin, end - begin));
    if (!entry.empty() && entry_matches(entry, host, port)) return true;
    begin = end + 1;
  }
  return false;
}

std::string first_set(const Environment& environment, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (auto value = environment(name); value && !value->empty()) return std::move(*value);
  }
  return "";
}

std::string_view socks_reason(unsigned code) {
  static constexpr std::array<std::string_view, 9> kReasons = {
      "",
      "general failure",
      "not allowed by its rules",
      "network unreachable",
      "host unreachable",
      "connection refused",
      "the time to live expired",
      "the command is not supported",
      "the kind of address is not supported",
  };
  return code < kReasons.size() ? kReasons[code] : "an unknown error";
}

}  // namespace

std::string host_and_port(const std::string& host, const std::string& port) {
  return (host.contains(':') ? "[" + host + "]" : host) + ":" + port;
}

Result<Proxy> parse_proxy(const std::string& text) {
  const auto url = boost::urls::parse_uri(text);
  const std::string scheme = url ? std::string(url->scheme()) : "";
  Proxy out;
  if (scheme == "http") {
    out.port = "80";
  } else if (scheme == "https") {
    out.kind = Proxy::Kind::kHttps;
    out.port = "443";
  } else if (scheme == "socks5" || scheme == "socks5h") {
    out.kind = Proxy::Kind::kSocks5;
    out.port = "1080";
  }
  if (out.port.empty() || url->host().empty() || (url->has_port() && url->port_number() == 0)) {
    const size_t at = text.rfind('@');
    return fail(ErrorKind::kFixInput, "\"" + (at == std::string::npos ? text : "…" + text.substr(at)) +
                                          "\" is not a proxy; expected http://, https:// or socks5://HOST[:PORT]");
  }
  out.host = url->host_address();
  if (url->has_port()) out.port = std::string(url->port());
  out.user = url->user();
  out.password = url->password();
  if (out.kind == Proxy::Kind::kSocks5 &&
      (out.user.size() > kSocksTextMaxBytes || out.password.size() > kSocksTextMaxBytes)) {
    return fail(ErrorKind::kFixInput, "the user or password of a socks5 proxy has more than 255 bytes");
  }
  out.shown = scheme + "://" + host_and_port(out.host, out.port);
  return out;
}

std::string proxy_of_environment(const std::string& url_text, const Environment& environment) {
  const auto url = boost::urls::parse_uri(url_text);
  if (!url) return "";
  const bool secure = url->scheme() == "https";
  std::string proxy = secure ? first_set(environment, {"HTTPS_PROXY", "https_proxy"})
                             : first_set(environment, {"HTTP_PROXY", "http_proxy"});
  if (proxy.empty()) return "";
  const std::string host = lower_trimmed(url->host_address());
  const auto address = to_address(host);
  if (host == "localhost" || (address && address->is_loopback())) return "";
  const std::string port = url->has_port() ? std::string(url->port()) : secure ? "443" : "80";
  if (passed_by(first_set(environment, {"NO_PROXY", "no_proxy"}), host, port)) return "";
  return proxy.contains("://") ? proxy : "http://" + proxy;
}

std::string basic_authorization(std::string_view user, std::string_view password) {
  const std::string plain = std::string(user) + ":" + std::string(password);
  std::string encoded((plain.size() + 2) / 3 * 4 + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(encoded.data()),
                      reinterpret_cast<const unsigned char*>(plain.data()), static_cast<int>(plain.size()));
  encoded.resize(static_cast<size_t>(size));
  return "Basic " + encoded;
}

std::string connect_request(const Proxy& proxy, const std::string& host, const std::string& port) {
  const std::string target = host_and_port(host, port);
  std::string out = "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n";
  if (!proxy.user.empty()) {
    out += "Proxy-Authorization: " + basic_authorization(proxy.user, proxy.password) + "\r\n";
  }
  return out + "\r\n";
}

SocksHandshake::SocksHandshake(Proxy proxy, std::string host, uint16_t port)
    : proxy_(std::move(proxy)), host_(std::move(host)), port_(port) {
  send_ = proxy_.user.empty() ? std::string{5, 1, 0} : std::string{5, 2, 0, 2};
}

std::string SocksHandshake::to_send() { return std::exchange(send_, {}); }

size_t SocksHandshake::wanted_bytes() const {
  switch (step_) {
    case Step::kMethod:
    case Step::kPassword:
      return 2;
    case Step::kReply:
      return 5;  // up to the first byte of the address, which of a name is its length
    case Step::kAddress:
      return address_bytes_;
    case Step::kDone:
      break;
  }
  return 0;
}

Status SocksHandshake::refused(const std::string& why, ErrorKind kind) const {
  return fail(kind, "the proxy " + proxy_.shown + " refuses: " + why);
}

std::string SocksHandshake::request() const {
  std::string out = {5, 1, 0};
  const auto address = to_address(host_);
  if (address && address->is_v4()) {
    const auto bytes = address->to_v4().to_bytes();
    out += '\x01';
    out.append(bytes.begin(), bytes.end());
  } else if (address) {
    const auto bytes = address->to_v6().to_bytes();
    out += '\x04';
    out.append(bytes.begin(), bytes.end());
  } else {
    out += '\x03';
    out += static_cast<char>(host_.size());
    out += host_;
  }
  out += static_cast<char>(port_ >> 8U);
  out += static_cast<char>(port_ & 0xffU);
  return out;
}

Status SocksHandshake::feed(std::string_view bytes) {
  const auto at = [&](size_t index) { return static_cast<unsigned>(static_cast<unsigned char>(bytes[index])); };
  switch (step_) {
    case Step::kMethod:
      if (at(0) != 5) return refused("it does not speak SOCKS 5");
      if (at(1) == 2 && !proxy_.user.empty()) {
        send_ = std::string{1} + static_cast<char>(proxy_.user.size()) + proxy_.user +
                static_cast<char>(proxy_.password.size()) + proxy_.password;
        step_ = Step::kPassword;
        return {};
      }
      if (at(1) != 0) return refused("it wants a way to log in that is not known", ErrorKind::kFixInput);
      send_ = request();
      step_ = Step::kReply;
      return {};
    case Step::kPassword:
      if (at(1) != 0) return refused("wrong user or password", ErrorKind::kFixInput);
      send_ = request();
      step_ = Step::kReply;
      return {};
    case Step::kReply:
      if (at(0) != 5) return refused("it does not speak SOCKS 5");
      if (at(1) != 0) return refused(std::string(socks_reason(at(1))));
      // What is left of the address, and the port.
      address_bytes_ = (at(3) == 1 ? 3 : at(3) == 4 ? 15 : at(4)) + 2;
      step_ = Step::kAddress;
      return {};
    case Step::kAddress:
    case Step::kDone:
      break;
  }
  step_ = Step::kDone;
  return {};
}

}  // namespace fmesh::net
