// fmesh run: a mesh on this machine.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <filesystem>
#include <map>
#include <memory>
#include <set>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/control.h"
#include "cli/pulsar_client_flags.h"
#include "cli/pulsar_flags.h"
#include "cli/tables.h"
#include "cli/terminal.h"
#include "cli/units.h"
#include "local/host.h"
#include "local/parent.h"
#include "observe/json.h"

namespace fmesh::cli {
namespace {

constexpr int64_t kLiveTickMs = 1'000;
constexpr size_t kLiveRowsKept = 6;  // of the terminal, for lines above the table

struct RunFlags {
  local::HostOptions host;
  PulsarFlags pulsar;         // the log, served
  PulsarClientFlags cluster;  // instead of the log
  std::vector<CLI::Option*> of_the_log;
  std::vector<std::string> replicas;
  std::string retention_size, retention_time, backlog_size, sync = "group", drain_limit;
  bool no_restart = false, no_watch = false, json = false;
};

Status check_cluster_flags(const RunFlags& flags) {
  for (const CLI::Option* option : flags.of_the_log) {
    if (option->count() == 0) continue;
    return fail(ErrorKind::kFixInput, option->get_name() +
                                          " is about the embedded log, and with --pulsar the streams are topics of a "
                                          "cluster; leave it out, and set what it stands for there with pulsar-admin");
  }
  return {};
}

// The same way to the cluster for Pulsar's own instances.
plan::StockStreams stock_streams(const PulsarClientFlags& cluster) {
  static const std::map<std::string, std::string> classes = {
      {"token", "org.apache.pulsar.client.impl.auth.AuthenticationToken"},
      {"tls", "org.apache.pulsar.client.impl.auth.AuthenticationTls"},
      {"basic", "org.apache.pulsar.client.impl.auth.AuthenticationBasic"},
      {"oauth2", "org.apache.pulsar.client.impl.auth.oauth2.AuthenticationOAuth2"}};
  plan::StockStreams streams;
  streams.service_url = cluster.url;
  const auto known = classes.find(cluster.auth_plugin);
  streams.auth_plugin = known == classes.end() ? cluster.auth_plugin : known->second;
  streams.auth_parameters = cluster.auth_params;
  streams.tls_trust_file =
      cluster.trust_file.empty() ? std::string() : std::filesystem::absolute(cluster.trust_file).string();
  streams.tls_insecure = cluster.insecure;
  streams.tls_verify_name = !cluster.any_name;
  return streams;
}

Status read_flags(RunFlags& flags) {
  for (const std::string& text : flags.replicas) {
    FMESH_TRY(const auto one, parse_replicas(text));
    flags.host.load.replicas[one.first] = one.second;
  }
  const auto size = [](const std::string& text, const char* flag, int64_t& target) -> Status {
    if (text.empty()) return {};
    auto value = parse_size(text);
    if (!value) return fail(std::move(value).error().within(flag));
    target = *value;
    return {};
  };
  const auto time = [](const std::string& text, const char* flag, int64_t& target) -> Status {
    if (text.empty()) return {};
    auto value = parse_duration_ms(text);
    if (!value) return fail(std::move(value).error().within(flag));
    target = *value;
    return {};
  };
  stream::StreamOptions& defaults = flags.host.stream_defaults;
  FMESH_CHECK(size(flags.retention_size, "--retention-size", defaults.retention_size_bytes));
  FMESH_CHECK(time(flags.retention_time, "--retention-time", defaults.retention_time_ms));
  FMESH_CHECK(size(flags.backlog_size, "--backlog-size", defaults.backlog_size_max_bytes));
  FMESH_CHECK(time(flags.drain_limit, "--drain-limit", flags.host.drain_limit_ms));
  if (flags.cluster.given()) {
    FMESH_CHECK(check_cluster_flags(flags));
    flags.host.streams_at = flags.cluster.url;
    flags.host.open_streams = [options = flags.cluster.options()](const Clock& /*clock*/, Loop& loop) {
      return open_cluster(options, loop);
    };
    flags.host.stock_streams = stock_streams(flags.cluster);
  }
  defaults.partitions = flags.host.load.partitions;
  flags.host.sync_mode = flags.sync == "group" ? stream::log::SyncMode::kGroupCommit : stream::log::SyncMode::kInterval;
  flags.pulsar.partitions = flags.host.load.partitions;
  if (!flags.pulsar.address.empty()) {
    FMESH_TRY(flags.host.pulsar_server, server_options(flags.pulsar));
  }
  flags.host.load.stock_python = !flags.host.stock.python.empty();
  flags.host.watch_files = !flags.no_watch;
  flags.host.can_be_replaced = !flags.no_restart;
  for (const std::string& file : flags.host.load.files) {
    if (file == "-") {
      return fail(ErrorKind::kFixInput,
                  "run reads files, not standard input: they are read again after a crash and when they change");
    }
  }
  return {};
}

// Lines on stderr; on a terminal, a table below them on stdout.
local::HostUi make_ui(bool json) {
  local::HostUi ui;
  ui.tick_ms = kLiveTickMs;
  if (json) {
    ui.line = [](const std::string& text) { print(observe::to_text(boost::json::object{{"message", text}}) + "\n"); };
    return ui;
  }
  if (!is_terminal(STDOUT_FILENO) || !is_terminal(STDERR_FILENO)) {
    ui.line = [](const std::string& text) {
      std::fprintf(stderr, "%s%s", text.c_str(), text.ends_with('\n') ? "" : "\n");
    };
    return ui;
  }
  const auto picture = std::make_shared<LivePicture>(STDOUT_FILENO);
  ui.line = [picture](const std::string& text) { picture->print(text); };
  ui.tick = [picture](const observe::MeshState& state) {
    const TerminalSize size = terminal_size(STDOUT_FILENO);
    const size_t rows = size.rows > kLiveRowsKept + 4 ? size.rows - kLiveRowsKept : 4;
    observe::MeshState shown = state;
    shown.reload_error.clear();  // it was printed as it came
    picture->draw(render_mesh(shown, SystemClock().wall_ms(),
                              {.width = size.columns, .lines_max = rows, .colours = wants_colours(STDOUT_FILENO)}));
  };
  return ui;
}

int run(RunFlags& flags) {
  if (const Status read = read_flags(flags); !read) return report(read.error(), flags.json);
  const auto host = [&flags](const local::HostStart& start) {
    const int code = local::run_host(flags.host, start, make_ui(flags.json));
    if (flags.json) print(observe::to_text(boost::json::object{{"ended", true}, {"exitCode", code}}) + "\n");
    return code;
  };
  if (flags.no_restart) return host(local::HostStart{});
  return local::run_with_parent(host, {.has_end = flags.host.until_drained});
}

}  // namespace

void add_run(CLI::App& app, Exit& exit) {
  auto* verb = app.add_subcommand("run", "Run a mesh on this machine");
  const auto flags = std::make_shared<RunFlags>();
  verb->add_option("FILE", flags->host.load.files, "YAML or JSON files, or folders of them")->required();
  add_data_directory(*verb, flags->host.data_directory);
  verb->add_option("--only", flags->host.load.only, "Run only this component; may be given several times")
      ->type_name("NAME")
      ->allow_extra_args(false);
  verb->add_option("--replicas", flags->replicas, "Run N instances of a component")
      ->type_name("NAME=N")
      ->allow_extra_args(false);
  verb->add_option("--http", flags->host.http_address, "Serve the control API on this address too, such as :8080")
      ->type_name("ADDR");
  verb->add_option("--http-token-file", flags->host.http_token_file,
                   "A file with the token for changes over HTTP (default: one is made in the data directory)");
  add_pulsar_client_flags(*verb, flags->cluster);
  add_pulsar_flags(*verb, flags->pulsar);
  verb->add_option("--pulsar-home", flags->host.stock.pulsar_home,
                   "A folder with Pulsar's distribution, whose instances run Java functions and NAR connectors")
      ->envname("PULSAR_HOME")
      ->type_name("DIR");
  verb->add_option("--stock-python", flags->host.stock.python,
                   "Run `python` functions by Pulsar's own instance with this interpreter, which has pulsar-client")
      ->type_name("PYTHON");
  verb->add_flag("--until-drained", flags->host.until_drained,
                 "End once finite sources are read and nothing is left to do");
  verb->add_option("--drain-limit", flags->drain_limit, "How long ending may take (default 10s)")->type_name("TIME");
  verb->add_option("--partitions", flags->host.load.partitions,
                   "Partitions of streams that are made (default: not partitioned)")
      ->check(CLI::Range(0, 10'000));
  verb->add_option("--retention-size", flags->retention_size, "Acknowledged bytes kept per stream that is made")
      ->type_name("SIZE");
  verb->add_option("--retention-time", flags->retention_time, "How long acknowledged records are kept")
      ->type_name("TIME");
  verb->add_option("--backlog-size", flags->backlog_size, "Unacknowledged bytes at which writers wait")
      ->type_name("SIZE");
  verb->add_option("--sync", flags->sync,
                   "group: a record is on disk before it counts; interval: some milliseconds later")
      ->check(CLI::IsMember({"group", "interval"}))
      ->capture_default_str();
  verb->add_option("--loops", flags->host.loops, "Threads for instances (default: one per core)")
      ->check(CLI::Range(1, 256));
  verb->add_flag("--no-restart", flags->no_restart,
                 "One process, no parent that restarts it after a crash (for debuggers)");
  verb->add_flag("--no-watch", flags->no_watch, "Do not take over changed files");
  verb->add_flag("--json", flags->json, "Messages as one JSON object per line on stdout");
  for (const char* name : {"--listen", "--advertise", "--token-file", "--tls-cert", "--tls-key", "--deduplicate",
                           "--partitions", "--retention-size", "--retention-time", "--backlog-size", "--sync"}) {
    flags->of_the_log.push_back(verb->get_option(name));
  }
  verb->footer(
      "Examples:\n"
      "  fmesh run mesh.yaml\n"
      "  fmesh run mesh.yaml --pulsar pulsar://localhost:6650 --pulsar-web http://localhost:8080\n"
      "  fmesh run mesh.yaml --until-drained --data-dir /tmp/try\n"
      "  fmesh run mesh.yaml --only enrich --replicas enrich=4 --http :8080\n"
      "While it runs: fmesh status, fmesh top, fmesh tap STREAM, fmesh logs NAME.");
  verb->callback([flags, &exit] { exit.code = run(*flags); });
}

}  // namespace fmesh::cli
