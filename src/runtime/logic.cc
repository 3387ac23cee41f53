#include "runtime/logic.h"

#include "runtime/builtin/builtin.h"
#include "runtime/native/native_logic.h"

namespace fmesh::runtime {

Result<std::unique_ptr<Logic>> make_logic(const model::InstanceSpec& spec, const std::string& cache_directory) {
  switch (spec.host) {
    case model::HostKind::kNative:
      return make_native_logic(spec, cache_directory);
    case model::HostKind::kBuiltin:
      return make_builtin_logic(spec);
    case model::HostKind::kPython:
      return fail(ErrorKind::kFixInput, spec.component +
                                            ": Python functions can't run in this fmesh yet; it runs native libraries "
                                            "(genericRuntime.language cpp) and built-in functions (builtin)");
    case model::HostKind::kStock:
      return fail(ErrorKind::kFixInput,
                  spec.component +
                      ": Pulsar's own instances can't be started by this fmesh yet; it runs native "
                      "libraries (genericRuntime.language cpp) and built-in functions (builtin)");
    case model::HostKind::kSource:
    case model::HostKind::kSink:
      break;
  }
  return fail(ErrorKind::kBug, spec.component + ": a connector has no function logic");
}

}  // namespace fmesh::runtime
