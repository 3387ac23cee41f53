#include "local/load.h"

#include <algorithm>
#include <string_view>

#include "connect/check.h"
#include "model/diagnostics.h"
#include "model/resource_set.h"
#include "plan/check.h"

namespace fmesh::local {
namespace {

std::string with_newline(std::string text) {
  if (!text.empty() && text.back() != '\n') text += '\n';
  return text;
}

Status check_replicas(const plan::LocalPlan& plan, const std::map<std::string, int32_t>& replicas) {
  for (const auto& [name, count] : replicas) {
    std::vector<std::string_view> known;
    for (const plan::ComponentPlan& component : plan.components) known.push_back(component.spec.component);
    if (std::ranges::find(known, name) != known.end()) continue;
    const std::string_view near = model::closest(name, known);
    return fail(ErrorKind::kFixInput, "--replicas " + name + "=" + std::to_string(count) + ": no such component" +
                                          (near.empty() ? "" : "; did you mean " + std::string(near) + "?"));
  }
  return {};
}

// With the closest spelling, which the plan does not look for.
Status check_only(const model::ResourceSet& resources, const std::vector<std::string>& only) {
  std::vector<std::string_view> known;
  for (const model::Component& component : resources.components) known.push_back(component.name());
  for (const std::string& name : only) {
    if (std::ranges::find(known, name) != known.end()) continue;
    const std::string_view near = model::closest(name, known);
    return fail(ErrorKind::kFixInput, "--only " + name + ": no such component" +
                                          (near.empty() ? "" : "; did you mean " + std::string(near) + "?"));
  }
  return {};
}

}  // namespace

Result<Loaded> load(const LoadOptions& options) {
  const model::ResourceSet resources = model::read_files(options.files);
  model::Diagnostics findings = plan::check(resources, model::Target::kLocal);
  findings.append(connect::check_connectors(resources));
  findings.sort();
  const std::string shown = with_newline(model::render(findings, resources.sources));
  if (!findings.ok()) {
    return fail(ErrorKind::kFixInput, shown + model::count_line(findings));
  }
  if (const Status only = check_only(resources, options.only); !only) {
    return fail(ErrorKind::kFixInput, shown + only.error().text());
  }
  plan::LocalPlanOptions plan_options;
  plan_options.partitions = options.partitions;
  plan_options.stock_python = options.stock_python;
  plan_options.only = options.only;
  auto plan = plan::make_local_plan(resources, plan_options);
  if (!plan) return fail(ErrorKind::kFixInput, shown + plan.error().to_string());
  if (plan->components.empty()) {
    return fail(ErrorKind::kFixInput, shown + "no Function, Source, Sink or FunctionMesh in the files");
  }
  if (const Status replicas = check_replicas(*plan, options.replicas); !replicas) {
    return fail(ErrorKind::kFixInput, shown + replicas.error().to_string());
  }
  Loaded loaded;
  loaded.name =
      !resources.meshes.empty() ? resources.meshes.front().metadata.name : plan->components.front().spec.component;
  loaded.findings = shown;
  loaded.plan = *std::move(plan);
  return loaded;
}

}  // namespace fmesh::local
