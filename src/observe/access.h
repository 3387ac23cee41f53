// Who may ask the control API for what. The Unix socket is guarded by its file mode. Over TCP a web page in the same
// user's browser could reach the port, by DNS rebinding or a cross-site request, so the Host must name this machine, an
// Origin must be our own, and whatever writes, or comes from another machine, shows a token. Pure.
#pragma once

#include <optional>
#include <string>

#include "net/http.h"

namespace fmesh::observe {

struct AccessRules {
  std::string token;  // empty: nothing that needs a token is allowed over TCP
};

struct Refusal {
  int status;
  std::string reason;
};

// Nothing if `request` may go on. `writes`: it changes something.
std::optional<Refusal> check_access(const net::HttpRequest& request, bool writes, const AccessRules& rules);

}  // namespace fmesh::observe
