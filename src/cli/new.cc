#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/command.h"
#include "runtime/new_function.h"

namespace fmesh::cli {
namespace {

int new_project(const std::string& name, std::vector<runtime::ProjectFile> (*make)(const std::string&),
                fmt::format_string<const std::string&> next) {
  Status written = runtime::check_project_name(name);
  if (written) written = runtime::write_project(make(name), name);
  if (!written) {
    fmt::print(stderr, "fmesh new: {}\n", written.error().text());
    return written.error().kind() == ErrorKind::kFixInput ? kExitBadInput : kExitFailed;
  }
  fmt::print("{}/ is written. ", name);
  fmt::print(next, name);
  return kExitOk;
}

int new_mesh(const std::string& name) {
  return new_project(name, &runtime::mesh_project, "Next: fmesh run {0}/mesh.yaml\n");
}

int new_function(const std::string& name) {
  return new_project(name, &runtime::function_project,
                     "Next: cd {0} && cmake -B build && cmake --build build && fmesh run mesh.yaml\n");
}

int new_python_function(const std::string& name) {
  return new_project(name, &runtime::python_project,
                     "Next: cd {0} && fmesh test mesh_test.yaml && fmesh run mesh.yaml\n");
}

}  // namespace

void add_new(CLI::App& app, Exit& exit) {
  CLI::App* verb = app.add_subcommand("new", "Begin a mesh or a function from a working example");
  verb->require_subcommand(1);
  auto name = std::make_shared<std::string>();
  CLI::App* mesh = verb->add_subcommand("mesh", "A folder with a mesh that runs: generator, jq function, console");
  mesh->add_option("NAME", *name, "Name of the mesh and of its folder")->required();
  mesh->footer("Example:\n  fmesh new mesh shop && fmesh run shop/mesh.yaml");
  mesh->callback([name, &exit] { exit.code = new_mesh(*name); });
  CLI::App* function =
      verb->add_subcommand("function", "A project: a function in C++ or Python, its test and a mesh that runs it");
  function->add_option("NAME", *name, "Name of the function and of its folder")->required();
  auto python = std::make_shared<bool>(false);
  function->add_flag("--python", *python, "In Python, without anything to build");
  function->footer("Examples:\n  fmesh new function price-orders\n  fmesh new function price-orders --python");
  function->callback([name, python, &exit] { exit.code = *python ? new_python_function(*name) : new_function(*name); });
}

}  // namespace fmesh::cli
