#include "runtime/child/child_logic.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "runtime/child/messages.h"
#include "runtime/child/process.h"
#include "runtime/child/serve.h"
#include "runtime/input_instance.h"
#include "stream/topic_name.h"

namespace fmesh::runtime {
namespace {

// Code that opens for longer than this does not come back.
constexpr int64_t kOpenLimitMs = 600'000;
// What a child is given to end by itself.
constexpr int64_t kCloseLimitMs = 2'000;
// How often a child at work is looked after.
constexpr int kLookMs = 1'000;
// So many children in a row for one batch; then what is left of it is delivered again later.
constexpr int kDeathsPerBatchMax = 4;
constexpr int kLoaderFailedExitCode = 127;

// Records of a batch that still have to be done, from one index to another; or the one at which a child died.
struct Part {
  size_t begin = 0, end = 0;
  std::string failure;  // not empty: the record `begin` fails with it
};

class ChildLogic final : public Logic {
 public:
  ChildLogic(const model::InstanceSpec& spec, ChildProgram program)
      : program_(std::move(program)),
        name_(fmt::format("{}[{}]", spec.component, spec.instance_id)),
        limit_ms_(static_cast<int64_t>(spec.details.source ? spec.details.source->timeout_ms : 0)) {}

  bool non_blocking() const override { return false; }

  Status open(LogicContext& context) override {
    context_ = &context;
    return start();
  }

  void process(std::span<const LogicRecord> records, BatchContext& batch) override {
    std::vector<Part> parts = {{0, records.size(), ""}};  // the next one last
    int deaths = 0;
    while (!parts.empty()) {
      const Part part = std::move(parts.back());
      parts.pop_back();
      if (!part.failure.empty()) batch.failed(part.begin, part.failure);
      if (!part.failure.empty() || part.begin == part.end) continue;
      if (const Status ready = ensure(); !ready) {
        fail_all(part.begin, part.end, ready.error().text(), batch);
        continue;
      }
      const auto given = records.subspan(part.begin, part.end - part.begin);
      out_.clear();
      write_records(out_, given);
      if (call(FrameKind::kBatch, given, part.begin, batch)) continue;
      const std::string why = report_death(given);
      if (++deaths >= kDeathsPerBatchMax) {
        fail_all(part.begin, part.end, why, batch);
      } else if (is_nobodys_fault(given.size())) {
        parts.push_back(part);
      } else {
        const size_t at = part.begin + child_->current();
        parts.push_back({at + 1, part.end, ""});
        parts.push_back({at, at + 1, why});
        parts.push_back({part.begin, at, ""});  // did nothing wrong, and left nothing behind
      }
    }
  }

  void process_window(std::span<const LogicRecord> records, const WindowInfo& window, BatchContext& batch) override {
    if (records.empty()) return;
    std::string why;
    for (int deaths = 0; deaths < kDeathsPerBatchMax; ++deaths) {
      if (const Status ready = ensure(); !ready) return batch.failed(0, ready.error().text());
      out_.clear();
      out_.number(window);
      write_records(out_, records);
      if (call(FrameKind::kWindow, records, 0, batch)) return;
      why = report_death(records);
      if (!is_nobodys_fault(records.size())) break;
    }
    batch.failed(0, why);
  }

  void close() override {
    if (!child_) return;
    if (child_->send(FrameKind::kClose, {})) child_->end(kCloseLimitMs);
    child_.reset();
  }

 private:
  Status ensure() {
    if (child_ && !child_->death()) return {};
    return start();
  }

  Status start() {
    ChildListener listener;
    listener.log = [this](std::string_view level, std::string_view text) { context_->log(level, text); };
    listener.metric = [this](std::string_view name, double value) { context_->metric(name, value); };
    child_.reset();
    FMESH_TRY(child_, ChildProcess::start(program_.path, name_, std::move(listener)));
    OpenRequest request;
    request.spec = context_->spec();
    request.inputs.assign(context_->inputs().begin(), context_->inputs().end());
    request.output = context_->output();
    request.cache_directory = program_.directory;
    out_.clear();
    write_open(out_, request);
    child_->send(FrameKind::kOpen, out_.bytes());
    bool greeted = false;
    int64_t waited_ms = 0;
    while (!child_->death()) {
      const auto frame = child_->receive(kLookMs);
      if (frame && frame->kind == FrameKind::kHello) {
        if (frame->body != hello()) return refuse("is of another build of fmesh than this one");
        greeted = true;
      }
      if (frame && frame->kind == FrameKind::kOpened) return opened(read_status(frame->body));
      if (!frame && (waited_ms += kLookMs) >= kOpenLimitMs) child_->end(0);
    }
    const Death death = *child_->death();
    if (!greeted && death.signal == 0 && death.exit_code == kLoaderFailedExitCode) {
      return refuse("can't be started" + last_words() + "; " + program_.needs);
    }
    return fail(ErrorKind::kRetryLater,
                fmt::format("its {} {} while it started{}", program_.what, death.text(), last_words()));
  }

  Status opened(Status status) {
    if (!status) {
      child_->end(kCloseLimitMs);
      child_.reset();
    }
    return status;
  }

