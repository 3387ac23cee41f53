// Any text is either a set of resources or a list of findings; never a crash, a hang, or memory beyond the stated
// bounds. The first byte chooses between YAML and JSON.
#include <cstddef>
#include <cstdint>
#include <string>

#include "model/diagnostics.h"
#include "model/resource_set.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const char* file = data[0] % 2 == 0 ? "input.yaml" : "input.json";
  const fmesh::model::ResourceSet resources =
      fmesh::model::read_text(file, std::string(reinterpret_cast<const char*>(data) + 1, size - 1));
  if (fmesh::model::render(resources.findings, resources.sources).empty() != resources.findings.empty())
    __builtin_trap();
  return 0;
}
