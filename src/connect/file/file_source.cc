#include "connect/file/file_source.h"

#include <dirent.h>
#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/json.hpp>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "base/hash.h"
#include "connect/file/row_records.h"
#include "connect/file/text_file.h"
#include "model/resource_set.h"

namespace fmesh::connect {
namespace {

const Field kFields[] = {
    {"path", FieldType::kString, "", "file to read, or a pattern such as `in/*.jsonl`; relative to the YAML file"},
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

constexpr std::string_view kStreamPrefix = "stream:";
constexpr int64_t kFollowMs = 200;
// A file that lost its name is still read for so long after the last byte came, as its writer may not know yet.
constexpr int64_t kLeavingQuietMs = 5'000;
// Each is an entry of the position, which is stored with every batch, and an open file if it is followed.
constexpr size_t kFilesMax = 1'000;

void check(const Config& config, int32_t, Problems& problems) {
  if (config.text("path").empty()) problems.add("path", "is empty; name a file or a pattern");
  if (config.text("format") == "lines") {
    for (const char* field : {"key", "eventTime"})
      if (!config.text(field).empty()) problems.add(field, "needs format json or csv; a line has no members");
  }
  const std::string& separator = config.text("separator");
  if (separator.size() != 1 || separator == "\"" || separator == "\n")
    problems.add("separator", "expected one character that is neither a quote nor a line break, found \"" + separator +
                                  "\"; write \"\\t\" for a tab");
  const std::string& errors = config.text("errors");
  if (errors.starts_with(kStreamPrefix)) {
    if (!model::is_topic_name(errors.substr(kStreamPrefix.size())))
      problems.add("errors", "\"" + errors.substr(kStreamPrefix.size()) + "\" is no name of a stream");
  } else if (errors != "fail" && errors != "skip") {
    problems.add("errors", "expected fail, skip or stream:NAME, found \"" + errors + "\"");
  }
}

struct OpenFile {
  TextFile text;
  std::vector<std::string> columns = {};  // csv
  int64_t leaving_since_ms = -1;          // no name leads to it any more, and nothing came since; -1: one does
  bool done = false;
};

// How far a file was read; `path` is where to begin looking for it.
struct Known {
  FilePosition position;
  std::string path;
};

struct Named {
  std::string path, identity;
};

// "device:inode", empty if there is none.
std::string identity_of(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return {};
  return std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino);
}

class FileSource final : public runtime::Source {
 public:
  Status open(runtime::ConnectorContext& context) override {
    context_ = &context;
    const model::InstanceSpec& spec = context.spec();
    FMESH_TRY(const Config config, read_config(file_source_config(), spec));
    pattern_ = file_path(spec, config.text("path"));
    follow_ = config.flag("follow");
    rows_ = RowRecords(config);
    errors_ = config.text("errors");
    if (errors_.starts_with(kStreamPrefix)) error_topic_ = model::full_topic_name(errors_.substr(kStreamPrefix.size()));
    FMESH_CHECK(read_position(context.position()));
    files_.clear();
    waiting_.clear();
    FMESH_TRY(const std::vector<Named> named, matching_files());
    if (named.empty() && !follow_ && known_.empty())
      return fail(ErrorKind::kFixInput, spec.component + ".sourceConfig.path: no file matches " + pattern_ +
                                            "; with follow: true the source waits for one");
    FMESH_CHECK(open_renamed(named));
    if (follow_) return look_around();
    for (const Named& file : named)
      if (is_mine(file)) waiting_.push_back(file.path);
    return check_count(waiting_.size());
  }

  Result<runtime::ReadResult> read(uint64_t, runtime::RecordCollector& out) override {
    runtime::ReadResult result;
    bool progress = false;
    moved_ = halted_ = false;
    added_ = 0;
    while (!follow_ && files_.empty() && !waiting_.empty()) {
      FMESH_CHECK(open_path(waiting_.front()));
      waiting_.pop_front();
    }
    for (size_t i = 0; i < files_.size() && out.wants_more() && !halted_; ++i) {
      for (bool more = true; more && !halted_ && !files_[i].done && out.wants_more(); progress |= more) {
        FMESH_TRY(more, take(i, out));
      }
    }
    if (moved_) result.position = position();
    if (!follow_) std::erase_if(files_, [](const OpenFile& file) { return file.done; });
    if (progress || halted_ || (!follow_ && !(files_.empty() && waiting_.empty()))) {
      result.outcome = runtime::ReadOutcome::kMore;
    } else if (follow_) {
      FMESH_CHECK(look_around());
      result.outcome = runtime::ReadOutcome::kIdle;
      result.wait_ms = kFollowMs;
    } else {
      result.outcome = runtime::ReadOutcome::kEnd;
    }
    return result;
  }

