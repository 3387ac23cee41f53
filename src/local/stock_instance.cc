#include "local/stock_instance.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <utility>

#include "local/child_program.h"
#include "local/stock_output.h"
#include "net/http.h"
#include "plan/stock_command.h"
#include "runtime/consumer_options.h"
#include "runtime/lifecycle.h"
#include "runtime/worker_pool.h"

namespace fmesh::local {
namespace {

using runtime::InstanceState;

// Two ports of loopback that nobody uses now. Another process may take one before the child does: it ends then, and the
// next start takes others.
Result<std::array<int, 2>> free_ports() {
  std::array<int, 2> sockets = {-1, -1}, ports = {0, 0};
  for (size_t i = 0; i < sockets.size(); ++i) {
    sockets[i] = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (sockets[i] >= 0 && ::bind(sockets[i], reinterpret_cast<sockaddr*>(&address), size) == 0 &&
        ::getsockname(sockets[i], reinterpret_cast<sockaddr*>(&address), &size) == 0)
      ports[i] = ntohs(address.sin_port);
  }
  const int error = errno;
  for (const int socket : sockets)
    if (socket >= 0) ::close(socket);
  if (ports[0] == 0 || ports[1] == 0)
    return fail(ErrorKind::kRetryLater, std::string("find a free port: ") + std::strerror(error));
  return ports;
}

Status write_files(const std::map<std::string, std::string>& files) {
  for (const auto& [path, content] : files) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << content;
    if (!file.flush()) return fail(ErrorKind::kRetryLater, "write " + path + ": " + std::strerror(errno));
  }
  return {};
}

// What a process says: to the log of its component, and what tells best why it ended. From any thread; its thread holds
// it, so it is not the instance's own.
class Said {
 public:
  Said(const model::InstanceSpec& spec, const runtime::InstanceEnvironment& environment)
      : component_(spec.component), id_(spec.instance_id), clock_(environment.clock), log_(environment.log) {}
  void add(std::string_view text) {
    const StockLine line = read_stock_line(text);
    {
      const std::lock_guard lock(mutex_);
      const std::string cut(line.text.substr(0, kStockLastLineMaxBytes));
      if (line.level == "error") last_error_ = cut;
      lines_.push_back(cut);
      if (lines_.size() > kStockLastLines) lines_.pop_front();
    }
    if (log_) log_({clock_->wall_ms(), component_, id_, std::string(line.level), std::string(line.text)});
  }
  // The last error, or what it said last.
  std::string reason() const {
    const std::lock_guard lock(mutex_);
    if (!last_error_.empty()) return last_error_;
    std::string text;
    for (const std::string& line : lines_) text += (text.empty() ? "" : " | ") + line;
    return text;
  }

 private:
  std::string component_;
  int32_t id_;
  const Clock* clock_;
  std::function<void(runtime::LogLine)> log_;
  mutable std::mutex mutex_;
  std::string last_error_;
  std::deque<std::string> lines_;
};

class StockInstance final : public runtime::Lifecycle {
 public:
  StockInstance(model::InstanceSpec spec, runtime::InstanceEnvironment environment, const StockEnvironment& stock,
                StockParts parts)
      : Lifecycle(std::move(spec), std::move(environment)), stock_(stock), parts_(std::move(parts)) {}

 private:
  // What a start needs, made on a worker.
  struct Prepared {
    plan::StockCommand command;
    int port = 0, metrics_port = 0;
  };

  Status open() override;
  void close() override;
  bool idle() const override;
  void pump() override;
  bool quiet() const override { return !program_; }

  Status prepare(Prepared& prepared) const;
  Status make_subscription() const;
  void launch(Prepared prepared);
  void started(bool confined, int port);
  void ended(const Result<runtime::Death>& death);
  void look_after(int64_t delay_ms);
  void look();
  void take(const Result<StockCounters>& counters, int64_t backlog);
  void count(const StockCounters& now);
  StockCounters total() const;
  bool reads() const { return spec_.details.component_type != model::ComponentType::kSource; }

