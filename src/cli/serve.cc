// fmesh serve: the embedded log as a server that clients written for Pulsar connect to.
#include <pthread.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "base/clock.h"
#include "base/disk.h"
#include "base/loop.h"
#include "cli/command.h"
#include "cli/control.h"
#include "cli/pulsar_flags.h"
#include "cli/units.h"
#include "local/control_server.h"
#include "local/view.h"
#include "stream/log/log.h"
#include "stream/pulsar/server/server.h"

namespace fmesh::cli {
namespace {

struct ServeFlags {
  std::string data_directory;
  PulsarFlags pulsar;
  std::string retention_size, retention_time, backlog_size, sync = "group";
};

// The log with what serves it; ends in the reverse order.
class Serving {
 public:
  ~Serving() {
    pulsar_.reset();
    control_server_.reset();
    if (control_) control_->stop();
  }
  Status open(const ServeFlags& flags) {
    FMESH_TRY(const auto options, server_options(flags.pulsar));
    stream::log::LogOptions log;
    log.directory = flags.data_directory;
    log.journal.sync_mode =
        flags.sync == "group" ? stream::log::SyncMode::kGroupCommit : stream::log::SyncMode::kInterval;
    FMESH_TRY(log.stream_defaults.retention_size_bytes, size_of("--retention-size", flags.retention_size));
    FMESH_TRY(log.stream_defaults.retention_time_ms, time_of("--retention-time", flags.retention_time));
    FMESH_TRY(log.stream_defaults.backlog_size_max_bytes, size_of("--backlog-size", flags.backlog_size));
    FMESH_TRY(store_, stream::log::Log::open(*disk_, clock_, std::move(log)));
    for (const auto& damage : store_->damages())
      std::fprintf(stderr, "fmesh: damaged: %s at byte %llu: %s\n", damage.file.c_str(),
                   static_cast<unsigned long long>(damage.offset), damage.text.c_str());
    control_ = std::make_unique<ThreadLoop>(clock_, "control");
    view_ = std::make_unique<local::View>(*store_, *control_, nullptr, nullptr);
    observe::MeshState fixed;
    fixed.state = "serving";
    fixed.data_directory = std::filesystem::absolute(flags.data_directory).string();
    fixed.process_id = ::getpid();
    fixed.started_ms = clock_.wall_ms();
    view_->describe(std::move(fixed));
    FMESH_TRY(control_server_,
              local::ControlServer::start(
                  *view_, {.data_directory = flags.data_directory, .http_address = {}, .http_token_file = {}}));
    FMESH_TRY(pulsar_, stream::pulsar::server::Server::start(clock_, *store_, options));
    return {};
  }
  const stream::pulsar::server::Server& pulsar() const { return *pulsar_; }

 private:
  static Result<int64_t> size_of(const char* flag, const std::string& text) {
    if (text.empty()) return -1;
    auto size = parse_size(text);
    if (!size) return fail(size.error().within(flag));
    return size;
  }
  static Result<int64_t> time_of(const char* flag, const std::string& text) {
    if (text.empty()) return -1;
    auto time = parse_duration_ms(text);
    if (!time) return fail(time.error().within(flag));
    return time;
  }

  SystemClock clock_;
  std::unique_ptr<Disk> disk_ = make_posix_disk();
  std::unique_ptr<stream::log::Log> store_;
  std::unique_ptr<ThreadLoop> control_;
  std::unique_ptr<local::View> view_;
  std::unique_ptr<local::ControlServer> control_server_;
  std::unique_ptr<stream::pulsar::server::Server> pulsar_;
};

int serve(const ServeFlags& flags) {
  // Blocked before any thread starts, so that they all leave signals to this one.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  Serving serving;
  if (const Status opened = serving.open(flags); !opened) return report(opened.error());
  std::fprintf(stderr, "fmesh: Pulsar clients connect to %s; data in %s; Ctrl-C stops\n",
               serving.pulsar().url().c_str(), flags.data_directory.c_str());
  if (!serving.pulsar().http_url().empty())
    std::fprintf(stderr, "fmesh: pulsar-admin --admin-url %s\n", serving.pulsar().http_url().c_str());
  int signal = 0;
  while (sigwait(&signals, &signal) != 0) {
  }
  return kExitOk;
}

}  // namespace

void add_serve(CLI::App& app, Exit& exit) {
  auto* verb = app.add_subcommand("serve", "Serve the embedded log to clients written for Pulsar");
  const auto flags = std::make_shared<ServeFlags>();
  add_data_directory(*verb, flags->data_directory);
  flags->pulsar.address = "127.0.0.1:6650";
  add_pulsar_flags(*verb, flags->pulsar);
  verb->add_option("--http", flags->pulsar.http_address,
                   "Serve the admin REST API on this address, such as 127.0.0.1:8080")
      ->type_name("ADDR");
  verb->add_option("--partitions", flags->pulsar.partitions, "Partitions of topics that clients make by naming them")
      ->check(CLI::Range(0, 10'000));
  verb->add_option("--retention-size", flags->retention_size, "Acknowledged bytes kept per topic that is made")
      ->type_name("SIZE");
  verb->add_option("--retention-time", flags->retention_time, "How long acknowledged messages are kept")
      ->type_name("TIME");
  verb->add_option("--backlog-size", flags->backlog_size, "Unacknowledged bytes at which producers wait")
      ->type_name("SIZE");
  verb->add_option("--sync", flags->sync,
                   "group: a message is on disk before it is confirmed; interval: some milliseconds later")
      ->check(CLI::IsMember({"group", "interval"}))
      ->capture_default_str();
  verb->footer(
      "Examples:\n"
      "  fmesh serve\n"
      "  fmesh serve --data-dir /var/lib/fmesh --listen 0.0.0.0:6651 --advertise broker.example:6651 \\\n"
      "    --token-file token --tls-cert cert.pem --tls-key key.pem");
  verb->callback([flags, &exit] { exit.code = serve(*flags); });
}

}  // namespace fmesh::cli
