#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <memory>

#include "cli/command.h"
#include "runtime/new_function.h"

namespace fmesh::cli {
namespace {

// {name} is replaced. A mesh that runs as it is and shows what each part is for.
constexpr std::string_view kMeshYaml =
    R"(# {name}: a generator makes orders, a jq expression works on each, the console shows them.
#   fmesh run {name}/mesh.yaml
apiVersion: compute.functionmesh.io/v1alpha1
kind: FunctionMesh
metadata:
  name: {name}
spec:
  sources:
    - name: orders
      sourceType: generator
      sourceConfig:
        rate: 2
        count: 20
        template: '{"order": {{seq}}, "items": 3, "price": 5}'
      output:
        topic: orders
  functions:
    - name: total
      className: map
      genericRuntime:
        language: builtin
      funcConfig:
        expression: '. + {total: (.items * .price)}'
      input:
        topics: [orders]
      output:
        topic: totals
  sinks:
    - name: show
      sinkType: console
      sinkConfig: {}
      input:
        topics: [totals]
)";

constexpr std::string_view kReadme = R"(# {name}

A mesh of three components: `orders` (generator) -> `total` (built-in function `map`, a jq expression) -> `show` (console).

| to | type |
|---|---|
| check it | `fmesh validate mesh.yaml` |
| see it | `fmesh graph mesh.yaml` |
| run it | `fmesh run mesh.yaml` |
| look up a field | `fmesh explain functionmesh.spec.functions` |

Next: replace the generator by a `file` or `http` source, change the expression, or add a function of your own with
`fmesh new function NAME`.
)";

std::string fill(std::string_view text, const std::string& name) {
  constexpr std::string_view kMark = "{name}";
  std::string out(text);
  for (size_t at = 0; (at = out.find(kMark, at)) != std::string::npos; at += name.size()) {
    out.replace(at, kMark.size(), name);
  }
  return out;
}

// Names of resources: lower-case letters, digits and -, as Kubernetes has them.
bool is_name(const std::string& name) {
  return !name.empty() && name.size() <= 43 && name.front() != '-' && name.back() != '-' &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
}

bool write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) fmt::print(stderr, "fmesh new: {} can't be written\n", path.string());
  return static_cast<bool>(file);
}

int new_mesh(const std::string& name) {
  if (!is_name(name)) {
    fmt::print(stderr, "fmesh new: {}: a name has lower-case letters, digits and -, at most 43\n", name);
    return kExitBadInput;
  }
  const std::filesystem::path folder(name);
  std::error_code error;
  if (!std::filesystem::create_directory(folder, error)) {
    fmt::print(stderr, "fmesh new: the folder {} {}\n", name,
               error ? "can't be made: " + error.message() : "exists already");
    return kExitFailed;
  }
  if (!write_file(folder / "mesh.yaml", fill(kMeshYaml, name)) ||
      !write_file(folder / "README.md", fill(kReadme, name))) {
    return kExitFailed;
  }
  fmt::print("{0}/mesh.yaml and {0}/README.md are written. Run it: fmesh run {0}/mesh.yaml\n", name);
  return kExitOk;
}

int new_function(const std::string& name) {
  if (const Status written = runtime::write_function_project(name, name); !written) {
    fmt::print(stderr, "fmesh new: {}\n", written.error().text());
    return written.error().kind() == ErrorKind::kFixInput ? kExitBadInput : kExitFailed;
  }
  fmt::print("{0}/ is written. Next: cd {0} && cmake -B build && cmake --build build && fmesh run mesh.yaml\n", name);
  return kExitOk;
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
      verb->add_subcommand("function", "A C++ project: a function, its unit test and a mesh that runs it");
  function->add_option("NAME", *name, "Name of the function and of its folder")->required();
  function->footer("Example:\n  fmesh new function price-orders");
  function->callback([name, &exit] { exit.code = new_function(*name); });
}

}  // namespace fmesh::cli
