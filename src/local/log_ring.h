// The last log lines of every component, for `fmesh logs`. Memory is bounded per component and by the number of
// components; older lines fall out. Followers see each line as it comes.
//
// Used from any thread: instances add from loops and workers, the control API reads. A follower is called with no lock
// held that add() needs from another component, and must be short.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/instance.h"

namespace fmesh::local {

inline constexpr size_t kLogLinesPerComponentMax = 1'000;
inline constexpr size_t kLogBytesPerComponentMax = 256 * 1024;
// A longer line is cut; a function that logs whole payloads would push everything else out.
inline constexpr size_t kLogLineMaxBytes = 8 * 1024;

class LogRing {
 public:
  using Follower = std::function<bool(const runtime::LogLine&)>;

  void add(runtime::LogLine line);
  // The last lines of `component`, oldest first.
  std::vector<runtime::LogLine> last(const std::string& component, size_t lines_max) const;
  // Calls `follower` with each new line of `component` until it returns false or the handle is let go.
  std::shared_ptr<void> follow(const std::string& component, Follower follower);

 private:
  struct Ring {
    std::deque<runtime::LogLine> lines;
    size_t bytes = 0;
  };
  struct Listening {
    std::string component;
    std::mutex mutex;   // held during a call, so that letting go waits for it
    Follower follower;  // empty: over
  };

  mutable std::mutex mutex_;
  std::map<std::string, Ring> rings_;
  std::vector<std::weak_ptr<Listening>> listening_;
};

}  // namespace fmesh::local
