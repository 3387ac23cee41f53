#include "connect/file/file_source.h"

#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>

#include "base/hash.h"
#include "connect/file/csv.h"
#include "fmesh/json.h"
#include "fmesh/json_path.h"

namespace fmesh::connect {
namespace {

const Field kFields[] = {
    {"path", FieldType::kString, "", "file to read, or a pattern such as \"in/*.jsonl\"; relative to the YAML file"},
    {"format",
     FieldType::kChoice,
     "\"lines\"",
     "lines: each line is a payload; json: the same, but each must be JSON; csv: rows become JSON objects named by the "
     "header row",
     {"lines", "json", "csv"}},
    {"follow", FieldType::kBool, "false", "go on when files grow, rotate or appear; without it the source ends"},
    {"key", FieldType::kString, "\"\"", "top-level member (json) or column (csv) that becomes the key"},
    {"eventTime", FieldType::kString, "\"\"", "member or column with the event time in ms since 1970"},
    {"errors", FieldType::kString, "\"fail\"",
     "lines that can't be read: fail: the source stops there; skip: left out, with a warning; stream:NAME: sent there"},
    {"separator", FieldType::kString, "\",\"", "csv: one character"},
    {"types", FieldType::kBool, "true", "csv: write numbers, true and false without quotes, and empty fields as null"},
};

constexpr size_t kReadBytes = 256 * 1024;
// A line longer than this does not fit an entry.
constexpr size_t kLineMaxBytes = 5 * 1024 * 1024 - 64 * 1024;
constexpr int64_t kFollowMs = 200;

struct OpenFile {
  OpenFile() = default;
  OpenFile(OpenFile&& other) noexcept { *this = std::move(other); }
  OpenFile& operator=(OpenFile&& other) noexcept {
    std::swap(fd, other.fd);
    std::swap(path, other.path);
    std::swap(identity, other.identity);
    std::swap(buffer, other.buffer);
    offset = other.offset;
    std::swap(names, other.names);
    line = other.line;
    done = other.done;
    return *this;
  }
  ~OpenFile() {
    if (fd >= 0) ::close(fd);
  }
  int fd = -1;
  std::string path;
  std::string identity;            // "device:inode"
  std::string buffer;              // bytes from `offset` on
  uint64_t offset = 0;             // behind the last record taken
  std::vector<std::string> names;  // csv: the header
  uint64_t line = 0;               // since the start, for messages
  bool done = false;               // read to its end, and another file has its name, or nothing follows
};

class FileSource final : public runtime::Source {
 public:
  Status open(runtime::ConnectorContext& context) override {
    context_ = &context;
    const model::InstanceSpec& spec = context.spec();
    where_ = spec.component + ".sourceConfig";
    FMESH_TRY(const Config config, read_config(kFields, spec));
    pattern_ = config.text("path");
    if (pattern_.empty()) return fail(ErrorKind::kFixInput, where_ + ".path is empty");
    if (pattern_[0] != '/') pattern_ = spec.base_directory + "/" + pattern_;
    csv_ = config.text("format") == "csv";
    json_ = config.text("format") == "json";
    follow_ = config.flag("follow");
    key_ = config.text("key");
    event_time_ = config.text("eventTime");
    types_ = config.flag("types");
    if ((!key_.empty() || !event_time_.empty()) && !csv_ && !json_)
      return fail(ErrorKind::kFixInput, where_ + ": key and eventTime need format json or csv");
    if (config.text("separator").size() != 1)
      return fail(ErrorKind::kFixInput, where_ + ".separator: expected one character");
    separator_ = config.text("separator")[0];
    FMESH_CHECK(read_errors(config.text("errors")));
    FMESH_CHECK(read_position(context.position()));
    files_.clear();
    FMESH_CHECK(find_files());
    if (files_.empty() && !follow_ && known_.empty())
      return fail(ErrorKind::kFixInput,
                  where_ + ".path: no file matches " + pattern_ + "; with follow: true the source waits for one");
    return {};
  }

  Result<runtime::ReadResult> read(uint64_t, runtime::RecordCollector& out) override {
    runtime::ReadResult result;
    bool progress = false;
    for (OpenFile& file : files_) {
      while (!file.done && out.wants_more()) {
        FMESH_TRY(const bool more, take(file, out));
        progress |= more;
        if (!more) break;
      }
      if (!out.wants_more()) break;
    }
    if (progress) result.position = position();
    const bool all_done = std::all_of(files_.begin(), files_.end(), [](const OpenFile& f) { return f.done; });
    if (progress) {
      result.outcome = runtime::ReadOutcome::kMore;
    } else if (follow_) {
      std::erase_if(files_, [](const OpenFile& f) { return f.done; });
      FMESH_CHECK(find_files());
      result.outcome = runtime::ReadOutcome::kIdle;
      result.wait_ms = kFollowMs;
    } else {
      result.outcome = all_done ? runtime::ReadOutcome::kEnd : runtime::ReadOutcome::kMore;
    }
    return result;
  }

  void close() override { files_.clear(); }

 private:
  enum class OnError { kFail, kSkip, kStream };

