#include "stream/log/file_windows.h"

#include <algorithm>

namespace fmesh::stream::log {
namespace {

Result<SharedBytes> read_part(const File& file, uint64_t offset, uint64_t size) {
  auto buffer = std::make_shared_for_overwrite<char[]>(size);
  FMESH_TRY(const size_t got, file.read(offset, buffer.get(), size));
  const std::string_view view(buffer.get(), got);
  return SharedBytes(std::move(buffer), view);
}

}  // namespace

Result<std::shared_ptr<File>> FileWindows::file(const std::string& path) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(files_.begin(), files_.end(), [&](const auto& each) { return each.first == path; });
    if (found != files_.end()) {
      files_.splice(files_.begin(), files_, found);
      return files_.front().second;
    }
  }
  FMESH_TRY(auto opened, disk_.open(path, OpenMode::kRead));
  std::shared_ptr<File> file = std::move(opened);
  const std::lock_guard lock(mutex_);
  files_.emplace_front(path, file);
  if (files_.size() > open_files_max_) files_.pop_back();
  return file;
}

SharedBytes FileWindows::find(const Key& key) {
  const std::lock_guard lock(mutex_);
  const auto found =
      std::find_if(windows_.begin(), windows_.end(), [&](const auto& each) { return each.first == key; });
  if (found == windows_.end()) return {};
  windows_.splice(windows_.begin(), windows_, found);
  return windows_.front().second;
}

void FileWindows::keep(const Key& key, const SharedBytes& window) {
  const std::lock_guard lock(mutex_);
  windows_.emplace_front(key, window);
  if (windows_.size() > kWindowsMax) windows_.pop_back();
}

Result<SharedBytes> FileWindows::read(const std::string& path, uint64_t offset, uint64_t size, uint64_t limit) {
  if (offset >= limit) return SharedBytes();
  size = std::min(size, limit - offset);
  const uint64_t start = offset / kWindowSizeBytes * kWindowSizeBytes;
  const bool whole_window = start + kWindowSizeBytes <= limit;
  const bool within = offset + size <= start + kWindowSizeBytes;
  const Key key(path, start);
  if (within && whole_window) {
    if (const SharedBytes window = find(key); !window.empty() && offset + size - start <= window.size())
      return window.part(offset - start, size);
  }
  FMESH_TRY(const auto file, this->file(path));
  // What reaches over the end of a window, or to where bytes still change, is read for itself.
  if (!within || !whole_window) return read_part(*file, offset, size);
  FMESH_TRY(const SharedBytes window, read_part(*file, start, kWindowSizeBytes));
  keep(key, window);
  if (window.size() <= offset - start) return SharedBytes();
  return window.part(offset - start, std::min<uint64_t>(size, window.size() - (offset - start)));
}

void FileWindows::forget(const std::string& path) {
  const std::lock_guard lock(mutex_);
  std::erase_if(files_, [&](const auto& each) { return each.first == path; });
  std::erase_if(windows_, [&](const auto& each) { return each.first.first == path; });
}

}  // namespace fmesh::stream::log