  const StockEnvironment& stock_;
  StockParts parts_;
  std::unique_ptr<ChildProgram> program_;
  int metrics_port_ = 0;
  bool terminating_ = false;
  bool warned_ = false;           // of ports that others reach
  StockCounters past_, current_;  // of processes that ended; of this one
  int64_t past_cpu_ns_ = 0, deaths_ = 0;
  std::shared_ptr<Said> said_;
};

Status StockInstance::open() {
  const auto prepared = std::make_shared<Prepared>();
  environment_.workers->run(this, [this, self = shared_from_this(), prepared, post = poster()] {
    Status status = prepare(*prepared);
    post([this, prepared, status = std::move(status)] {
      if (!status) return fail(status.error());
      launch(std::move(*prepared));
    });
  });
  return {};
}

// On a worker: touches nothing that changes.
Status StockInstance::prepare(Prepared& prepared) const {
  FMESH_TRY(const auto ports, free_ports());
  prepared.port = ports[0];
  prepared.metrics_port = ports[1];
  plan::StockPlace place;
  place.program = parts_.program;
  place.pulsar_home = parts_.pulsar_home;
  place.package = parts_.package;
  place.folder = fmt::format("{}/{}-{}", stock_.folder, spec_.component, spec_.instance_id);
  place.nar_folder = stock_.folder + "/nar";
  place.streams = stock_.streams;
  place.port = prepared.port;
  place.metrics_port = prepared.metrics_port;
  for (const std::string& folder : {place.folder, place.nar_folder}) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) return fmesh::fail(ErrorKind::kRetryLater, "make " + folder + ": " + error.message());
  }
  prepared.command = plan::make_stock_command(spec_, place);
  FMESH_CHECK(write_files(prepared.command.files));
  return reads() ? make_subscription() : Status();
}

// It stays when its consumer goes.
Status StockInstance::make_subscription() const {
  stream::ConsumerOptions options = runtime::consumer_options(spec_);
  options.name += "-start";
  if (!options.topics.empty() && !options.topic_pattern.empty()) options.topic_pattern.clear();
  FMESH_TRY(const std::shared_ptr<stream::Consumer> consumer, environment_.client->open_consumer(std::move(options)));
  consumer->close();
  return {};
}

void StockInstance::launch(Prepared prepared) {
  terminating_ = false;
  metrics_port_ = prepared.metrics_port;
  ChildProgramListener listener;
  said_ = std::make_shared<Said>(spec_, environment_);
  listener.line = [said = said_](std::string_view text) { said->add(text); };
  listener.started = [this, post = poster(), port = prepared.port](bool confined) {
    post([this, confined, port] { started(confined, port); });
  };
  listener.ended = [this, post = poster()](Result<runtime::Death> death) {
    post([this, death = std::move(death)] { ended(death); });
  };
  program_ = ChildProgram::start(
      {std::move(prepared.command.arguments), std::move(prepared.command.environment), spec_.base_directory},
      std::move(listener));
  look_after(kStockStartingLookMs);
}

void StockInstance::started(bool confined, int port) {
  if (confined || warned_) return;
  warned_ = true;
  log("warn", fmt::format("this system does not let fmesh keep it to this machine (seccomp notification): ports {} and "
                          "{} are open to every network that reaches this machine",
                          port, metrics_port_));
}

void StockInstance::ended(const Result<runtime::Death>& death) {
  program_.reset();
  if (terminating_) return;
  ++deaths_;
  const std::string last = death && death->from_outside() ? std::string() : said_->reason();
  const std::string text = death ? "the process " + death->text() : death.error().text();
  const bool lacks_module = last.find("ModuleNotFoundError") != std::string::npos;
  if (lacks_module && spec_.details.runtime == model::DetailsRuntime::kPython && state() == InstanceState::kStarting) {
    return fail(Error(ErrorKind::kFixInput,
                      fmt::format("{}; {} needs Pulsar's client and what its instance imports: pip install "
                                  "'pulsar-client[functions]' prometheus_client ratelimit, or give another interpreter "
                                  "with --stock-python",
                                  last, parts_.program)));
  }
  fail(Error(ErrorKind::kRetryLater, text + (last.empty() ? "" : "; it said: " + last)));
}

void StockInstance::close() {
  program_.reset();  // kills what still runs
  past_ = total();
  current_ = {};
  past_cpu_ns_ = counters_.cpu_ns.load(std::memory_order_relaxed);
}

void StockInstance::pump() {
  if (state() != InstanceState::kDraining || terminating_ || !program_) return;
  terminating_ = true;
  program_->terminate();
}

