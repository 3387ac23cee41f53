#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "connect/check.h"
#include "plan/check.h"

namespace fmesh::cli {
namespace {

struct ValidateArguments {
  std::vector<std::string> files;
  std::string target = "local";
  bool json = false;
};

int validate(const ValidateArguments& arguments) {
  const model::ResourceSet resources = model::read_files(arguments.files);
  const auto target = arguments.target == "local" ? model::Target::kLocal : model::Target::kCluster;
  model::Diagnostics findings = plan::check(resources, target);
  findings.append(connect::check_connectors(resources));
  findings.sort();
  if (arguments.json) {
    fmt::print("{{\n\"for\": \"{}\",\n\"components\": {},\n\"errors\": {},\n\"warnings\": {},\n\"findings\": {}\n}}\n",
               to_string(target), resources.components.size(), findings.errors(), findings.warnings(),
               to_json(findings));
  } else {
    fmt::print("{}{} {} component{} checked by the rules for {}.\n", render(findings, resources.sources),
               count_line(findings), resources.components.size(), resources.components.size() == 1 ? "" : "s",
               target == model::Target::kLocal ? "one machine (--for local)" : "a cluster (--for cluster)");
  }
  return findings.ok() ? kExitOk : kExitBadInput;
}

}  // namespace

void add_validate(CLI::App& app, Exit& exit) {
  auto arguments = std::make_shared<ValidateArguments>();
  CLI::App* verb = app.add_subcommand("validate", "Check resources and show every error with its place");
  verb->add_option("FILE", arguments->files, "YAML or JSON files, folders of them, or - for standard input")
      ->required();
  verb->add_option("--for", arguments->target, "Whose rules apply: local or cluster")
      ->check(CLI::IsMember({"local", "cluster"}))
      ->capture_default_str();
  verb->add_flag("--json", arguments->json, "Print the findings as JSON");
  verb->footer(
      "Examples:\n  fmesh validate mesh.yaml\n  fmesh validate --for cluster deploy/\n  kubectl get functionmesh "
      "orders -o yaml | fmesh validate -");
  verb->callback([arguments, &exit] { exit.code = validate(*arguments); });
}

}  // namespace fmesh::cli
