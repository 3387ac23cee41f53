// `fmesh render`: what the operator would create, without a cluster.
#include "plan/cluster/render.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <memory>

#include "cli/command.h"
#include "cli/operator_flags.h"
#include "model/json.h"

namespace fmesh::cli {
namespace {

struct RenderArguments {
  std::vector<std::string> files;
  std::string output = "json";
  OperatorFlags flags;
  plan::RenderOptions options;
};

void print(const boost::json::array& objects, const std::string& output) {
  if (output == "json") {
    fmt::print("{}\n", model::write_json(objects, {.indent = 2}));
    return;
  }
  for (size_t index = 0; index < objects.size(); ++index) {
    fmt::print("{}{}", index == 0 ? "" : "---\n", model::write_yaml(objects[index]));
  }
}

int render_files(RenderArguments& arguments) {
  auto cluster = read_cluster_options(arguments.flags, kube::system_sources());
  if (!cluster) {
    fmt::print(stderr, "fmesh render: {}\n", cluster.error().to_string());
    return kExitBadInput;
  }
  for (const std::string& warning : cluster->runner.warnings) fmt::print(stderr, "{}\n", warning);
  arguments.options.cluster = std::move(*cluster);

  const model::ResourceSet resources = model::read_files(arguments.files);
  plan::Rendered rendered = plan::render_set(resources, arguments.options);
  model::Diagnostics findings = resources.findings;
  findings.append(std::move(rendered.findings));
  findings.sort();
  fmt::print(stderr, "{}", model::render(findings, resources.sources));
  if (!findings.ok()) {
    fmt::print(stderr, "{} Nothing was rendered.\n", count_line(findings));
    return kExitBadInput;
  }
  if (rendered.objects.empty()) {
    fmt::print(stderr,
               "nothing to render: there is no Function, Source, Sink or FunctionMesh that an operator manages\n");
  }
  print(rendered.objects, arguments.output);
  return kExitOk;
}

}  // namespace

void add_render(CLI::App& app, Exit& exit) {
  auto arguments = std::make_shared<RenderArguments>();
  CLI::App* verb = app.add_subcommand("render", "Print the Kubernetes objects that the operator would create");
  verb->add_option("FILE", arguments->files, "YAML or JSON files, folders of them, or - for standard input")
      ->required();
  verb->add_option("-o,--output", arguments->output, "json (a list) or yaml (documents, for people)")
      ->check(CLI::IsMember({"json", "yaml"}))
      ->capture_default_str();
  verb->add_option("-n,--namespace", arguments->options.name_space, "Namespace of resources that name none")
      ->capture_default_str();
  verb->add_flag("--admitted", arguments->options.admitted,
                 "Fill in first what admission fills in; without it resources are taken as written");
  add_operator_flags(*verb, arguments->flags);
  verb->footer(
      "{uid} stands where the uid of a resource goes.\n\nExamples:\n  fmesh render mesh.yaml\n  fmesh render -o yaml "
      "deploy/\n  kubectl get functionmesh orders -o yaml | fmesh render -");
  verb->callback([arguments, &exit] { exit.code = render_files(*arguments); });
}

}  // namespace fmesh::cli
