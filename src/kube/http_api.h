// The Api that speaks to a real API server: TLS, client certificates, tokens (a token file is read anew once a minute),
// a limit on requests per second and in flight. Exec plugins, passwords, impersonation and proxies are refused.
#pragma once

#include <memory>

#include "base/result.h"
#include "kube/api.h"
#include "kube/config.h"
#include "net/io_loop.h"

namespace fmesh::kube {

struct HttpApiOptions {
  size_t in_flight_max = 32;
  double requests_per_second = 0;  // 0: not limited here; the server's priority and fairness is obeyed all the same
  int burst = 50;
  std::string user_agent;
};

Result<std::unique_ptr<Api>> make_http_api(net::IoLoop& loop, ClusterConfig config, HttpApiOptions options);

}  // namespace fmesh::kube
