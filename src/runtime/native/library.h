// A function library, loaded: a copy named by its content is mapped and stays mapped until the process ends, so that a
// rebuilt library never changes code under a running instance, and two versions can run side by side.
//
// Pure functions of paths; used from any thread. What they return lives until the process ends.
#pragma once

#include <string>

#include "base/result.h"
#include "fmesh/abi.h"

namespace fmesh::runtime {

// Copies of libraries kept in a cache directory; the ones used longest ago go first.
inline constexpr size_t kCachedLibrariesMax = 64;

// Copies `path` into `cache_directory` (made if missing; "": loads `path` itself) and loads the copy.
// Errors: kFixInput: no such file, not a shared library (the loader's words), no symbol fmesh_library, another ABI
// version. kRetryLater: the copy could not be written.
Result<const fmesh_library_table*> load_library(const std::string& path, const std::string& cache_directory);

// The function that a resource names. Errors: kFixInput listing what the library holds, with the closest spelling.
Result<const fmesh_function*> find_function(const fmesh_library_table& library, const std::string& path,
                                            const std::string& class_name);

}  // namespace fmesh::runtime
