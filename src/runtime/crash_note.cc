#include "runtime/crash_note.h"

#include <execinfo.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <string_view>

namespace fmesh::runtime {
namespace {

constexpr std::array kSignals = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
constexpr size_t kHandlerStackBytes = 64 * 1024;  // backtrace() walks with some 10 KiB
constexpr int kFramesMax = 48;

constinit thread_local const WorkNote* work_note = nullptr;
constinit std::atomic<int> crash_fd{-1};
constinit std::atomic<int> backtrace_fd{-1};

// The stack that the handler runs on, as the thread's own may be the thing that overflowed.
class HandlerStack {
 public:
  HandlerStack() : bytes_(new char[kHandlerStackBytes]) {
    stack_t stack{};
    stack.ss_sp = bytes_.get();
    stack.ss_size = kHandlerStackBytes;
    sigaltstack(&stack, nullptr);
  }
  ~HandlerStack() {
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    sigaltstack(&none, nullptr);
  }
  HandlerStack(const HandlerStack&) = delete;
  HandlerStack& operator=(const HandlerStack&) = delete;

 private:
  std::unique_ptr<char[]> bytes_;
};

void ensure_handler_stack() { thread_local const HandlerStack stack; }

// A line put together without memory from the heap.
class Line {
 public:
  void text(std::string_view text) {
    const size_t size = std::min(text.size(), buffer_.size() - used_);
    std::memcpy(buffer_.data() + used_, text.data(), size);
    used_ += size;
  }
  void number(int64_t value) {
    char digits[20];
    size_t at = sizeof digits;
    uint64_t rest = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
    do {
      digits[--at] = static_cast<char>('0' + rest % 10);
      rest /= 10;
    } while (rest > 0);
    if (value < 0) text("-");
    text({digits + at, sizeof digits - at});
  }
  void write_to(int fd) const {
    size_t done = 0;
    while (done < used_) {
      const ssize_t wrote = ::write(fd, buffer_.data() + done, used_ - done);
      if (wrote <= 0) return;
      done += static_cast<size_t>(wrote);
    }
  }

 private:
  std::array<char, 1024> buffer_;
  size_t used_ = 0;
};

std::string_view signal_name(int signal) {
  switch (signal) {
    case SIGSEGV:
      return "SIGSEGV, a wrong memory access";
    case SIGBUS:
      return "SIGBUS, a wrong memory access";
    case SIGFPE:
      return "SIGFPE, an impossible calculation";
    case SIGILL:
      return "SIGILL, an impossible instruction";
    case SIGABRT:
      return "SIGABRT, it called abort()";
    default:
      return "a signal";
  }
}

void describe(const WorkNote& note, Line& line) {
  line.text("function ");
  line.text(note.component);
  line.text(", instance ");
  line.number(note.instance_id);
  line.text(", crashed at ");
  if (note.current == nullptr || *note.current >= note.records.size()) {
    line.text("its start or end");
    return;
  }
  const LogicRecord& record = note.records[*note.current];
  line.text("record ");
  line.number(record.id.ledger);
  line.text(":");
  line.number(record.id.entry);
  line.text(":");
  line.number(record.id.partition);
  if (record.id.batch_index >= 0) {
    line.text(":");
    line.number(record.id.batch_index);
  }
  line.text(" of ");
  line.text(record.topic);
}

extern "C" void on_crash(int signal) {
  const int fd = crash_fd.load(std::memory_order_relaxed);
  Line line;
  if (work_note != nullptr) {
    describe(*work_note, line);
  } else {
    line.text("fmesh crashed outside of user code; please report it");
  }
  line.text(" (");
  line.text(signal_name(signal));
  line.text(")\n");
  line.write_to(fd);
  void* frames[kFramesMax];
  backtrace_symbols_fd(frames, backtrace(frames, kFramesMax), backtrace_fd.load(std::memory_order_relaxed));
  // SA_RESETHAND has put the default back; the signal is delivered again when this returns.
  raise(signal);
}

}  // namespace

WorkNoteScope::WorkNoteScope(const WorkNote& note) : outer_(work_note) {
  if (crash_fd.load(std::memory_order_relaxed) >= 0) ensure_handler_stack();
  work_note = &note;
}

WorkNoteScope::~WorkNoteScope() { work_note = outer_; }

void install_crash_handler(int note_fd, int trace_fd) {
  // The first backtrace() loads a library, which a handler must not do.
  void* frames[1];
  backtrace(frames, 1);
  crash_fd = note_fd;
  backtrace_fd = trace_fd;
  ensure_handler_stack();
  struct sigaction action{};
  action.sa_handler = &on_crash;
  action.sa_flags = SA_ONSTACK | static_cast<int>(SA_RESETHAND);
  sigemptyset(&action.sa_mask);
  for (const int signal : kSignals) sigaction(signal, &action, nullptr);
}

}  // namespace fmesh::runtime
