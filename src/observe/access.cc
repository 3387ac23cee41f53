#include "observe/access.h"

#include <string_view>

namespace fmesh::observe {
namespace {

std::string_view header(const net::HttpRequest& request, const char* name) {
  const auto found = request.headers.find(name);
  return found == request.headers.end() ? std::string_view() : std::string_view(found->second);
}

// "localhost:8080" -> "localhost"; "[::1]:8080" -> "[::1]".
std::string_view host_name(std::string_view host) {
  if (host.starts_with('[')) return host.substr(0, host.find(']') + 1);
  return host.substr(0, host.find(':'));
}

bool is_loopback_name(std::string_view name) { return name == "localhost" || name == "127.0.0.1" || name == "[::1]"; }

// Takes the same time wherever the difference lies.
bool same_secret(std::string_view given, std::string_view wanted) {
  unsigned difference = given.size() == wanted.size() ? 0 : 1;
  for (size_t i = 0; i < given.size() && !wanted.empty(); ++i) {
    difference |= static_cast<unsigned char>(given[i]) ^ static_cast<unsigned char>(wanted[i % wanted.size()]);
  }
  return difference == 0 && !wanted.empty();
}

}  // namespace

std::optional<Refusal> check_access(const net::HttpRequest& request, bool writes, const AccessRules& rules) {
  if (request.from_unix_socket) return std::nullopt;
  const std::string_view host = header(request, "host");
  const std::string_view origin = header(request, "origin");
  if (!origin.empty() && origin != "http://" + std::string(host) && origin != "https://" + std::string(host)) {
    return Refusal{403, "the Origin " + std::string(origin) + " is not this server (" + std::string(host) + ")"};
  }
  constexpr std::string_view kBearer = "Bearer ";
  const std::string_view authorization = header(request, "authorization");
  if (authorization.starts_with(kBearer)) {
    if (same_secret(authorization.substr(kBearer.size()), rules.token)) return std::nullopt;
    return Refusal{401, "the token is not the one of this server"};
  }
  if (!request.from_loopback) {
    return Refusal{401, "requests from another machine need the header Authorization: Bearer TOKEN"};
  }
  if (!is_loopback_name(host_name(host))) {
    return Refusal{403, "the Host " + std::string(host) + " does not name this machine; use localhost or 127.0.0.1"};
  }
  if (writes) return Refusal{401, "changes over TCP need the header Authorization: Bearer TOKEN"};
  return std::nullopt;
}

}  // namespace fmesh::observe
