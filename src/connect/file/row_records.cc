#include "connect/file/row_records.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "connect/file/csv.h"
#include "connect/limits.h"
#include "fmesh/json.h"
#include "fmesh/json_path.h"
#include "model/diagnostics.h"
#include "model/utf8.h"

namespace fmesh::connect {
namespace {

// Most text is ASCII, which eight bytes at a time tell.
std::optional<size_t> first_bad_utf8(std::string_view text) {
  size_t ascii = 0;
  for (uint64_t word = 0; ascii + sizeof word <= text.size(); ascii += sizeof word) {
    std::memcpy(&word, text.data() + ascii, sizeof word);
    if ((word & 0x8080808080808080ULL) != 0) break;
  }
  const std::optional<size_t> bad = model::first_bad_utf8(text.substr(ascii));
  if (!bad) return std::nullopt;
  return ascii + *bad;
}

}  // namespace

RowRecords::RowRecords(const Config& config)
    : key_(config.text("key")),
      event_time_(config.text("eventTime")),
      types_(config.flag("types")),
      separator_(config.text("separator")[0]) {
  const std::string& format = config.text("format");
  format_ = format == "csv" ? RowFormat::kCsv : format == "json" ? RowFormat::kJson : RowFormat::kLines;
}

Result<std::vector<std::string>> RowRecords::columns(std::string_view header) const {
  const auto wrong = [](std::string text) { return fail(ErrorKind::kFixInput, "the header row " + std::move(text)); };
  if (first_bad_utf8(header)) return wrong("is not UTF-8");
  std::optional<std::vector<std::string>> names = csv_fields(header, separator_);
  if (!names) return wrong("is not CSV: a quoted name does not end, or is followed by text");
  std::vector<std::string_view> known(names->begin(), names->end());
  for (const std::string* wanted : {&key_, &event_time_}) {
    if (wanted->empty() || std::ranges::find(known, *wanted) != known.end()) continue;
    const std::string_view near = model::closest(*wanted, known);
    return wrong("has no column \"" + *wanted + "\"" +
                 (near.empty() ? "" : "; did you mean \"" + std::string(near) + "\"?"));
  }
  std::ranges::sort(known);
  const auto twice = std::ranges::adjacent_find(known);
  if (twice != known.end()) return wrong("names the column \"" + std::string(*twice) + "\" twice");
  return std::move(*names);
}

std::string RowRecords::add(std::string_view row, const std::vector<std::string>& columns,
                            runtime::RecordCollector& out) {
  if (format_ == RowFormat::kLines) {
    stream::RecordView record;
    record.payload = row;
    out.add(record);
    return {};
  }
  if (const std::optional<size_t> bad = first_bad_utf8(row)) return "it is not UTF-8 at byte " + std::to_string(*bad);
  if (format_ == RowFormat::kJson) return add_json(row, out);
  const std::optional<std::vector<std::string>> fields = csv_fields(row, separator_);
  if (!fields) return "a quoted field does not end, or is followed by text";
  if (fields->size() != columns.size())
    return "found " + std::to_string(fields->size()) + " fields, expected " + std::to_string(columns.size());
  text_ = csv_object(columns, *fields, types_);
  return add_json(text_, out);
}

std::string RowRecords::add_json(std::string_view text, runtime::RecordCollector& out) {
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
      if (!value || *value == "null") return "there is no \"" + event_time_ + "\" for the event time";
      record.event_time_ms = json::parse<int64_t>(*value);
    }
  } catch (const JsonError& error) {
    return error.what();
  }
  if (text.size() + key.size() > kRecordMaxBytes)
    return "its record has " + std::to_string(text.size() + key.size()) + " bytes, at most " +
           std::to_string(kRecordMaxBytes) + " fit";
  out.add(record);
  return {};
}

}  // namespace fmesh::connect
