#include "local/instance_host.h"

#include <malloc.h>
#include <unistd.h>

#include <atomic>
#include <boost/json.hpp>
#include <latch>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "local/host.h"
#include "local/process_events.h"
#include "local/view.h"
#include "net/http.h"
#include "observe/api.h"
#include "observe/json.h"
#include "runtime/crash_note.h"
#include "runtime/instance.h"
#include "runtime/worker_pool.h"

namespace fmesh::local {
namespace {

using runtime::InstanceState;
using runtime::InstanceStats;

const char* kind_of(model::HostKind host) {
  return host == model::HostKind::kSource ? "source" : host == model::HostKind::kSink ? "sink" : "function";
}

net::HttpResponse response(int status, const char* type, std::string body) {
  net::HttpResponse response;
  response.status = status;
  response.headers["content-type"] = type;
  response.body = std::move(body);
  return response;
}
net::HttpResponse text_response(int status, std::string text) {
  return response(status, "text/plain; charset=utf-8", std::move(text));
}

// One instance with its threads: a loop for it, one for what the store follows, and the workers.
class InstanceHost {
 public:
  InstanceHost(const InstanceHostOptions& options, const HostStart& start,
               const std::function<void(const std::string&)>& line)
      : options_(options), start_(start), line_(line) {}
  ~InstanceHost();
  int run();

 private:
  Status open();
  Status serve();
  net::HttpResponse answer(const net::HttpRequest& request) const;
  observe::MeshState mesh_state(const InstanceStats& stats) const;
  void look();
  void end(int exit_code);
  void log(const runtime::LogLine& line) const;