  Status refuse(const std::string& why) const { return fail(ErrorKind::kFixInput, program_.path + " " + why); }

  // Where it was, if it said so as Python does; else the last line that it wrote.
  std::string last_words() const {
    std::string last;
    for (const std::string& line : child_->last_lines()) {
      last = line;
      const bool is_place = line.find("File \"") != std::string::npos && line.find(" in ") != std::string::npos;
      if (is_place && line.find("/usr/lib/") == std::string::npos) break;
    }
    const size_t begin = last.find_first_not_of(' ');
    return begin == std::string::npos ? "" : ": " + last.substr(begin);
  }

  static void fail_all(size_t begin, size_t end, const std::string& why, BatchContext& batch) {
    for (size_t i = begin; i < end; ++i) batch.failed(i, why);
  }

  // It died before it began, or was killed by a person or the kernel.
  bool is_nobodys_fault(size_t count) const {
    return child_->current() >= count || (child_->death()->from_outside() && !was_killed_);
  }

  // Sends what is in out_ and gives the effects to `batch`. False: the child died, and has left nothing behind.
  bool call(FrameKind kind, std::span<const LogicRecord> given, size_t first, BatchContext& batch) {
    was_killed_ = false;
    child_->reset_current();
    if (child_->send(kind, out_.bytes())) return wait_and_apply(given, first, batch);
    child_->end(kCloseLimitMs);
    return false;
  }

  bool wait_and_apply(std::span<const LogicRecord> given, size_t first, BatchContext& batch) {
    size_t looked_at = kNoRecord;
    int64_t waited_ms = 0;  // for the record at work
    bool told = false;
    while (true) {
      const auto frame = child_->receive(kLookMs);
      if (child_->death()) return false;
      if (frame && frame->kind == FrameKind::kStateGet) {
        answer(frame->body, first, given.size(), batch);
        continue;
      }
      if (frame) {
        const bool done = frame->kind == FrameKind::kDone && apply_effects(frame->body, first, given.size(), batch);
        if (done) return true;
        // It does not speak our language any more, and some of its effects may have been given.
        child_->end(0);
        fail_all(first, first + given.size(), fmt::format("its {} sent nonsense and was ended", program_.what), batch);
        return true;
      }
      if (child_->current() != looked_at) {
        looked_at = child_->current();
        waited_ms = 0;
        continue;
      }
      waited_ms += kLookMs;
      if (!told && waited_ms >= (limit_ms_ > 0 ? limit_ms_ : kStuckAfterMs)) {
        child_->signal(kDumpSignal);  // says in the log where it is
        told = true;
      } else if (told && limit_ms_ > 0) {
        was_killed_ = true;
        child_->end(0);
        return false;
      }
    }
  }

  void answer(std::string_view body, size_t first, size_t count, BatchContext& batch) {
    Reader in(body);
    const auto index = in.number<uint32_t>();
    const std::string key(in.text());
    Result<std::optional<std::string>> value = std::nullopt;
    if (in.whole() && index < count) value = batch.state_get(first + index, key);
    out_.clear();
    write_status(out_, value ? Status() : fail(value.error()));
    // A status ends where its text ends, so the value may follow it.
    out_.number(static_cast<uint8_t>(value && *value ? 1 : 0));
    if (value && *value) out_.text(**value);
    child_->send(FrameKind::kState, out_.bytes());
  }

  // Logs what became of the child and returns the text for the record.
  std::string report_death(std::span<const LogicRecord> given) {
    const size_t at = child_->current();
    std::string how = fmt::format("its {} {}", program_.what, child_->death()->text());
    if (was_killed_) how = fmt::format("its {} did not come back within timeoutMs and was ended", program_.what);
    if (at >= given.size()) {
      context_->log("error", how + " between two batches; another one goes on");
      return how;
    }
    context_->log("error",
                  fmt::format("{} at record {} of {}; another one goes on{}", how, stream::to_string(given[at].id),
                              stream::short_topic_name(given[at].topic), last_words()));
    return how + last_words();
  }

  const ChildProgram program_;
  const std::string name_;
  const int64_t limit_ms_;
  LogicContext* context_ = nullptr;
  std::unique_ptr<ChildProcess> child_;
  Writer out_;
  bool was_killed_ = false;
};

}  // namespace

std::unique_ptr<Logic> make_child_logic(const model::InstanceSpec& spec, ChildProgram program) {
  return std::make_unique<ChildLogic>(spec, std::move(program));
}

Result<std::string> find_child_program(const std::string& name) {
  std::error_code code;
  const auto here = std::filesystem::read_symlink("/proc/self/exe", code).parent_path();
  const std::array places = {here / name, here.parent_path() / "lib" / "fmesh" / name};
  for (const auto& place : places)
    if (::access(place.c_str(), X_OK) == 0) return place.string();
  return fail(ErrorKind::kFixInput, fmt::format("there is no program {}: it was looked for as {} and {}; install "
                                                "the package {} (in a source tree: ninja -C build {})",
                                                name, places[0].string(), places[1].string(), name, name));
}

}  // namespace fmesh::runtime
