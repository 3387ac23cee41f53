#include "sim/operator_cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace fmesh::sim {
namespace {

constexpr int64_t kRunMaxMs = 6 * 3'600'000;  // of simulated time; a run that takes longer does not come to rest
constexpr int64_t kRestartMaxMs = 3'000;
constexpr int kCleanupFailures = 2;
constexpr const char* kClient = "client";

class SilentNotes final : public op::Notes {
 public:
  void note(const kube::ResourceType&, const kube::ObjectPtr&, const op::Note&) override {}
};

// The mark on what fmesh wrote, and the versions of BackendConfigs that status names, hold uids and versions, which
// differ from run to run.
std::string without_marks(std::string state) {
  static constexpr std::array<std::string_view, 2> kMarks = {"\"compute.functionmesh.io/applied\":\"",
                                                             "BackendConfigRevision\":\""};
  for (const std::string_view mark : kMarks) {
    for (size_t at = 0; (at = state.find(mark, at)) != std::string::npos;) {
      at += mark.size();
      state.erase(at, state.find('"', at) - at);
    }
  }
  return state;
}

std::string line_at(const std::string& text, size_t at) {
  const size_t before = text.rfind('\n', at);
  const size_t begin = before == std::string::npos ? 0 : before + 1;
  return text.substr(begin, text.find('\n', begin) - begin);
}

}  // namespace

// Of which the operator only wants that it forgets: it does, after some failures.
class OperatorCluster::Pulsar final : public op::Cleaner {
 public:
  Pulsar(Loop& loop, Rng& rng) : loop_(loop), rng_(rng) {}
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

// Nobody here applies, so nobody asks who owns a field.
ApiServerOptions OperatorCluster::server_options(ApiServerOptions options) {
  options.track_owners = false;
  return options;
}

OperatorCluster::OperatorCluster(const OperatorClusterOptions& options)
    : options_(options),
      rng_(options.server.seed * 7919 + 17),
      notes_(std::make_unique<SilentNotes>()),
      server_(loop_, server_options(options.server)) {
  settings_.passes_max = 1 + rng_.below(8);
  settings_.cluster.global_backend_config = "global";
}

OperatorCluster::~OperatorCluster() { stop_operator(); }

void OperatorCluster::start_operator() {
  operator_rng_ = std::make_unique<Rng>(rng_.next());
  cleaner_ = std::make_unique<Pulsar>(loop_, rng_);
  controllers_ = std::make_unique<op::Controllers>(loop_, server_, settings_, *operator_rng_, *cleaner_, *notes_);
  controllers_->start({}, {});
  controllers_->set_leading(true);
}

void OperatorCluster::stop_operator() {
  controllers_.reset();
  cleaner_.reset();
}

void OperatorCluster::restart_operator(int64_t pause_ms) {
  stop_operator();
  server_.cut_off();
  step_until(clock_.wall_ms() + pause_ms);
  server_.restarted();
  start_operator();
}

void OperatorCluster::stop_after(size_t number) {
  server_.stop_after(number, [this] { crashed_ = true; });
}

void OperatorCluster::advance(int64_t ms) {
  const int64_t until = clock_.wall_ms() + ms;
  while (clock_.wall_ms() < until) {
    step_until(until);
    if (crashed_) {
      crashed_ = false;
      stop_operator();
      step_until(clock_.wall_ms() + static_cast<int64_t>(rng_.below(kRestartMaxMs)));
      server_.restarted();
      start_operator();
    }
  }
}

// Also ends when the process died.
void OperatorCluster::step_until(int64_t wall_ms) {
  while (clock_.wall_ms() < wall_ms) {
    loop_.run_ready();
    if (crashed_) return;
    const int64_t left_ms = wall_ms - clock_.wall_ms();
    if (!loop_.advance_to_next(left_ms)) clock_.advance_ms(left_ms);
  }
}

bool OperatorCluster::rest() {
  const int64_t begin_ms = clock_.wall_ms();
  int64_t since_ms = begin_ms;
  size_t before = server_.writes().size();
  while (clock_.wall_ms() - begin_ms < kRunMaxMs) {
    advance(1'000);
    if (server_.writes().size() != before) {
      before = server_.writes().size();
      since_ms = clock_.wall_ms();
    }
    if (clock_.wall_ms() - since_ms >= options_.quiet_ms) return true;
  }
  return false;
}

std::string OperatorCluster::state() const { return without_marks(server_.masked_state()); }

size_t OperatorCluster::writes() const {
  return static_cast<size_t>(std::count_if(server_.writes().begin(), server_.writes().end(),
                                           [](const WriteRecord& write) { return write.actor == kClient; }));
}

size_t OperatorCluster::changes() const {
  return static_cast<size_t>(
      std::count_if(server_.writes().begin(), server_.writes().end(),
                    [](const WriteRecord& write) { return write.actor == kClient && write.changed; }));
}

std::map<std::string, int> OperatorCluster::count(const std::string& verb) const {
  std::map<std::string, int> counts;
  for (const WriteRecord& write : server_.writes()) {
    if (write.actor != kClient || !write.changed || write.verb != verb) continue;
    ++counts[fmt::format("{} {}", write.type.kind, write.key.to_string())];
  }
  return counts;
}

std::vector<std::string> OperatorCluster::log() const {
  std::vector<std::string> lines;
  for (const WriteRecord& write : server_.writes()) lines.push_back(to_string(write));
  return lines;
}

std::string last_lines(const std::vector<std::string>& log, size_t count) {
  std::string text;
  for (size_t i = log.size() > count ? log.size() - count : 0; i < log.size(); ++i) text += "  " + log[i] + "\n";
  return text;
}

std::string first_difference(const std::string& expected, const std::string& found) {
  const auto [left, right] = std::mismatch(expected.begin(), expected.end(), found.begin(), found.end());
  if (left == expected.end() && right == found.end()) return "no difference";
  const auto at = static_cast<size_t>(left - expected.begin());
  const std::string one = line_at(expected, std::min(at, expected.size() - 1));
  const std::string other = line_at(found, std::min(at, found.size() - 1));
  const auto inside =
      static_cast<size_t>(std::mismatch(one.begin(), one.end(), other.begin(), other.end()).first - one.begin());
  constexpr size_t kBefore = 160, kShown = 400;
  const size_t begin = inside > kBefore ? inside - kBefore : 0;
  const std::string name = one.substr(0, one.find('{'));
  const auto cut = [&](const std::string& line) { return line.size() > begin ? line.substr(begin, kShown) : line; };
  return fmt::format("{}\n  expected ...{}\n  found    ...{}\n", name, cut(one), cut(other));
}

}  // namespace fmesh::sim
