#include "plan/cluster/environment.h"

#include <boost/json.hpp>
#include <map>
#include <vector>

namespace fmesh::plan {
namespace {

namespace json = boost::json;

std::string text_of(const json::value& entry, std::string_view member) {
  const json::object* object = entry.if_object();
  const json::value* value = object ? object->if_contains(member) : nullptr;
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

}  // namespace

std::string replace_reference(std::string_view text, std::string_view name, std::string_view replacement) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    if (rest.starts_with("$$")) {
      out += "$$";
      at += 2;
    } else if (rest.starts_with("$(") && rest.substr(2).starts_with(name) &&
               rest.substr(2 + name.size()).starts_with(")")) {
      out += replacement;
      at += name.size() + 3;
    } else {
      out += text[at++];
    }
  }
  return out;
}

std::string literal(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '$' ? std::string("$$") : std::string(1, c);
  return out;
}

Result<json::array> unique_environment(const json::array& entries) {
  std::map<std::string, size_t> last;
  for (size_t index = 0; index < entries.size(); ++index) last[text_of(entries[index], "name")] = index;
  std::vector<json::value> list(entries.begin(), entries.end());
  json::array out;
  for (size_t index = 0; index < list.size(); ++index) {
    const std::string name = text_of(list[index], "name");
    const size_t winner = name.empty() ? index : last[name];
    if (winner == index) {
      out.push_back(list[index]);
      continue;
    }
    const bool plain = !list[index].get_object().contains("valueFrom");
    const std::string value = text_of(list[index], "value");
    for (size_t later = index + 1; later <= winner; ++later) {
      const std::string before = text_of(list[later], "value");
      const std::string after = replace_reference(before, name, value);
      if (before == after) continue;
      if (!plain) {
        return fail(ErrorKind::kFixInput, "the environment variable " + name + " is given twice, and $(" + name +
                                              ") means the first, whose value comes from elsewhere; give the second "
                                              "another name");
      }
      list[later].get_object()["value"] = after;
    }
  }
  return out;
}

}  // namespace fmesh::plan
