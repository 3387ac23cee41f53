// Reading the journal's files back: a bounded set of open files and a bounded set of read-ahead windows, which several
// readers that follow each other share. Used from any thread; the disk is read without a lock held.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/disk.h"

namespace fmesh::stream::log {

// One pread fetches so much, so that reading a backlog costs few calls.
inline constexpr uint64_t kWindowSizeBytes = 256 * 1024;
// Windows kept: 4 MiB.
inline constexpr size_t kWindowsMax = 16;

class FileWindows {
 public:
  FileWindows(Disk& disk, size_t open_files_max) : disk_(disk), open_files_max_(open_files_max) {}

  // `size` bytes of `path` at `offset`, fewer if `limit` comes first. Bytes up to `limit` no longer change.
  Result<SharedBytes> read(const std::string& path, uint64_t offset, uint64_t size, uint64_t limit);
  // Closes a file that is about to be deleted and drops its windows. Readers that are at it finish.
  void forget(const std::string& path);

 private:
  using Key = std::pair<std::string, uint64_t>;
  Result<std::shared_ptr<File>> file(const std::string& path);
  SharedBytes find(const Key& key);
  void keep(const Key& key, const SharedBytes& window);

  Disk& disk_;
  size_t open_files_max_;
  std::mutex mutex_;
  std::list<std::pair<std::string, std::shared_ptr<File>>> files_;  // most recently used first
  std::list<std::pair<Key, SharedBytes>> windows_;                  // most recently used first
};

}  // namespace fmesh::stream::log
