// `fmesh render`: what the operator would create, without a cluster.
#include "plan/cluster/render.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <fstream>
#include <memory>
#include <sstream>

#include "cli/command.h"
#include "model/json.h"

namespace fmesh::cli {
namespace {

struct RenderArguments {
  std::vector<std::string> files;
  std::string output = "json";
  std::string config_file;
  plan::ClusterOptions options;
  std::string name_space = "default";
};

int fail_with(const Error& error) {
  fmt::print(stderr, "fmesh render: {}\n", error.to_string());
  return kExitBadInput;
}

Result<plan::RunnerConfig> read_config(const std::string& path) {
  if (path.empty()) return plan::RunnerConfig{};
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  if (stream) text << stream.rdbuf();
  if (!stream) return fail(ErrorKind::kFixInput, "--config-file " + path + " can't be read");
  return plan::read_runner_config(path, text.str());
}

void print(const boost::json::array& objects, const std::string& output) {
  if (output == "json") {
    fmt::print("{}\n", model::write_json(objects, {.indent = 2}));
    return;
  }
  for (size_t index = 0; index < objects.size(); ++index) {
    fmt::print("{}{}", index == 0 ? "" : "---\n", model::write_yaml(objects[index]));
  }
}

int render_files(RenderArguments arguments) {
  auto runner = read_config(arguments.config_file);
  if (!runner) return fail_with(runner.error());
  for (const std::string& warning : runner->warnings) fmt::print(stderr, "{}\n", warning);
  arguments.options.runner = std::move(*runner);

  const model::ResourceSet resources = model::read_files(arguments.files);
  plan::Rendered rendered = plan::render_set(resources, arguments.options, arguments.name_space);
  model::Diagnostics findings = resources.findings;
  findings.append(std::move(rendered.findings));
  findings.sort();
  fmt::print(stderr, "{}", model::render(findings, resources.sources));
  if (!findings.ok()) {
    fmt::print(stderr, "{} Nothing was rendered.\n", count_line(findings));
    return kExitBadInput;
  }
  print(rendered.objects, arguments.output);
  return kExitOk;
}

}  // namespace

void add_render(CLI::App& app, Exit& exit) {
  auto arguments = std::make_shared<RenderArguments>();
  plan::ClusterOptions& options = arguments->options;
  CLI::App* verb = app.add_subcommand("render", "Print the Kubernetes objects that the operator would create");
  verb->add_option("FILE", arguments->files, "YAML or JSON files, folders of them, or - for standard input")
      ->required();
  verb->add_option("-o,--output", arguments->output, "json (a list) or yaml (documents, for people)")
      ->check(CLI::IsMember({"json", "yaml"}))
      ->capture_default_str();
  verb->add_option("-n,--namespace", arguments->name_space, "Namespace of resources that name none")
      ->capture_default_str();
  CLI::Option_group* operator_flags = verb->add_option_group("Flags of the operator");
  operator_flags->add_option("--config-file", arguments->config_file,
                             "The operator's config file: runner images, pull secrets, labels");
  operator_flags->add_flag("--enable-init-containers", options.init_containers,
                           "Packages are fetched by an init container");
  operator_flags->add_flag("--add-default-affinity", options.add_default_affinity,
                           "Spread the pods of a component over nodes (on unless =false)");
  operator_flags->add_option("--global-backend-config", options.global_backend_config,
                             "Name of the BackendConfig for every namespace");
  operator_flags
      ->add_option("--global-backend-config-namespace", options.global_backend_config_namespace, "Namespace it is in")
      ->capture_default_str();
  operator_flags
      ->add_option("--namespaced-backend-config", options.namespaced_backend_config,
                   "Name of the BackendConfig for its own namespace")
      ->capture_default_str();
  operator_flags->add_flag("--run-as-non-root", options.run_as_non_root,
                           "As RUN_AS_NON_ROOT=true in the operator's environment");
  verb->footer(
      "{uid} stands where the uid of a resource goes.\n\nExamples:\n  fmesh render mesh.yaml\n  fmesh render -o yaml "
      "deploy/\n  kubectl get functionmesh orders -o yaml | fmesh render -");
  verb->callback([arguments, &exit] { exit.code = render_files(*arguments); });
}

}  // namespace fmesh::cli
