#include "runtime/child/lines.h"

#include <algorithm>
#include <utility>

namespace fmesh::runtime {

void Lines::add(std::string_view bytes, const std::function<void(std::string)>& take) {
  pending_ += bytes;
  size_t at = 0;
  while (at < pending_.size()) {
    size_t end = pending_.find('\n', at);
    const bool endless = end == std::string::npos;
    if (endless && pending_.size() - at <= kLineMaxBytes) break;
    end = endless ? pending_.size() : end;
    if (end != at) take(pending_.substr(at, end - at));
    at = std::min(end + 1, pending_.size());
  }
  pending_.erase(0, at);
}

void Lines::end(const std::function<void(std::string)>& take) {
  if (!pending_.empty()) take(std::exchange(pending_, {}));
}

}  // namespace fmesh::runtime
