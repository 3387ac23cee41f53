#include "connect/file/csv.h"

#include <boost/json.hpp>

namespace fmesh::connect {

std::optional<size_t> csv_row_size(std::string_view text, char separator) {
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '"') {  // at the start of a field: up to the quote that ends it, of which a doubled one is none
      for (++i;; i += 2) {
        i = text.find('"', i);
        if (i == std::string_view::npos) return std::nullopt;
        if (i + 1 >= text.size() || text[i + 1] != '"') break;
      }
      ++i;
    }
    while (i < text.size() && text[i] != separator && text[i] != '\n') ++i;
    if (i >= text.size()) return std::nullopt;
    if (text[i] == '\n') return i + 1;
    ++i;
  }
  return std::nullopt;
}

std::optional<std::vector<std::string>> csv_fields(std::string_view row, char separator) {
  std::vector<std::string> fields;
  for (size_t i = 0;;) {
    std::string field;
    if (i < row.size() && row[i] == '"') {
      bool closed = false;
      for (++i; i < row.size(); ++i) {
        if (row[i] != '"') {
          field += row[i];
        } else if (i + 1 < row.size() && row[i + 1] == '"') {
          field += '"';
          ++i;
        } else {
          closed = true;
          ++i;
          break;
        }
      }
      if (!closed || (i < row.size() && row[i] != separator)) return std::nullopt;
    } else {
      const size_t end = row.find(separator, i);
      field = row.substr(i, end == std::string_view::npos ? end : end - i);
      i = end == std::string_view::npos ? row.size() : end;
    }
    fields.push_back(std::move(field));
    if (i >= row.size()) return fields;
    ++i;  // the separator
    if (i == row.size()) {
      fields.emplace_back();
      return fields;
    }
  }
}

std::string csv_object(const std::vector<std::string>& names, const std::vector<std::string>& fields, bool types) {
  std::string out = "{";
  for (size_t i = 0; i < names.size() && i < fields.size(); ++i) {
    if (i > 0) out += ',';
    out += boost::json::serialize(boost::json::string(names[i]));
    out += ':';
    const std::string& field = fields[i];
    if (types && field.empty()) {
      out += "null";
      continue;
    }
    boost::system::error_code code;
    const boost::json::value value = types ? boost::json::parse(field, code) : boost::json::value();
    if (types && !code && (value.is_number() || value.is_bool())) {
      out += field;
    } else {
      out += boost::json::serialize(boost::json::string(field));
    }
  }
  return out + '}';
}

}  // namespace fmesh::connect
