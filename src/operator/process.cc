#include "operator/process.h"

#include <fmt/format.h>
#include <malloc.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/clock.h"
#include "kube/events.h"
#include "kube/leader_election.h"
#include "net/http.h"
#include "net/io_loop.h"
#include "operator/cleaner.h"
#include "operator/controllers.h"
#include "operator/metrics.h"
#include "operator/metrics_guard.h"
#include "operator/webhook_server.h"

namespace fmesh::op {
namespace {

constexpr int64_t kGaugesMs = 5'000;
constexpr int64_t kDrainStepMs = 20;
constexpr int kHeapsMax = 2;                     // of the allocator: one thread works, the others serve pages
constexpr int kOwnMappingMinBytes = 256 * 1024;  // larger blocks (lists, pages of metrics) go back when freed

// Long-lived objects lie between what short-lived trees leave behind; glibc's defaults keep that for ever.
void tune_heap() {
  ::mallopt(M_ARENA_MAX, kHeapsMax);
  ::mallopt(M_MMAP_THRESHOLD, kOwnMappingMinBytes);
}

std::shared_ptr<spdlog::logger> make_logger() {
  auto logger = std::make_shared<spdlog::logger>("operator", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v", spdlog::pattern_time_type::utc);
  return logger;
}

// To the log at once, and to the cluster as Events.
class ToldNotes final : public Notes {
 public:
  explicit ToldNotes(std::shared_ptr<spdlog::logger> log) : log_(std::move(log)) {}
  void record_with(kube::EventRecorder* recorder) { recorder_ = recorder; }
  void note(const kube::ResourceType& type, const kube::ObjectPtr& resource, const Note& note) override {
    log_->log(note.warning ? spdlog::level::warn : spdlog::level::info, "{} {}: {}: {}", type.kind,
              resource->key().to_string(), note.reason, note.text);
    if (recorder_) recorder_->record(type, resource, note.warning, note.reason, "Reconcile", note.text);
  }

 private:
  std::shared_ptr<spdlog::logger> log_;
  kube::EventRecorder* recorder_ = nullptr;
};

std::string own_identity(const ProcessOptions& options, Rng& rng) {
  if (!options.identity.empty()) return options.identity;
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host[0] = '?';
  return fmt::format("{}_{:016x}", host.data(), rng.next());
}

class RunningProcess final : public Process {
 public:
  explicit RunningProcess(ProcessOptions options)
      : options_(std::move(options)), log_(make_logger()), rng_(options_.seed), notes_(log_) {}

  ~RunningProcess() override { stop(0); }

  Status start() {
    tune_heap();
    FMESH_CHECK(set_log_level(options_.log_level));
    loop_ = net::IoLoop::start(clock_, "operator");
    FMESH_TRY(api_, kube::make_http_api(*loop_, options_.cluster, options_.api));
    FMESH_CHECK(serve_health());
    FMESH_CHECK(serve_metrics());
    FMESH_CHECK(serve_webhooks());
    log_->info("fmesh operator {} for {}", FMESH_VERSION, options_.cluster.server);
    tell_of_unwatched_backend_config();
    loop_->post([this] { begin(); });
    return {};
  }

  void stop(int64_t limit_ms) override {
    if (stopped_.exchange(true)) return;
    if (loop_) {
      on_loop([this] {
        if (controllers_) controllers_->set_leading(false);
      });
      // Passes end with the request they wait for.
      for (int64_t waited_ms = 0; waited_ms < limit_ms; waited_ms += kDrainStepMs) {
        bool idle = false;
        on_loop([&] { idle = !controllers_ || controllers_->runner().looking() == 0; });
        if (idle) break;
        std::this_thread::sleep_for(std::chrono::milliseconds(kDrainStepMs));
      }
      if (limit_ms > 0) release_lease();
      on_loop([this] {
        elector_.reset();
        controllers_.reset();
        cleaner_.reset();
        notes_.record_with(nullptr);
        events_.reset();
        guard_.reset();
        webhooks_.reset();
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
    const bool changes = known != log_->level() && loop_;
    log_->set_level(spdlog::level::info);  // so that the news is seen at every level
    if (changes) log_->info("the log's level is now {}", level);
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

  void again_after(int64_t delay_ms, std::function<void()> task) {
    loop_->post_after(delay_ms, [this, task = std::move(task)] {
      if (!stopped_ && controllers_) task();
    });
  }

  void tell_of_unwatched_backend_config() {
    const plan::ClusterOptions& cluster = options_.settings.cluster;
    const std::vector<std::string>& watched = options_.settings.watched_namespaces;
    if (watched.empty() || cluster.global_backend_config.empty()) return;
    if (std::find(watched.begin(), watched.end(), cluster.global_backend_config_namespace) != watched.end()) return;
    log_->info("namespace {} is not watched, so the global BackendConfig {} there has no effect",
               cluster.global_backend_config_namespace, cluster.global_backend_config);
  }

  // On the loop from here on.
  void begin() {
    cleaner_ = make_pulsar_cleaner(*loop_, *api_, options_.cleanup_hosts);
    events_ = kube::EventRecorder::start(*api_, *loop_, rng_, {});
    notes_.record_with(events_.get());
    controllers_ = std::make_unique<Controllers>(*loop_, *api_, options_.settings, rng_, *cleaner_, notes_,
                                                 [this] { return !elector_ || elector_->may_write(); });
    controllers_->runner().on_pass([this](const kube::WorkKey& key, double duration_ms, bool failed) {
      metrics_.record(key, duration_ms, failed);
      const kube::ResourceType* type = type_of_kind(key.kind);
      if (type && !controllers_->world().of(*type).get({key.name_space, key.name})) metrics_.forget(key);
    });
    controllers_->start([this](const std::string& trouble) { log_->warn("{}", trouble); },
                        [this] {
                          World& world = controllers_->world();
                          log_->info("watching {} Functions, {} Sources, {} Sinks, {} FunctionMeshes",
                                     world.functions.size(), world.sources.size(), world.sinks.size(),
                                     world.meshes.size());
                          ready_ = true;
                        });
    if (options_.leader_election) {
      elect();
    } else {
      lead(true);
    }
    keep_gauges();
  }

  void elect() {
    kube::LeaderElectionOptions election;
    election.lease = {options_.leader_election_namespace, options_.leader_election_id};
    election.identity = own_identity(options_, rng_);
    log_->info("asking for lease {} as {}", election.lease.to_string(), election.identity);
    elector_ = kube::LeaderElector::start(*api_, *loop_, rng_, std::move(election), [this](bool leading) {
      log_->info(leading ? "leading" : "the lease is lost");
      lead(leading);
      // As upstream: whoever lost the lease begins anew.
      if (!leading && end_ && !stopped_) end_();
    });
  }

  void lead(bool leading) {
    leading_ = leading;
    controllers_->set_leading(leading);
  }

  void release_lease() {
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
    on_loop([&] {
      if (!elector_) {
        done = true;
        return;
      }
      elector_->release([&] {
        const std::lock_guard lock(mutex);
        done = true;
        changed.notify_one();
      });
    });
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return done; });
  }

  void keep_gauges() {
    if (elector_ && !elector_->trouble().empty()) log_->warn("lease: {}", elector_->trouble());
    const Runner& runner = controllers_->runner();
    metrics_.set({runner.waiting(), runner.in_flight(), runner.counts().writes, leading_});
    give_back(runner);
    again_after(kGaugesMs, [this] { keep_gauges(); });
  }

  // Once after each bout of work, when it is over.
  void give_back(const Runner& runner) {
    const uint64_t passes = runner.counts().passes;
    const bool at_rest = passes == passes_seen_;
    passes_seen_ = passes;
    if (!at_rest || passes == passes_trimmed_) return;
    passes_trimmed_ = passes;
    ::malloc_trim(0);
  }

  // --- health and metrics ---

  Status serve_health() {
    if (options_.health_address.empty()) return {};
    FMESH_TRY(health_, net::HttpServer::start({.address = options_.health_address},
                                              [this](const net::HttpRequest& request, const net::Respond& respond) {
                                                if (request.path == "/healthz") return respond({200, {}, "ok", {}});
                                                if (request.path != "/readyz") return respond({404, {}, "", {}});
                                                respond(readiness());
                                              }));
    return {};
  }

  net::HttpResponse readiness() const {
    if (!ready_) return {503, {}, "not synced yet", {}};
    if (options_.webhooks && !trusted_) return {503, {}, "the webhooks have no certificate yet", {}};
    return {200, {}, "ok", {}};
  }

  Status serve_metrics() {
    if (options_.metrics_address.empty()) return {};
    net::HttpServerOptions server;
    server.address = options_.metrics_address;
    if (options_.metrics_secure) {
      guard_ = std::make_unique<MetricsGuard>(*loop_, *api_);
      FMESH_TRY(server.tls_pair, make_unsigned_pair(clock_.wall_ms()));
    }
    FMESH_TRY(metrics_server_,
              net::HttpServer::start(server, [this](const net::HttpRequest& request, const net::Respond& respond) {
                if (request.path != "/metrics") return respond({404, {}, "", {}});
                if (!options_.metrics_secure) return respond(metrics_page());
                const auto found = request.headers.find("authorization");
                const std::string given = found == request.headers.end() ? "" : found->second;
                loop_->post([this, given, respond] {
                  if (!guard_) return respond({503, {}, "stopping", {}});
                  guard_->check(given, [this, respond](int status) {
                    respond(status == 200 ? metrics_page() : net::HttpResponse{status, {}, "", {}});
                  });
                });
              }));
    return {};
  }

  net::HttpResponse metrics_page() const {
    return {200, {{"content-type", "text/plain; version=0.0.4; charset=utf-8"}}, metrics_.text(), {}};
  }

  // Every replica answers, whoever leads.
  Status serve_webhooks() {
    if (!options_.webhooks) return {};
    if (options_.certificate_folder.empty() && options_.webhook_namespace.empty()) {
      return fail(ErrorKind::kFixInput,
                  "webhooks outside of a pod need POD_NAMESPACE, where their Secret and Service are, or a certificate "
                  "with --cert-dir; or do without: --no-webhooks");
    }
    WebhookServerOptions webhooks;
    webhooks.address = options_.webhook_address;
    webhooks.certificate_folder = options_.certificate_folder;
    webhooks.certificate.name_space = options_.webhook_namespace;
    webhooks.certificate.secret = options_.webhook_secret;
    webhooks.certificate.service = options_.webhook_service;
    FMESH_TRY(webhooks_, WebhookServer::start(*loop_, *api_, webhooks, [this](const std::string& text, bool trouble) {
                log_->log(trouble ? spdlog::level::warn : spdlog::level::info, "{}", text);
                if (!trouble) trusted_ = true;
              }));
    if (webhooks_->ready()) trusted_ = true;
    return {};
  }

  ProcessOptions options_;
  std::shared_ptr<spdlog::logger> log_;
  SystemClock clock_;
  Rng rng_;
  ToldNotes notes_;
  Metrics metrics_;
  std::unique_ptr<net::IoLoop> loop_;
  std::unique_ptr<kube::Api> api_;
  std::unique_ptr<kube::EventRecorder> events_;
  std::unique_ptr<Cleaner> cleaner_;
  std::unique_ptr<kube::LeaderElector> elector_;
  std::unique_ptr<Controllers> controllers_;
  bool leading_ = false;
  uint64_t passes_seen_ = 0, passes_trimmed_ = 0;
  std::unique_ptr<net::HttpServer> health_, metrics_server_;
  std::unique_ptr<MetricsGuard> guard_;
  std::unique_ptr<WebhookServer> webhooks_;
  std::function<void()> end_;
  std::atomic<bool> ready_{false}, trusted_{false}, stopped_{false};
};

}  // namespace

Result<std::unique_ptr<Process>> Process::start(ProcessOptions options) {
  auto process = std::make_unique<RunningProcess>(std::move(options));
  FMESH_CHECK(process->start());
  return process;
}

}  // namespace fmesh::op