  Status read_errors(const std::string& text) {
    if (text == "fail") {
      on_error_ = OnError::kFail;
    } else if (text == "skip") {
      on_error_ = OnError::kSkip;
    } else if (text.starts_with("stream:") && text.size() > 7) {
      on_error_ = OnError::kStream;
      error_topic_ = text.substr(7);
    } else {
      return fail(ErrorKind::kFixInput, where_ + ".errors: found \"" + text + "\", expected fail, skip or stream:NAME");
    }
    return {};
  }

  // The position is {"device:inode": offset, ...} of all files that were begun and still exist.
  Status read_position(const std::string& text) {
    known_.clear();
    if (text.empty()) return {};
    boost::system::error_code code;
    const boost::json::value value = boost::json::parse(text, code);
    if (code || !value.is_object())
      return fail(ErrorKind::kBug, "the stored position \"" + text + "\" is not one of a file source");
    for (const auto& [identity, offset] : value.as_object())
      if (offset.is_int64()) known_[std::string(identity)] = static_cast<uint64_t>(offset.as_int64());
    return {};
  }

  std::string position() {
    for (const OpenFile& file : files_) known_[file.identity] = file.offset;
    boost::json::object object;
    for (const auto& [identity, offset] : known_) object[identity] = offset;
    return boost::json::serialize(object);
  }

  Status find_files() {
    glob_t found{};
    const int code = ::glob(pattern_.c_str(), 0, nullptr, &found);
    std::vector<std::string> paths;
    for (size_t i = 0; code == 0 && i < found.gl_pathc; ++i) paths.emplace_back(found.gl_pathv[i]);
    ::globfree(&found);
    if (code != 0 && code != GLOB_NOMATCH)
      return fail(ErrorKind::kRetryLater, "list " + pattern_ + ": no memory or no permission");
    const auto instances = static_cast<uint32_t>(std::max(1, context_->spec().instance_count));
    for (const std::string& path : paths) {
      if (murmur3_32(path) % instances != static_cast<uint32_t>(context_->spec().instance_id)) continue;
      FMESH_CHECK(open_file(path));
    }
    return {};
  }

