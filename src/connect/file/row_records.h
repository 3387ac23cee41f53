// From rows of a file to records: payload, key and event time as the configuration says, or why a row can't be a
// record. Knows nothing of files. Owned by a file source.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "connect/config.h"
#include "runtime/connector.h"

namespace fmesh::connect {

enum class RowFormat { kLines, kJson, kCsv };

class RowRecords {
 public:
  RowRecords() = default;
  explicit RowRecords(const Config& config);
  RowFormat format() const { return format_; }
  char separator() const { return separator_; }

  // The columns of a CSV file from its header row. Errors: kFixInput if it is no CSV, names a column twice or lacks one
  // that the configuration names.
  Result<std::vector<std::string>> columns(std::string_view header) const;
  // Adds the record of `row`, or says why there is none. `columns`: of its file, for CSV.
  std::string add(std::string_view row, const std::vector<std::string>& columns, runtime::RecordCollector& out);

 private:
  std::string add_json(std::string_view text, runtime::RecordCollector& out);

  RowFormat format_ = RowFormat::kLines;
  std::string key_, event_time_;
  bool types_ = true;
  char separator_ = ',';
  std::string text_;
};

}  // namespace fmesh::connect