  const InstanceHostOptions& options_;
  const HostStart& start_;
  const std::function<void(const std::string&)>& line_;
  Signals signals_;
  Events events_;
  SystemClock clock_;
  std::unique_ptr<ThreadLoop> store_loop_, loop_;
  std::unique_ptr<stream::Client> client_;
  std::unique_ptr<runtime::WorkerPool> workers_;
  std::unique_ptr<runtime::Instance> instance_;
  std::unique_ptr<net::HttpServer> server_;
  std::optional<int> exit_code_;      // set: ending
  std::atomic<bool> ending_ = false;  // the same for the server's thread
  bool ended_ = false;
};

Status InstanceHost::open() {
  runtime::install_crash_handler(start_.crash_note_fd >= 0 ? start_.crash_note_fd : STDERR_FILENO, STDERR_FILENO);
  runtime::set_suspects(start_.suspects);
  // Two threads allocate; more arenas would keep what was freed in them.
  ::mallopt(M_ARENA_MAX, 2);
  store_loop_ = std::make_unique<ThreadLoop>(clock_, "store");
  loop_ = std::make_unique<ThreadLoop>(clock_, "instance");
  workers_ = runtime::WorkerPool::make(clock_, {});
  FMESH_TRY(client_, options_.open_streams(clock_, *store_loop_));
  runtime::InstanceEnvironment environment;
  environment.client = client_.get();
  environment.loop = loop_.get();
  environment.workers = workers_.get();
  environment.clock = &clock_;
  environment.log = [this](const runtime::LogLine& line) { log(line); };
  environment.cache_directory = options_.cache_directory;
  FMESH_TRY(instance_, runtime::make_instance(options_.spec, std::move(environment)));
  return {};
}

Status InstanceHost::serve() {
  if (options_.http_address.empty()) return {};
  FMESH_TRY(server_, net::HttpServer::start({.address = options_.http_address, .connections_max = 64},
                                            [this](const net::HttpRequest& request, const net::Respond& respond) {
                                              respond(answer(request));
                                            }));
  return {};
}

// Kubernetes asks the first two; any other path has the metrics, as Pulsar's instances answer.
net::HttpResponse InstanceHost::answer(const net::HttpRequest& request) const {
  const InstanceStats stats = instance_->stats();
  const std::string state = runtime::to_string(stats.state);
  if (request.path == "/readyz") {
    const bool ready = stats.state == InstanceState::kRunning || stats.state == InstanceState::kFinished;
    return text_response(ready ? 200 : 503, state + (stats.last_error.empty() ? "" : ": " + stats.last_error) + "\n");
  }
  if (request.path == "/healthz") {
    const bool dead = stats.state == InstanceState::kStuck || stats.state == InstanceState::kFailed;
    return text_response(dead ? 503 : 200, state + "\n");
  }
  const observe::MeshState mesh = mesh_state(stats);
  if (request.path == "/status") {
    return response(200, "application/json", observe::to_text(observe::to_json(mesh)) + "\n");
  }
  return text_response(200, observe::metrics_text(mesh, {}));
}

observe::MeshState InstanceHost::mesh_state(const InstanceStats& stats) const {
  const model::FunctionDetails& details = options_.spec.details;
  observe::MeshState mesh;
  mesh.name = details.name;
  mesh.cluster = options_.cluster;
  mesh.state = ending_ ? "draining" : "running";
  mesh.process_id = ::getpid();
  mesh.host_restarts = start_.restarts;
  mesh.process_cpu_ns = process_cpu_ns();
  mesh.memory_bytes = process_memory_bytes();
  ComponentSnapshot component;
  component.name = options_.spec.component;
  component.type = options_.spec.host == model::HostKind::kSource ? model::ComponentType::kSource
                   : options_.spec.host == model::HostKind::kSink ? model::ComponentType::kSink
                                                                  : model::ComponentType::kFunction;
  component.full_name = details.fully_qualified_name();
  component.runs = kind_of(options_.spec.host);
  component.replicas = options_.spec.instance_count;
  component.instances = {stats};
  mesh.components.push_back(component_view(component));
  mesh.instances.push_back(instance_view(component.name, options_.spec.instance_id, stats));
  return mesh;
}

int InstanceHost::run() {
  Status ready = open();
  if (ready) ready = serve();
  if (!ready) {
    line_("fmesh: " + ready.error().to_string());
    return ready.error().kind() == ErrorKind::kFixInput ? kExitBadInput : kExitFailed;
  }
  loop_->post([this] { instance_->start(); });
  while (!ended_) {
    const Ready woken = wait_for(events_, signals_, kInstanceLookMs);
    if (woken.events) events_.run();
    if (woken.timeout) look();
    if (!woken.signals || !signals_.take(clock_.monotonic_ns() / 1'000'000)) continue;
    if (exit_code_) {
      line_("fmesh: ended at once; what was in flight is delivered again");
      ::_exit(kExitAtOnce);
    }
    line_("fmesh: stopping");
    end(kExitOk);
  }
  return exit_code_.value_or(kExitFailed);
}

void InstanceHost::look() {
  if (exit_code_) return;
  const InstanceStats stats = instance_->stats();
  if (stats.state == InstanceState::kFailed) {
    line_("fmesh: " + options_.spec.component + " can't run: " + stats.last_error);
    end(kExitBadInput);
  } else if (workers_->stuck_threads() > runtime::kStuckThreadsMax) {
    line_("fmesh: " + std::to_string(workers_->stuck_threads()) + " workers are stuck in user code");
    end(start_.crash_note_fd >= 0 ? kExitReplaceHost : kExitFailed);
  }
}

void InstanceHost::end(int exit_code) {
  exit_code_ = exit_code;
  ending_ = true;
  const int64_t limit_ms = exit_code == kExitReplaceHost ? 0 : options_.drain_limit_ms;
  loop_->post([this, limit_ms] { instance_->drain(limit_ms, [this] { events_.post([this] { ended_ = true; }); }); });
}

void InstanceHost::log(const runtime::LogLine& line) const {
  line_(line.component + "[" + std::to_string(line.instance_id) + "] " + line.level + ": " + line.text);
}

InstanceHost::~InstanceHost() {
  server_.reset();
  if (loop_) {
    // The instance ends where it lived.
    std::latch passed(1);
    loop_->post([&] {
      instance_.reset();
      passed.count_down();
    });
    passed.wait();
    loop_->stop();
  }
  // A worker that is still inside user code can't be joined. What is acknowledged is done.
  if (workers_ && workers_->stuck_threads() != 0) ::_exit(exit_code_.value_or(kExitFailed));
  workers_.reset();
  client_.reset();
  if (store_loop_) store_loop_->stop();
}

}  // namespace

int run_instance_host(const InstanceHostOptions& options, const HostStart& start,
                      const std::function<void(const std::string&)>& line) {
  InstanceHost host(options, start, line);
  return host.run();
}

}  // namespace fmesh::local
