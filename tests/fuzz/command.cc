// Commands of running pods come from a cluster, with any text in them: comparing two never crashes, and does not depend
// on which is left. The two are parted by the first NUL.
#include "plan/cluster/command.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const size_t end = text.find('\0');
  const std::vector<std::string> left{"bash", "-c", text.substr(0, end)};
  const std::vector<std::string> right{"bash", "-c", end == std::string::npos ? " " + text : text.substr(end + 1)};
  if (!fmesh::plan::same_command(left, left)) __builtin_trap();
  if (fmesh::plan::same_command(left, right) != fmesh::plan::same_command(right, left)) __builtin_trap();
  return 0;
}
