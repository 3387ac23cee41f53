#include "operator/process.h"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <random>
#include <set>

#include "base/clock.h"
#include "kube/reflector.h"
#include "net/http.h"
#include "net/io_loop.h"
#include "operator/metrics.h"
#include "operator/runner.h"
#include "operator/trim.h"

namespace fmesh::op {
namespace {

constexpr int64_t kDiscoveryAgainMs = 60'000;  // for APIs that come later: VPA
constexpr int64_t kNotServedAgainMs = 5'000;   // our CRDs are missing
constexpr int64_t kGaugesMs = 5'000;
constexpr int64_t kDrainStepMs = 20;

kube::Request get_path(const char* path) {
  kube::Request request;
  request.target = path;
  return request;
}

std::shared_ptr<spdlog::logger> make_logger() {
  auto logger = std::make_shared<spdlog::logger>("operator", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v", spdlog::pattern_time_type::utc);
  return logger;
}

class LoggedNotes final : public Notes {
 public:
  explicit LoggedNotes(std::shared_ptr<spdlog::logger> log) : log_(std::move(log)) {}
  void note(const kube::ResourceType& type, const kube::ObjectPtr& resource, const Note& note) override {
    log_->log(note.warning ? spdlog::level::warn : spdlog::level::info, "{} {}: {}: {}", type.kind,
              resource->key().to_string(), note.reason, note.text);
  }

 private:
  std::shared_ptr<spdlog::logger> log_;
};

class RunningProcess final : public Process {
 public:
  explicit RunningProcess(ProcessOptions options)
      : options_(std::move(options)), log_(make_logger()), rng_(std::random_device{}()), world_(clock_), notes_(log_) {}

  ~RunningProcess() override { stop(0); }

  Status start() {
    FMESH_CHECK(set_log_level(options_.log_level));
    loop_ = net::IoLoop::start(clock_, "operator");
    FMESH_TRY(api_, kube::make_http_api(*loop_, options_.cluster, options_.api));
    cleaner_ = std::make_unique<NoCleaner>(*loop_);
    runner_ = std::make_unique<Runner>(*loop_, *api_, world_, options_.settings, rng_, *cleaner_, notes_);
    runner_->on_pass([this](const kube::WorkKey& key, double duration_ms, bool failed) {
      metrics_.record(key, duration_ms, failed);
      const kube::ResourceType* type = type_of_kind(key.kind);
      if (type && !world_.of(*type).get({key.name_space, key.name})) metrics_.forget(key);
    });
    FMESH_CHECK(serve_health());
    FMESH_CHECK(serve_metrics());
    log_->info("fmesh operator {} for {}", FMESH_VERSION, options_.cluster.server);
    loop_->post([this] {
      discover();
      keep_gauges();
    });
    return {};
  }

  void stop(int64_t limit_ms) override {
    if (stopped_.exchange(true)) return;
    if (loop_) {
      on_loop([this] { runner_->set_active(false); });
      // Passes end with the request they wait for.
      for (int64_t waited_ms = 0; waited_ms < limit_ms; waited_ms += kDrainStepMs) {
        bool idle = false;
        on_loop([&] { idle = runner_->in_flight() == 0; });
        if (idle) break;
        std::this_thread::sleep_for(std::chrono::milliseconds(kDrainStepMs));
      }
      on_loop([this] {
        reflectors_.clear();
        runner_.reset();
        api_.reset();
      });
    }
    if (health_) health_->stop(0);
    if (metrics_server_) metrics_server_->stop(0);
    if (loop_) loop_->stop();
    log_->info("stopped");
  }

  void on_end(std::function<void()> callback) override { end_ = std::move(callback); }

  Status set_log_level(const std::string& level) override {
    const auto known = spdlog::level::from_str(level);
    if (known == spdlog::level::off && level != "off") {
      return fail(ErrorKind::kFixInput, fmt::format("log level {}: expected trace, debug, info, warn or error", level));
    }
    log_->set_level(known);
    return {};
  }

 private:
  // Runs `task` on the loop and waits for it.
  void on_loop(const std::function<void()>& task) {
    std::mutex mutex;
    std::condition_variable done;
    bool ran = false;
    loop_->post([&] {
      task();
      const std::lock_guard lock(mutex);
      ran = true;
      done.notify_one();
    });
    std::unique_lock lock(mutex);
    done.wait(lock, [&] { return ran; });
  }

  // --- watches ---

  // Which APIs the cluster has. Ours and StatefulSets are needed; vertical autoscalers may come later.
  void discover() {
    api_->send(get_path("/apis/compute.functionmesh.io/v1alpha1"), [this](const Result<kube::Response>& answer) {
      const kube::Outcome outcome = kube::read_outcome(answer);
      if (outcome.verdict == kube::Verdict::kOk) return discover_autoscaler();
      log_->warn(
          "the API server can't serve compute.functionmesh.io/v1alpha1 ({}); are the CRDs installed? "
          "`fmesh crds | kubectl apply -f -`; trying again",
          outcome.message);
      again_after(kNotServedAgainMs, [this] { discover(); });
    });
  }

  void discover_autoscaler() {
    api_->send(get_path("/apis/autoscaling.k8s.io/v1"), [this](const Result<kube::Response>& answer) {
      options_.settings.cluster.vpa_served = kube::read_outcome(answer).verdict == kube::Verdict::kOk;
      if (!options_.settings.cluster.vpa_served) again_after(kDiscoveryAgainMs, [this] { look_for_autoscaler(); });
      start_watches();
    });
  }

  void look_for_autoscaler() {
    api_->send(get_path("/apis/autoscaling.k8s.io/v1"), [this](const Result<kube::Response>& answer) {
      if (kube::read_outcome(answer).verdict != kube::Verdict::kOk) {
        return again_after(kDiscoveryAgainMs, [this] { look_for_autoscaler(); });
      }
      log_->info("vertical autoscalers are served now");
      options_.settings.cluster.vpa_served = true;
      watch(kube::kVerticalPodAutoscaler);
      runner_->resync();
    });
  }

  void start_watches() {
    for (const kube::ResourceType& type : World::kinds()) {
      if (type == kube::kVerticalPodAutoscaler && !options_.settings.cluster.vpa_served) continue;
      watch(type);
    }
    await_sync();
  }

  void watch(const kube::ResourceType& type) {
    std::vector<std::string> namespaces = options_.settings.watched_namespaces;
    if (namespaces.empty()) namespaces.emplace_back();
    world_.of(type).expect_lists(namespaces.size());
    for (const std::string& name : namespaces) {
      kube::ReflectorOptions reflector{type, name, label_selector(type), {}, trim_for(type)};
      reflectors_.push_back(kube::Reflector::start(*api_, *loop_, rng_, world_.of(type), std::move(reflector)));
    }
  }

  bool synced() const {
    for (const kube::ResourceType& type : World::kinds()) {
      if (type == kube::kVerticalPodAutoscaler && !options_.settings.cluster.vpa_served) continue;
      if (!world_.of(type).synced()) return false;
    }
    return true;
  }

  void await_sync() {
    if (!synced()) {
      for (const auto& reflector : reflectors_) {
        if (!reflector->trouble().empty() && told_.insert(reflector->trouble()).second) {
          log_->warn("{}; trying again", reflector->trouble());
        }
      }
      return again_after(kDrainStepMs, [this] { await_sync(); });
    }
    log_->info("watching {} Functions, {} Sources, {} Sinks, {} FunctionMeshes", world_.functions.size(),
               world_.sources.size(), world_.sinks.size(), world_.meshes.size());
    told_.clear();
    ready_ = true;
    runner_->set_active(true);
  }

  void again_after(int64_t delay_ms, std::function<void()> task) {
    loop_->post_after(delay_ms, [this, task = std::move(task)] {
      if (!stopped_) task();
    });
  }

  void keep_gauges() {
    if (runner_) {
      metrics_.set({runner_->waiting(), runner_->in_flight(), runner_->counts().writes, ready_});
    }
    again_after(kGaugesMs, [this] { keep_gauges(); });
  }

  // --- health and metrics ---

  Status serve_health() {
    if (options_.health_address.empty()) return {};
    FMESH_TRY(health_, net::HttpServer::start({.address = options_.health_address},
                                              [this](const net::HttpRequest& request, const net::Respond& respond) {
                                                if (request.path == "/healthz") return respond({200, {}, "ok", {}});
                                                if (request.path != "/readyz") return respond({404, {}, "", {}});
                                                respond(ready_ ? net::HttpResponse{200, {}, "ok", {}}
                                                               : net::HttpResponse{503, {}, "not synced yet", {}});
                                              }));
    return {};
  }

  Status serve_metrics() {
    if (options_.metrics_address.empty()) return {};
    FMESH_TRY(metrics_server_,
              net::HttpServer::start({.address = options_.metrics_address}, [this](const net::HttpRequest& request,
                                                                                   const net::Respond& respond) {
                if (request.path != "/metrics") return respond({404, {}, "", {}});
                respond({200, {{"content-type", "text/plain; version=0.0.4; charset=utf-8"}}, metrics_.text(), {}});
              }));
    return {};
  }

  class NoCleaner final : public Cleaner {
   public:
    explicit NoCleaner(Loop& loop) : loop_(loop) {}
    void clean(const kube::ObjectPtr&, std::function<void(Status)> done) override {
      loop_.post([done = std::move(done)] { done(fail(ErrorKind::kBug, "not there yet")); });
    }

   private:
    Loop& loop_;
  };

  ProcessOptions options_;
  std::shared_ptr<spdlog::logger> log_;
  SystemClock clock_;
  Rng rng_;
  World world_;
  LoggedNotes notes_;
  Metrics metrics_;
  std::unique_ptr<net::IoLoop> loop_;
  std::unique_ptr<kube::Api> api_;
  std::unique_ptr<Cleaner> cleaner_;
  std::unique_ptr<Runner> runner_;
  std::vector<std::unique_ptr<kube::Reflector>> reflectors_;
  std::unique_ptr<net::HttpServer> health_, metrics_server_;
  std::set<std::string> told_;  // troubles, until all is well
  std::function<void()> end_;
  std::atomic<bool> ready_{false}, stopped_{false};
};

}  // namespace

Result<std::unique_ptr<Process>> Process::start(ProcessOptions options) {
  auto process = std::make_unique<RunningProcess>(std::move(options));
  FMESH_CHECK(process->start());
  return process;
}

}  // namespace fmesh::op
