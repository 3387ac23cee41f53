// The Api that speaks to a real API server, or to it through a proxy: TLS, credentials that are kept fresh (see
// credentials.h), impersonation, a limit on requests per second and in flight. A request that the server refuses with
// 401 is sent once more if there are other credentials by then; it had not been carried out.
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

// Errors: kFixInput for a server, proxy, file or PEM text that can't be used.
Result<std::unique_ptr<Api>> make_http_api(net::IoLoop& loop, ClusterConfig config, HttpApiOptions options);

}  // namespace fmesh::kube
