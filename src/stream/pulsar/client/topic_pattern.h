// A topic pattern as Pulsar has it: a regular expression over full names, within one namespace (facts: pulsar.md 3.9).
// A value type.
#pragma once

#include <regex>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fmesh::stream::pulsar {

class TopicPattern {
 public:
  // Short forms are completed as those of topic names are. Errors: kFixInput that names the pattern.
  static Result<TopicPattern> parse(const std::string& text);

  const std::string& name_space() const { return name_space_; }  // "tenant/namespace"
  // `topic`: a full name, without partition suffix.
  bool matches(const std::string& topic) const { return std::regex_match(topic, regex_); }

 private:
  std::string name_space_;
  std::regex regex_;
};

}  // namespace fmesh::stream::pulsar
