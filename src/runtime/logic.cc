#include "runtime/logic.h"

#include <utility>

#include "runtime/builtin/builtin.h"
#include "runtime/child/child_logic.h"
#include "runtime/native/native_logic.h"

namespace fmesh::runtime {
namespace {

// In a process of its own, so that fmesh needs no Python and functions get in nobody's way (docs/decisions/007).
Result<std::unique_ptr<Logic>> make_python_function(const model::InstanceSpec& spec,
                                                    const std::string& cache_directory) {
  ChildProgram program;
  FMESH_TRY(program.path, find_child_program("fmesh-python"));
  program.what = "Python process";
  program.needs = "functions in Python need libpython 3.11: apt-get install libpython3.11";
  program.directory = cache_directory + "/python";
  return make_child_logic(spec, std::move(program));
}

}  // namespace

Result<std::unique_ptr<Logic>> make_logic(const model::InstanceSpec& spec, const std::string& cache_directory) {
  switch (spec.host) {
    case model::HostKind::kNative:
      return make_native_logic(spec, cache_directory);
    case model::HostKind::kBuiltin:
      return make_builtin_logic(spec);
    case model::HostKind::kPython:
      return make_python_function(spec, cache_directory);
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
