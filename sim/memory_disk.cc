#include "sim/memory_disk.h"

#include <algorithm>
#include <cstring>

namespace fmesh::sim {

struct MemoryDisk::Inode {
  struct Write {
    uint64_t offset;
    std::string bytes;
  };
  std::string now;              // as a process sees it
  std::string synced;           // as it was at the last sync
  std::vector<Write> unsynced;  // since then, in order
};

namespace {

std::string parent(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

void overwrite(std::string& content, uint64_t offset, std::string_view bytes) {
  if (content.size() < offset + bytes.size()) content.resize(offset + bytes.size());
  std::memcpy(content.data() + offset, bytes.data(), bytes.size());
}

Error gone(const std::string& path) { return Error(ErrorKind::kClosed, path + ": the process that opened it is gone"); }

}  // namespace

class MemoryFile final : public File {
 public:
  MemoryFile(MemoryDisk& disk, std::shared_ptr<MemoryDisk::Inode> inode, std::string path, bool writable)
      : disk_(disk),
        inode_(std::move(inode)),
        path_(std::move(path)),
        generation_(disk.generation_),
        writable_(writable) {}

  Status write(uint64_t offset, std::span<const std::string_view> pieces) override {
    const std::lock_guard lock(disk_.mutex_);
    if (generation_ != disk_.generation_) return fail(gone(path_));
    if (!writable_) return fail(ErrorKind::kBug, "write " + path_ + ": opened for reading");
    if (disk_.power_lost_) return fail(ErrorKind::kCorrupt, path_ + ": the power is lost");
    std::string bytes;
    for (std::string_view piece : pieces) bytes += piece;
    Status status = disk_.count(DiskCall::kWrite, path_);
    if (status) status = disk_.grow(*inode_, std::max<uint64_t>(inode_->now.size(), offset + bytes.size()), path_);
    if (!status) bytes.resize(bytes.size() / 2);
    if (!bytes.empty() &&
        (status || offset + bytes.size() <= inode_->now.size() || disk_.grow(*inode_, offset + bytes.size(), path_))) {
      overwrite(inode_->now, offset, bytes);
      inode_->unsynced.push_back({offset, std::move(bytes)});
    }
    return status;
  }

  Result<size_t> read(uint64_t offset, char* target, size_t size) const override {
    const std::lock_guard lock(disk_.mutex_);
    if (generation_ != disk_.generation_) return fail(gone(path_));
    if (offset >= inode_->now.size()) return size_t{0};
    size = std::min<size_t>(size, inode_->now.size() - offset);
    std::memcpy(target, inode_->now.data() + offset, size);
    return size;
  }

  Status sync() override {
    const std::lock_guard lock(disk_.mutex_);
    if (generation_ != disk_.generation_) return fail(gone(path_));
    FMESH_CHECK(disk_.count(DiskCall::kSync, path_));
    for (const auto& write : inode_->unsynced) overwrite(inode_->synced, write.offset, write.bytes);
    if (inode_->synced.size() < inode_->now.size()) inode_->synced.resize(inode_->now.size());
    inode_->unsynced.clear();
    return {};
  }

  Status reserve(uint64_t size) override {
    const std::lock_guard lock(disk_.mutex_);
    if (generation_ != disk_.generation_) return fail(gone(path_));
    FMESH_CHECK(disk_.count(DiskCall::kReserve, path_));
    return disk_.grow(*inode_, std::max<uint64_t>(inode_->now.size(), size), path_);
  }

  Result<uint64_t> size() const override {
    const std::lock_guard lock(disk_.mutex_);
    if (generation_ != disk_.generation_) return fail(gone(path_));
    return inode_->now.size();
  }

 private:
  MemoryDisk& disk_;
  std::shared_ptr<MemoryDisk::Inode> inode_;
  std::string path_;
  uint64_t generation_;
  bool writable_;
};

class MemoryLock final : public DiskLock {
 public:
  MemoryLock(MemoryDisk& disk, std::string path) : disk_(disk), path_(std::move(path)), generation_(disk.generation_) {}
  ~MemoryLock() override {
    const std::lock_guard lock(disk_.mutex_);
    if (generation_ == disk_.generation_) disk_.locks_.erase(path_);
  }

