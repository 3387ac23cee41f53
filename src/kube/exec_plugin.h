// Plugins that give credentials (client.authentication.k8s.io v1 and v1beta1): what they are told, how they are run and
// what they answer.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "kube/config.h"

namespace fmesh::kube {

struct PluginCredentials {
  std::string token;
  std::string certificate, key;       // PEM
  std::optional<int64_t> expires_ms;  // none: they are good until the server refuses them
  bool operator==(const PluginCredentials&) const = default;
};

inline constexpr int64_t kPluginLimitMs = 60'000;         // a few requests to a login server
inline constexpr int64_t kPluginAskingLimitMs = 600'000;  // somebody logs in with a browser

// The text of KUBERNETES_EXEC_INFO. `ca`: the PEM text of the cluster's authority.
// REQUIRES: config.exec.
std::string exec_info(const ClusterConfig& config, const std::string& ca, bool interactive);

// What a plugin printed. Errors: kFixInput with what is missing or wrong.
Result<PluginCredentials> read_exec_credential(const std::string& api_version, std::string_view text);

// Runs the plugin and waits for it; see program.h. The environment is this process's, the plugin's `env`, and
// KUBERNETES_EXEC_INFO.
// Errors: kFixInput if the command is missing (with the install hint), input is wanted and there is no terminal, or the
// answer is wrong; kRetryLater if it fails (with its last words) or takes too long.
Result<PluginCredentials> run_exec_plugin(const ClusterConfig& config, const std::string& ca,
                                          const std::vector<std::string>& environment, const Clock& clock,
                                          const std::atomic<bool>& cancelled);

}  // namespace fmesh::kube
