#include "connect/file/text_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/hash.h"
#include "connect/file/csv.h"

namespace fmesh::connect {
namespace {

constexpr size_t kReadBytes = 256 * 1024;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

const std::string kTooLong = "it is longer than " + std::to_string(kRecordMaxBytes) + " bytes";

// Up to `size_bytes` from `offset`; fewer at the end of the file or if it can't be read.
std::string read_at(int fd, uint64_t offset, size_t size_bytes) {
  std::string bytes(size_bytes, '\0');
  size_t done = 0;
  while (done < size_bytes) {
    const ssize_t n = ::pread(fd, bytes.data() + done, size_bytes - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  bytes.resize(done);
  return bytes;
}

std::string_view trimmed(std::string_view row) {
  if (row.ends_with('\n')) row.remove_suffix(1);
  if (row.ends_with('\r')) row.remove_suffix(1);
  return row;
}

}  // namespace

TextFile& TextFile::operator=(TextFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  std::swap(identity_, other.identity_);
  std::swap(buffer_, other.buffer_);
  std::swap(old_tail_, other.old_tail_);
  std::swap(long_row_, other.long_row_);
  options_ = other.options_;
  start_ = other.start_;
  used_ = other.used_;
  size_ = other.size_;
  searched_ = other.searched_;
  was_at_end_ = other.was_at_end_;
  counted_to_ = other.counted_to_;
  lines_ = other.lines_;
  return *this;
}

TextFile::~TextFile() {
  if (fd_ >= 0) ::close(fd_);
}

Result<std::optional<TextFile>> TextFile::open(const std::string& path, TextFileOptions options) {
  TextFile file;
  // Opening a pipe without a writer would wait for one.
  file.fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file.fd_ < 0) {
    if (errno == ENOENT) return std::nullopt;
    const ErrorKind kind = errno == EMFILE || errno == ENFILE ? ErrorKind::kRetryLater : ErrorKind::kFixInput;
    return fail(kind, "open " + path + ": " + std::strerror(errno));
  }
  struct stat info{};
  if (::fstat(file.fd_, &info) != 0) return fail(ErrorKind::kRetryLater, "stat " + path + ": " + std::strerror(errno));
  if (!S_ISREG(info.st_mode)) return fail(ErrorKind::kFixInput, path + " is not a regular file");
  file.path_ = path;
  file.identity_ = std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino);
  file.options_ = options;
  return file;
}

bool TextFile::holds(const FilePosition& position) const {
  const size_t size = std::min<uint64_t>(position.offset, kTailBytes);
  const std::string bytes = read_at(fd_, position.offset - size, size);
  return bytes.size() == size && crc32c(bytes) == position.tail_crc;
}

void TextFile::go_to(uint64_t offset) {
  buffer_.clear();
  start_ = offset;
  used_ = size_ = searched_ = 0;
  long_row_.reset();
  was_at_end_ = false;
  if (offset < counted_to_) counted_to_ = lines_ = 0;
  const size_t size = std::min<uint64_t>(offset, kTailBytes);
  old_tail_ = read_at(fd_, offset - size, size);
}

// Before the next row. A row that is passed over because of its length counts only once it is passed.
std::string TextFile::tail() const {
  if (long_row_) return old_tail_;
  if (used_ >= kTailBytes) return buffer_.substr(used_ - kTailBytes, kTailBytes);
  std::string whole = old_tail_ + buffer_.substr(0, used_);
  if (whole.size() > kTailBytes) whole.erase(0, whole.size() - kTailBytes);
  return whole;
}

FilePosition TextFile::position() const { return {offset(), crc32c(tail())}; }

Result<FillResult> TextFile::fill() {
  if (!long_row_) old_tail_ = tail();
  buffer_.erase(0, used_);
  start_ += used_;
  used_ = size_ = 0;
  const size_t had = buffer_.size();
  buffer_.resize(had + kReadBytes);
  const ssize_t n = ::pread(fd_, buffer_.data() + had, kReadBytes, static_cast<off_t>(start_ + had));
  const int code = errno;
  buffer_.resize(had + static_cast<size_t>(std::max<ssize_t>(n, 0)));
  if (n < 0 && code == EINTR) return FillResult::kBytes;
  if (n < 0) return fail(ErrorKind::kRetryLater, "read " + path_ + ": " + std::strerror(code));
  if (n == 0) {
    was_at_end_ = true;
    struct stat info{};
    if (::fstat(fd_, &info) == 0 && static_cast<uint64_t>(info.st_size) < start_ + had) return FillResult::kStartOver;
    return FillResult::kAtEnd;
  }
  // Between two looks it may have been emptied and filled beyond where we are. Looked at behind the read, so that what
  // was read belongs to the same file.
  if (std::exchange(was_at_end_, false) && !holds(position())) return FillResult::kStartOver;
  return FillResult::kBytes;
}

std::optional<size_t> TextFile::row_size(std::string_view text, bool at_end) const {
  if (options_.csv) {
    if (const std::optional<size_t> size = csv_row_size(text, options_.separator)) return size;
  } else if (const size_t end = text.find('\n', searched_); end != std::string_view::npos) {
    return end + 1;
  }
  if (at_end && !text.empty()) return text.size();
  return std::nullopt;
}

std::optional<Row> TextFile::peek(bool at_end) {
  if (long_row_) return peek_long(at_end);
  if (start_ + used_ == 0 && rest().starts_with(kByteOrderMark)) used_ = kByteOrderMark.size();
  while (true) {
    const std::string_view text = rest();
    const std::optional<size_t> size = row_size(text, at_end);
    if (!size && text.size() <= kRecordMaxBytes) {
      searched_ = text.size();
      return std::nullopt;
    }
    searched_ = 0;
    // A row of CSV may span lines because of a quote that does not belong there; then the line that has it is at fault,
    // not all that follow.
    const size_t line = text.find('\n');
    const bool unclosed = options_.csv && (!size || (at_end && *size == text.size())) &&
                          line != std::string_view::npos && line + 1 < text.size() &&
                          !csv_row_size(text, options_.separator);
    if (unclosed) {
      size_ = line + 1;
      return Row{trimmed(text.substr(0, size_)), "a quoted field that begins here does not end"};
    }
    if (size && *size > kRecordMaxBytes) {
      size_ = *size;
      return Row{text.substr(0, kLongRowKeptBytes), kTooLong};
    }
    if (!size) {
      old_tail_ = tail();
      long_row_ = LongRow{start_ + used_, std::string(text.substr(0, kLongRowKeptBytes))};
      return peek_long(at_end);
    }
    size_ = *size;
    const std::string_view row = trimmed(text.substr(0, size_));
    if (!row.empty()) return Row{row, ""};
    used_ += size_;
  }
}

std::optional<Row> TextFile::peek_long(bool at_end) {
  const size_t end = rest().find('\n');
  if (end == std::string_view::npos && !at_end) {
    used_ = buffer_.size();
    return std::nullopt;
  }
  size_ = end == std::string_view::npos ? rest().size() : end + 1;
  long_row_->ended = true;
  return Row{long_row_->kept, kTooLong};
}

void TextFile::take() {
  used_ += size_;
  size_ = 0;
  if (!long_row_ || !long_row_->ended) return;
  long_row_.reset();
  // What is before the next row is no longer in the buffer.
  const uint64_t here = start_ + used_;
  const size_t size = std::min<uint64_t>(here, kTailBytes);
  old_tail_ = read_at(fd_, here - size, size);
  start_ = here;
  buffer_.erase(0, used_);
  used_ = 0;
}

uint64_t TextFile::line_number() {
  const uint64_t target = offset();
  while (counted_to_ < target) {
    const std::string bytes = read_at(fd_, counted_to_, std::min<uint64_t>(kReadBytes, target - counted_to_));
    if (bytes.empty()) break;
    lines_ += static_cast<uint64_t>(std::count(bytes.begin(), bytes.end(), '\n'));
    counted_to_ += bytes.size();
  }
  return lines_ + 1;
}

Result<std::optional<std::string>> TextFile::first_row() const {
  for (size_t size = 64 * 1024;; size *= 4) {
    const std::string bytes = read_at(fd_, 0, size);
    std::string_view text = bytes;
    if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    while (text.starts_with('\n') || text.starts_with("\r\n")) text.remove_prefix(text[0] == '\n' ? 1 : 2);
    if (const std::optional<size_t> end = csv_row_size(text, options_.separator))
      return std::string(trimmed(text.substr(0, *end)));
    if (bytes.size() < size || size > kRecordMaxBytes) return std::nullopt;
  }
}

}  // namespace fmesh::connect
