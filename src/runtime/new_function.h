// `fmesh new function NAME`: a project that builds with an installed fmesh, tests its function without running one, and
// runs it as a mesh. Pure but for the files it writes.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace fmesh::runtime {

struct ProjectFile {
  std::string path;  // relative to the project's folder
  std::string text;
};

// The files of a project for a function `name`. REQUIRES: check_function_name(name).
std::vector<ProjectFile> function_project(const std::string& name);

// A name that is good as a resource, a file and (with _ for -) in C++: a to z, 0 to 9 and -, beginning with a letter,
// at most 43 characters. Errors: kFixInput with what was found and a name that would do.
Status check_function_name(const std::string& name);

// Writes the project into `directory`, which is made. Errors: kFixInput for a bad name or if the folder holds files
// already.
Status write_function_project(const std::string& name, const std::string& directory);

}  // namespace fmesh::runtime
