#include "connect/file/file_sink.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <optional>

#include "connect/line.h"

namespace fmesh::connect {
namespace {

const Field kFields[] = {
    {"path", FieldType::kString, "",
     "file to write, relative to the YAML file; with several instances `-N` goes before the ending"},
    {"rotateSize",
     FieldType::kInteger,
     "0",
     "bytes after which the next numbered file begins; 0: no matter how many",
     {},
     0,
     9e18},
    {"rotateMs",
     FieldType::kInteger,
     "0",
     "time from a file's first record after which the next numbered file begins; 0: no matter how long",
     {},
     0,
     9e18},
    {"sync", FieldType::kBool, "true", "make the lines durable (fdatasync) before the records are acknowledged"},
};

void check(const Config& config, int32_t, Problems& problems) {
  const std::string& path = config.text("path");
  if (path.empty()) problems.add("path", "is empty; name a file");
  if (path.ends_with('/')) problems.add("path", "is a folder; name a file in it");
}

// What counts: so much of that file.
struct Place {
  uint64_t number = 0;      // of the file, when rotating
  uint64_t size_bytes = 0;  // of its lines
  int64_t begun_ms = 0;     // wall time of its first record; 0: it has none
};

std::optional<Place> parse_place(const std::string& text) {
  Place place;
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto number = [&](auto& value, bool last) {
    const auto [stop, code] = std::from_chars(at, end, value);
    if (code != std::errc() || (last ? stop != end : stop == end || *stop != ':')) return false;
    at = last ? stop : stop + 1;
    return true;
  };
  if (!number(place.number, false) || !number(place.size_bytes, false) || !number(place.begun_ms, true))
    return std::nullopt;
  return place;
}

class FileSink final : public runtime::Sink {
 public:
  ~FileSink() override { close(); }

  Status open(runtime::ConnectorContext& context) override {
    context_ = &context;
    const model::InstanceSpec& spec = context.spec();
    FMESH_TRY(const Config config, read_config(file_sink_config(), spec));
    rotate_size_ = static_cast<uint64_t>(config.integer("rotateSize"));
    rotate_ms_ = config.integer("rotateMs");
    sync_ = config.flag("sync");
    base_ = file_path(spec, config.text("path"));
    if (spec.instance_count > 1)
      base_.replace_filename(base_.stem().string() + "-" + std::to_string(spec.instance_id) +
                             base_.extension().string());
    std::error_code code;
    std::filesystem::create_directories(base_.parent_path(), code);
    if (code)
      return fail(ErrorKind::kFixInput, "make directory " + base_.parent_path().string() + ": " + code.message());
    if (context.position().empty()) return begin_at_the_end();
    const std::optional<Place> stored = parse_place(context.position());
    if (!stored)
      return fail(ErrorKind::kBug, "the stored position \"" + context.position() + "\" is not one of a file sink");
    place_ = *stored;
    return cut_back();
  }

  Result<std::vector<runtime::WriteFailure>> write(std::span<const stream::RecordView> records) override {
    if (unclean_) FMESH_CHECK(cut_back());
    const Place before = place_;
    if (const Status written = write_all(records); !written) {
      // The batch will come again as a whole, so nothing of it may stay.
      place_ = before;
      unclean_ = true;
      text_.clear();
      return fail(written.error());
    }
    return std::vector<runtime::WriteFailure>();
  }

  std::string position() const override {
    return std::to_string(place_.number) + ":" + std::to_string(place_.size_bytes) + ":" +
           std::to_string(place_.begun_ms);
  }

