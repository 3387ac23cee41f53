// A file that is read row by row and may grow, shrink or get another name meanwhile. A row is a line, or a row of CSV.
// Its position is an offset and a sum of the bytes before it, so that a file that was emptied and filled again, or one
// that got the inode of another, is not taken for the one that was read. Owned by a file source, on its worker.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "connect/limits.h"

namespace fmesh::connect {

// So many bytes before the offset have to be the same.
inline constexpr size_t kTailBytes = 256;
// Of a row that is too long, so much is kept for whoever looks into it.
inline constexpr size_t kLongRowKeptBytes = 64 * 1024;

struct FilePosition {
  uint64_t offset = 0;    // behind the last row taken
  uint32_t tail_crc = 0;  // CRC-32C of the kTailBytes before it, or as many as there are
};

struct TextFileOptions {
  bool csv = false;
  char separator = ',';
};

struct Row {
  std::string_view text;  // without its line break; lives until the file is read on
  std::string wrong;      // why it can't be taken; empty: it can
};

enum class FillResult {
  kBytes,      // there is more to look at
  kAtEnd,      // nothing came
  kStartOver,  // the file is not the one that was read so far: go on at its start
};

class TextFile {
 public:
  // Nothing if there is no such file any more. Errors: kFixInput if it can't be opened or is a directory.
  static Result<std::optional<TextFile>> open(const std::string& path, TextFileOptions options);
  TextFile(TextFile&& other) noexcept { *this = std::move(other); }
  TextFile& operator=(TextFile&& other) noexcept;
  ~TextFile();

  const std::string& path() const { return path_; }
  void set_path(std::string path) { path_ = std::move(path); }
  const std::string& identity() const { return identity_; }  // "device:inode"

  // True if the bytes before the position are those that were there when it was taken.
  bool holds(const FilePosition& position) const;
  void go_to(uint64_t offset);
  FilePosition position() const;
  uint64_t offset() const { return long_row_ ? long_row_->offset : start_ + used_; }

  // Reads on. Errors: kRetryLater if the file can't be read.
  Result<FillResult> fill();
  // The next row that is all there, without taking it. `at_end`: nothing will follow, so the last one needs no line
  // break. Blank lines are passed over.
  std::optional<Row> peek(bool at_end);
  void take();
  // Counts from 1; looks through the file up to the row, so for messages only.
  uint64_t line_number();
  // The first row, wherever the file is read now; nothing if it is not all there.
  Result<std::optional<std::string>> first_row() const;

 private:
  struct LongRow {
    uint64_t offset;  // of its first byte
    std::string kept;
    bool ended = false;
  };

  TextFile() = default;
  std::string_view rest() const { return std::string_view(buffer_).substr(used_); }
  std::string tail() const;
  std::optional<size_t> row_size(std::string_view text, bool at_end) const;
  std::optional<Row> peek_long(bool at_end);

  int fd_ = -1;
  std::string path_, identity_;
  TextFileOptions options_;
  std::string buffer_;    // bytes from start_ on
  uint64_t start_ = 0;    // in the file
  size_t used_ = 0;       // of the buffer, by rows that were taken
  size_t size_ = 0;       // of the row seen last, with its line break
  size_t searched_ = 0;   // of rest(): holds no row end
  std::string old_tail_;  // before start_
  bool was_at_end_ = false;
  std::optional<LongRow> long_row_;
  uint64_t counted_to_ = 0, lines_ = 0;
};

}  // namespace fmesh::connect
