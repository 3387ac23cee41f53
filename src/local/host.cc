#include "local/host.h"

#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <latch>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/disk.h"
#include "base/loop.h"
#include "local/control_server.h"
#include "local/file_watch.h"
#include "local/log_ring.h"
#include "local/process_events.h"
#include "local/stock_instance.h"
#include "local/subscription_backlog.h"
#include "local/supervisor.h"
#include "local/view.h"
#include "runtime/crash_note.h"
#include "runtime/worker_pool.h"
#include "stream/log/log.h"

namespace fmesh::local {
namespace {

class Host {
 public:
  Host(const HostOptions& options, const HostStart& start, HostUi ui)
      : options_(options), start_(start), ui_(std::move(ui)) {}
  ~Host();
  int run();

 private:
  Status open(const Loaded& loaded);
  Status open_streams();
  Status serve();
  Status serve_stock(const plan::LocalPlan& plan);
  void describe(const Loaded& loaded);
  void started(Status status);
  void reload();
  void end(int exit_code);
  void tick();
  void log(const runtime::LogLine& line);
  void check_stuck();
  // An event that does nothing if the host is ending.
  Task event(Task task) {
    return [this, task = std::move(task)] {
      if (!exit_code_) task();
    };
  }

  HostOptions options_;
  HostStart start_;
  HostUi ui_;
  Signals signals_;
  Events events_;
  SystemClock clock_;
  std::unique_ptr<Disk> disk_;
  std::unique_ptr<DiskLock> lock_;           // of the data directory; a log there locks it itself
  std::unique_ptr<ThreadLoop> store_loop_;   // for what is not a log
  std::unique_ptr<stream::Client> streams_;  // where the streams are
  stream::log::Log* log_store_ = nullptr;    // the same, if they are a log
  LogRing logs_;
  std::unique_ptr<runtime::WorkerPool> workers_;
  std::unique_ptr<ThreadLoop> control_;
  std::vector<std::unique_ptr<ThreadLoop>> loops_;
  StockEnvironment stock_;
  std::unique_ptr<Supervisor> supervisor_;
  std::unique_ptr<View> view_;
  std::unique_ptr<ControlServer> server_;
  std::unique_ptr<stream::pulsar::server::Server> pulsar_;
  std::unique_ptr<FileWatch> watch_;
  std::optional<int> exit_code_;  // set: ending
  bool ended_ = false;
  bool ticking_ = false;

