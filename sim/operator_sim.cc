#include "sim/operator_sim.h"

#include <boost/json.hpp>
#include <regex>

#include "base/clock.h"
#include "kube/json.h"
#include "operator/controllers.h"

namespace fmesh::sim {
namespace {

namespace json = boost::json;

constexpr int64_t kQuietMs = 90'000;          // longer than any backoff of the operator
constexpr int64_t kRunMaxMs = 6 * 3'600'000;  // of simulated time; a run that takes longer does not come to rest
constexpr int64_t kRestartMaxMs = 3'000;
constexpr int kCleanupFailures = 2;
constexpr int kPersonTriesMax = 2'000;  // half a second apart: longer than any deadline of the operator

// The mark on what fmesh wrote is a fingerprint of uids too, which differ from run to run, as versions do.
std::string without_marks(const std::string& state) {
  static const std::regex mark("\"(compute.functionmesh.io/applied|[a-z]*BackendConfigRevision)\":\"[0-9a-f]*\"");
  return std::regex_replace(state, mark, "\"$1\":\"\"");
}

class SilentNotes final : public op::Notes {
 public:
  void note(const kube::ResourceType&, const kube::ObjectPtr&, const op::Note&) override {}
};

// Pulsar, of which the operator only wants that it forgets: it does, after some failures.
class SimCleaner final : public op::Cleaner {
 public:
  SimCleaner(Loop& loop, Rng& rng) : loop_(loop), rng_(rng) {}
  void clean(const kube::ObjectPtr& resource, int64_t, std::function<void(Status)> done) override {
    const bool fails = failures_[resource->uid()]++ < static_cast<int>(rng_.below(kCleanupFailures + 1));
    loop_.post_after(static_cast<int64_t>(rng_.below(500)), [fails, done = std::move(done)] {
      done(fails ? fail(ErrorKind::kRetryLater, "the broker is away") : Status());
    });
  }

 private:
  Loop& loop_;
  Rng& rng_;
  std::map<std::string, int> failures_;
};

class Run {
 public:
  Run(const Scenario& scenario, const OperatorSimOptions& options)
      : scenario_(scenario),
        options_(options),
        rng_(options.seed * 7919 + 17),
        server_(loop_, server_options(options)) {
    settings_.passes_max = 1 + rng_.below(8);
    settings_.cluster.global_backend_config = "global";
  }

  OperatorSimOutcome run() {
    if (options_.stop_after > 0) {
      server_.stop_after(options_.stop_after, [this] { crashed_ = true; });
    }
    start_operator();
    for (const PersonStep& step : scenario_.steps) {
      if (options_.patient) {
        if (!rest()) return outcome(false);
      } else {
        advance(static_cast<int64_t>(rng_.below(4'000)));
      }
      person(step);
    }
    if (!options_.patient) advance(static_cast<int64_t>(rng_.below(20'000)));
    server_.set_faults({});
    server_.controllers().stop_autoscaling();
    const bool quiet = rest();
    OperatorSimOutcome out = outcome(quiet);
    if (!quiet) return out;
    // Nothing more is written, and a restart finds nothing to do.
    const size_t before = client_writes();
    stop_operator();
    server_.cut_off();
    advance(1'000);
    server_.restarted();
    start_operator();
    advance(2 * kQuietMs);
    out.late_writes = client_writes() - before;
    if (out.late_writes > 0) out = with_log(out);
    return out;
  }

 private:
  static ApiServerOptions server_options(const OperatorSimOptions& options) {
    ApiServerOptions server;
    server.seed = options.seed;
    server.faults = options.faults;
    if (options.autoscale) server.controllers.autoscale_every_ms = 7'000;
    return server;
  }

  void start_operator() {
    operator_rng_ = std::make_unique<Rng>(rng_.next());
    cleaner_ = std::make_unique<SimCleaner>(loop_, rng_);
    controllers_ = std::make_unique<op::Controllers>(loop_, server_, settings_, *operator_rng_, *cleaner_, notes_);
    controllers_->start({}, {});
    controllers_->set_leading(true);
  }
  void stop_operator() {
    controllers_.reset();
    cleaner_.reset();
  }

  // Steps the loop; a process that died comes back some time later.
  void advance(int64_t ms) {
    const int64_t until = clock_.wall_ms() + ms;
    while (clock_.wall_ms() < until) {
      loop_.run_ready();
      if (crashed_) {
        crashed_ = false;
        stop_operator();
        advance_plain(static_cast<int64_t>(rng_.below(kRestartMaxMs)));
        server_.restarted();
        start_operator();
        continue;
      }
      if (!loop_.advance_to_next(until - clock_.wall_ms())) clock_.advance_ms(until - clock_.wall_ms());
    }
  }
  void advance_plain(int64_t ms) {
    const int64_t until = clock_.wall_ms() + ms;
    while (clock_.wall_ms() < until) {
      loop_.run_ready();
      if (!loop_.advance_to_next(until - clock_.wall_ms())) clock_.advance_ms(until - clock_.wall_ms());
    }
  }

  size_t client_writes() const {
    size_t count = 0;
    for (const WriteRecord& write : server_.writes()) count += write.actor == "client" ? 1 : 0;
    return count;
  }

  // Until nothing was written for kQuietMs. False if that never comes.
  bool rest() {
    size_t before = server_.writes().size();
    int64_t since = clock_.wall_ms();
    const int64_t begin = clock_.wall_ms();
    while (clock_.wall_ms() - begin < kRunMaxMs) {
      advance(1'000);
      if (server_.writes().size() != before) {
        before = server_.writes().size();
        since = clock_.wall_ms();
      }
      if (clock_.wall_ms() - since >= kQuietMs) return true;
    }
    return false;
  }

  void person(const PersonStep& step) {
    for (int attempt = 0; attempt < kPersonTriesMax; ++attempt) {
      const kube::Response response = server_.user(step.request);
      if (response.status < 300) return;
      if (response.status == 404 && step.request.method == "DELETE") return;
      advance(500);  // it is being deleted, or not there yet
    }
  }

  OperatorSimOutcome outcome(bool quiet) {
    OperatorSimOutcome out;
    out.quiet = quiet;
    out.state = without_marks(server_.masked_state());
    for (const WriteRecord& write : server_.writes()) {
      if (write.actor != "client") continue;
      ++out.writes;
      if (!write.changed) continue;
      const std::string name = std::string(write.type.kind) + " " + write.key.to_string();
      if (write.verb == "create") ++out.creates[name];
      if (write.verb == "delete") ++out.deletes[name];
    }
    return with_log(std::move(out));
  }
  OperatorSimOutcome with_log(OperatorSimOutcome out) {
    out.log.clear();
    for (const WriteRecord& write : server_.writes()) out.log.push_back(to_string(write));
    return out;
  }

  const Scenario& scenario_;
  const OperatorSimOptions& options_;
  ManualClock clock_;
  ManualLoop loop_{clock_};
  Rng rng_;
  op::Settings settings_;
  SilentNotes notes_;
  ApiServer server_;
  std::unique_ptr<Rng> operator_rng_;
  std::unique_ptr<SimCleaner> cleaner_;
  std::unique_ptr<op::Controllers> controllers_;
  bool crashed_ = false;
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