  void close() override {
    files_.clear();
    waiting_.clear();
  }

 private:
  // The position is {"device:inode": [offset, sum, path], ...} of all files that were begun and are still there.
  Status read_position(const std::string& text) {
    known_.clear();
    if (text.empty()) return {};
    boost::system::error_code code;
    const boost::json::value value = boost::json::parse(text, code);
    const auto wrong = [&] {
      return fail(ErrorKind::kBug, "the stored position \"" + text + "\" is not one of a file source");
    };
    if (code || !value.is_object()) return wrong();
    for (const auto& [identity, entry] : value.as_object()) {
      const auto* list = entry.if_array();
      if (list == nullptr || list->size() != 3 || !(*list)[0].is_int64() || !(*list)[1].is_int64() ||
          !(*list)[2].is_string())
        return wrong();
      Known known;
      known.position.offset = static_cast<uint64_t>((*list)[0].as_int64());
      known.position.tail_crc = static_cast<uint32_t>((*list)[1].as_int64());
      known.path = (*list)[2].as_string();
      known_[std::string(identity)] = std::move(known);
    }
    return {};
  }

  std::string position() {
    for (const OpenFile& file : files_) known_[file.text.identity()] = {file.text.position(), file.text.path()};
    boost::json::object object;
    for (const auto& [identity, known] : known_)
      object[identity] = boost::json::array{static_cast<int64_t>(known.position.offset),
                                            static_cast<int64_t>(known.position.tail_crc), known.path};
    return boost::json::serialize(object);
  }

  // By what stays when a file is renamed.
  bool is_mine(const Named& file) const {
    const auto instances = static_cast<uint32_t>(std::max(1, context_->spec().instance_count));
    return murmur3_32(file.identity) % instances == static_cast<uint32_t>(context_->spec().instance_id);
  }

  Status check_count(size_t count) const {
    if (count <= kFilesMax) return {};
    return fail(ErrorKind::kFixInput, pattern_ + " matches " + std::to_string(count) + " files, an instance reads " +
                                          std::to_string(kFilesMax) +
                                          " at most; use more replicas or several sources with narrower patterns");
  }

  // All files that have a name of ours now, for all instances.
  Result<std::vector<Named>> matching_files() const {
    struct stat info{};
    if (::stat(pattern_.c_str(), &info) == 0) {
      if (S_ISDIR(info.st_mode))
        return fail(ErrorKind::kFixInput, pattern_ + " is a directory; name its files, e.g. " + pattern_ + "/*.jsonl");
      return std::vector<Named>{{pattern_, identity_of(pattern_)}};
    }
    glob_t found{};
    const int code = ::glob(pattern_.c_str(), GLOB_MARK, nullptr, &found);
    std::vector<Named> files;
    for (size_t i = 0; code == 0 && i < found.gl_pathc; ++i) {
      std::string path = found.gl_pathv[i];
      std::string identity = path.ends_with('/') ? "" : identity_of(path);
      if (!identity.empty()) files.push_back({std::move(path), std::move(identity)});
    }
    ::globfree(&found);
    if (code != 0 && code != GLOB_NOMATCH)
      return fail(ErrorKind::kRetryLater, "list " + pattern_ + ": no memory or no permission");
    return files;
  }

