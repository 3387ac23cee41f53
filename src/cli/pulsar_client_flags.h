// The flags that lead a command to a Pulsar cluster instead of a data directory.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/loop.h"
#include "stream/pulsar/client/pulsar.h"

namespace CLI {
class App;
}

namespace fmesh::cli {

struct PulsarClientFlags {
  std::string url, web_url, auth_plugin, auth_params, trust_file, listener_name;
  bool insecure = false, any_name = false;
  bool from_environment = false;  // --pulsar-env
  std::string environment_prefix;
  bool given() const { return !url.empty(); }
  // With --pulsar-env: what no flag says is taken from the variables that a pod has from the ConfigMap and the Secrets
  // of `pulsar`, under their names there: brokerServiceURL, clientAuthenticationPlugin, tlsTrustCertsFilePath ...
  using Variable = std::function<const char*(const std::string& name)>;
  void take_environment(const Variable& variable);
  stream::pulsar::PulsarOptions options() const;
};

// Its streams, with state kept beside them. REQUIRES: as with_changelog().
Result<std::unique_ptr<stream::Client>> open_cluster(stream::pulsar::PulsarOptions options, Loop& loop);

void add_pulsar_client_flags(CLI::App& app, PulsarClientFlags& flags);
void add_pulsar_environment_flags(CLI::App& app, PulsarClientFlags& flags);

}  // namespace fmesh::cli
