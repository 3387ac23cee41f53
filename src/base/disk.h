// Files as a parameter. Everything that must survive a crash is written through a Disk, so that a test can fail the Nth
// write, tear a tail or flip a bit, and the simulator can crash between any two calls.
//
// Guarantees asked of an implementation: bytes written before a sync() that returned success survive a crash; bytes
// after it may survive whole, in part or not at all. A name change is durable after sync_directory(). Used from any
// thread; one File is written by one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fmesh {

class File {
 public:
  virtual ~File() = default;
  // Writes the pieces one after another at `offset`. Errors: kRetryLater if the disk is full, kCorrupt for an I/O
  // error.
  virtual Status write(uint64_t offset, std::span<const std::string_view> pieces) = 0;
  // Reads up to `size` bytes at `offset` into `target`; fewer only at the end of the file.
  virtual Result<size_t> read(uint64_t offset, char* target, size_t size) const = 0;
  // Makes what was written durable (fdatasync).
  virtual Status sync() = 0;
  // Reserves space up to `size`, so that later writes do not change the file's size. Best effort.
  virtual Status reserve(uint64_t size) = 0;
  virtual Result<uint64_t> size() const = 0;
};

enum class OpenMode { kRead, kReadWrite, kCreateNew };

// Holds a lock for as long as it lives.
class DiskLock {
 public:
  virtual ~DiskLock() = default;
};

class Disk {
 public:
  virtual ~Disk() = default;
  virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  virtual Status remove(const std::string& path) = 0;
  virtual Status make_directories(const std::string& path) = 0;
  virtual Status sync_directory(const std::string& path) = 0;
  // Names of the files in a directory, sorted; not whole paths.
  virtual Result<std::vector<std::string>> list(const std::string& path) = 0;
  virtual Result<bool> exists(const std::string& path) = 0;
  virtual Result<uint64_t> free_bytes(const std::string& path) = 0;
  // Locks `path` for this process. Errors: kFixInput with the holder's process id if another process holds it.
  virtual Result<std::unique_ptr<DiskLock>> lock(const std::string& path) = 0;
};

// The file system of this machine. `direct` operations are pread, pwritev, fdatasync, posix_fallocate and flock.
// `lock_wait_ms`: how long lock() waits for another process to end before it says who that is; a command that looks at
// a stream holds the lock for a moment only.
inline constexpr int64_t kLockWaitMs = 3'000;
std::unique_ptr<Disk> make_posix_disk(int64_t lock_wait_ms = kLockWaitMs);

}  // namespace fmesh