bool StockInstance::idle() const {
  if (!running()) return state() != InstanceState::kStarting && state() != InstanceState::kBackoff;
  if (!reads()) return true;
  if (environment_.client->opening_waits()) return counters_.backlog.load(std::memory_order_relaxed) == 0;
  const Result<int64_t> backlog = stock_.backlog(spec_);
  return backlog && *backlog == 0;
}

void StockInstance::look_after(int64_t delay_ms) {
  after_ms(delay_ms, [this] { look(); });
}

void StockInstance::look() {
  environment_.workers->run(this, [this, self = shared_from_this(), port = metrics_port_, post = poster()] {
    const auto ask = [port]() -> Result<StockCounters> {
      FMESH_TRY(const auto client, net::HttpClient::make({.url = fmt::format("http://127.0.0.1:{}", port),
                                                          .timeout_ms = kStockMetricsTimeoutMs,
                                                          .body_size_max_bytes = kStockMetricsMaxBytes,
                                                          .tls = {}}));
      net::HttpRequest request;
      request.path = "/metrics";
      FMESH_TRY(const net::HttpResponse response, client->send(std::move(request)));
      if (response.status != 200) return fmesh::fail(ErrorKind::kRetryLater, "metrics: not served");
      return read_stock_metrics(response.body);
    };
    Result<StockCounters> counters = ask();
    const int64_t backlog = reads() ? stock_.backlog(spec_).value_or(0) : 0;
    post([this, counters = std::move(counters), backlog] { take(counters, backlog); });
  });
}

void StockInstance::take(const Result<StockCounters>& counters, int64_t backlog) {
  counters_.backlog.store(backlog, std::memory_order_relaxed);
  if (counters && program_) {
    count(*counters);
    if (state() == InstanceState::kStarting) opened();
  }
  look_after(state() == InstanceState::kStarting ? kStockStartingLookMs : kStockLookMs);
}

StockCounters StockInstance::total() const {
  StockCounters sum = current_;
  sum.received += past_.received;
  sum.processed += past_.processed;
  sum.written += past_.written;
  sum.user_exceptions += past_.user_exceptions;
  sum.system_exceptions += past_.system_exceptions;
  return sum;
}

void StockInstance::count(const StockCounters& now) {
  current_ = now;
  const StockCounters sum = total();
  const auto tell = [](std::atomic<int64_t>& counter, int64_t value) {
    counter.store(value, std::memory_order_relaxed);
  };
  tell(counters_.received, sum.received);
  // A function's outputs are not counted by it, a connector's records are.
  tell(counters_.processed, std::max(sum.processed, sum.written));
  tell(counters_.written, sum.written);
  tell(counters_.user_exceptions, sum.user_exceptions);
  tell(counters_.system_exceptions, sum.system_exceptions + deaths_);
  if (now.last_invocation_ms != 0) tell(counters_.last_invocation_ms, now.last_invocation_ms);
  tell(counters_.cpu_ns, past_cpu_ns_ + cpu_ns_of(program_->pid()));
}

// What Pulsar's own instances can't do on the log.
Status check_for_log(const model::InstanceSpec& spec) {
  if (!spec.stock->state_url.empty()) {
    return fail(ErrorKind::kFixInput,
                "it keeps state in BookKeeper's state service (statefulConfig), which the log on this machine has not; "
                "leave statefulConfig out, write the function for fmesh-python or cpp, whose state the log keeps, or "
                "run it on a cluster");
  }
  const model::FunctionDetails& details = spec.details;
  if (details.processing_guarantees == model::ProcessingGuarantees::kEffectivelyOnce &&
      details.component_type == model::ComponentType::kFunction && details.sink && !details.sink->topic.empty()) {
    return fail(
        ErrorKind::kFixInput,
        "effectively_once: Pulsar's own instances number what they write by the entry they read, and entries of "
        "the log hold many records, whose outputs but the first would be dropped as duplicates; use "
        "atleast_once, or write the function for fmesh-python or cpp, where effectively_once is exact");
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<runtime::Instance>> make_stock_instance(model::InstanceSpec spec,
                                                               runtime::InstanceEnvironment environment,
                                                               const StockEnvironment& stock) {
  if (stock.on_log) FMESH_CHECK(check_for_log(spec));
  FMESH_TRY(StockParts parts, find_stock_parts(spec, stock.programs));
  return runtime::make_handle(
      std::make_shared<StockInstance>(std::move(spec), std::move(environment), stock, std::move(parts)));
}

}  // namespace fmesh::local
