#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>

#include "cli/command.h"
#include "model/explain.h"
#include "model/schema.h"

namespace fmesh::cli {
namespace {

int crds(const std::string& wanted) {
  bool first = true;
  for (const model::Kind kind : model::kKinds) {
    if (!wanted.empty() && wanted != model::to_string(kind)) continue;
    fmt::print("{}{}", first ? "" : "---\n", model::make_crd_yaml(kind));
    first = false;
  }
  return kExitOk;
}

// Writes the reference pages into `folder`.
int write_pages(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  for (const model::Kind kind : model::kKinds) {
    const std::string path = folder + "/" + model::reference_file(kind);
    std::ofstream file(path);
    file << model::reference_page(kind);
    file.close();
    if (!file) {
      fmt::print(stderr, "fmesh explain: {} can't be written\n", path);
      return kExitFailed;
    }
  }
  return kExitOk;
}

int explain(const std::string& what) {
  const auto text = model::explain(what);
  if (!text) {
    fmt::print(stderr, "fmesh explain: {}\n", text.error().to_string());
    return kExitBadInput;
  }
  fmt::print("{}", *text);
  return kExitOk;
}

}  // namespace

void add_crds(CLI::App& app, Exit& exit) {
  auto kind = std::make_shared<std::string>();
  CLI::App* verb = app.add_subcommand("crds", "Print the CustomResourceDefinitions for a cluster");
  verb->add_option("--kind", *kind, "Only this one: Function, Source, Sink, FunctionMesh or BackendConfig")
      ->check(CLI::IsMember({"Function", "Source", "Sink", "FunctionMesh", "BackendConfig"}));
  verb->footer("Example:\n  fmesh crds | kubectl apply -f -");
  verb->callback([kind, &exit] { exit.code = crds(*kind); });
}

void add_explain(CLI::App& app, Exit& exit) {
  auto what = std::make_shared<std::string>("functionmesh");
  auto pages = std::make_shared<std::string>();
  CLI::App* verb = app.add_subcommand("explain", "Say what a field means, e.g. function.spec.input");
  verb->add_option("FIELD", *what, "A kind, and a path of fields below it")->capture_default_str();
  // For the people who build fmesh.
  verb->add_option("--markdown", *pages, "Write the reference pages into this folder")->group("");
  verb->footer("Examples:\n  fmesh explain function\n  fmesh explain sink.spec.input.sourceSpecs");
  verb->callback([what, pages, &exit] { exit.code = pages->empty() ? explain(*what) : write_pages(*pages); });
}

}  // namespace fmesh::cli
