#include "sim/operator_sim.h"

#include <boost/json.hpp>

#include "kube/json.h"
#include "sim/operator_cluster.h"

namespace fmesh::sim {
namespace {

namespace json = boost::json;

constexpr int kPersonTriesMax = 2'000;  // half a second apart: longer than any deadline of the operator
constexpr int kHiddenTriesMax = 20;
// Longer than the operator trusts its own writes without hearing of them.
constexpr int64_t kHiddenMs = 40'000;
constexpr int64_t kLatencyMaxMs = 20;
constexpr int64_t kAfterRestartMs = 180'000;  // longer than two of the operator's longest backoffs

class Run {
 public:
  Run(const Scenario& scenario, const OperatorSimOptions& options)
      : scenario_(scenario), options_(options), cluster_(cluster_options(options)) {}

  OperatorSimOutcome run() {
    if (options_.stop_after > 0) cluster_.stop_after(options_.stop_after);
    cluster_.start_operator();
    for (size_t step = 0; step < scenario_.steps.size(); ++step) {
      if (!wait_before(step)) return outcome(false);
      if (!person(scenario_.steps[step])) return outcome(false);
    }
    if (!options_.patient) cluster_.advance(below(20'000));
    cluster_.server().set_faults({});
    const bool quiet = wait_before(scenario_.steps.size()) && cluster_.rest();
    OperatorSimOutcome out = outcome(quiet);
    if (!quiet) return out;
    // Nothing more is written, and a restart finds nothing to do.
    const size_t before = cluster_.writes();
    cluster_.restart_operator(1'000);
    cluster_.advance(kAfterRestartMs);
    out.late_writes = cluster_.writes() - before;
    if (out.late_writes > 0) out.log = cluster_.log();
    return out;
  }

 private:
  static OperatorClusterOptions cluster_options(const OperatorSimOptions& options) {
    OperatorClusterOptions cluster;
    cluster.server.seed = options.seed;
    cluster.server.faults = options.faults;
    cluster.server.lag_max_ms = options.lag_max_ms;
    cluster.server.replicas = options.replicas;
    // Where it is counted how often something is made, nothing goes before it can be known that its owner is gone.
    if (options.patient) cluster.server.controllers.garbage_delay_min_ms = options.lag_max_ms + kLatencyMaxMs;
    return cluster;
  }

  // What passes before the person does step `step` (from 0). False: it never comes to rest.
  bool wait_before(size_t step) {
    ApiServer& server = cluster_.server();
    const HiddenSteps& hidden = options_.hidden;
    if (!options_.patient) {
      cluster_.advance(below(4'000));
      return true;
    }
    if (step > hidden.from && step < hidden.to) {
      cluster_.advance(kHiddenMs);
      return true;
    }
    if (hidden.to > 0 && step == hidden.to) {
      cluster_.advance(kHiddenMs);
      server.release_streams();
    }
    if (!cluster_.rest()) return false;
    if (step > 0) revisions_.push_back(server.database().revision());
    if (options_.stale.step > 0 && step == options_.stale.step) {
      server.freeze(options_.stale.revision);
      cluster_.restart_operator(1'000);
      cluster_.advance(kStaleViewMs);
      server.thaw();
      if (!cluster_.rest()) return false;
    }
    if (hidden.to > 0 && step == hidden.from) server.hold_streams();
    return true;
  }

  int64_t below(uint64_t bound) { return static_cast<int64_t>(cluster_.rng().below(bound)); }

  // False: it can't be done.
  bool person(const PersonStep& step) {
    for (int attempt = 0; attempt < kPersonTriesMax; ++attempt) {
      const kube::Response response = cluster_.server().user(step.request);
      if (response.status < 300) return true;
      if (response.status == 404 && step.request.method == "DELETE") return true;
      // It is being deleted, or not there yet; where that needs the operator, it has to hear of it.
      if (attempt == kHiddenTriesMax) cluster_.server().release_streams();
      cluster_.advance(500);
    }
    return false;
  }

  OperatorSimOutcome outcome(bool quiet) {
    OperatorSimOutcome out;
    out.quiet = quiet;
    out.state = cluster_.state();
    out.creates = cluster_.count("create");
    out.deletes = cluster_.count("delete");
    out.writes = cluster_.writes();
    out.revisions = revisions_;
    out.log = cluster_.log();
    return out;
  }

  const Scenario& scenario_;
  const OperatorSimOptions& options_;
  OperatorCluster cluster_;
  std::vector<int64_t> revisions_;
};

// --- what people do ---

constexpr const char* kNamespace = "team";

json::object function_spec(const std::string& name) {
  return json::parse(R"({"name":")" + name + R"(","className":"C","replicas":1,"minReplicas":1,"tenant":"t",
      "namespace":"n","clusterName":"c","autoAck":true,"forwardSourceMessageProperty":true,
      "input":{"topics":["persistent://t/n/in"]},"output":{"topic":"persistent://t/n/out"},
      "resources":{"requests":{"cpu":"0.1","memory":"1G"},"limits":{"cpu":"0.2","memory":"1.1G"}},
      "secretsMap":{"A":{"path":"s","key":"a"},"B":{"path":"s","key":"b"}},
      "pod":{"liveness":{"periodSeconds":10,"initialDelaySeconds":30}},
      "java":{"jar":"/f.jar"},"pulsar":{"pulsarConfig":"p"}})")
      .get_object();
}

json::object resource(const kube::ResourceType& type, const std::string& name, json::object spec) {
  return {{"apiVersion", type.api_version()},
          {"kind", json::string_view(type.kind)},
          {"metadata", {{"name", name}, {"namespace", kNamespace}}},
          {"spec", std::move(spec)}};
}

PersonStep creates(const kube::ResourceType& type, const std::string& name, json::object spec) {
  return {"create " + name, kube::create(type, kNamespace, resource(type, name, std::move(spec)))};
}
PersonStep patches(const kube::ResourceType& type, const std::string& name, const std::string& patch) {
  return {"patch " + name, kube::patch(type, {kNamespace, name}, kube::PatchKind::kMerge, json::parse(patch))};
}
PersonStep removes(const kube::ResourceType& type, const std::string& name,
                   kube::Propagation propagation = kube::Propagation::kBackground) {
  return {"delete " + name, kube::remove(type, {kNamespace, name}, {}, propagation)};
}

json::object with(json::object spec, const std::string& more) {
  const json::value parsed = json::parse(more);
  for (const auto& member : parsed.get_object()) spec.insert_or_assign(member.key(), member.value());
  return spec;
}

json::object mesh_spec(const std::vector<std::string>& functions, const std::string& more = "{}") {
  json::array items;
  for (const std::string& name : functions) items.push_back(with(function_spec(name), more));
  return {{"functions", std::move(items)}};
}

std::string items_patch(const std::vector<std::string>& functions, const std::string& more = "{}") {
  return json::serialize(json::object{{"spec", mesh_spec(functions, more)}});
}

std::vector<Scenario> make_scenarios() {
  using kube::kFunction;
  const auto set = kube::kStatefulSet;
  std::vector<Scenario> all;
  all.push_back({"a function comes, changes and goes",
                 {creates(kFunction, "f", function_spec("f")), patches(kFunction, "f", R"({"spec":{"image":"i:2"}})"),
                  patches(kFunction, "f", R"({"spec":{"replicas":3}})"), removes(kFunction, "f")}});
  all.push_back({"objects are deleted and edited by hand",
                 {creates(kFunction, "f", function_spec("f")), removes(set, "f-function"),
                  removes(kube::kService, "f-function-headless"),
                  patches(set, "f-function", R"({"spec":{"template":{"metadata":{"labels":{"more":"x"}}}}})"),
                  patches(set, "f-function", R"({"spec":{"replicas":7}})"),
                  patches(kube::kService, "f-function-headless", R"({"spec":{"selector":{"name":"g"}}})")}});
  all.push_back({"an autoscaler is added, changed and removed",
                 {creates(kFunction, "f", with(function_spec("f"), R"({"maxReplicas":4})")),
                  patches(kFunction, "f",
                          R"({"spec":{"pod":{"autoScalingBehavior":{"scaleUp":{"stabilizationWindowSeconds":5}}}}})"),
                  patches(kFunction, "f", R"({"spec":{"maxReplicas":9}})"),
                  patches(kFunction, "f", R"({"spec":{"maxReplicas":null}})")}});
  all.push_back({"a subscription is cleaned up",
                 {creates(kFunction, "f", with(function_spec("f"), R"({"cleanupSubscription":true})")),
                  removes(kFunction, "f"), creates(kFunction, "f", function_spec("f"))}});
  all.push_back({"a mesh grows, shrinks, renames and goes",
                 {creates(kube::kFunctionMesh, "m", mesh_spec({"a", "b"})),
                  patches(kube::kFunctionMesh, "m", items_patch({"a", "b", "c"})),
                  patches(kube::kFunctionMesh, "m", items_patch({"a", "d", "c"})),
                  patches(kube::kFunctionMesh, "m", items_patch({"c"})), removes(kube::kFunctionMesh, "m")}});
  const std::vector<std::string> many = {"a", "b", "c", "d", "e"};
  all.push_back({"a larger mesh is made, changes in all its parts and shrinks at once",
                 {creates(kube::kFunctionMesh, "m", mesh_spec(many)),
                  patches(kube::kFunctionMesh, "m", items_patch(many, R"({"image":"i:2"})")),
                  patches(kube::kFunctionMesh, "m", items_patch({"e"}))}});
  all.push_back({"children of a mesh are touched by hand",
                 {creates(kube::kFunctionMesh, "m", mesh_spec({"a", "b"})), removes(kFunction, "m-a"),
                  patches(kFunction, "m-b", R"({"spec":{"image":"mine:1"}})"), removes(set, "m-b-function")}});
  all.push_back({"claims change, so the StatefulSet is made anew",
                 {creates(kFunction, "f", function_spec("f")),
                  patches(kFunction, "f",
                          R"({"spec":{"volumeClaimTemplates":[{"metadata":{"name":"d"},"spec":{"accessModes":
                             ["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}]}})")}});
  all.push_back(
      {"the backend of the namespace changes",
       {creates(kFunction, "f", function_spec("f")),
        creates(kube::kBackendConfig, "backend-config", {{"autoUpdate", true}, {"env", {{"X", "1"}, {"Y", "2"}}}}),
        patches(kube::kBackendConfig, "backend-config", R"({"spec":{"env":{"X":"3"}}})"),
        removes(kube::kBackendConfig, "backend-config")}});
  all.push_back({"a function is deleted and made again at once",
                 {creates(kFunction, "f", function_spec("f")), removes(kFunction, "f"),
                  creates(kFunction, "f", with(function_spec("f"), R"({"replicas":2})"))}});
  all.push_back({"pods are kept while the function goes, and found again",
                 {creates(kFunction, "f", function_spec("f")), removes(kFunction, "f", kube::Propagation::kOrphan),
                  creates(kFunction, "f", function_spec("f"))}});
  all.push_back(
      {"something is refused, then mended",
       {creates(kFunction, "f", with(function_spec("f"), R"({"pod":{"volumes":[{"name":"Bad_Name","emptyDir":{}}]}})")),
        patches(kFunction, "f", R"({"spec":{"pod":{"volumes":[{"name":"good","emptyDir":{}}]}}})")}});
  all.push_back(
      {"a rollout is paused",
       {creates(kFunction, "f", function_spec("f")),
        patches(kFunction, "f", R"({"metadata":{"annotations":{"compute.functionmesh.io/pause-rollout":"true"}}})"),
        creates(kube::kBackendConfig, "backend-config", {{"autoUpdate", true}, {"env", {{"X", "1"}}}}),
        patches(kFunction, "f", R"({"metadata":{"annotations":{"compute.functionmesh.io/pause-rollout":null}}})")}});
  return all;
}

}  // namespace

const std::vector<Scenario>& operator_scenarios() {
  static const std::vector<Scenario> all = make_scenarios();
  return all;
}

OperatorSimOutcome run_operator_sim(const Scenario& scenario, const OperatorSimOptions& options) {
  return Run(scenario, options).run();
}

}  // namespace fmesh::sim