 private:
  MemoryDisk& disk_;
  std::string path_;
  uint64_t generation_;
};

class ProcessDisk final : public Disk {
 public:
  explicit ProcessDisk(MemoryDisk& disk) : disk_(disk), generation_(disk.generation_) {}

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    FMESH_CHECK(alive(path));
    return disk_.open(path, mode);
  }
  Status rename(const std::string& from, const std::string& to) override {
    FMESH_CHECK(alive(from));
    return disk_.rename(from, to);
  }
  Status remove(const std::string& path) override {
    FMESH_CHECK(alive(path));
    return disk_.remove(path);
  }
  Status make_directories(const std::string& path) override {
    FMESH_CHECK(alive(path));
    return disk_.make_directories(path);
  }
  Status sync_directory(const std::string& path) override {
    FMESH_CHECK(alive(path));
    return disk_.sync_directory(path);
  }
  Result<std::vector<std::string>> list(const std::string& path) override {
    FMESH_CHECK(alive(path));
    return disk_.list(path);
  }
  Result<bool> exists(const std::string& path) override {
    FMESH_CHECK(alive(path));
    return disk_.exists(path);
  }
  Result<uint64_t> free_bytes(const std::string& path) override {
    FMESH_CHECK(alive(path));
    return disk_.free_bytes(path);
  }
  Result<std::unique_ptr<DiskLock>> lock(const std::string& path) override {
    FMESH_CHECK(alive(path));
    return disk_.lock(path);
  }

 private:
  Status alive(const std::string& path) {
    const std::lock_guard lock(disk_.mutex_);
    if (generation_ != disk_.generation_) return fail(gone(path));
    return {};
  }

  MemoryDisk& disk_;
  uint64_t generation_;
};

MemoryDisk::MemoryDisk() = default;
MemoryDisk::~MemoryDisk() = default;

Status MemoryDisk::count(DiskCall call, const std::string& path) {
  static constexpr const char* kNames[] = {"open", "write", "sync", "rename", "reserve space in"};
  const uint64_t number = ++calls_[call];
  FMESH_CHECK(still_powered(path));
  const auto fault = faults_.find({call, number});
  if (fault == faults_.end()) return {};
  const ErrorKind kind = fault->second;
  faults_.erase(fault);
  return fail(kind, std::string(kNames[static_cast<size_t>(call)]) + " " + path +
                        (kind == ErrorKind::kRetryLater ? ": No space left on device" : ": Input/output error"));
}

Status MemoryDisk::still_powered(const std::string& path) {
  if (!power_lost_ && calls_until_power_loss_ != UINT64_MAX) power_lost_ = --calls_until_power_loss_ == 0;
  if (power_lost_) return fail(ErrorKind::kCorrupt, path + ": the power is lost");
  return {};
}

Status MemoryDisk::grow(Inode& inode, uint64_t size, const std::string& path) {
  uint64_t used = 0;
  std::set<const Inode*> seen;
  for (const auto& [name, each] : names_)
    if (seen.insert(each.get()).second) used += each->now.size();
  if (size > inode.now.size() && (used > capacity_bytes_ || size - inode.now.size() > capacity_bytes_ - used))
    return fail(ErrorKind::kRetryLater, "write " + path + ": No space left on device");
  if (size > inode.now.size()) inode.now.resize(size);
  return {};
}

void MemoryDisk::set_name(const std::string& path, std::shared_ptr<Inode> inode) {
  const auto found = names_.find(path);
  unsynced_names_.push_back({path, found == names_.end() ? nullptr : found->second, inode});
  if (inode)
    names_[path] = std::move(inode);
  else if (found != names_.end())
    names_.erase(found);
}

Result<std::unique_ptr<File>> MemoryDisk::open(const std::string& path, OpenMode mode) {
  const std::lock_guard lock(mutex_);
  FMESH_CHECK(count(DiskCall::kOpen, path));
  const auto found = names_.find(path);
  std::shared_ptr<Inode> inode = found == names_.end() ? nullptr : found->second;
  if (mode == OpenMode::kCreateNew) {
    if (inode) return fail(ErrorKind::kFixInput, "open " + path + ": File exists");
    if (!directories_.contains(parent(path)) && !parent(path).empty())
      return fail(ErrorKind::kFixInput, "open " + path + ": No such file or directory");
    inode = std::make_shared<Inode>();
    set_name(path, inode);
  }
  if (!inode) return fail(ErrorKind::kFixInput, "open " + path + ": No such file or directory");
  return std::make_unique<MemoryFile>(*this, std::move(inode), path, mode != OpenMode::kRead);
}

Status MemoryDisk::rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  FMESH_CHECK(count(DiskCall::kRename, from));
  const auto found = names_.find(from);
  if (found == names_.end()) return fail(ErrorKind::kFixInput, "rename " + from + ": No such file or directory");
  const std::shared_ptr<Inode> inode = found->second;
  set_name(to, inode);
  set_name(from, nullptr);
  return {};
}

Status MemoryDisk::remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (!names_.contains(path)) return {};
  FMESH_CHECK(still_powered(path));
  set_name(path, nullptr);
  return {};
}

Status MemoryDisk::make_directories(const std::string& path) {
  const std::lock_guard lock(mutex_);
  for (std::string each = path; !each.empty(); each = parent(each)) directories_.insert(each);
  return {};
}

