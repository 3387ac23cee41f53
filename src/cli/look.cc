// fmesh status, top, tap and logs: looking at a running mesh.
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cerrno>
#include <csignal>
#include <memory>
#include <thread>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/control.h"
#include "cli/pulsar_client_flags.h"
#include "cli/tables.h"
#include "cli/terminal.h"
#include "observe/json.h"

namespace fmesh::cli {
namespace {

constexpr int kTopTickMs = 1'000;

struct LookFlags {
  PulsarClientFlags pulsar;
  std::string data_directory, name;
  bool json = false, follow = false;
  int lines = 100;
  int64_t count = 0;
};

Look look_for(int fd, size_t lines_max) {
  if (!is_terminal(fd)) return {};
  return {.width = terminal_size(fd).columns, .lines_max = lines_max, .colours = wants_colours(fd)};
}

int status(const LookFlags& flags) {
  auto control = Control::open(flags.data_directory, Reach::kEither);
  if (!control) return report(control.error(), flags.json);
  const auto state = (*control)->get("/api/v1/mesh");
  if (!state) return report(state.error(), flags.json);
  print(flags.json ? observe::to_text(*state) + "\n"
                   : render_mesh(observe::mesh_from_json(*state), SystemClock().wall_ms(), look_for(STDOUT_FILENO, 0)));
  return (*control)->running() ? kExitOk : kExitFailed;
}

int top(const LookFlags& flags) {
  auto control = Control::open(flags.data_directory, Reach::kRunning);
  if (!control) return report(control.error(), flags.json);
  if (flags.json || !is_terminal(STDOUT_FILENO) || !is_terminal(STDIN_FILENO)) return status(flags);
  std::optional<Error> lost;
  {
    FullScreen screen(STDIN_FILENO, STDOUT_FILENO);  // gone before the error is told, else it would be wiped with it
    while (!lost) {
      const auto state = (*control)->get("/api/v1/mesh");
      if (!state) {
        lost = state.error();
        break;
      }
      const TerminalSize size = terminal_size(STDOUT_FILENO);
      observe::MeshState mesh = observe::mesh_from_json(*state);
      std::ranges::stable_sort(mesh.components, [](const observe::ComponentView& a, const observe::ComponentView& b) {
        return a.cpu_percent > b.cpu_percent + 0.5;
      });
      screen.draw(
          render_mesh(mesh, SystemClock().wall_ms(), look_for(STDOUT_FILENO, size.rows > 8 ? size.rows - 6 : 2)) +
          "q quits");
      const char key = screen.wait_key(kTopTickMs);
      if (key == 'q' || key == 'Q') return kExitOk;
    }
  }
  return report(*lost);
}

// Ends this process when nobody reads its output any more (`| head -1`), also while there is nothing to write.
void end_with_reader() {
  struct stat found{};
  if (::fstat(STDOUT_FILENO, &found) != 0 || !S_ISFIFO(found.st_mode)) return;
  std::thread([] {
    pollfd output{STDOUT_FILENO, 0, 0};
    while (::poll(&output, 1, -1) < 0 && errno == EINTR) {
    }
    ::signal(SIGPIPE, SIG_DFL);
    ::kill(::getpid(), SIGPIPE);
  }).detach();
}

Result<std::unique_ptr<Control>> open_tap(const LookFlags& flags) {
  if (!flags.pulsar.given()) return Control::open(flags.data_directory, Reach::kRunning);
  FMESH_TRY(auto client, stream::pulsar::open_pulsar(flags.pulsar.options()));
  return Control::over(std::move(client));
}

int tap(const LookFlags& flags) {
  auto control = open_tap(flags);
  if (!control) return report(control.error(), flags.json);
  end_with_reader();
  net::HttpRequest request;
  request.path = "/api/v1/streams/" + flags.name + "/records";
  request.query["follow"] = "true";
  int64_t left = flags.count == 0 ? INT64_MAX : flags.count;
  const Status ended = (*control)->follow(std::move(request), [&](std::string_view line) {
    if (flags.json) {
      print(std::string(line) + "\n");
    } else if (const auto value = observe::parse_json(line)) {
      print(render_record(observe::record_from_json(*value), false) + "\n");
    }
    return --left > 0;
  });
  if (!ended && left > 0) return report(ended.error(), flags.json);
  if (left > 0 && flags.count != 0) {
    return report(
        Error(ErrorKind::kRetryLater, "the mesh ended before " + std::to_string(flags.count) + " records came"),
        flags.json);
  }
  return kExitOk;
}

int logs(const LookFlags& flags) {
  auto control = Control::open(flags.data_directory, Reach::kRunning);
  if (!control) return report(control.error(), flags.json);
  const bool colours = wants_colours(STDOUT_FILENO);
  const auto show = [&](const boost::json::value& line) {
    print((flags.json ? observe::to_text(line) : render_log_line(observe::log_from_json(line), colours)) + "\n");
  };
  const std::map<std::string, std::string> query = {{"lines", std::to_string(flags.lines)}};
  const std::string path = "/api/v1/logs/" + flags.name;
  if (flags.follow) {
    end_with_reader();
    net::HttpRequest request;
    request.path = path;
    request.query = query;
    request.query["follow"] = "true";
    const Status ended = (*control)->follow(std::move(request), [&](std::string_view line) {
      if (const auto value = observe::parse_json(line)) show(*value);
      return true;
    });
    return ended ? kExitOk : report(ended.error(), flags.json);
  }
  const auto lines = (*control)->get(path, query);
  if (!lines) return report(lines.error(), flags.json);
  for (const boost::json::value& line : lines->at("lines").as_array()) show(line);
  return kExitOk;
}

CLI::App* add_verb(CLI::App& app, const char* name, const char* help, const std::shared_ptr<LookFlags>& flags) {
  CLI::App* verb = app.add_subcommand(name, help);
  add_data_directory(*verb, flags->data_directory);
  verb->add_flag("--json", flags->json, "JSON instead of text");
  return verb;
}

}  // namespace

void add_status(CLI::App& app, Exit& exit) {
  const auto flags = std::make_shared<LookFlags>();
  CLI::App* verb = add_verb(app, "status", "Show the mesh that runs, once", flags);
  verb->footer(
      "Exit code 0 if a mesh runs, 1 if none does.\nExamples:\n  fmesh status\n  fmesh status --json | jq .components");
  verb->callback([flags, &exit] { exit.code = status(*flags); });
}

void add_top(CLI::App& app, Exit& exit) {
  const auto flags = std::make_shared<LookFlags>();
  CLI::App* verb = add_verb(app, "top", "Watch rates, backlog, errors and CPU of the mesh that runs", flags);
  verb->footer("Examples:\n  fmesh top\n  fmesh top --data-dir /var/lib/shop");
  verb->callback([flags, &exit] { exit.code = top(*flags); });
}

void add_tap(CLI::App& app, Exit& exit) {
  const auto flags = std::make_shared<LookFlags>();
  CLI::App* verb = add_verb(app, "tap", "Show the records of a stream as they come", flags);
  add_pulsar_client_flags(*verb, flags->pulsar);
  verb->add_option("STREAM", flags->name, "Name, tenant/namespace/name or full name")->required();
  verb->add_option("-n,--count", flags->count, "End after so many records")
      ->check(CLI::Range(int64_t{1}, INT64_MAX))
      ->type_name("N");
  verb->footer(
      "Takes nothing away from the readers of the stream.\nExamples:\n  fmesh tap orders\n  fmesh tap orders --json -n "
      "1");
  verb->callback([flags, &exit] { exit.code = tap(*flags); });
}

void add_logs(CLI::App& app, Exit& exit) {
  const auto flags = std::make_shared<LookFlags>();
  CLI::App* verb = add_verb(app, "logs", "Show what a component logged", flags);
  verb->add_option("NAME", flags->name, "The component")->required();
  verb->add_flag("-f,--follow", flags->follow, "Go on with every new line");
  verb->add_option("-n,--lines", flags->lines, "Show at most so many of the last lines")->check(CLI::Range(1, 10'000));
  verb->footer("Examples:\n  fmesh logs enrich\n  fmesh logs enrich -f");
  verb->callback([flags, &exit] { exit.code = logs(*flags); });
}

}  // namespace fmesh::cli
