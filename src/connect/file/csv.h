// CSV as RFC 4180 writes it: fields in quotes may hold separators, line breaks and doubled quotes; a quote within a
// field that does not begin with one is text. Pure; bytes in, fields out.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fmesh::connect {

// The size of the first row of `text` with its line break; nothing if it does not end here.
std::optional<size_t> csv_row_size(std::string_view text, char separator);
// The fields of one row without its line break; nothing if a quoted field does not end or is followed by text.
std::optional<std::vector<std::string>> csv_fields(std::string_view row, char separator);
// {"name":"value",...}; with `types`, fields that are JSON numbers, true, false stay unquoted and empty ones become
// null.
std::string csv_object(const std::vector<std::string>& names, const std::vector<std::string>& fields, bool types);

}  // namespace fmesh::connect