Status MemoryDisk::sync_directory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  FMESH_CHECK(count(DiskCall::kSync, path));
  std::erase_if(unsynced_names_, [&](const NameChange& change) { return parent(change.path) == path; });
  return {};
}

Result<std::vector<std::string>> MemoryDisk::list(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (!directories_.contains(path)) return fail(ErrorKind::kFixInput, "list " + path + ": No such file or directory");
  std::vector<std::string> names;
  for (const auto& [name, inode] : names_)
    if (parent(name) == path) names.push_back(name.substr(path.size() + 1));
  return names;
}

Result<bool> MemoryDisk::exists(const std::string& path) {
  const std::lock_guard lock(mutex_);
  return names_.contains(path) || directories_.contains(path);
}

Result<uint64_t> MemoryDisk::free_bytes(const std::string&) {
  const uint64_t used = used_bytes();
  return used >= capacity_bytes_ ? 0 : capacity_bytes_ - used;
}

Result<std::unique_ptr<DiskLock>> MemoryDisk::lock(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (!locks_.emplace(path, generation_).second)
    return fail(ErrorKind::kFixInput,
                path + " is locked by process 1; stop it, or choose another directory with --data-dir");
  return std::make_unique<MemoryLock>(*this, path);
}

void MemoryDisk::fail_call(DiskCall call, uint64_t nth, ErrorKind kind) {
  const std::lock_guard lock(mutex_);
  faults_.insert_or_assign({call, calls_[call] + nth}, kind);
}

uint64_t MemoryDisk::calls(DiskCall call) const {
  const std::lock_guard lock(mutex_);
  const auto found = calls_.find(call);
  return found == calls_.end() ? 0 : found->second;
}

void MemoryDisk::lose_power_at(uint64_t nth) {
  const std::lock_guard lock(mutex_);
  calls_until_power_loss_ = nth;
}

bool MemoryDisk::power_lost() const {
  const std::lock_guard lock(mutex_);
  return power_lost_;
}

void MemoryDisk::set_capacity_bytes(uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  capacity_bytes_ = bytes;
}

uint64_t MemoryDisk::used_bytes() const {
  const std::lock_guard lock(mutex_);
  uint64_t used = 0;
  for (const auto& [name, inode] : names_) used += inode->now.size();
  return used;
}

void MemoryDisk::crash(Rng& rng) {
  {
    const std::lock_guard lock(mutex_);
    // A file system's journal keeps the order of name changes: some of the last ones are undone.
    const size_t kept = rng.below(unsynced_names_.size() + 1);
    while (unsynced_names_.size() > kept) {
      const NameChange change = std::move(unsynced_names_.back());
      unsynced_names_.pop_back();
      if (change.before)
        names_[change.path] = change.before;
      else
        names_.erase(change.path);
    }
  }
  crash([&](const std::string&, uint64_t, uint64_t size) {
    const uint64_t fate = rng.below(3);
    return fate == 0 ? 0 : fate == 1 ? size : rng.below(size + 1);
  });
}

void MemoryDisk::crash(const Survive& survive) {
  const std::lock_guard lock(mutex_);
  for (auto& [path, inode] : names_) {
    for (auto& write : inode->unsynced) {
      const uint64_t size = std::min<uint64_t>(survive(path, write.offset, write.bytes.size()), write.bytes.size());
      if (size > 0) overwrite(inode->synced, write.offset, std::string_view(write.bytes).substr(0, size));
    }
    inode->unsynced.clear();
    inode->now = inode->synced;
  }
  restart();
}

void MemoryDisk::kill() {
  const std::lock_guard lock(mutex_);
  restart();
}

// Ends the process that holds files and locks; the next one starts without planned faults.
void MemoryDisk::restart() {
  ++generation_;
  locks_.clear();
  faults_.clear();
  calls_until_power_loss_ = UINT64_MAX;
  power_lost_ = false;
}

std::unique_ptr<Disk> MemoryDisk::process() { return std::make_unique<ProcessDisk>(*this); }

std::string MemoryDisk::contents(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  const auto found = names_.find(path);
  return found == names_.end() ? "" : found->second->now;
}

void MemoryDisk::set_contents(const std::string& path, std::string bytes) {
  const std::lock_guard lock(mutex_);
  auto inode = std::make_shared<Inode>();
  inode->now = bytes;
  inode->synced = std::move(bytes);
  names_[path] = std::move(inode);
}

std::unique_ptr<MemoryDisk> MemoryDisk::copy() const {
  const std::lock_guard lock(mutex_);
  auto disk = std::make_unique<MemoryDisk>();
  disk->directories_ = directories_;
  for (const auto& [path, inode] : names_) {
    auto twin = std::make_shared<Inode>();
    twin->now = inode->now;
    twin->synced = inode->now;
    disk->names_[path] = std::move(twin);
  }
  return disk;
}

}  // namespace fmesh::sim
