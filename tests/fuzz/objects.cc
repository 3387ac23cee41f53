// Any text as a file of resources: it is refused, or rendered to objects that hold together, the same each time.
#include <cstddef>
#include <cstdint>

#include "model/json.h"
#include "plan/cluster/object_promises_testing.h"
#include "plan/cluster/render.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fmesh;
  const model::ResourceSet set = model::read_text("a.yaml", std::string(reinterpret_cast<const char*>(data), size));
  plan::RenderOptions options;
  options.cluster.init_containers = size % 2 == 0;
  options.admitted = size % 3 == 0;
  const plan::Rendered first = plan::render_set(set, options);
  if (model::write_json(first.objects) != model::write_json(plan::render_set(set, options).objects)) __builtin_trap();
  for (const model::Component& component : set.components) {
    const auto objects = plan::make_cluster_objects(component, {}, options.cluster, plan::kUidPlaceholder);
    if (objects && !plan::broken_promise(*objects, component).empty()) __builtin_trap();
  }
  return 0;
}
