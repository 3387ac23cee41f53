#include "plan/cluster/probes.h"

#include <algorithm>
#include <boost/json.hpp>

#include "plan/cluster/ports.h"

namespace fmesh::plan {
namespace {

namespace json = boost::json;

constexpr int kTimeoutSeconds = 1, kPeriodSeconds = 10, kSuccesses = 1, kFailures = 3;  // of Kubernetes

// A rollout waits for it: an instance attaches within a fraction of a second.
constexpr int kReadyPeriodSeconds = 1;

int given_or(int32_t value, int fallback) { return value > 0 ? value : fallback; }

// Zero counts as not given, as in Kubernetes' own defaulting.
void fill(json::object& probe, const char* field, int value) {
  const json::value* found = probe.if_contains(field);
  if (!found || found->is_null() || *found == 0) probe.insert_or_assign(field, value);
}

}  // namespace

json::object liveness_probe(const model::Liveness& liveness) {
  json::object out{{"httpGet", {{"path", "/"}, {"port", kMetricsPort}, {"scheme", "HTTP"}}}};
  if (liveness.initial_delay_seconds > 0) out.emplace("initialDelaySeconds", liveness.initial_delay_seconds);
  out.emplace("timeoutSeconds", liveness.period_seconds);
  out.emplace("periodSeconds", liveness.period_seconds);
  out.emplace("successThreshold", given_or(liveness.success_threshold, kSuccesses));
  out.emplace("failureThreshold", given_or(liveness.failure_threshold, kFailures));
  return out;
}

json::object native_liveness_probe(const std::optional<model::Liveness>& liveness) {
  // A period without any wish: a worker that is stuck has been so for half a minute already.
  const model::Liveness usual{.initial_delay_seconds = 0,
                              .period_seconds = kPeriodSeconds,
                              .success_threshold = kSuccesses,
                              .failure_threshold = kFailures};
  json::object out = liveness_probe(liveness ? *liveness : usual);
  out["httpGet"].get_object()["path"] = "/healthz";
  return out;
}

json::object native_readiness_probe() {
  return {{"httpGet", {{"path", "/readyz"}, {"port", kMetricsPort}, {"scheme", "HTTP"}}},
          {"timeoutSeconds", kTimeoutSeconds},
          {"periodSeconds", kReadyPeriodSeconds},
          {"successThreshold", kSuccesses},
          {"failureThreshold", kFailures}};
}

json::value complete_probe(const model::Json& probe) {
  json::value out = probe.value();
  json::object* object = out.if_object();
  if (!object) return out;
  if (json::value* http = object->if_contains("httpGet"); http && http->is_object()) {
    if (!http->get_object().contains("scheme")) http->get_object().emplace("scheme", "HTTP");
  }
  fill(*object, "timeoutSeconds", kTimeoutSeconds);
  fill(*object, "periodSeconds", kPeriodSeconds);
  fill(*object, "successThreshold", kSuccesses);
  fill(*object, "failureThreshold", kFailures);
  return out;
}

}  // namespace fmesh::plan
