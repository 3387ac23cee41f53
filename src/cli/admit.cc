// `fmesh admit`: what admission would say, without a cluster.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>

#include "cli/command.h"
#include "kube/json.h"
#include "model/document.h"
#include "model/json.h"
#include "operator/admission.h"

namespace fmesh::cli {
namespace {

struct AdmitArguments {
  std::string file, changed;
};

// The one resource of a file.
Result<boost::json::value> read_resource(const std::string& path) {
  std::string text;
  if (path == "-") {
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else {
    std::ifstream stream(path, std::ios::binary);
    if (stream) text.assign(std::istreambuf_iterator<char>(stream), {});
    if (!stream) return fail(ErrorKind::kFixInput, path + " can't be read: no such file, or no permission");
  }
  const model::DocumentList list =
      path.ends_with(".json") ? model::read_json(path, text) : model::read_yaml(path, text);
  if (!list.findings.ok()) {
    return fail(model::to_error(list.findings, {{path, std::make_shared<const std::string>(text)}}));
  }
  if (list.documents.size() != 1) {
    return fail(ErrorKind::kFixInput,
                fmt::format("{} holds {} documents; expected one resource, as the API server asks "
                            "about one at a time",
                            path, list.documents.size()));
  }
  const model::Node* kind = list.documents.front()->find("kind");
  if (!kind) {
    return fail(ErrorKind::kFixInput,
                path + " holds no resource: expected a mapping with apiVersion, kind, metadata and spec");
  }
  if (kind->text == "List") {
    return fail(ErrorKind::kFixInput,
                path + " holds a List; expected one resource, as the API server asks about one at a time");
  }
  return model::to_json(*list.documents.front());
}

// What an update can't change: then it is another resource.
Status check_same(const AdmitArguments& arguments, const boost::json::value& object,
                  const boost::json::value& changed) {
  const auto what = [](const boost::json::value& resource) {
    return fmt::format("{} {}/{}", kube::string_at(resource, {"kind"}),
                       kube::string_at(resource, {"metadata", "namespace"}),
                       kube::string_at(resource, {"metadata", "name"}));
  };
  if (what(object) == what(changed)) return {};
  return fail(ErrorKind::kFixInput,
              fmt::format("{} is {}, {} is {}; an update changes one resource, whose kind, namespace "
                          "and name stay",
                          arguments.file, what(object), arguments.changed, what(changed)));
}

void print(const op::AdmissionAnswer& answer) {
  boost::json::array errors, warnings;
  for (const op::AdmissionError& one : answer.errors) {
    errors.push_back({{"field", one.field}, {"path", one.path}, {"detail", one.detail}});
  }
  for (const std::string& warning : answer.warnings) warnings.emplace_back(warning);
  boost::json::object out;
  out["allowed"] = answer.allowed;
  out["message"] = answer.message;
  out["errors"] = std::move(errors);
  out["warnings"] = std::move(warnings);
  if (answer.allowed) out["object"] = answer.object;
  fmt::print("{}\n", model::write_json(out, {.indent = 2}));
}

int admit(const AdmitArguments& arguments) {
  Result<boost::json::value> object = read_resource(arguments.file);
  Result<boost::json::value> changed = boost::json::value();
  if (object && !arguments.changed.empty()) changed = read_resource(arguments.changed);
  if (!object || !changed) {
    fmt::print(stderr, "fmesh admit: {}\n", (object ? changed : object).error().to_string());
    return kExitBadInput;
  }
  if (!arguments.changed.empty()) {
    if (const Status same = check_same(arguments, *object, *changed); !same) {
      fmt::print(stderr, "fmesh admit: {}\n", same.error().to_string());
      return kExitBadInput;
    }
  }
  const op::AdmissionAnswer answer =
      arguments.changed.empty() ? op::admit_create(*object) : op::admit_update(*object, *changed);
  print(answer);
  return answer.allowed ? kExitOk : kExitFailed;
}

}  // namespace

void add_admit(CLI::App& app, Exit& exit) {
  auto arguments = std::make_shared<AdmitArguments>();
  CLI::App* verb = app.add_subcommand("admit", "Print what admission answers for a resource, as JSON");
  verb->add_option("FILE", arguments->file, "YAML or JSON file with one resource, or - for standard input")->required();
  verb->add_option("NEW", arguments->changed, "Its next version: an update of FILE is judged");
  verb->footer(
      "The answer has: allowed, message, errors (field as Function Mesh spells it, path, detail), warnings, and "
      "object: "
      "the resource with all defaults.\nExit code 1: refused.\n\nExamples:\n  fmesh admit function.yaml\n  fmesh admit "
      "now.yaml next.yaml");
  verb->callback([arguments, &exit] { exit.code = admit(*arguments); });
}

}  // namespace fmesh::cli
