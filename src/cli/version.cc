#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/command.h"

namespace fmesh::cli {

void add_version(CLI::App& app, Exit&) {
  app.add_subcommand("version", "Print the version of this program")->callback([] {
    std::puts("fmesh " FMESH_VERSION);
  });
}

}  // namespace fmesh::cli
