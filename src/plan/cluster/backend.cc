#include "plan/cluster/backend.h"

#include <boost/json.hpp>

namespace fmesh::plan {
namespace {

namespace json = boost::json;

void append(const model::Json& list, json::array& out) {
  if (!list.present() || !list.value().is_array()) return;
  for (const json::value& item : list.value().get_array()) out.push_back(item);
}

void overlay(const model::StringMap& more, model::StringMap& out) {
  for (const auto& [key, text] : more) out[key] = text;
}

void overlay(const model::Json& more, model::Json& out) {
  if (more.present()) out = more;
}

// `config` over what `out` has.
void add(const model::BackendConfigSpec& config, BackendPolicy& out) {
  const model::PodPolicy& pod = config.pod;
  overlay(config.env, out.env);
  overlay(pod.labels, out.labels);
  overlay(pod.annotations, out.annotations);
  overlay(pod.node_selector, out.node_selector);
  overlay(pod.affinity, out.affinity);
  overlay(pod.security_context, out.security_context);
  append(pod.tolerations, out.tolerations);
  append(pod.image_pull_secrets, out.image_pull_secrets);
  if (pod.termination_grace_period_seconds) {
    out.termination_grace_period_seconds = pod.termination_grace_period_seconds;
  }
  if (!pod.service_account_name.empty()) out.service_account_name = pod.service_account_name;
  if (pod.liveness && pod.liveness->period_seconds > 0) out.liveness = pod.liveness;
  overlay(pod.startup_probe, out.startup_probe);
}

}  // namespace

BackendPolicy merge_backend(const BackendConfigs& configs) {
  BackendPolicy out;
  if (configs.global) add(configs.global->spec, out);
  // A namespace's configuration may be the global one.
  if (configs.namespaced && configs.namespaced != configs.global) add(configs.namespaced->spec, out);
  return out;
}

}  // namespace fmesh::plan
