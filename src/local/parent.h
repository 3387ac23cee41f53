// The small parent process of `fmesh run`: user code runs in the host, a child, and may crash it. The parent then says
// which function and record did it and starts the host anew from the durable state, with backoff. It has one thread and
// holds nothing of the mesh, so that nothing the host does can harm it.
//
// Signals: parent and host share the terminal's process group, so Ctrl-C reaches both; what is sent to the parent alone
// is passed on. The host takes signals that arrive within kSignalTwiceMs as one. If the parent is killed, the host
// drains and ends.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/crash_note.h"

namespace fmesh::local {

inline constexpr int64_t kRestartBackoffMinMs = 100;
inline constexpr int64_t kRestartBackoffMaxMs = 10'000;
// A host that ran this long before it crashed starts again without waiting longer than before its first crash.
inline constexpr int64_t kRestartForgetMs = 60'000;
inline constexpr int64_t kSignalTwiceMs = 300;
// So many deaths at one record are no accident: the next start would die of it too.
inline constexpr int kDeathsAtOneRecordMax = 5;
// Exit code of a run that has to come to an end and can't, because one record kills the host again and again.
inline constexpr int kExitPoisonRecord = 3;
// Exit code by which a host asks to be replaced (too many stuck workers). Never seen outside.
inline constexpr int kExitReplaceHost = 97;

// How long to wait before the next start. Pure.
int64_t restart_delay_ms(int restarts_in_a_row);

// Counts deaths per place: the function and record that a crash note names. Deaths without a note (kill -9, no memory
// left) are nobody's fault and are not counted. Pure.
class Deaths {
 public:
  // How often the host died there by now, this time included; 0 for a death without a note.
  int count(std::string_view note);
  void forget() { counts_.clear(); }

 private:
  static constexpr size_t kPlacesMax = 1'000;
  std::map<std::string, int, std::less<>> counts_;
};

inline constexpr size_t kSuspectsMax = 100;

struct ParentOptions {
  // The run has to end by itself: it ends with kExitPoisonRecord at the kDeathsAtOneRecordMax-th death at one record.
  // Without it the parent goes on starting hosts, at most one in kRestartBackoffMaxMs, and says what can be done: a
  // rebuilt library is loaded by the next host.
  bool has_end = false;
  int64_t backoff_max_ms = kRestartBackoffMaxMs;
};

struct HostStart {
  int crash_note_fd = -1;                  // where the crash handler of the host writes function and record; -1: none
  int64_t restarts = 0;                    // how often the host was started before
  std::vector<runtime::Suspect> suspects;  // the records at which it died, at most kSuspectsMax
};

// Runs `host` in a child process, again and again until it exits by itself, and returns its exit code (128 + signal if
// the parent was told to stop meanwhile and the host died of it). REQUIRES: the process has one thread. Lines for
// people go to stderr.
int run_with_parent(const std::function<int(HostStart)>& host, ParentOptions options = {});

}  // namespace fmesh::local
