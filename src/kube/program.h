// Runs another program and waits for it: what it prints is bounded, so is its time, and it can be broken off. What it
// says on stderr is passed on as it comes, since it may ask a person for something.
//
// It blocks its caller, so it belongs on a thread of its own, never on a loop.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace fmesh::kube {

struct ProgramCall {
  std::string command;  // with a '/': a path; else looked for in PATH
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  // NAME=VALUE, all of it
  bool reads_terminal = false;           // it gets our stdin, else an empty one
  int64_t limit_ms = 60'000;
};

struct ProgramResult {
  int code = 0;  // 128 + n if signal n ended it
  std::string output;
  std::string last_words;  // the end of what it said on stderr
};

inline constexpr size_t kProgramOutputMaxBytes = 1024 * 1024;  // credentials are a few KiB
inline constexpr size_t kLastWordsMaxBytes = 1024;

// Errors: kFixInput if it can't be started (text: why), kRetryLater if it took longer or printed more than it may,
// kClosed if `cancelled` became true; then it was killed.
Result<ProgramResult> run_program(const ProgramCall& call, const Clock& clock, const std::atomic<bool>& cancelled);

}  // namespace fmesh::kube