  void close() override {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  bool rotates() const { return rotate_size_ > 0 || rotate_ms_ > 0; }

  bool is_full(int64_t now_ms) const {
    if (rotate_size_ > 0 && place_.size_bytes + text_.size() >= rotate_size_) return true;
    return rotate_ms_ > 0 && place_.begun_ms != 0 && now_ms - place_.begun_ms >= rotate_ms_;
  }

  Status write_all(std::span<const stream::RecordView> records) {
    const int64_t now_ms = context_->clock().wall_ms();
    text_.clear();
    if (torn_line_) text_ += '\n';
    for (const stream::RecordView& record : records) {
      // A new file begins between records, so that no line is split.
      if (is_full(now_ms)) {
        FMESH_CHECK(flush());
        FMESH_CHECK(sync());
        place_ = {place_.number + 1, 0, 0};
        FMESH_CHECK(open_file());
      }
      if (place_.begun_ms == 0) place_.begun_ms = now_ms;
      append_line(text_, record.payload);
    }
    FMESH_CHECK(flush());
    FMESH_CHECK(sync());
    torn_line_ = false;
    return {};
  }

  std::string path(uint64_t number) const {
    if (!rotates()) return base_.string();
    std::filesystem::path numbered = base_;
    numbered.replace_filename(base_.stem().string() + "." + std::to_string(number) + base_.extension().string());
    return numbered.string();
  }

  Error system_error(const std::string& what, int code) const {
    const bool passes = code == ENOSPC || code == EDQUOT || code == EMFILE || code == ENFILE || code == EIO;
    return {passes ? ErrorKind::kRetryLater : ErrorKind::kFixInput,
            what + " " + path(place_.number) + ": " + std::strerror(code)};
  }

  // The very first start: behind what others wrote, in the file with the highest number.
  Status begin_at_the_end() {
    place_ = {};
    if (rotates()) place_.number = highest_number();
    FMESH_CHECK(open_file());
    FMESH_TRY(place_.size_bytes, size_of_file());
    if (place_.size_bytes > 0) place_.begun_ms = context_->clock().wall_ms();
    char last = '\n';
    torn_line_ =
        place_.size_bytes > 0 && ::pread(fd_, &last, 1, static_cast<off_t>(place_.size_bytes - 1)) == 1 && last != '\n';
    unclean_ = false;
    return {};
  }

  uint64_t highest_number() const {
    uint64_t highest = 0;
    const std::string start = base_.stem().string() + ".", ending = base_.extension().string();
    std::error_code code;
    std::filesystem::directory_iterator entry(base_.parent_path(), code);
    for (; !code && entry != std::filesystem::directory_iterator(); entry.increment(code)) {
      const std::string name = entry->path().filename().string();
      if (name.size() <= start.size() + ending.size() || !name.starts_with(start) || !name.ends_with(ending)) continue;
      const char* const digits = name.data() + start.size();
      const char* const end = name.data() + name.size() - ending.size();
      uint64_t number = 0;
      const auto [stop, error] = std::from_chars(digits, end, number);
      if (error == std::errc() && stop == end) highest = std::max(highest, number);
    }
    return highest;
  }

  Result<uint64_t> size_of_file() const {
    struct stat info{};
    if (::fstat(fd_, &info) != 0) return fail(system_error("stat", errno));
    return static_cast<uint64_t>(info.st_size);
  }

  // Takes away what was written behind the last durable acknowledgement.
  Status cut_back() {
    FMESH_CHECK(open_file());
    FMESH_TRY(const uint64_t size, size_of_file());
    if (size < place_.size_bytes) {
      context_->log("warn", path(place_.number) + " has " + std::to_string(size) + " bytes, " +
                                std::to_string(place_.size_bytes) +
                                " were written: someone shortened or replaced it; it goes on at its end");
      place_.size_bytes = size;
    } else if (size > place_.size_bytes && ::ftruncate(fd_, static_cast<off_t>(place_.size_bytes)) != 0) {
      return fail(system_error("truncate", errno));
    }
    for (uint64_t later = place_.number + 1; rotates(); ++later)
      if (::unlink(path(later).c_str()) != 0) break;
    unclean_ = false;
    return {};
  }

  Status open_file() {
    close();
    const std::string name = path(place_.number);
    fd_ = ::open(name.c_str(), O_RDWR | O_CLOEXEC);
    if (fd_ < 0 && errno == ENOENT) {
      fd_ = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
      if (fd_ >= 0 && sync_) sync_directory();
    }
    if (fd_ < 0) return fail(system_error("open", errno));
    return {};
  }

  // So that the name of a new file is durable too. Some file systems can't, and then need not.
  void sync_directory() const {
    const int directory = ::open(base_.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return;
    static_cast<void>(::fsync(directory));
    ::close(directory);
  }

  Status flush() {
    for (size_t done = 0; done < text_.size();) {
      const ssize_t n =
          ::pwrite(fd_, text_.data() + done, text_.size() - done, static_cast<off_t>(place_.size_bytes + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail(system_error("write", errno));
      done += static_cast<size_t>(n);
    }
    place_.size_bytes += text_.size();
    text_.clear();
    return {};
  }

  Status sync() {
    if (sync_ && ::fdatasync(fd_) != 0 && errno != EINVAL) return fail(system_error("sync", errno));
    return {};
  }

  runtime::ConnectorContext* context_ = nullptr;
  std::filesystem::path base_;
  uint64_t rotate_size_ = 0;
  int64_t rotate_ms_ = 0;
  bool sync_ = true;
  int fd_ = -1;
  Place place_;
  bool unclean_ = false;    // a write failed: there may be more in the file than counts
  bool torn_line_ = false;  // the file that was there at the first start ends within a line
  std::string text_;
};

}  // namespace

ConfigTable file_sink_config() { return {kFields, &check}; }
std::unique_ptr<runtime::Sink> make_file_sink() { return std::make_unique<FileSink>(); }

}  // namespace fmesh::connect
