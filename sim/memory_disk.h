// A Disk in memory that behaves as a real one does at its worst: after crash(), bytes that were not synced are there,
// gone, or there in part, cut at any byte; name changes whose directory was not synced may be undone. Faults are
// planned ahead: the Nth write, sync, open or rename fails, space runs out, bits flip.
//
// For tests and the simulator; used from any thread. Files and locks opened before a crash() fail afterwards, as those
// of a process that is gone.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/disk.h"
#include "base/rng.h"

namespace fmesh::sim {

enum class DiskCall : uint8_t { kOpen, kWrite, kSync, kRename, kReserve };

// How many of the `size` bytes of an unsynced write survive a crash.
using Survive = std::function<uint64_t(const std::string& path, uint64_t offset, uint64_t size)>;

class MemoryDisk final : public Disk {
 public:
  struct Inode;

  MemoryDisk();
  ~MemoryDisk() override;

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status remove(const std::string& path) override;
  Status make_directories(const std::string& path) override;
  Status sync_directory(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& path) override;
  Result<bool> exists(const std::string& path) override;
  Result<uint64_t> free_bytes(const std::string& path) override;
  Result<std::unique_ptr<DiskLock>> lock(const std::string& path) override;

  // The `nth` call of this kind from now on (1: the next) fails with `kind`, once; a write leaves part of its bytes.
  // kRetryLater stands for ENOSPC, kCorrupt for EIO.
  void fail_call(DiskCall call, uint64_t nth, ErrorKind kind);
  // Power is lost in the midst of the `nth` call from now on, of any kind that changes the disk: it is carried out in
  // part, and it and all that follow fail until crash() or kill() begins the next process.
  void lose_power_at(uint64_t nth);
  bool power_lost() const;
  // Calls of this kind since the disk was made.
  uint64_t calls(DiskCall call) const;
  // Writes and reservations beyond this sum of file sizes fail as a full disk.
  void set_capacity_bytes(uint64_t bytes);
  uint64_t used_bytes() const;

  // Loses power: each unsynced write and name change survives whole, in part or not at all, as `rng` says.
  void crash(Rng& rng);
  // As above with each unsynced write cut as `survive` says; all name changes survive.
  void crash(const Survive& survive);
  // Ends the process but not the machine (kill -9): all that was written stays.
  void kill();

  // This disk as one process sees it: after a crash() or kill() all its calls fail, so that the dead cannot write.
  std::unique_ptr<Disk> process();

  // The content of a file as a process sees it; empty if there is none.
  std::string contents(const std::string& path) const;
  void set_contents(const std::string& path, std::string bytes);
  // An independent disk with the same files, all of it synced, no faults planned.
  std::unique_ptr<MemoryDisk> copy() const;

 private:
  friend class MemoryFile;
  friend class MemoryLock;
  friend class ProcessDisk;
  struct NameChange {
    std::string path;
    std::shared_ptr<Inode> before, after;  // null: no such file
  };

  Status count(DiskCall call, const std::string& path);
  Status still_powered(const std::string& path);
  Status grow(Inode& inode, uint64_t size, const std::string& path);
  void set_name(const std::string& path, std::shared_ptr<Inode> inode);
  void restart();

  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Inode>> names_;
  std::set<std::string> directories_;
  std::vector<NameChange> unsynced_names_;
  std::map<std::string, uint64_t> locks_;  // path -> generation of the holder
  std::map<DiskCall, uint64_t> calls_;
  std::map<std::pair<DiskCall, uint64_t>, ErrorKind> faults_;
  uint64_t capacity_bytes_ = UINT64_MAX;
  uint64_t calls_until_power_loss_ = UINT64_MAX;
  bool power_lost_ = false;
  uint64_t generation_ = 0;
};

}  // namespace fmesh::sim
