#include "stream/pulsar/server/access.h"

#include <fmt/format.h>

#include <fstream>

#include "net/address.h"

namespace fmesh::stream::pulsar::server {
namespace {

// Takes as long whatever is wrong with `shown`.
bool same_text(std::string_view expected, std::string_view shown) {
  unsigned char difference = expected.size() == shown.size() ? 0 : 1;
  for (size_t i = 0; i < expected.size(); ++i)
    difference |= static_cast<unsigned char>(expected[i] ^ (i < shown.size() ? shown[i] : '\0'));
  return difference == 0;
}

// Without the port.
std::string_view host_of(std::string_view address) {
  const size_t colon = address.rfind(':');
  return colon == std::string_view::npos || address.ends_with(']') ? address : address.substr(0, colon);
}

}  // namespace

Result<std::string> read_token_file(const std::string& path) {
  std::ifstream file(path);
  std::string token;
  if (!file || !std::getline(file, token) || token.empty())
    return fail(ErrorKind::kFixInput, "token file " + path + ": expected a file whose first line is the token");
  return token;
}

Status Access::check(std::string_view method, std::string_view data) const {
  if (!needs_token()) return {};
  if (method != "token")
    return fail(ErrorKind::kFixInput,
                fmt::format("this server asks for a token and the client offers {}; use token authentication",
                            method.empty() || method == "none" ? "none" : method));
  const auto token = read_token_file(options_.token_file);
  if (!token) return fail(ErrorKind::kFixInput, "the server can't read its token file now; tell who runs it");
  // A client that reads it from a file may send the end of its line as well.
  while (data.ends_with('\n') || data.ends_with('\r')) data.remove_suffix(1);
  if (!same_text(*token, data)) return fail(ErrorKind::kFixInput, "the token is not the one this server expects");
  return {};
}

std::optional<HttpRefusal> http_refusal(const net::HttpRequest& request, const Access& access,
                                        std::string_view advertised_address) {
  const auto header = [&](const char* name) -> std::string_view {
    const auto found = request.headers.find(name);
    return found == request.headers.end() ? std::string_view() : found->second;
  };
  if (!header("origin").empty()) return HttpRefusal{403, "web pages are not served here"};
  const std::string_view host = host_of(header("host"));
  const bool is_address = host.starts_with('[') || host.find_first_not_of("0123456789.") == std::string_view::npos;
  if (!is_address && host != "localhost" && host != host_of(advertised_address))
    return HttpRefusal{403, fmt::format("this server is not called {}; use its address", host)};
  if (!access.needs_token()) return std::nullopt;
  constexpr std::string_view kBearer = "Bearer ";
  const std::string_view shown = header("authorization");
  if (!shown.starts_with(kBearer)) return HttpRefusal{401, "this server asks for a token: Authorization: Bearer TOKEN"};
  if (const Status allowed = access.check("token", shown.substr(kBearer.size())); !allowed)
    return HttpRefusal{401, allowed.error().text()};
  return std::nullopt;
}

Status check_exposure(const std::string& flag, const std::string& address, bool has_token, bool has_tls) {
  FMESH_TRY(const net::Address parsed, net::parse_address(address));
  if (net::is_loopback(parsed) || (has_token && has_tls)) return {};
  return fail(
      ErrorKind::kFixInput,
      fmt::format("{} {}: other machines reach this address, so it takes {}; or listen on 127.0.0.1", flag, address,
                  has_token ? "--tls-cert and --tls-key"
                  : has_tls ? "--token-file"
                            : "--token-file, --tls-cert and --tls-key"));
}

}  // namespace fmesh::stream::pulsar::server