  // Follow: opens what is new, notes what got another name or none.
  Status look_around() {
    std::erase_if(files_, [](const OpenFile& file) { return file.done; });
    FMESH_TRY(std::vector<Named> named, matching_files());
    std::erase_if(named, [this](const Named& file) { return !is_mine(file); });
    FMESH_CHECK(check_count(named.size()));
    std::set<std::string> seen;
    for (const Named& file : named) {
      FMESH_TRY(const std::string identity, open_path(file.path));
      seen.insert(identity);
    }
    const int64_t now_ms = context_->clock().monotonic_ns() / 1'000'000;
    for (OpenFile& file : files_) {
      if (seen.contains(file.text.identity())) {
        file.leaving_since_ms = -1;
      } else if (file.leaving_since_ms < 0) {
        file.leaving_since_ms = now_ms;
      }
    }
    std::erase_if(known_, [&](const auto& entry) { return !seen.contains(entry.first) && !is_open(entry.first); });
    return {};
  }

  bool is_open(const std::string& identity) const {
    return std::ranges::any_of(files_, [&](const OpenFile& file) { return file.text.identity() == identity; });
  }

  // Files that were begun and have another name by now are read to their end, before those that took their place.
  Status open_renamed(const std::vector<Named>& named) {
    const std::map<std::string, Known> all = known_;
    for (const auto& [identity, known] : all) {
      if (std::ranges::any_of(named, [&, id = identity](const Named& file) { return file.identity == id; })) continue;
      const auto same = [&, id = identity](const TextFile& file) {
        return file.identity() == id && file.holds(known.position);
      };
      FMESH_TRY(std::optional<TextFile> found, find_relative(known.path, same));
      known_.erase(identity);
      if (found) FMESH_CHECK(begin(*std::move(found), known.position.offset, files_.size()));
    }
    return {};
  }

  // A file in the folder of `path` whose name begins with its name, as rotation makes them: app.log, app.log.1.
  Result<std::optional<TextFile>> find_relative(const std::string& path,
                                                const std::function<bool(const TextFile&)>& wanted) const {
    const std::filesystem::path original(path);
    std::error_code code;
    std::filesystem::directory_iterator entry(original.parent_path(), code);
    for (; !code && entry != std::filesystem::directory_iterator(); entry.increment(code)) {
      if (!entry->path().filename().string().starts_with(original.filename().string())) continue;
      std::error_code type_code;
      if (!entry->is_regular_file(type_code) || type_code) continue;
      Result<std::optional<TextFile>> file = TextFile::open(entry->path().string(), options());
      if (!file) {
        if (file.error().kind() == ErrorKind::kRetryLater) return file;
        continue;  // not ours to read
      }
      if (*file && wanted(**file)) return file;
    }
    return std::nullopt;
  }

  TextFileOptions options() const { return {rows_.format() == RowFormat::kCsv, rows_.separator()}; }

  // Opens a file unless it is open; gives its identity, empty if it is gone.
  Result<std::string> open_path(const std::string& path) {
    const std::string now = identity_of(path);
    for (OpenFile& file : files_) {
      if (file.text.identity() != now) continue;
      file.text.set_path(path);
      return now;
    }
    FMESH_TRY(std::optional<TextFile> file, TextFile::open(path, options()));
    if (!file) return std::string();
    std::string identity = file->identity();
    const auto found = known_.find(identity);
    if (found == known_.end()) {
      FMESH_CHECK(begin(*std::move(file), 0, files_.size()));
    } else if (const FilePosition position = found->second.position; file->holds(position)) {
      FMESH_CHECK(begin(*std::move(file), position.offset, files_.size()));
    } else {
      // It was emptied, or another file got its inode.
      FMESH_CHECK(begin_copy(path, position, files_.size()));
      FMESH_CHECK(begin(*std::move(file), 0, files_.size()));
    }
    return identity;
  }

  // Adds it to the files, before files_[index].
  Status begin(TextFile text, uint64_t offset, size_t index) {
    OpenFile file{std::move(text)};
    file.text.go_to(offset);
    if (rows_.format() == RowFormat::kCsv && offset > 0) {
      FMESH_TRY(const std::optional<std::string> header, file.text.first_row());
      if (!header) return fail(ErrorKind::kFixInput, file.text.path() + ": the header row does not end");
      Result<std::vector<std::string>> columns = rows_.columns(*header);
      if (!columns) return fail(columns.error().within(file.text.path() + ":1"));
      file.columns = *std::move(columns);
    }
    files_.insert(files_.begin() + static_cast<std::ptrdiff_t>(index), std::move(file));
    return {};
  }

