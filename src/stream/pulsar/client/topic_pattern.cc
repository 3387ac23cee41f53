#include "stream/pulsar/client/topic_pattern.h"

namespace fmesh::stream::pulsar {

Result<TopicPattern> TopicPattern::parse(const std::string& text) {
  std::string whole = text;
  if (whole.find("://") == std::string::npos) {
    whole = (whole.find('/') == std::string::npos ? "persistent://public/default/" : "persistent://") + whole;
  }
  const auto refuse = [&](const std::string& why) {
    return fail(ErrorKind::kFixInput, "topic pattern " + text + ": " + why);
  };
  const size_t tenant = whole.find("://") + 3;
  const size_t slash = whole.find('/', tenant);
  const size_t name = slash == std::string::npos ? slash : whole.find('/', slash + 1);
  if (name == std::string::npos) return refuse("expected tenant/namespace/REGEX");
  TopicPattern pattern;
  pattern.name_space_ = whole.substr(tenant, name - tenant);
  for (const char c : pattern.name_space_) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '_' || c == '/' || c == '=' || c == ':' || c == '.';
    if (!plain) return refuse("tenant and namespace are no part of the regular expression, they are taken as they are");
  }
  try {
    pattern.regex_ = std::regex(whole, std::regex::ECMAScript | std::regex::optimize);
  } catch (const std::regex_error& error) {
    return refuse(std::string("not a regular expression: ") + error.what());
  }
  return pattern;
}

}  // namespace fmesh::stream::pulsar
