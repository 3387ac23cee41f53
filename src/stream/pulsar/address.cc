#include "stream/pulsar/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/url.hpp>
#include <charconv>
#include <optional>

namespace fmesh::stream::pulsar {
namespace {

constexpr size_t kUrlMaxBytes = 2048;
constexpr size_t kAddressSize = 16;
constexpr int kMappedBits = 96;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const size_t begin = text.find_first_not_of(kBlank);
  return begin == std::string_view::npos ? "" : text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

// An address as 16 bytes; IPv4, also where it is dressed as IPv6, is ::ffff:a.b.c.d.
std::optional<std::string> to_bytes(std::string_view ip) {
  const std::string text(ip.substr(0, ip.find('%')));
  const std::string mapped(std::string(10, '\0') + "\xff\xff");
  std::string bytes(kAddressSize, '\0');
  if (inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) return mapped + bytes.substr(0, 4);
  if (inet_pton(AF_INET6, text.c_str(), bytes.data()) != 1) return std::nullopt;
  const std::string head = bytes.substr(0, 12);
  const std::string nat64("\x00\x64\xff\x9b\0\0\0\0\0\0\0\0", 12);
  // RFC 6052, 2.1 (NAT64); RFC 3056, 2 (6to4); RFC 4291, 2.5.5.1 (compatible), of which :: and ::1 are none.
  if (head == nat64) return mapped + bytes.substr(12);
  if (bytes.starts_with("\x20\x02")) return mapped + bytes.substr(2, 4);
  const bool compatible = head == std::string(12, '\0') && bytes.substr(12, 3) != std::string(3, '\0');
  return compatible ? mapped + bytes.substr(12) : bytes;
}

bool within(const std::string& bytes, const std::string& network, int bits) {
  const auto whole = static_cast<size_t>(bits / 8);
  if (bytes.compare(0, whole, network, 0, whole) != 0) return false;
  if (bits % 8 == 0) return true;
  const unsigned mask = 0xffU << (8U - static_cast<unsigned>(bits % 8));
  return ((static_cast<unsigned char>(bytes[whole]) ^ static_cast<unsigned char>(network[whole])) & mask & 0xffU) == 0;
}

struct Special {
  const char* network;
  int bits;  // of the address in its own family
  const char* what;
};
constexpr const char* kLoopback = "a loopback address";
constexpr const char* kMetadata = "where a cloud keeps its metadata";
constexpr const char* kReserved = "a multicast or reserved address";
constexpr const char* kNoHost = "no host's address";
// RFC 6890 and the metadata services of clouds that are not at a link-local address.
constexpr Special kSpecial[] = {
    {"127.0.0.0", 8, kLoopback},
    {"::1", 128, kLoopback},
    {"0.0.0.0", 8, kNoHost},
    {"::", 128, kNoHost},
    {"169.254.0.0", 16, "a link-local address, where clouds keep their metadata"},
    {"fe80::", 10, "a link-local address"},
    {"100.100.100.200", 32, kMetadata},
    {"168.63.129.16", 32, kMetadata},
    {"192.0.0.192", 32, kMetadata},
    {"fd00:ec2::254", 128, kMetadata},
    {"fd20:ce::254", 128, kMetadata},
    {"224.0.0.0", 4, kReserved},
    {"240.0.0.0", 4, kReserved},
    {"ff00::", 8, kReserved},
};

const char* special(const std::string& bytes) {
  for (const Special& one : kSpecial) {
    const bool is_four = std::string_view(one.network).find(':') == std::string_view::npos;
    if (within(bytes, *to_bytes(one.network), one.bits + (is_four ? kMappedBits : 0))) return one.what;
  }
  return nullptr;
}

bool name_fits(const std::string& entry, const std::string& host) {
  if (!entry.starts_with("*.")) return entry == host;
  return host.size() > entry.size() - 1 && host.ends_with(std::string_view(entry).substr(1));
}

bool is_name(std::string_view text) {
  if (text.starts_with("*.")) text.remove_prefix(2);
  return !text.empty() && text.front() != '.' && text.back() != '.' && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
  });
}

Result<AdminUrl> from_view(const boost::urls::url_view& url) {
  const bool secure = url.scheme_id() == boost::urls::scheme::https;
  if (!secure && url.scheme_id() != boost::urls::scheme::http) {
    return fail(ErrorKind::kFixInput, fmt::format("scheme \"{}\"", std::string(url.scheme())));
  }
  if (url.has_userinfo()) return fail(ErrorKind::kFixInput, "a user name; credentials are given by the resource");
  if (url.host_address().empty()) return fail(ErrorKind::kFixInput, "no host");
  // RFC 3986, 3.3. Boost takes "http://host:x" for an empty port and the path "x".
  if (!url.encoded_path().empty() && !url.is_path_absolute()) return fail(ErrorKind::kFixInput, "a port that is none");
  uint32_t port = secure ? 443 : 80;
  if (const std::string digits(url.port()); !digits.empty()) {
    const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (code != std::errc() || port == 0 || port > UINT16_MAX) return fail(ErrorKind::kFixInput, "a port that is none");
  }
  AdminUrl out;
  out.secure = secure;
  out.host = lower(url.host_address());
  // A dot at the end says that the name is whole already; the name is the same.
  if (out.host.ends_with('.') && out.host.size() > 1) out.host.pop_back();
  out.port = static_cast<uint16_t>(port);
  out.prefix = std::string(url.encoded_path());
  while (out.prefix.ends_with('/')) out.prefix.pop_back();
  return out;
}

}  // namespace

