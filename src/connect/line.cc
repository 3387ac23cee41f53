#include "connect/line.h"

#include <algorithm>

#include "fmesh/json.h"

namespace fmesh::connect {

bool is_json(std::string_view text) {
  try {
    json::Reader reader(text);
    reader.skip();
    reader.finish();
    return true;
  } catch (const JsonError&) {
    return false;
  }
}

bool append_line(std::string& out, std::string_view payload) {
  const size_t begin = out.size();
  out += payload;
  out += '\n';
  if (payload.find('\n') == std::string_view::npos) return true;
  const size_t first = payload.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || (payload[first] != '{' && payload[first] != '[') || !is_json(payload))
    return false;
  std::replace(out.begin() + static_cast<std::ptrdiff_t>(begin), out.end() - 1, '\n', ' ');
  return true;
}

}  // namespace fmesh::connect
