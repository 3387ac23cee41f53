// A JSON value inside a resource that fmesh carries whole: user configuration and Kubernetes' own types. Immutable and
// cheap to copy; absent is not the same as null. Boost.JSON stays out of this header.
#pragma once

#include <boost/json/fwd.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fmesh::model {

class Json {
 public:
  Json() = default;
  explicit Json(const boost::json::value& value);
  explicit Json(boost::json::value&& value);

  bool present() const { return value_ != nullptr; }
  // REQUIRES: present().
  const boost::json::value& value() const { return *value_; }
  bool operator==(const Json& other) const;

 private:
  std::shared_ptr<const boost::json::value> value_;
};

enum class KeyOrder { kAsWritten, kSorted };
enum class HtmlEscapes { kNo, kGo };  // kGo: <, >, & as \u003c..., as Go's encoding/json writes them
struct JsonStyle {
  KeyOrder order = KeyOrder::kAsWritten;
  HtmlEscapes html = HtmlEscapes::kNo;
  int indent = 0;  // blanks per level; 0: one line without blanks
};
// Numbers as Go's encoding/json prints them (100, 0.1, 1e+21), which Boost.JSON does not.
std::string write_json(const boost::json::value& value, const JsonStyle& style = {});
// The same, as written and in one line, behind what `out` holds.
void append_json(std::string& out, const boost::json::value& value);
void append_json(std::string& out, std::string_view text);
// Block-style YAML that reads back as the same value.
std::string write_yaml(const boost::json::value& value);

}  // namespace fmesh::model