Result<AdminUrl> AdminUrl::parse(std::string_view text) {
  const std::string_view first = trimmed(text.substr(0, text.find(',')));
  // What has an @ may have a password.
  const std::string shown(first.find('@') == std::string_view::npos ? first.substr(0, 200) : "(a URL with @)");
  const auto refuse = [&](const std::string& found) {
    return fail(ErrorKind::kFixInput,
                fmt::format("{}: found {}, expected http://HOST[:PORT] or https://HOST[:PORT]", shown, found));
  };
  if (first.empty())
    return fail(ErrorKind::kFixInput, "found nothing, expected http://HOST[:PORT] or https://HOST[:PORT]");
  const auto url = boost::urls::parse_uri(boost::core::string_view(first.data(), first.size()));
  if (first.size() > kUrlMaxBytes || !url) return refuse("no URL");
  if (url->has_query() || url->has_fragment()) return refuse("a query or a fragment");
  Result<AdminUrl> out = from_view(*url);
  if (!out) return refuse(out.error().text());
  return out;
}

std::string AdminUrl::origin() const {
  const bool six = host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", secure ? "https" : "http", six ? "[" : "", host, six ? "]" : "", port);
}

Result<std::string> same_host_target(const AdminUrl& from, std::string_view location) {
  // "//host/path" has the scheme of where it came from (RFC 3986, 4.2).
  const std::string text = (location.starts_with("//") ? from.secure ? "https:" : "http:" : "") +
                           std::string(location.substr(0, kUrlMaxBytes + 1));
  const auto url = boost::urls::parse_uri_reference(text);
  if (text.size() > kUrlMaxBytes || !url) return fail(ErrorKind::kFixInput, "the redirect leads to what is no URL");
  if (url->has_scheme()) {
    const Result<AdminUrl> to = from_view(*url);
    if (!to) return fail(ErrorKind::kFixInput, "the redirect leads to what is no http(s) URL");
    if (to->secure != from.secure || to->host != from.host || to->port != from.port) {
      return fail(ErrorKind::kFixInput, fmt::format("the redirect leads to another host, {}", to->origin()));
    }
  } else if (!url->is_path_absolute()) {
    return fail(ErrorKind::kFixInput, "the redirect leads to a relative path");
  }
  const std::string path(url->encoded_path());
  return (path.empty() ? "/" : path) + (url->has_query() ? "?" + std::string(url->encoded_query()) : "");
}

Result<AllowedHosts> AllowedHosts::parse(const std::vector<std::string>& entries) {
  AllowedHosts out;
  if (entries.size() > kEntriesMax) {
    return fail(ErrorKind::kFixInput, fmt::format("{} hosts, expected {} at most", entries.size(), kEntriesMax));
  }
  for (const std::string& given : entries) {
    const std::string entry = lower(trimmed(given));
    const auto refuse = [&] {
      return fail(ErrorKind::kFixInput, fmt::format("\"{}\": expected a host name, *.DOMAIN, an address or a network "
                                                    "such as 10.0.0.0/8; no scheme and no port",
                                                    given));
    };
    const size_t slash = entry.find('/');
    const std::optional<std::string> bytes = to_bytes(entry.substr(0, slash));
    if (!bytes) {
      if (slash != std::string::npos || !is_name(entry)) return refuse();
      out.names_.push_back(entry);
      continue;
    }
    const bool is_four = entry.find(':') == std::string::npos;
    const int most = is_four ? 32 : 128;
    int bits = most;
    if (slash != std::string::npos) {
      const std::string digits = entry.substr(slash + 1);
      const bool number = !digits.empty() && digits.size() <= 3 &&
                          std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
      if (!number || std::stoi(digits) > most) return refuse();
      bits = std::stoi(digits);
    }
    out.networks_.push_back({*bytes, bits + (is_four ? kMappedBits : 0)});
  }
  return out;
}

Status AllowedHosts::check(const std::string& host, const std::string& ip) const {
  const std::optional<std::string> bytes = to_bytes(ip);
  if (!bytes) return fail(ErrorKind::kFixInput, ip + " is no address");
  const bool listed_address =
      std::ranges::any_of(networks_, [&](const Network& one) { return within(*bytes, one.bytes, one.bits); });
  const bool listed_name =
      std::ranges::any_of(names_, [&](const std::string& one) { return name_fits(one, lower(host)); });
  const std::string shown = host == ip ? ip : fmt::format("{} ({})", host, ip);
  const char* what = special(*bytes);
  if (what && !(what == kLoopback && listed_address)) {
    return fail(ErrorKind::kFixInput, fmt::format("{} is {}; the operator does not connect there", shown, what));
  }
  const bool has_list = !names_.empty() || !networks_.empty();
  if (has_list && !listed_address && !listed_name) {
    return fail(
        ErrorKind::kFixInput,
        fmt::format("{} is not among the hosts of --cleanup-hosts; whoever runs the operator can add it", shown));
  }
  return {};
}

}  // namespace fmesh::stream::pulsar