  Status open_file(const std::string& path) {
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0) return {};  // gone since it was listed
    if (S_ISDIR(info.st_mode)) return fail(ErrorKind::kFixInput, where_ + ".path: " + path + " is a directory");
    const std::string identity = std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino);
    for (const OpenFile& file : files_)
      if (file.identity == identity) return {};
    const auto known = known_.find(identity);
    if (follow_ && known != known_.end() && known->second == static_cast<uint64_t>(info.st_size) && !files_.empty() &&
        finished_.contains(identity))
      return {};
    OpenFile file;
    file.fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file.fd < 0) return fail(ErrorKind::kFixInput, where_ + ".path: open " + path + ": " + std::strerror(errno));
    file.path = path;
    file.identity = identity;
    if (known != known_.end()) file.offset = known->second;
    if (csv_ && file.offset > 0) FMESH_CHECK(read_header(file));
    files_.push_back(std::move(file));
    return {};
  }

  // The header of a file that is resumed in its middle.
  Status read_header(OpenFile& file) {
    std::string start(64 * 1024, '\0');
    const ssize_t n = ::pread(file.fd, start.data(), start.size(), 0);
    if (n < 0) return fail(ErrorKind::kRetryLater, "read " + file.path + ": " + std::strerror(errno));
    start.resize(static_cast<size_t>(n));
    const std::optional<size_t> size = csv_row_size(start, false);
    if (!size) return fail(ErrorKind::kFixInput, file.path + ": the header row does not end");
    FMESH_TRY(file.names, header_of(file, std::string_view(start).substr(0, *size)));
    return {};
  }

  Result<std::vector<std::string>> header_of(const OpenFile& file, std::string_view row) const {
    std::optional<std::vector<std::string>> names = csv_fields(trimmed(row), separator_);
    if (!names) return fail(ErrorKind::kFixInput, file.path + ":1: the header row is not CSV");
    return std::move(*names);
  }

  static std::string_view trimmed(std::string_view row) {
    if (row.ends_with('\n')) row.remove_suffix(1);
    if (row.ends_with('\r')) row.remove_suffix(1);
    return row;
  }

  // Reads on and takes whole lines. False if there is nothing more now; then `file.done` may be set.
  Result<bool> take(OpenFile& file, runtime::RecordCollector& out) {
    ssize_t n = 1;
    // What the last batch left is used up first, so that the buffer does not grow.
    if (file.buffer.size() < kReadBytes || !row_size(file.buffer, false)) {
      const size_t had = file.buffer.size();
      file.buffer.resize(had + kReadBytes);
      n = ::pread(file.fd, file.buffer.data() + had, kReadBytes, static_cast<off_t>(file.offset + had));
      file.buffer.resize(had + static_cast<size_t>(std::max<ssize_t>(n, 0)));
      if (n < 0) return fail(ErrorKind::kRetryLater, "read " + file.path + ": " + std::strerror(errno));
    }
    const bool at_end = n == 0;
    if (at_end && follow_ && shortened(file)) return true;
    const bool last = at_end && (!follow_ || replaced(file));
    size_t used = 0;
    while (out.wants_more()) {
      const std::string_view rest = std::string_view(file.buffer).substr(used);
      const std::optional<size_t> size = row_size(rest, last);
      if (!size) break;
      ++file.line;
      FMESH_CHECK(emit(file, trimmed(rest.substr(0, *size)), out));
      used += *size;
    }
    file.buffer.erase(0, used);
    file.offset += used;
    if (file.buffer.size() > kLineMaxBytes)
      return fail(ErrorKind::kFixInput, file.path + ":" + std::to_string(file.line + 1) + ": a line is longer than " +
                                            std::to_string(kLineMaxBytes) + " bytes");
    if (last && file.buffer.empty()) {
      file.done = true;
      finished_.insert({file.identity, true});
    }
    return used > 0 || n > 0;
  }

  std::optional<size_t> row_size(std::string_view text, bool last) const {
    if (csv_) return csv_row_size(text, last);
    const size_t end = text.find('\n');
    if (end != std::string_view::npos) return end + 1;
    if (last && !text.empty()) return text.size();
    return std::nullopt;
  }

  // Copy-and-truncate rotation: the file begins anew.
  bool shortened(OpenFile& file) {
    struct stat info{};
    if (::fstat(file.fd, &info) != 0 || static_cast<uint64_t>(info.st_size) >= file.offset) return false;
    context_->log("warn", file.path + " became shorter; it is read from its start");
    file.offset = 0;
    file.line = 0;
    file.buffer.clear();
    file.names.clear();
    return true;
  }

  // Rename-and-create rotation: another file has the name, so no one writes to this one any more.
  static bool replaced(const OpenFile& file) {
    struct stat info{};
    if (::stat(file.path.c_str(), &info) != 0) return true;
    return std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino) != file.identity;
  }

  Status emit(OpenFile& file, std::string_view line, runtime::RecordCollector& out) {
    if (line.empty()) return {};
    if (!csv_ && !json_) {
      stream::RecordView record;
      record.payload = line;
      out.add(record);
      return {};
    }
    std::string why;
    if (csv_) {
      if (file.names.empty()) {
        FMESH_TRY(file.names, header_of(file, line));
        return {};
      }
      const std::optional<std::vector<std::string>> fields = csv_fields(line, separator_);
      if (!fields) {
        why = "a quoted field does not end, or is followed by text";
      } else if (fields->size() != file.names.size()) {
        why = "found " + std::to_string(fields->size()) + " fields, expected " + std::to_string(file.names.size());
      } else {
        text_ = csv_object(file.names, *fields, types_);
      }
    } else {
      text_ = line;
    }
    if (why.empty()) why = add_json(text_, out);
    if (why.empty()) return {};
    return bad_line(file, line, why, out);
  }

  // Empty, or why the text can't be a record.
  std::string add_json(std::string_view text, runtime::RecordCollector& out) {
    stream::RecordView record;
    record.payload = text;
    std::string key;
    try {
      json::Reader reader(text);
      reader.skip();
      reader.finish();
      if (!key_.empty()) {
        const std::optional<std::string_view> value = json::member(text, key_);
        if (!value || *value == "null") return "there is no \"" + key_ + "\" for the key";
        key = value->starts_with('"') ? json::parse<std::string>(*value) : std::string(*value);
        record.key = key;
        record.has_key = true;
      }
      if (!event_time_.empty()) {
        const std::optional<std::string_view> value = json::member(text, event_time_);
        if (!value) return "there is no \"" + event_time_ + "\" for the event time";
        record.event_time_ms = json::parse<int64_t>(*value);
      }
    } catch (const JsonError& error) {
      return error.what();
    }
    out.add(record);
    return {};
  }

  Status bad_line(const OpenFile& file, std::string_view line, const std::string& why, runtime::RecordCollector& out) {
    const std::string text = file.path + ":" + std::to_string(file.line) + ": " + why;
    switch (on_error_) {
      case OnError::kFail:
        return fail(ErrorKind::kFixInput, text + "; errors: skip or stream:NAME goes on behind it");
      case OnError::kSkip:
        context_->log("warn", text + "; left out");
        break;
      case OnError::kStream: {
        const stream::Property property{"fmesh.error", text};
        stream::RecordView record;
        record.payload = line;
        record.properties = std::span(&property, 1);
        out.add_to(error_topic_, record);
        break;
      }
    }
    return {};
  }

  runtime::ConnectorContext* context_ = nullptr;
  std::string where_, pattern_, key_, event_time_, error_topic_;
  bool csv_ = false, json_ = false, follow_ = false, types_ = true;
  char separator_ = ',';
  OnError on_error_ = OnError::kFail;
  std::vector<OpenFile> files_;
  std::map<std::string, uint64_t> known_;
  std::map<std::string, bool> finished_;
  std::string text_;
};

}  // namespace

std::span<const Field> file_source_fields() { return kFields; }
std::unique_ptr<runtime::Source> make_file_source() { return std::make_unique<FileSource>(); }

}  // namespace fmesh::connect
