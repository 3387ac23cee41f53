#include "plan/graph.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/command.h"
#include "plan/draw.h"

namespace fmesh::cli {
namespace {

struct GraphArguments {
  std::vector<std::string> files;
  std::string format = "terminal";
};

int draw(const GraphArguments& arguments) {
  const model::ResourceSet resources = model::read_files(arguments.files);
  if (!resources.findings.ok()) {
    fmt::print(stderr, "{}{} Nothing was drawn.\n", render(resources.findings, resources.sources),
               count_line(resources.findings));
    return kExitBadInput;
  }
  const plan::Graph graph = plan::make_graph(resources);
  const auto& format = arguments.format;
  fmt::print("{}", format == "mermaid" ? draw_mermaid(graph)
                   : format == "dot"   ? draw_dot(graph)
                   : format == "svg"   ? draw_svg(graph)
                   : format == "json"  ? graph_json(graph)
                                       : draw_terminal(graph));
  return kExitOk;
}

}  // namespace

void add_graph(CLI::App& app, Exit& exit) {
  auto arguments = std::make_shared<GraphArguments>();
  CLI::App* verb = app.add_subcommand("graph", "Draw the components of a mesh and the streams between them");
  verb->add_option("FILE", arguments->files, "YAML or JSON files, folders of them, or - for standard input")
      ->required();
  verb->add_option("--format", arguments->format, "terminal, mermaid, dot, svg or json")
      ->check(CLI::IsMember({"terminal", "mermaid", "dot", "svg", "json"}))
      ->capture_default_str();
  verb->add_flag_callback("--json", [arguments] { arguments->format = "json"; }, "The same as --format json");
  verb->footer("Examples:\n  fmesh graph mesh.yaml\n  fmesh graph mesh.yaml --format svg > mesh.svg");
  verb->callback([arguments, &exit] { exit.code = draw(*arguments); });
}

}  // namespace fmesh::cli
