// Tells when one of a set of files changed, by inotify on their folders: editors replace a file rather than write into
// it, so watching the file itself would lose it. Changes that come together are told once.
//
// Owned by the host of a mesh; one thread of its own that sleeps in poll(2).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace fmesh::local {

// Changes within this time of each other are one change.
inline constexpr int kFileChangeQuietMs = 50;

class FileWatch {
 public:
  // Watches files, and folders for what is directly in them. `changed` is called on the thread of the watch.
  // Errors: kRetryLater if the system's limit of watches is reached.
  static Result<std::unique_ptr<FileWatch>> start(const std::vector<std::string>& paths, std::function<void()> changed);
  virtual ~FileWatch() = default;  // stops; `changed` is not running afterwards
};

}  // namespace fmesh::local
