#include "plan/pattern.h"

#include <boost/regex.hpp>

namespace fmesh::plan {
namespace {

std::string_view without_scheme(std::string_view name) {
  const size_t mark = name.find("://");
  return mark == std::string_view::npos ? name : name.substr(mark + 3);
}

Result<boost::regex> compile(std::string_view pattern) {
  if (pattern.size() > kPatternMaxBytes) return fail(ErrorKind::kFixInput, "the pattern is too long");
  const std::string_view body = without_scheme(pattern);
  // A pattern without tenant means public/default, as a short name does.
  const bool short_form = body.find('/') == std::string_view::npos;
  try {
    return boost::regex((short_form ? "public/default/" : "") + std::string(body), boost::regex::perl);
  } catch (const boost::regex_error& error) {
    return fail(ErrorKind::kFixInput, std::string("not a regular expression: ") + error.what());
  }
}

}  // namespace

Status check_pattern(std::string_view pattern) {
  FMESH_TRY([[maybe_unused]] const boost::regex expression, compile(pattern));
  return {};
}

std::vector<std::string> matching_topics(std::string_view pattern, const std::set<std::string>& topics) {
  std::vector<std::string> matches;
  const auto expression = compile(pattern);
  if (!expression) return matches;
  for (const std::string& topic : topics) {
    const std::string_view name = without_scheme(topic);
    try {
      if (boost::regex_match(name.begin(), name.end(), *expression)) matches.push_back(topic);
    } catch (const std::runtime_error&) {
      return {};  // Boost gives up on expressions that would take exponential time
    }
  }
  return matches;
}

}  // namespace fmesh::plan
