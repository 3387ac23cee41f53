#include "connect/file/file_sink.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>

namespace fmesh::connect {
namespace {

const Field kFields[] = {
    {"path", FieldType::kString, "",
     "file to write, relative to the YAML file; with several instances \"-N\" goes before the ending"},
    {"rotateSize",
     FieldType::kInteger,
     "0",
     "bytes after which the next numbered file begins; 0: one file",
     {},
     0,
     9e18},
    {"sync", FieldType::kBool, "true", "make the lines durable (fdatasync) before the records are acknowledged"},
};

class FileSink final : public runtime::Sink {
 public:
  ~FileSink() override { close(); }

  Status open(runtime::ConnectorContext& context) override {
    FMESH_TRY(const Config config, read_config(kFields, context.spec()));
    rotate_size_ = static_cast<uint64_t>(config.integer("rotateSize"));
    sync_ = config.flag("sync");
    std::filesystem::path path = config.text("path");
    if (path.empty()) return fail(ErrorKind::kFixInput, context.spec().component + ".sinkConfig.path is empty");
    if (path.is_relative()) path = std::filesystem::path(context.spec().base_directory) / path;
    if (context.spec().instance_count > 1)
      path.replace_filename(path.stem().string() + "-" + std::to_string(context.spec().instance_id) +
                            path.extension().string());
    base_ = path;
    std::error_code code;
    if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), code);
    if (code)
      return fail(ErrorKind::kFixInput, "make directory " + path.parent_path().string() + ": " + code.message());
    FMESH_CHECK(read_position(context.position()));
    return cut_back();
  }

  Result<std::vector<runtime::WriteFailure>> write(std::span<const stream::RecordView> records) override {
    const uint64_t number = number_, length = length_;
    const Status written = write_all(records);
    if (written) return std::vector<runtime::WriteFailure>();
    // The batch will come again as a whole, so nothing of it may stay.
    number_ = number;
    length_ = length;
    fresh_ = false;
    static_cast<void>(cut_back());
    return fail(written.error());
  }

  std::string position() const override { return std::to_string(number_) + ":" + std::to_string(length_); }

  void close() override {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  Status write_all(std::span<const stream::RecordView> records) {
    if (fd_ < 0) FMESH_CHECK(open_file());
    text_.clear();
    for (const stream::RecordView& record : records) {
      // A new file begins between records, so that no line is split.
      if (rotate_size_ > 0 && length_ + text_.size() >= rotate_size_) {
        FMESH_CHECK(flush());
        FMESH_CHECK(sync());
        ++number_;
        length_ = 0;
        FMESH_CHECK(open_file());
      }
      text_ += record.payload;
      text_ += '\n';
    }
    FMESH_CHECK(flush());
    return sync();
  }

  std::string path(uint64_t number) const {
    if (rotate_size_ == 0) return base_.string();
    std::filesystem::path numbered = base_;
    numbered.replace_filename(base_.stem().string() + "." + std::to_string(number) + base_.extension().string());
    return numbered.string();
  }

  Error system_error(const std::string& what, int code) const {
    const ErrorKind kind = code == ENOSPC || code == EDQUOT || code == EMFILE || code == EIO ? ErrorKind::kRetryLater
                                                                                             : ErrorKind::kFixInput;
    return Error(kind, what + " " + path(number_) + ": " + std::strerror(code));
  }

  Status read_position(const std::string& position) {
    number_ = length_ = 0;
    fresh_ = position.empty();
    if (fresh_) return {};
    const size_t colon = position.find(':');
    const char* const end = position.data() + position.size();
    const bool ok = colon != std::string::npos &&
                    std::from_chars(position.data(), position.data() + colon, number_).ec == std::errc() &&
                    std::from_chars(position.data() + colon + 1, end, length_).ec == std::errc();
    if (!ok) return fail(ErrorKind::kBug, "the stored position \"" + position + "\" is not one of a file sink");
    return {};
  }

  // Takes away what was written behind the last durable acknowledgement. The very first start appends to what is there.
  Status cut_back() {
    FMESH_CHECK(open_file());
    struct stat info{};
    if (::fstat(fd_, &info) != 0) return fail(system_error("stat", errno));
    const auto size = static_cast<uint64_t>(info.st_size);
    if (fresh_) {
      length_ = size;
    } else if (size < length_) {
      // Someone shortened or removed it; what is gone can't be brought back here.
      length_ = size;
    } else if (size > length_ && ::ftruncate(fd_, static_cast<off_t>(length_)) != 0) {
      return fail(system_error("truncate", errno));
    }
    for (uint64_t later = number_ + 1; rotate_size_ > 0; ++later)
      if (::unlink(path(later).c_str()) != 0) break;
    return {};
  }

  Status open_file() {
    close();
    fd_ = ::open(path(number_).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd_ < 0) return fail(system_error("open", errno));
    return {};
  }

  Status flush() {
    for (size_t done = 0; done < text_.size();) {
      const ssize_t n = ::pwrite(fd_, text_.data() + done, text_.size() - done, static_cast<off_t>(length_ + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail(system_error("write", errno));
      done += static_cast<size_t>(n);
    }
    length_ += text_.size();
    text_.clear();
    return {};
  }

  Status sync() {
    if (sync_ && ::fdatasync(fd_) != 0 && errno != EINVAL) return fail(system_error("sync", errno));
    return {};
  }

  std::filesystem::path base_;
  uint64_t rotate_size_ = 0;
  bool sync_ = true;
  bool fresh_ = true;
  int fd_ = -1;
  uint64_t number_ = 0;  // of the file, when rotating
  uint64_t length_ = 0;  // of what counts in it
  std::string text_;
};

}  // namespace

std::span<const Field> file_sink_fields() { return kFields; }
std::unique_ptr<runtime::Sink> make_file_sink() { return std::make_unique<FileSink>(); }

}  // namespace fmesh::connect
