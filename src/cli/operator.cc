// fmesh operator: the controllers of a cluster.
#include <pthread.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <random>
#include <sstream>

#include "cli/command.h"
#include "cli/control.h"
#include "cli/operator_flags.h"
#include "operator/process.h"

namespace fmesh::cli {
namespace {

constexpr int64_t kStopLimitMs = 10'000;  // well below a pod's terminationGracePeriodSeconds of 30
constexpr int kConfigLookS = 10;          // a changed ConfigMap takes up to a minute to reach a pod anyway

// Waits for SIGTERM or SIGINT, for the end of the process by itself (SIGUSR2 from on_end), or for the next look at the
// config file (0; SIGHUP is a look at once).
int wait_for_signal(const sigset_t& signals) {
  const timespec limit{kConfigLookS, 0};
  const int signal = sigtimedwait(&signals, nullptr, &limit);
  return signal > 0 ? signal : 0;
}

// The level of the log can be changed while the operator runs, by the config file; it is said once if that fails.
class LogLevel {
 public:
  LogLevel(op::Process& process, std::string level) : process_(process), level_(std::move(level)) {}
  void look(const OperatorFlags& flags, const kube::ConfigSources& sources) {
    const auto level = read_log_level(flags, sources);
    if (!level || *level == level_) return;
    level_ = *level;
    if (const Status set = process_.set_log_level(level_); !set) report(set.error().within(flags.config_file), false);
  }

 private:
  op::Process& process_;
  std::string level_;
};

int run_operator(OperatorFlags& flags) {
  kube::ConfigSources sources = kube::system_sources();
  sources.kubeconfig = flags.kubeconfig;
  sources.context = flags.context;
  auto options = read_operator_flags(flags, sources);
  if (!options) return report(options.error(), false);

  options->seed = std::random_device{}();
  // Blocked before any thread starts, so that they all leave signals to this one.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR2}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  auto process = op::Process::start(*options);
  if (!process) return report(process.error(), false);
  std::atomic<bool> ended{false};
  const pthread_t self = pthread_self();
  (*process)->on_end([&ended, self] {
    ended = true;
    pthread_kill(self, SIGUSR2);
  });
  LogLevel log_level(**process, options->log_level);
  while (true) {
    const int signal = wait_for_signal(signals);
    if (signal == SIGTERM || signal == SIGINT || ended) break;
    log_level.look(flags, sources);
  }
  (*process)->stop(kStopLimitMs);
  return ended ? kExitFailed : kExitOk;
}

}  // namespace

void add_operator(CLI::App& app, Exit& exit) {
  CLI::App* verb = app.add_subcommand("operator", "Run the controllers of a Kubernetes cluster");
  const auto flags = std::make_shared<OperatorFlags>();
  add_operator_flags(*verb, *flags);
  add_process_flags(*verb, *flags);
  verb->footer(
      "Flags may be given in the environment too, under upstream's names: METRICS_ADDR, CONFIG_FILE, ...\n"
      "Examples:\n  fmesh operator                                # in a pod, or with ~/.kube/config\n"
      "  fmesh operator --kubeconfig admin.conf --webhooks=false");
  verb->callback([flags, &exit] { exit.code = run_operator(*flags); });
}

}  // namespace fmesh::cli
