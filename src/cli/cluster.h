// How a command talks to a cluster: one request after the other, each waited for.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "kube/api.h"
#include "kube/config.h"
#include "kube/http_api.h"
#include "kube/requests.h"

namespace CLI {
class App;
}

namespace fmesh::cli {

struct ClusterFlags {
  std::string kubeconfig, context, name_space;
};
// --kubeconfig, --context, -n/--namespace, as kubectl has them.
void add_cluster_flags(CLI::App& verb, ClusterFlags& flags);

class ClusterSession {
 public:
  // Errors: kFixInput if no cluster is given, or its configuration can't be used.
  static Result<std::unique_ptr<ClusterSession>> open(const ClusterFlags& flags);
  ~ClusterSession();

  Result<kube::Response> ask(const kube::Request& request);
  // The object, or none if there is none. Errors: everything else, with what was asked.
  Result<std::optional<boost::json::value>> get(const kube::ResourceType& type, const kube::ObjectKey& key);
  Result<boost::json::value> list(const kube::ResourceType& type, const kube::ListOptions& options);
  // Of the flag, or of the context.
  const std::string& name_space() const { return name_space_; }

 private:
  ClusterSession() = default;
  SystemClock clock_;
  std::unique_ptr<net::IoLoop> loop_;
  std::unique_ptr<kube::Api> api_;
  std::string name_space_;
};

}  // namespace fmesh::cli
