#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/disk.h"

namespace fmesh {
namespace {

Error system_error(const std::string& what, const std::string& path, int code) {
  const ErrorKind kind = code == ENOSPC || code == EDQUOT || code == EMFILE || code == ENFILE ? ErrorKind::kRetryLater
                         : code == EIO                                                        ? ErrorKind::kCorrupt
                                                                                              : ErrorKind::kFixInput;
  return Error(kind, what + " " + path + ": " + std::strerror(code));
}

class PosixFile final : public File {
 public:
  PosixFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~PosixFile() override { ::close(fd_); }

  Status write(uint64_t offset, std::span<const std::string_view> pieces) override {
    std::array<iovec, 64> vectors;
    size_t skip = 0;  // bytes of pieces.front() that are already written
    while (!pieces.empty()) {
      size_t count = 0;
      for (; count < std::min(pieces.size(), vectors.size()); ++count) {
        const std::string_view piece = count == 0 ? pieces[0].substr(skip) : pieces[count];
        vectors[count] = {const_cast<char*>(piece.data()), piece.size()};
      }
      const ssize_t n = ::pwritev(fd_, vectors.data(), static_cast<int>(count), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail(system_error("write", path_, errno));
      offset += static_cast<uint64_t>(n);
      size_t done = static_cast<size_t>(n) + skip;
      while (!pieces.empty() && done >= pieces.front().size()) {
        done -= pieces.front().size();
        pieces = pieces.subspan(1);
      }
      skip = done;
    }
    return {};
  }

  Result<size_t> read(uint64_t offset, char* target, size_t size) const override {
    size_t done = 0;
    while (done < size) {
      const ssize_t n = ::pread(fd_, target + done, size - done, static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail(system_error("read", path_, errno));
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }

  Status sync() override {
    if (::fdatasync(fd_) != 0) return fail(system_error("sync", path_, errno));
    return {};
  }

  Status reserve(uint64_t size) override {
    const int code = ::posix_fallocate(fd_, 0, static_cast<off_t>(size));
    // A file system without preallocation works without it.
    if (code != 0 && code != EOPNOTSUPP && code != EINVAL) return fail(system_error("reserve space in", path_, code));
    return {};
  }

  Result<uint64_t> size() const override {
    struct stat info{};
    if (::fstat(fd_, &info) != 0) return fail(system_error("stat", path_, errno));
    return static_cast<uint64_t>(info.st_size);
  }

 private:
  int fd_;
  std::string path_;
};

class PosixLock final : public DiskLock {
 public:
  explicit PosixLock(int fd) : fd_(fd) {}
  ~PosixLock() override { ::close(fd_); }

 private:
  int fd_;
};

class PosixDisk final : public Disk {
 public:
  explicit PosixDisk(int64_t lock_wait_ms) : lock_wait_ms_(lock_wait_ms) {}
  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    int flags = O_CLOEXEC;
    if (mode == OpenMode::kRead) flags |= O_RDONLY;
    if (mode == OpenMode::kReadWrite) flags |= O_RDWR;
    if (mode == OpenMode::kCreateNew) flags |= O_RDWR | O_CREAT | O_EXCL;
    const int fd = ::open(path.c_str(), flags, 0600);
    if (fd < 0) return fail(system_error("open", path, errno));
    return std::make_unique<PosixFile>(fd, path);
  }

  Status rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return fail(system_error("rename", from, errno));
    return {};
  }

  Status remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail(system_error("remove", path, errno));
    return {};
  }

  Status make_directories(const std::string& path) override {
    for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
      const std::string part = path.substr(0, end);
      if (::mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) return fail(system_error("make directory", part, errno));
      if (end == std::string::npos) return {};
    }
  }

  Status sync_directory(const std::string& path) override {
    const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return fail(system_error("open", path, errno));
    const int code = ::fsync(fd) == 0 ? 0 : errno;
    ::close(fd);
    if (code != 0) return fail(system_error("sync", path, code));
    return {};
  }

  Result<std::vector<std::string>> list(const std::string& path) override {
    DIR* directory = ::opendir(path.c_str());
    if (directory == nullptr) return fail(system_error("list", path, errno));
    std::vector<std::string> names;
    while (const dirent* item = ::readdir(directory)) {
      const std::string name = item->d_name;
      if (name != "." && name != "..") names.push_back(name);
    }
    ::closedir(directory);
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<bool> exists(const std::string& path) override {
    struct stat info{};
    if (::stat(path.c_str(), &info) == 0) return true;
    if (errno == ENOENT || errno == ENOTDIR) return false;
    return fail(system_error("stat", path, errno));
  }

  Result<uint64_t> free_bytes(const std::string& path) override {
    struct statvfs info{};
    if (::statvfs(path.c_str(), &info) != 0) return fail(system_error("stat", path, errno));
    return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
  }

  Result<std::unique_ptr<DiskLock>> lock(const std::string& path) override {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return fail(system_error("open", path, errno));
    std::unique_ptr<DiskLock> lock = std::make_unique<PosixLock>(fd);
    std::array<char, 32> text{};
    int64_t left_ms = lock_wait_ms_;
    while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR) return fail(system_error("lock", path, errno));
      if (left_ms > 0) {
        std::this_thread::sleep_for(std::chrono::milliseconds(kLockPollMs));
        left_ms -= kLockPollMs;
        continue;
      }
      const ssize_t n = ::pread(fd, text.data(), text.size() - 1, 0);
      const std::string holder =
          n > 0 ? "process " + std::string(text.data(), std::strcspn(text.data(), "\n")) : "another process";
      return fail(ErrorKind::kFixInput,
                  path + " is locked by " + holder + "; stop it, or choose another directory with --data-dir");
    }
    const std::string pid = std::to_string(::getpid()) + "\n";
    if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, pid.data(), pid.size(), 0) < 0)
      return fail(system_error("write", path, errno));
    return lock;
  }

 private:
  static constexpr int64_t kLockPollMs = 20;

  int64_t lock_wait_ms_;
};

}  // namespace

std::unique_ptr<Disk> make_posix_disk(int64_t lock_wait_ms) { return std::make_unique<PosixDisk>(lock_wait_ms); }

}  // namespace fmesh
