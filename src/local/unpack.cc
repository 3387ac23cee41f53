#include "local/unpack.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "local/unpack_private.h"

namespace fmesh::local {
namespace {

constexpr size_t kPathMaxBytes = 1024;
constexpr size_t kTarMagicAt = 257;

std::string errno_text() { return std::strerror(errno); }

// Calls step(part) for each part of a path until it returns false.
template <class Step>
bool each_part(std::string_view path, Step&& step) {
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    if (!step(path.substr(begin, end - begin))) return false;
    begin = end + 1;
  }
  return true;
}

// Deep links may climb; once they descend they must not climb again, as the way down may be a link itself.
bool stays_inside(std::string_view target, size_t depth) {
  if (target.empty() || target.front() == '/') return false;
  size_t climbed = 0;
  bool descends = false;
  return each_part(target, [&](std::string_view part) {
    if (part == "..") return !descends && ++climbed <= depth;
    descends = true;
    return !part.empty() && part != ".";
  });
}

}  // namespace

ArchiveKind archive_kind(std::string_view head) {
  if (head.starts_with(std::string_view("PK\x03\x04", 4)) || head.starts_with(std::string_view("PK\x05\x06", 4))) {
    return ArchiveKind::kZip;
  }
  if (head.starts_with("\x1f\x8b")) return ArchiveKind::kGzip;
  if (head.size() > kTarMagicAt && head.substr(kTarMagicAt).starts_with("ustar")) return ArchiveKind::kTar;
  return ArchiveKind::kNone;
}

Result<Unpacked> unpack(const std::string& archive, const std::string& folder, const UnpackLimits& limits) {
  std::array<char, kArchiveHeadBytes> head{};
  std::ifstream stream(archive, std::ios::binary);
  stream.read(head.data(), head.size());
  const auto kind = archive_kind(std::string_view(head.data(), static_cast<size_t>(stream.gcount())));
  UnpackTree tree(archive, limits);
  FMESH_CHECK(tree.open(folder));
  if (kind == ArchiveKind::kNone) return fail(ErrorKind::kFixInput, archive + " is no zip, tar or tar.gz");
  FMESH_CHECK(kind == ArchiveKind::kZip ? unpack_zip(archive, tree) : unpack_tar(archive, tree));
  return tree.count();
}

UnpackTree::~UnpackTree() {
  if (file_fd_ >= 0) ::close(file_fd_);
  if (folder_fd_ >= 0) ::close(folder_fd_);
}

std::unexpected<Error> UnpackTree::refuse(std::string_view name, std::string_view why) const {
  std::string shown(name.substr(0, kPathMaxBytes));
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < 0x20) c = '?';
  }
  return fail(ErrorKind::kFixInput, archive_ + ": " + shown + ": " + std::string(why));
}

Status UnpackTree::open(const std::string& folder) {
  folder_fd_ = ::open(folder.c_str(), O_DIRECTORY | O_RDONLY | O_CLOEXEC);
  if (folder_fd_ < 0) return fail(ErrorKind::kFixInput, folder + ": " + errno_text());
  return {};
}

Status UnpackTree::count_entry(std::string_view name) {
  if (++count_.entries <= limits_.entries_max) return {};
  return refuse(name, "more than " + std::to_string(limits_.entries_max) + " entries");
}

Status UnpackTree::make_folder(const std::string& path, std::string_view name) {
  const auto [known, fresh] = made_.emplace(path, Kind::kFolder);
  if (!fresh) {
    if (known->second == Kind::kFolder) return {};
    return refuse(name, path + " is no folder in this archive");
  }
  FMESH_CHECK(count_entry(name));
  if (::mkdirat(folder_fd_, path.c_str(), 0755) != 0) return refuse(name, errno_text());
  return {};
}

Result<std::string> UnpackTree::take(std::string_view name) {
  std::string_view path = name;
  while (path.starts_with("./")) path.remove_prefix(2);
  if (path.ends_with('/')) path.remove_suffix(1);
  if (path.size() > kPathMaxBytes) return refuse(name, "a path of more than 1024 bytes");
  const bool plain = path.find('\0') == std::string_view::npos && path.find('\\') == std::string_view::npos;
  const bool inside =
      each_part(path, [](std::string_view part) { return !part.empty() && part != "." && part != ".."; });
  if (!plain || !inside) return refuse(name, "is no path below the folder it is unpacked into");
  for (size_t slash = path.find('/'); slash != std::string_view::npos; slash = path.find('/', slash + 1)) {
    FMESH_CHECK(make_folder(std::string(path.substr(0, slash)), name));
  }
  return std::string(path);
}

Status UnpackTree::add_folder(std::string_view name) {
  if (name == "." || name == "./") return {};
  FMESH_TRY(const std::string path, take(name));
  return make_folder(path, name);
}

Status UnpackTree::begin_file(std::string_view name, bool is_program) {
  FMESH_TRY(const std::string path, take(name));
  FMESH_CHECK(count_entry(name));
  if (!made_.emplace(path, Kind::kFile).second) return refuse(name, "is there twice");
  file_fd_ = ::openat(folder_fd_, path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC,
                      is_program ? 0755 : 0644);
  if (file_fd_ < 0) return refuse(name, errno_text());
  file_name_ = name;
  return {};
}

Status UnpackTree::write(std::string_view bytes) {
  count_.bytes += bytes.size();
  if (count_.bytes > limits_.bytes_max) {
    return refuse(file_name_, "more than " + std::to_string(limits_.bytes_max) + " bytes in all");
  }
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_fd_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return refuse(file_name_, errno_text());
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

Status UnpackTree::end_file() {
  if (::close(std::exchange(file_fd_, -1)) != 0) return refuse(file_name_, errno_text());
  return {};
}

Status UnpackTree::add_link(std::string_view name, std::string_view target) {
  FMESH_TRY(const std::string path, take(name));
  FMESH_CHECK(count_entry(name));
  const auto depth = static_cast<size_t>(std::count(path.begin(), path.end(), '/'));
  if (target.find('\0') != std::string_view::npos || target.size() > kPathMaxBytes || !stays_inside(target, depth)) {
    return refuse(
        name, "is a link to " + std::string(target.substr(0, kPathMaxBytes)) + ", which may be outside of the archive");
  }
  if (!made_.emplace(path, Kind::kLink).second) return refuse(name, "is there twice");
  if (::symlinkat(std::string(target).c_str(), folder_fd_, path.c_str()) != 0) return refuse(name, errno_text());
  return {};
}

}  // namespace fmesh::local
