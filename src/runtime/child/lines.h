// What a process writes, cut into lines. Pure.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace fmesh::runtime {

// A line that does not end is cut here.
inline constexpr size_t kLineMaxBytes = 16 * 1024;

class Lines {
 public:
  // Calls `take` with each whole line that is not empty.
  void add(std::string_view bytes, const std::function<void(std::string)>& take);
  // The same with what has not ended.
  void end(const std::function<void(std::string)>& take);

 private:
  std::string pending_;
};

}  // namespace fmesh::runtime
