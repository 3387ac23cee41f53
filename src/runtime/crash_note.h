// Says which function and which record a thread was at when user code crashed. A WorkNote is what the thread works on;
// it points at what exists anyway, so that noting costs a few stores per batch and one per record. The crash handler
// prints the note of the crashing thread and ends the process as the signal would have; a parent restarts it from the
// durable state.
//
// A function may also crash on a thread that it started itself, which has no note. The handler then looks for a library
// among the frames of the crash: a LibraryNote says whose it is, and the notes of the other threads say what was at
// work.
//
// Notes belong to their thread. The handler belongs to the process and uses only what signal handlers may use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/logic.h"

namespace fmesh::runtime {

struct WorkNote {
  const char* component = "";  // terminated
  int32_t instance_id = 0;
  std::span<const LogicRecord> records;
  const size_t* current = nullptr;  // index of the record at work
};

// The thread works on `note` for as long as this lives. REQUIRES: the note and all it points at live longer. Scopes
// nest.
class WorkNoteScope {
 public:
  explicit WorkNoteScope(const WorkNote& note);
  ~WorkNoteScope();
  WorkNoteScope(const WorkNoteScope&) = delete;
  WorkNoteScope& operator=(const WorkNoteScope&) = delete;

 private:
  const WorkNote* outer_;
};

// While it lives, crashes in the code of the library that holds `code` count as those of `component`. At most
// kLibraryNotesMax at a time are known; a crash in others is reported without the component.
inline constexpr size_t kLibraryNotesMax = 256;
struct LibraryNote {
  const char* component = "";     // terminated
  const void* library = nullptr;  // where it is loaded
};
class LibraryNoteScope {
 public:
  LibraryNoteScope(const char* component, const void* code);
  ~LibraryNoteScope();
  LibraryNoteScope(const LibraryNoteScope&) = delete;
  LibraryNoteScope& operator=(const LibraryNoteScope&) = delete;

 private:
  LibraryNote note_;
  size_t slot_ = kLibraryNotesMax;
};

// On SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT writes one line that names function, record and signal to `note_fd`,
// a second one for parse_suspect() if there is a record, and a backtrace to `trace_fd` (both may be the
// same), then lets the signal end the process. Call once, before threads start; threads that open a WorkNoteScope also
// survive the overflow of their stack long enough to say so.
void install_crash_handler(int note_fd, int trace_fd);

// A record at which the process died before. Its function gets it alone once what came before it is durable, so that
// the next death costs nothing else; see native_logic.cc.
struct Suspect {
  std::string component;
  std::string topic;  // full name
  stream::MessageId id;
  int deaths = 0;
};

// What the crash handler left about a record; deaths is 1. Nothing if the note names none.
std::optional<Suspect> parse_suspect(std::string_view note);

// Those of this process. Call once, before threads start.
void set_suspects(std::vector<Suspect> suspects);
std::vector<Suspect> suspects_of(std::string_view component);

}  // namespace fmesh::runtime
