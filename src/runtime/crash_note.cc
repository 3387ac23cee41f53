#include "runtime/crash_note.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

namespace fmesh::runtime {
namespace {

constexpr std::array kSignals = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
constexpr size_t kHandlerStackBytes = 64 * 1024;  // backtrace() walks with some 10 KiB
constexpr int kFramesMax = 48;

constinit thread_local const WorkNote* work_note = nullptr;
// What every thread works on, for a crash on a thread without a note. A thread keeps its place until it ends.
constexpr size_t kThreadsMax = 256;
std::vector<Suspect> known_suspects;  // written before threads start
constinit std::array<std::atomic<const WorkNote*>, kThreadsMax> all_work{};
constinit std::array<std::atomic<bool>, kThreadsMax> work_taken{};
constinit std::array<std::atomic<const LibraryNote*>, kLibraryNotesMax> libraries{};
constinit thread_local bool is_crashing = false;
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

// A thread's place in all_work; none if there are more threads than places.
class WorkPlace {
 public:
  WorkPlace() {
    for (size_t i = 0; i < kThreadsMax; ++i) {
      if (work_taken[i].exchange(true, std::memory_order_relaxed)) continue;
      place_ = &all_work[i];
      taken_ = &work_taken[i];
      return;
    }
  }
  ~WorkPlace() {
    if (place_ == nullptr) return;
    place_->store(nullptr, std::memory_order_relaxed);
    taken_->store(false, std::memory_order_release);
  }
  WorkPlace(const WorkPlace&) = delete;
  WorkPlace& operator=(const WorkPlace&) = delete;
  void set(const WorkNote* note) {
    if (place_ != nullptr) place_->store(note, std::memory_order_release);
  }