  // Rotation by copying and emptying: what was not read yet is in the copy. Without one it is lost to us.
  Status begin_copy(const std::string& path, const FilePosition& position, size_t index) {
    if (position.offset == 0) return {};
    const auto is_copy = [&](const TextFile& file) { return file.path() != path && file.holds(position); };
    FMESH_TRY(std::optional<TextFile> copy, find_relative(path, is_copy));
    if (!copy || is_open(copy->identity())) return {};
    return begin(*std::move(copy), position.offset, index);
  }

  // Reads on in files_[index]. False if there is nothing more now; then it may be done.
  Result<bool> take(size_t index, runtime::RecordCollector& out) {
    const int64_t now_ms = context_->clock().monotonic_ns() / 1'000'000;
    bool taken = false;
    FMESH_CHECK(take_rows(files_[index], false, out, taken));
    if (taken || halted_) return taken;
    FMESH_TRY(const FillResult filled, files_[index].text.fill());
    if (filled == FillResult::kBytes) {
      if (files_[index].leaving_since_ms >= 0) files_[index].leaving_since_ms = now_ms;
      return true;
    }
    if (filled == FillResult::kStartOver) {
      const std::string path = files_[index].text.path();
      const FilePosition position = files_[index].text.position();
      files_[index].text.go_to(0);
      files_[index].columns.clear();
      moved_ = true;
      FMESH_CHECK(begin_copy(path, position, index));
      return true;
    }
    OpenFile& file = files_[index];
    const bool gone = file.leaving_since_ms >= 0 && now_ms - file.leaving_since_ms >= kLeavingQuietMs;
    if (follow_ && !gone) return false;
    FMESH_CHECK(take_rows(file, true, out, taken));
    if (!taken && !halted_ && out.wants_more()) {
      file.done = true;
      known_[file.text.identity()] = {file.text.position(), file.text.path()};
    }
    return taken;
  }

  Status take_rows(OpenFile& file, bool at_end, runtime::RecordCollector& out, bool& taken) {
    while (out.wants_more()) {
      const std::optional<Row> row = file.text.peek(at_end);
      if (!row) return {};
      const Status status = take_row(file, *row, out);
      if (!status && added_ > 0) {  // what came before it first; the next read begins with it
        halted_ = true;
        return {};
      }
      FMESH_CHECK(status);
      file.text.take();
      taken = moved_ = true;
    }
    return {};
  }

  Status take_row(OpenFile& file, const Row& row, runtime::RecordCollector& out) {
    std::string why = row.wrong;
    if (why.empty() && rows_.format() == RowFormat::kCsv && file.columns.empty()) {
      Result<std::vector<std::string>> columns = rows_.columns(row.text);
      if (!columns) return fail(columns.error().within(file.text.path() + ":1"));
      file.columns = *std::move(columns);
      return {};
    }
    if (why.empty()) why = rows_.add(row.text, file.columns, out);
    if (why.empty()) {
      ++added_;
      return {};
    }
    const std::string text = file.text.path() + ":" + std::to_string(file.text.line_number()) + ": " + why;
    if (!error_topic_.empty()) {
      const stream::Property property{"fmesh.error", text};
      stream::RecordView record;
      record.payload = row.text;
      record.properties = std::span(&property, 1);
      out.add_to(error_topic_, record);
      ++added_;
    } else if (errors_ == "skip") {
      context_->log("warn", text + "; left out");
    } else {
      return fail(ErrorKind::kFixInput, text + "; errors: skip or stream:NAME goes on behind it");
    }
    return {};
  }

  runtime::ConnectorContext* context_ = nullptr;
  std::string pattern_, errors_, error_topic_;
  bool follow_ = false;
  RowRecords rows_;
  std::vector<OpenFile> files_;      // being read, in this order
  std::deque<std::string> waiting_;  // without follow: files to read, opened one by one
  std::map<std::string, Known> known_;
  bool moved_ = false;   // in this read(): the position is another
  bool halted_ = false;  // in this read(): a row that can't be taken is next
  uint64_t added_ = 0;   // in this read()
};

}  // namespace

ConfigTable file_source_config() { return {kFields, &check}; }
std::unique_ptr<runtime::Source> make_file_source() { return std::make_unique<FileSource>(); }

}  // namespace fmesh::connect
