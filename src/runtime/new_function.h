// `fmesh new function NAME [--python]` and `fmesh new mesh NAME`: projects that run as they are. A function's builds
// with an installed fmesh, tests its function without running one, and runs it as a mesh. Pure but for the files it
// writes.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace fmesh::runtime {

struct ProjectFile {
  std::string path;  // relative to the project's folder
  std::string text;
};

// A name that is good as a resource, a folder, a file and (with _ for -) in C++: a to z, 0 to 9 and -, beginning with
// a letter, at most 36 characters. Errors: kFixInput with what was found and a name that would do.
Status check_project_name(const std::string& name);

// REQUIRES: check_project_name(name).
std::vector<ProjectFile> function_project(const std::string& name);
std::vector<ProjectFile> python_project(const std::string& name);
std::vector<ProjectFile> mesh_project(const std::string& name);

// Writes the project into `directory`, which is made. Errors: kFixInput if the folder holds files already.
Status write_project(const std::vector<ProjectFile>& project, const std::string& directory);

}  // namespace fmesh::runtime