 private:
  std::atomic<const WorkNote*>* place_ = nullptr;
  std::atomic<bool>* taken_ = nullptr;
};

void note_work(const WorkNote* note) {
  thread_local WorkPlace place;
  work_note = note;
  place.set(note);
}

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

const LogicRecord* record_of(const WorkNote& note) {
  return note.current != nullptr && *note.current < note.records.size() ? &note.records[*note.current] : nullptr;
}

void id_of(const LogicRecord& record, Line& line) {
  line.number(record.id.ledger);
  line.text(":");
  line.number(record.id.entry);
  line.text(":");
  line.number(record.id.partition);
  if (record.id.batch_index < 0) return;
  line.text(":");
  line.number(record.id.batch_index);
}

void function_of(const WorkNote& note, Line& line) {
  line.text("function ");
  line.text(note.component);
  line.text(", instance ");
  line.number(note.instance_id);
}

void place_of(const WorkNote& note, Line& line) {
  const LogicRecord* const record = record_of(note);
  if (record == nullptr) {
    line.text("its start or end");
    return;
  }
  line.text("record ");
  id_of(*record, line);
  line.text(" of ");
  line.text(record->topic);
}

// "record COMPONENT ID TOPIC", for parse_suspect().
void suspect_of(const WorkNote& note, Line& line) {
  const LogicRecord* const record = record_of(note);
  if (record == nullptr) return;
  line.text("record ");
  line.text(note.component);
  line.text(" ");
  id_of(*record, line);
  line.text(" ");
  line.text(record->topic);
  line.text("\n");
}

void signal_of(int signal, Line& line) {
  line.text(" (");
  line.text(signal_name(signal));
  line.text(")");
}

const void* library_of(const void* code) {
  Dl_info info{};
  return ::dladdr(code, &info) != 0 ? info.dli_fbase : nullptr;
}

// The function library that the crash came from, by the frames of its stack. Null: none that is known.
const LibraryNote* culprit(std::span<void* const> frames) {
  for (void* const frame : frames) {
    const void* const library = library_of(frame);
    if (library == nullptr) continue;
    for (const auto& slot : libraries) {
      const LibraryNote* const note = slot.load(std::memory_order_acquire);
      if (note != nullptr && note->library == library) return note;
    }
  }
  return nullptr;
}

// A crash on a thread without a note. What the other threads work on may change meanwhile; so it comes last, when what
// is certain has been written.
void report_foreign_thread(int signal, int fd, std::span<void* const> frames) {
  Line line;
  const LibraryNote* const library = culprit(frames);
  if (library == nullptr) {
    line.text("fmesh crashed outside of user code; please report it");
    signal_of(signal, line);
    line.text("\n");
    line.write_to(fd);
    return;
  }
  line.text("function ");
  line.text(library->component);
  line.text(" crashed on a thread that its library started");
  signal_of(signal, line);
  line.write_to(fd);
  Line rest;
  for (const auto& place : all_work) {
    const WorkNote* const note = place.load(std::memory_order_acquire);
    if (note == nullptr || std::strcmp(note->component, library->component) != 0 || record_of(*note) == nullptr) {
      continue;
    }
    rest.text(", instance ");
    rest.number(note->instance_id);
    rest.text(" was at ");
    place_of(*note, rest);
  }
  rest.text("\n");
  rest.write_to(fd);
}

void report(int signal, int fd) {
  void* frames[kFramesMax];
  if (work_note != nullptr) {
    Line line;
    function_of(*work_note, line);
    line.text(", crashed at ");
    place_of(*work_note, line);
    signal_of(signal, line);
    line.text("\n");
    suspect_of(*work_note, line);
    line.write_to(fd);  // before anything that a broken stack can upset
  }
  const std::span<void* const> found(frames, static_cast<size_t>(backtrace(frames, kFramesMax)));
  if (work_note == nullptr) report_foreign_thread(signal, fd, found);
  backtrace_symbols_fd(frames, static_cast<int>(found.size()), backtrace_fd.load(std::memory_order_relaxed));
}

extern "C" void on_crash(int signal) {
  // A second crash while the first is reported ends the process with what is written by then.
  if (!is_crashing) {
    is_crashing = true;
    report(signal, crash_fd.load(std::memory_order_relaxed));
  }
  // SA_RESETHAND has put the default back; the signal is delivered again when this returns.
  raise(signal);
}

}  // namespace

WorkNoteScope::WorkNoteScope(const WorkNote& note) : outer_(work_note) {
  if (crash_fd.load(std::memory_order_relaxed) >= 0) ensure_handler_stack();
  note_work(&note);
}

WorkNoteScope::~WorkNoteScope() { note_work(outer_); }

LibraryNoteScope::LibraryNoteScope(const char* component, const void* code) : note_{component, library_of(code)} {
  if (note_.library == nullptr) return;
  for (size_t i = 0; i < kLibraryNotesMax; ++i) {
    const LibraryNote* none = nullptr;
    if (!libraries[i].compare_exchange_strong(none, &note_, std::memory_order_acq_rel)) continue;
    slot_ = i;
    return;
  }
}

LibraryNoteScope::~LibraryNoteScope() {
  if (slot_ < kLibraryNotesMax) libraries[slot_].store(nullptr, std::memory_order_release);
}

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

std::optional<Suspect> parse_suspect(std::string_view note) {
  constexpr std::string_view kMark = "\nrecord ";
  const size_t mark = note.find(kMark);
  if (mark == std::string_view::npos) return std::nullopt;
  std::string_view line = note.substr(mark + kMark.size());
  line = line.substr(0, line.find('\n'));
  const size_t component_end = line.find(' ');
  const size_t id_end = component_end == std::string_view::npos ? component_end : line.find(' ', component_end + 1);
  if (id_end == std::string_view::npos) return std::nullopt;
  const auto id = stream::parse_message_id(line.substr(component_end + 1, id_end - component_end - 1));
  if (!id) return std::nullopt;
  return Suspect{std::string(line.substr(0, component_end)), std::string(line.substr(id_end + 1)), *id, 1};
}

void set_suspects(std::vector<Suspect> suspects) { known_suspects = std::move(suspects); }

std::vector<Suspect> suspects_of(std::string_view component) {
  std::vector<Suspect> found;
  for (const Suspect& suspect : known_suspects)
    if (suspect.component == component) found.push_back(suspect);
  return found;
}

}  // namespace fmesh::runtime
