#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "cli/command.h"

namespace fmesh::cli {

void add_version(CLI::App& app, Exit&) {
  auto* verb = app.add_subcommand("version", "Print the version of this program");
  const auto json = std::make_shared<bool>(false);
  verb->add_flag("--json", *json, "JSON instead of text");
  verb->callback([json] { std::puts(*json ? R"({"version":")" FMESH_VERSION R"("})" : "fmesh " FMESH_VERSION); });
}

}  // namespace fmesh::cli
