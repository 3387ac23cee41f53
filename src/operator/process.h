// The operator as a process: client, watches, leader election, controllers, webhooks, health and metrics, put together
// and taken apart in order. Everything that decides lives elsewhere; here is only who is started when.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "kube/config.h"
#include "kube/http_api.h"
#include "operator/settings.h"
#include "stream/pulsar/address.h"

namespace fmesh::op {

struct ProcessOptions {
  Settings settings;
  kube::ClusterConfig cluster;
  kube::HttpApiOptions api;

  bool leader_election = false;
  std::string leader_election_id = "a3f45fce.functionmesh.io";  // upstream's: two operators must not run at once
  std::string leader_election_namespace;                        // empty: the pod's own
  std::string identity;                                         // of this process; empty: host name and a random part

  std::string health_address = ":8000";   // /healthz, /readyz; empty: not served
  std::string metrics_address = ":8443";  // /metrics; empty or "0": not served
  bool metrics_secure = true;             // HTTPS, and only for whom the API server allows GET /metrics

  bool webhooks = true;
  std::string webhook_address = ":9443";
  std::string certificate_folder;  // tls.crt and tls.key; empty: fmesh makes its own
  std::string webhook_service = "function-mesh-admission-webhook-service";
  std::string webhook_namespace;  // of the Service and the Secret; empty: the pod's own
  std::string webhook_secret = "function-mesh-admission-webhook-server-cert";

  uint64_t seed = 1;  // of jitter and names: a different one for each process
  stream::pulsar::AllowedHosts cleanup_hosts;
  std::string log_level = "info";
};

class Process {
 public:
  // Errors: kFixInput for an address that can't be listened on, a certificate that can't be read and the like. A
  // cluster that does not answer is no error: it is tried again and again.
  static Result<std::unique_ptr<Process>> start(ProcessOptions options);
  virtual ~Process() = default;  // stops
  // Finishes requests in flight, for at most `limit_ms`, and gives the lease back.
  virtual void stop(int64_t limit_ms) = 0;
  // Runs once if this process has to end by itself: the lease is lost.
  virtual void on_end(std::function<void()> callback) = 0;
  virtual Status set_log_level(const std::string& level) = 0;
};

}  // namespace fmesh::op