  std::mutex lines_mutex_;
  int64_t lines_second_ = 0;
  int lines_shown_ = 0;
  std::atomic<int> errors_shown_ = 0;
  std::atomic<bool> errors_hidden_ = false;
};

Status Host::open_streams() {
  disk_ = make_posix_disk();
  if (options_.open_streams) {
    FMESH_CHECK(disk_->make_directories(options_.data_directory));
    FMESH_TRY(lock_, disk_->lock(options_.data_directory + "/lock"));
    store_loop_ = std::make_unique<ThreadLoop>(clock_, "store");
    FMESH_TRY(streams_, options_.open_streams(clock_, *store_loop_));
    return {};
  }
  stream::log::LogOptions log_options;
  log_options.directory = options_.data_directory;
  log_options.journal.sync_mode = options_.sync_mode;
  log_options.stream_defaults = options_.stream_defaults;
  FMESH_TRY(std::unique_ptr<stream::log::Log> log, stream::log::Log::open(*disk_, clock_, std::move(log_options)));
  for (const stream::log::Damage& damage : log->damages()) {
    ui_.line("fmesh: damaged: " + damage.file + " at byte " + std::to_string(damage.offset) + ": " + damage.text);
  }
  log_store_ = log.get();
  streams_ = std::move(log);
  return {};
}

Status Host::open(const Loaded& loaded) {
  runtime::install_crash_handler(start_.crash_note_fd >= 0 ? start_.crash_note_fd : STDERR_FILENO, STDERR_FILENO);
  runtime::set_suspects(start_.suspects);
  FMESH_CHECK(open_streams());
  const size_t count = options_.loops != 0 ? options_.loops : std::max(1U, std::thread::hardware_concurrency());
  // By default every thread may get an arena of its own, each of which keeps what was freed in it.
  ::mallopt(M_ARENA_MAX, static_cast<int>(count));
  workers_ = runtime::WorkerPool::make(clock_, {});
  control_ = std::make_unique<ThreadLoop>(clock_, "control");
  SupervisorEnvironment environment;
  for (size_t i = 0; i < count; ++i) {
    loops_.push_back(std::make_unique<ThreadLoop>(clock_, "loop " + std::to_string(i)));
    environment.loops.push_back(loops_.back().get());
  }
  environment.control = control_.get();
  environment.client = streams_.get();
  environment.workers = workers_.get();
  environment.clock = &clock_;
  environment.log = [this](const runtime::LogLine& line) { log(line); };
  environment.cache_directory = options_.data_directory + "/libraries";
  stock_.programs = options_.stock;
  stock_.folder = std::filesystem::absolute(options_.data_directory).string() + "/stock";
  stock_.streams = options_.stock_streams;
  stock_.on_log = log_store_ != nullptr;
  stock_.backlog = [this](const model::InstanceSpec& spec) {
    return log_store_ != nullptr ? subscription_backlog(*log_store_, spec) : subscription_backlog(*streams_, spec);
  };
  environment.make_instance = [this](model::InstanceSpec spec, runtime::InstanceEnvironment given) {
    return spec.host == model::HostKind::kStock ? make_stock_instance(std::move(spec), std::move(given), stock_)
                                                : runtime::make_instance(std::move(spec), std::move(given));
  };
  supervisor_ = std::make_unique<Supervisor>(std::move(environment),
                                             SupervisorOptions{options_.load.replicas, options_.drain_limit_ms});
  view_ = std::make_unique<View>(*streams_, *control_, supervisor_.get(), &logs_);
  describe(loaded);
  return {};
}

void Host::describe(const Loaded& loaded) {
  observe::MeshState fixed;
  fixed.name = loaded.name;
  fixed.state = "starting";
  fixed.data_directory = std::filesystem::absolute(options_.data_directory).string();
  fixed.files = options_.load.files;
  fixed.process_id = ::getpid();
  fixed.started_ms = clock_.wall_ms();
  fixed.host_restarts = start_.restarts;
  view_->describe(std::move(fixed));
}

Status Host::serve() {
  ControlServerOptions options;
  options.data_directory = options_.data_directory;
  options.http_address = options_.http_address;
  options.http_token_file = options_.http_token_file;
  FMESH_TRY(server_, ControlServer::start(*view_, std::move(options)));
  if (!options_.http_address.empty()) {
    ui_.line("fmesh: HTTP on port " + std::to_string(server_->http_port()) + "; changes need the token in " +
             server_->token_file());
  }
  if (!options_.pulsar_server || log_store_ == nullptr) return {};
  log_store_->deal_whole_entries();
  FMESH_TRY(pulsar_, stream::pulsar::server::Server::start(clock_, *log_store_, *options_.pulsar_server));
  ui_.line("fmesh: Pulsar clients connect to " + pulsar_->url());
  return {};
}

// Pulsar's own instances find the log by Pulsar's protocol; it is served to this machine if nobody asked for more.
Status Host::serve_stock(const plan::LocalPlan& plan) {
  const bool wanted = std::ranges::any_of(
      plan.components, [](const auto& component) { return component.spec.host == model::HostKind::kStock; });
  if (!wanted || !stock_.streams.service_url.empty()) return {};
  if (!pulsar_) {
    stream::pulsar::server::ServerOptions options;
    options.address = "127.0.0.1:0";
    options.partitions = options_.load.partitions;
    log_store_->deal_whole_entries();
    FMESH_TRY(pulsar_, stream::pulsar::server::Server::start(clock_, *log_store_, std::move(options)));
  } else if (!options_.pulsar_server->token_file.empty()) {
    stock_.streams.auth_plugin = "org.apache.pulsar.client.impl.auth.AuthenticationToken";
    stock_.streams.auth_parameters =
        "file://" + std::filesystem::absolute(options_.pulsar_server->token_file).lexically_normal().string();
  }
  stock_.streams.service_url = pulsar_->url();
  stock_.streams.tls_insecure = true;  // it is this process
  return {};
}

int Host::run() {
  auto loaded = load(options_.load);
  if (!loaded) {
    ui_.line(loaded.error().text() + "\nNothing was started.");
    return kExitBadInput;
  }
  if (!loaded->findings.empty() && start_.restarts == 0) ui_.line(loaded->findings);
  Status opened = open(*loaded);
  if (opened) opened = serve();
  if (opened) opened = serve_stock(loaded->plan);
  if (!opened) {
    ui_.line("fmesh: " + opened.error().to_string());
    return opened.error().kind() == ErrorKind::kFixInput ? kExitBadInput : kExitFailed;
  }
  control_->post([this, plan = std::move(loaded->plan)]() mutable {
    supervisor_->start(std::move(plan), [this](Status status) {
      events_.post(event([this, status = std::move(status)]() mutable { started(std::move(status)); }));
    });
  });
  if (options_.watch_files && !options_.until_drained) {
    auto watch = FileWatch::start(options_.load.files, [this] { events_.post(event([this] { reload(); })); });
    if (watch) {
      watch_ = *std::move(watch);
    } else {
      ui_.line("fmesh: " + watch.error().to_string());
    }
  }
  while (!ended_) {
    const Ready ready = wait_for(events_, signals_, ui_.tick ? static_cast<int>(ui_.tick_ms) : -1);
    if (ready.timeout) tick();
    if (ready.events) events_.run();
    if (!ready.signals || !signals_.take(clock_.monotonic_ns() / 1'000'000)) continue;
    if (exit_code_) {
      ui_.line("fmesh: ended at once; what was in flight is delivered again at the next start");
      ::_exit(kExitAtOnce);
    }
    ui_.line("fmesh: stopping; again to end at once");
    end(kExitOk);
  }
  return exit_code_.value_or(kExitFailed);
}

void Host::started(Status status) {
  if (!status) {
    // An instance that fails has logged why; a plan that can't be made has not.
    const bool told = errors_shown_ > 0 && !errors_hidden_;
    ui_.line((told ? "" : status.error().to_string() + "\n") +
             (start_.restarts == 0 ? "The mesh was not started." : "The mesh was not started again."));
    return end(kExitBadInput);
  }
  view_->set_state("running");
  control_->post_after(kStuckCheckMs, [this] { check_stuck(); });
  if (!options_.until_drained) {
    const auto components = supervisor_->names().size();
    const std::string where =
        log_store_ != nullptr ? "; data in " + options_.data_directory : "; streams at " + options_.streams_at;
    ui_.line("fmesh: " + std::to_string(components) + (components == 1 ? " component runs" : " components run") +
             where + "; Ctrl-C stops");
    return;
  }
  control_->post([this] {
    supervisor_->run_until_drained([this](Status drained) {
      events_.post(event([this, drained = std::move(drained)] {
        if (!drained) ui_.line("fmesh: " + drained.error().to_string());
        end(drained ? kExitOk : kExitFailed);
      }));
    });
  });
}

void Host::reload() {
  auto loaded = load(options_.load);
  if (!loaded) {
    ui_.line(loaded.error().text() + "\nfmesh: the files changed and can't be used; the mesh runs on as it was");
    return view_->set_reload_error(loaded.error().text());
  }
  if (const Status served = serve_stock(loaded->plan); !served) {
    ui_.line("fmesh: " + served.error().to_string());
    return view_->set_reload_error(served.error().text());
  }
  control_->post([this, plan = std::move(loaded->plan)]() mutable {
    supervisor_->apply(std::move(plan), [this](Result<std::string> applied) {
      events_.post(event([this, applied = std::move(applied)] {
        view_->set_reload_error(applied ? "" : applied.error().to_string());
        ui_.line(applied ? "fmesh: files read again: " + *applied
                         : applied.error().to_string() +
                               "\nfmesh: the files changed and can't be used; the mesh runs on as it was");
      }));
    });
  });
}

void Host::end(int exit_code) {
  exit_code_ = exit_code;
  watch_.reset();
  view_->set_state("draining");
  const int64_t limit_ms = exit_code == kExitReplaceHost ? 0 : options_.drain_limit_ms;
  control_->post(
      [this, limit_ms] { supervisor_->drain(limit_ms, [this] { events_.post([this] { ended_ = true; }); }); });
}

void Host::tick() {
  if (ticking_) return;
  ticking_ = true;
  view_->mesh([this](observe::MeshState state) {
    events_.post([this, state = std::move(state)] {
      ticking_ = false;
      if (ui_.tick) ui_.tick(state);
    });
  });
}

void Host::log(const runtime::LogLine& line) {
  logs_.add(line);
  if (line.level != "warn" && line.level != "error") return;
  {
    const std::lock_guard lock(lines_mutex_);
    const int64_t second = line.time_ms / 1'000;
    lines_shown_ = second == lines_second_ ? lines_shown_ + 1 : 1;
    lines_second_ = second;
    errors_hidden_ = errors_hidden_ || lines_shown_ > kLinesShownPerSecond;
    if (lines_shown_ > kLinesShownPerSecond + 1) return;
    if (lines_shown_ == kLinesShownPerSecond + 1) {
      events_.post([this] { ui_.line("fmesh: more lines this second; see fmesh logs NAME"); });
      return;
    }
  }
  if (line.level == "error") ++errors_shown_;
  events_.post([this, line] {
    ui_.line(line.component + "[" + std::to_string(line.instance_id) + "] " + line.level + ": " + line.text);
  });
}

void Host::check_stuck() {
  if (workers_->stuck_threads() > runtime::kStuckThreadsMax) {
    events_.post(event([this] {
      ui_.line("fmesh: " + std::to_string(workers_->stuck_threads()) + " workers are stuck in user code");
      end(options_.can_be_replaced ? kExitReplaceHost : kExitFailed);
    }));
    return;
  }
  control_->post_after(kStuckCheckMs, [this] { check_stuck(); });
}

Host::~Host() {
  watch_.reset();
  pulsar_.reset();
  if (server_) server_.reset();
  if (control_) control_->stop();
  for (auto& loop : loops_) {
    // Lets the loop destroy the instances that ended on it.
    std::latch passed(1);
    loop->post([&passed] { passed.count_down(); });
    passed.wait();
    loop->stop();
  }
  const bool left_behind = workers_ && workers_->stuck_threads() != 0;
  view_.reset();
  supervisor_.reset();
  if (left_behind) {
    // A worker is still inside user code and can't be joined. What is durable is on disk.
    if (log_store_ != nullptr) streams_.reset();
    ::_exit(exit_code_.value_or(kExitFailed));
  }
  workers_.reset();
  streams_.reset();
  if (store_loop_) store_loop_->stop();
}

}  // namespace

std::string socket_address(const std::string& data_directory) {
  constexpr size_t kSocketPathMaxBytes = 100;
  constexpr std::string_view kName = "fmesh.sock";
  const std::string path = data_directory + "/" + std::string(kName);
  if (path.size() <= kSocketPathMaxBytes) return "unix:" + path;
  static const int directory = ::open(data_directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  return "unix:/proc/self/fd/" + std::to_string(directory) + "/" + std::string(kName);
}

int run_host(const HostOptions& options, const HostStart& start, HostUi ui) {
  int code = kExitFailed;
  {
    Host host(options, start, std::move(ui));
    code = host.run();
  }
  return code;
}

}  // namespace fmesh::local
