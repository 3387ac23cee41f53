#include "runtime/child/serve.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "runtime/child/messages.h"
#include "runtime/child/process.h"
#include "runtime/counter.h"
#include "stream/state.h"

namespace fmesh::runtime {
namespace {

// What one batch may cause, all together.
constexpr size_t kEffectsMaxBytes = 256 * 1024 * 1024;

class RemoteContext final : public LogicContext {
 public:
  explicit RemoteContext(OpenRequest request) : request_(std::move(request)) {}
  const model::InstanceSpec& spec() const override { return request_.spec; }
  const Clock& clock() const override { return clock_; }
  std::span<const std::string> inputs() const override { return request_.inputs; }
  std::string_view output() const override { return request_.output; }

  void log(std::string_view level, std::string_view text) override {
    Writer body;
    body.number(LogKind::kLine);
    body.text(level);
    body.text(text);
    write(body);
  }
  void metric(std::string_view name, double value) override {
    Writer body;
    body.number(LogKind::kMetric);
    body.text(name);
    body.number(value);
    write(body);
  }

 private:
  void write(const Writer& body) {
    Writer frame;
    frame.text(body.bytes());
    const std::lock_guard lock(mutex_);
    size_t done = 0;
    while (done < frame.size()) {
      const ssize_t wrote = ::write(kChildLogFd, frame.bytes().data() + done, frame.size() - done);
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote <= 0) return;
      done += static_cast<size_t>(wrote);
    }
  }

  OpenRequest request_;
  SystemClock clock_;
  std::mutex mutex_;  // a line is written as a whole
};

class RemoteBatch final : public BatchContext {
 public:
  void begin() {
    out_.clear();
    known_.clear();
    undo_.clear();
    current_ = SIZE_MAX;
  }
  std::string_view effects() const { return out_.bytes(); }

  void output(size_t index, const stream::RecordView& record) override {
    if (!has_room(index)) return;
    head(EffectKind::kOutput, index);
    write_output(out_, record);
  }
  Status publish(size_t index, std::string_view topic, const stream::RecordView& record) override {
    if (!has_room(index)) return {};
    head(EffectKind::kPublish, index);
    out_.text(topic);
    write_output(out_, record);
    return {};
  }
  void failed(size_t index, std::string_view text) override {
    turn_to(index);
    for (auto change = undo_.rbegin(); change != undo_.rend(); ++change) known_[change->first] = change->second;
    undo_.clear();
    head(EffectKind::kFailed, index);
    out_.text(text);
  }
  void ack(size_t index) override { head(EffectKind::kAck, index); }
  Status ack(std::string_view topic, const stream::MessageId& id) override {
    head(EffectKind::kAckId, current_ == SIZE_MAX ? 0 : current_);
    out_.text(topic);
    out_.number(id);
    return {};
  }

  Result<std::optional<std::string>> state_get(size_t index, std::string_view key) override {
    turn_to(index);
    const auto found = known_.find(key);
    if (found != known_.end()) return found->second;
    FMESH_TRY(auto value, ask(index, key));
    known_[std::string(key)] = value;
    return value;
  }
  Status state_put(size_t index, std::string_view key, std::optional<std::string_view> value) override {
    // The host would refuse it when it is too late to tell the function.
    if (key.empty() || key.size() > stream::kStateKeySizeMaxBytes) {
      return fail(ErrorKind::kFixInput, "a key of the state has 1 to " + std::to_string(stream::kStateKeySizeMaxBytes) +
                                            " bytes, found " + std::to_string(key.size()));
    }
    if (value && value->size() > stream::kStateValueSizeMaxBytes) {
      return fail(ErrorKind::kFixInput, "a value of the state has at most " +
                                            std::to_string(stream::kStateValueSizeMaxBytes) + " bytes, found " +
                                            std::to_string(value->size()));
    }
    FMESH_CHECK(change(index, key, value ? std::optional(std::string(*value)) : std::nullopt));
    head(value ? EffectKind::kStatePut : EffectKind::kStateDelete, index);
    out_.text(key);
    if (value) out_.text(*value);
    return {};
  }
  Result<int64_t> counter_add(size_t index, std::string_view key, int64_t delta) override {
    FMESH_TRY(const auto stored, state_get(index, key));
    FMESH_TRY(int64_t value, decode_counter(key, stored));
    if (delta == 0) return value;
    value = static_cast<int64_t>(static_cast<uint64_t>(value) + static_cast<uint64_t>(delta));
    FMESH_CHECK(change(index, key, encode_counter(value)));
    head(EffectKind::kCounterAdd, index);
    out_.text(key);
    out_.number(delta);
    return value;
  }

 private:
  using Value = std::optional<std::string>;

