#include "plan/local_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "model/host.h"
#include "plan/details.h"
#include "plan/stock_spec.h"

namespace fmesh::plan {

bool ComponentPlan::same_instances(const ComponentPlan& other) const {
  model::InstanceSpec mine = spec, theirs = other.spec;
  mine.instance_count = theirs.instance_count = 0;
  return mine == theirs && inputs == other.inputs && input_pattern == other.input_pattern && outputs == other.outputs;
}

bool ComponentPlan::operator==(const ComponentPlan& other) const {
  return spec == other.spec && mesh == other.mesh && replicas == other.replicas && min_replicas == other.min_replicas &&
         max_replicas == other.max_replicas && inputs == other.inputs && input_pattern == other.input_pattern &&
         outputs == other.outputs;
}

const char* host_name(model::HostKind host) {
  switch (host) {
    case model::HostKind::kNative:
      return "a native library";
    case model::HostKind::kBuiltin:
      return "a built-in function";
    case model::HostKind::kSource:
      return "a built-in source";
    case model::HostKind::kSink:
      return "a built-in sink";
    case model::HostKind::kPython:
      return "embedded Python";
    case model::HostKind::kStock:
      return "one of Pulsar's own instances (Java, Python, Go)";
  }
  return "unknown";
}

namespace {

using model::Component;
using model::HostKind;

Error at(const Component& component, std::string_view relative, std::string text) {
  model::Path path = component.path;
  const model::Path within = model::Path::of(relative);
  for (const auto& step : within.steps()) path = path / std::get<std::string>(step);
  return Error(ErrorKind::kFixInput, fmt::format("{}: {}", path.to_string(), text), component.origin.place(path));
}

std::string absolute_folder(const std::string& file) {
  const std::filesystem::path parent = std::filesystem::path(file).parent_path();
  std::error_code error;
  const auto absolute = std::filesystem::absolute(parent.empty() ? "." : parent, error);
  return error ? parent.string() : absolute.lexically_normal().string();
}

// The library or module, relative to the file it is named in.
std::string library_path(const Component& component, const std::string& folder) {
  const auto& spec = component.spec;
  std::string path;
  if (spec.generic_runtime && spec.generic_runtime->language != model::kLanguageBuiltin) {
    path = spec.generic_runtime->function_file;
  } else if (spec.python) {
    path = spec.python->py;
  }
  if (path.empty()) return path;
  return (std::filesystem::path(folder) / path).lexically_normal().string();
}

Result<std::map<std::string, std::string>> resolve_secrets(const Component& component,
                                                           const model::ResourceSet& resources) {
  std::map<std::string, std::string> out;
  for (const auto& [name, reference] : component.spec.secrets_map) {
    const auto secret = std::find_if(resources.secrets.begin(), resources.secrets.end(),
                                     [&](const model::KeyValues& one) { return one.name == reference.path; });
    if (secret == resources.secrets.end() || !secret->data.contains(reference.key)) {
      return fail(
          at(component, "secretsMap",
             fmt::format("{} needs key {} of Secret {}, which is in no file", name, reference.key, reference.path)));
    }
    out[name] = secret->data.at(reference.key);
  }
  return out;
}

Result<ComponentPlan> plan_component(const Component& component, const model::ResourceSet& resources,
                                     const LocalPlanOptions& options) {
  const auto& spec = component.spec;
  auto host = model::choose_host(spec, component.kind);
  if (host == HostKind::kPython && spec.python && options.stock_python) host = HostKind::kStock;
  if (!host) return fail(at(component, "", "nothing says what runs it; plan::check was not asked"));
  if (std::find(options.hosts.begin(), options.hosts.end(), *host) == options.hosts.end()) {
    return fail(at(component, "",
                   fmt::format("{} needs {}, which this version cannot run on one machine; run it on a cluster, or "
                               "leave it out with --only",
                               component.name(), host_name(*host))));
  }
  if (spec.inline_source || spec.inline_sink) {
    return fail(at(component, spec.inline_source ? "sourceConfig" : "sinkConfig",
                   "a connector within a Function needs Pulsar's Java instance; write a Source or Sink of its own"));
  }
  const std::vector<std::string> patterns =
      component.kind == model::Kind::kSource ? std::vector<std::string>() : input_patterns(spec.input);
  const std::vector<std::string> topics =
      component.kind == model::Kind::kSource ? std::vector<std::string>() : input_topics(spec.input);
  if (*host != HostKind::kStock && (patterns.size() > 1 || (!patterns.empty() && !topics.empty()))) {
    return fail(
        at(component, "input", "one pattern, or names of streams: this machine cannot read both with one component"));
  }
  ComponentPlan plan;
  plan.mesh = component.mesh;
  plan.place = component.origin.place(component.path);
  plan.replicas = spec.replicas.value_or(1);
  plan.min_replicas = spec.max_replicas ? spec.min_replicas.value_or(1) : plan.replicas;
  plan.max_replicas = spec.max_replicas.value_or(plan.replicas);
  plan.inputs = topics;
  if (!patterns.empty()) plan.input_pattern = patterns.front();
  plan.spec.details = make_details(component, StreamNames::kFull);
  // No sidecar ships log files here, so the instance writes the lines itself.
  if (!spec.log_topic.empty()) plan.spec.details.log_topic = model::full_topic_name(spec.log_topic);
  plan.spec.host = *host;
  // Pulsar's class for windows is Java; here the function itself is given them.
  if (*host == HostKind::kPython) plan.spec.details.class_name = spec.class_name;
  plan.spec.component = component.name();
  plan.spec.base_directory = absolute_folder(component.origin.file);
  if (*host == HostKind::kStock) {
    auto stock = make_stock_spec(component);
    if (!stock) return fail(at(component, "", stock.error().text()));
    plan.spec.stock = *std::move(stock);
    plan.spec.library_path = stock_package(spec);
  } else {
    plan.spec.library_path = library_path(component, plan.spec.base_directory);
  }
  FMESH_TRY(plan.spec.secrets, resolve_secrets(component, resources));
  plan.spec.instance_count = plan.replicas;
  return plan;
}

}  // namespace

Result<LocalPlan> make_local_plan(const model::ResourceSet& resources, const LocalPlanOptions& options) {
  for (const std::string& name : options.only) {
    const bool found = std::any_of(resources.components.begin(), resources.components.end(),
                                   [&](const Component& component) { return component.name() == name; });
    if (!found) return fail(ErrorKind::kFixInput, fmt::format("there is no component {} in these files", name));
  }
  LocalPlan plan;
  model::ResourceSet kept = resources;
  std::erase_if(kept.components, [&](const Component& component) {
    return !options.only.empty() &&
           std::find(options.only.begin(), options.only.end(), component.name()) == options.only.end();
  });
  for (const Component& component : kept.components) {
    FMESH_TRY(ComponentPlan one, plan_component(component, kept, options));
    plan.components.push_back(std::move(one));
  }
  plan.graph = make_graph(kept);
  for (const GraphEdge& edge : plan.graph.edges) {
    if (!edge.writes) continue;
    plan.components[edge.component].outputs.push_back(plan.graph.streams[edge.stream].topic);
  }
  for (const GraphStream& stream : plan.graph.streams) {
    if (!stream.is_pattern) plan.streams.push_back({stream.topic, options.partitions});
  }
  return plan;
}

}  // namespace fmesh::plan