  void turn_to(size_t index) {
    if (index == current_) return;
    current_ = index;
    undo_.clear();
  }
  void head(EffectKind kind, size_t index) {
    turn_to(index);
    out_.number(kind);
    out_.number(static_cast<uint32_t>(index));
  }
  bool has_room(size_t index) {
    if (out_.size() <= kEffectsMaxBytes) return true;
    failed(index, "the records written by one batch take more than " + std::to_string(kEffectsMaxBytes >> 20) + " MiB");
    return false;
  }
  // Remembers the value for the rest of the batch.
  Status change(size_t index, std::string_view key, Value value) {
    FMESH_TRY(Value before, state_get(index, key));
    undo_.emplace_back(std::string(key), std::move(before));
    known_[std::string(key)] = std::move(value);
    return {};
  }
  static Result<Value> ask(size_t index, std::string_view key) {
    Writer question;
    question.number(static_cast<uint32_t>(index));
    question.text(key);
    Channel answers(kChildSocketFd);  // nothing else is under way
    if (!send_frame(kChildSocketFd, FrameKind::kStateGet, question.bytes())) return gone();
    const auto frame = answers.receive();
    if (!frame || frame->kind != FrameKind::kState) return gone();
    FMESH_CHECK(read_status(frame->body));
    Reader in(frame->body);
    in.number<uint8_t>();
    in.number<ErrorKind>();
    in.text();
    if (in.number<uint8_t>() == 0) return std::nullopt;
    return std::string(in.text());
  }
  static std::unexpected<Error> gone() { return fail(ErrorKind::kClosed, "the host of this process is gone"); }

  Writer out_;
  std::map<std::string, Value, std::less<>> known_;
  std::vector<std::pair<std::string, Value>> undo_;  // of the record at work
  size_t current_ = SIZE_MAX;
};

// Ends the process if its host is gone, whatever user code does.
void follow_the_host() {
  std::thread([] {
    pollfd one{kChildSocketFd, POLLRDHUP, 0};
    while (::poll(&one, 1, -1) < 0 && errno == EINTR) {
    }
    ::_exit(0);
  }).detach();
}

// A process that user code forks is no child of the host's.
void close_in_forks() {
  ::pthread_atfork(nullptr, nullptr, [] {
    ::close(kChildSocketFd);
    ::close(kChildLogFd);
  });
}

void work(Logic& logic, FrameKind kind, std::string_view body, RemoteBatch& batch) {
  static ReadRecords records;
  Reader in(body);
  WindowInfo window;
  if (kind == FrameKind::kWindow) window = in.number<WindowInfo>();
  batch.begin();
  if (!records.read(in)) ::_exit(1);
  if (kind == FrameKind::kWindow) {
    logic.process_window(records.records(), window, batch);
  } else {
    logic.process(records.records(), batch);
  }
}

int run(Logic& logic, Channel& channel) {
  RemoteBatch batch;
  while (const auto frame = channel.receive()) {
    if (frame->kind == FrameKind::kClose) {
      logic.close();
      return 0;
    }
    if (frame->kind != FrameKind::kBatch && frame->kind != FrameKind::kWindow) return 1;
    work(logic, frame->kind, frame->body, batch);
    if (!send_frame(kChildSocketFd, FrameKind::kDone, batch.effects())) return 0;
  }
  return 0;
}

}  // namespace

const int kDumpSignal = SIGRTMIN + 5;

std::string hello() { return "fmesh " FMESH_VERSION ", protocol 1"; }

int serve_logic(const LogicMaker& make) {
  ::signal(SIGPIPE, SIG_IGN);
  void* const shared = ::mmap(nullptr, kChildPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, kChildPageFd, 0);
  if (shared == MAP_FAILED) return 1;
  static_assert(sizeof(std::atomic<size_t>) == sizeof(size_t));
  auto* const current = static_cast<size_t*>(shared);
  ::close(kChildPageFd);
  close_in_forks();
  follow_the_host();
  Channel channel(kChildSocketFd);
  if (!send_frame(kChildSocketFd, FrameKind::kHello, hello())) return 0;
  const auto first = channel.receive();
  if (!first || first->kind != FrameKind::kOpen) return 0;
  Result<OpenRequest> request = read_open(first->body);
  std::unique_ptr<Logic> logic;
  Status status = request ? Status() : fail(request.error());
  std::optional<RemoteContext> context;
  if (status) {
    const std::string directory = request->cache_directory;
    context.emplace(std::move(*request));
    logic = make(directory, current);
    status = logic->open(*context);
  }
  Writer answer;
  write_status(answer, status);
  if (!send_frame(kChildSocketFd, FrameKind::kOpened, answer.bytes()) || !status) return 0;
  return run(*logic, channel);
}

}  // namespace fmesh::runtime
