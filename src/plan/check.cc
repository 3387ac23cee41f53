#include "plan/check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "model/findings.h"
#include "model/host.h"
#include "plan/details.h"
#include "plan/graph.h"
#include "plan/pattern.h"
#include "plan/stock_spec.h"

namespace fmesh::plan {
namespace {

using model::Component;
using model::Diagnostics;
using model::Findings;
using model::Path;
using model::ResourceSet;

// Where `component` names `topic`, for the finding about it.
Path path_of_stream(const Component& component, const std::string& topic, bool writes, EdgeRole role) {
  const auto same = [&](const std::string& name) { return model::full_topic_name(name) == topic; };
  const auto& spec = component.spec;
  if (role == EdgeRole::kDeadLetter)
    return Path::of(spec.dead_letter_topic.empty() ? "maxMessageRetry" : "deadLetterTopic");
  if (role == EdgeRole::kLateData) return Path::of("windowConfig.lateDataTopic");
  if (role == EdgeRole::kLog) return Path::of("logTopic");
  if (writes) return Path::of("output.topic");
  const Path input = Path::of("input");
  for (size_t index = 0; index < spec.input.topics.size(); ++index) {
    if (same(spec.input.topics[index])) return (input / "topics")[index];
  }
  if (spec.input.topic_pattern == topic) return input / "topicPattern";
  for (const auto& [name, settings] : spec.input.source_specs) {
    if (same(name) || name == topic) return input / "sourceSpecs" / name;
  }
  return input;
}

// A mesh may be valid here and still hold what this version leaves to a cluster.
void check_hosts(const ResourceSet& resources, Diagnostics& out) {
  for (const Component& component : resources.components) {
    if (model::choose_host(component.spec, component.kind) != model::HostKind::kStock) continue;
    const auto stock = make_stock_spec(component);
    if (stock) continue;
    Findings findings(component);
    findings.warning("", fmt::format("{} does not run on one machine: {}", component.name(), stock.error().text()));
    out.append(findings.take());
  }
}

void check_patterns(const ResourceSet& resources, Diagnostics& out) {
  for (const Component& component : resources.components) {
    if (component.kind == model::Kind::kSource) continue;
    Findings findings(component);
    for (const std::string& pattern : input_patterns(component.spec.input)) {
      const Status status = check_pattern(pattern);
      if (status) continue;
      findings.error(path_of_stream(component, pattern, false, EdgeRole::kData), status.error().text(), "spec.input");
    }
    out.append(findings.take());
  }
}

void check_loose_ends(const ResourceSet& resources, const Graph& graph, Diagnostics& out) {
  std::vector<const GraphEdge*> reader(graph.streams.size()), writer(graph.streams.size());
  for (const GraphEdge& edge : graph.edges) {
    auto& slot = edge.writes ? writer[edge.stream] : reader[edge.stream];
    // A stream that takes data as well as something else is judged by its data.
    if (!slot || edge.role == EdgeRole::kData) slot = &edge;
  }
  for (size_t stream = 0; stream < graph.streams.size(); ++stream) {
    const std::string& topic = graph.streams[stream].topic;
    const GraphEdge* reads = reader[stream];
    const GraphEdge* writes = writer[stream];
    if (reads && !writes) {
      const Component& component = resources.components[reads->component];
      Findings findings(component);
      findings.warning(path_of_stream(component, topic, false, EdgeRole::kData),
                       graph.streams[stream].is_pattern
                           ? fmt::format("no stream of these resources matches {}", topic)
                           : fmt::format("nobody here writes the stream {}; records have to come from outside",
                                         graph.streams[stream].short_name));
      out.append(findings.take());
    } else if (writes && !reads && writes->role == EdgeRole::kData) {
      const Component& component = resources.components[writes->component];
      Findings findings(component);
      findings.warning(path_of_stream(component, topic, true, writes->role),
                       fmt::format("nobody here reads the stream {}", graph.streams[stream].short_name));
      out.append(findings.take());
    }
  }
}

// True if some stream that the cycle reads is written by a component outside it, or by nobody here.
bool fed_from_outside(const Graph& graph, const std::vector<size_t>& cycle) {
  const auto inside = [&](size_t component) { return std::binary_search(cycle.begin(), cycle.end(), component); };
  for (const size_t component : cycle) {
    if (graph.components[component].outside_input) return true;
  }
  std::vector<bool> has_writer(graph.streams.size()), outside_writer(graph.streams.size());
  for (const GraphEdge& edge : graph.edges) {
    if (!edge.writes) continue;
    has_writer[edge.stream] = true;
    if (!inside(edge.component)) outside_writer[edge.stream] = true;
  }
  return std::any_of(graph.edges.begin(), graph.edges.end(), [&](const GraphEdge& edge) {
    return !edge.writes && inside(edge.component) && (outside_writer[edge.stream] || !has_writer[edge.stream]);
  });
}

void check_cycles(const ResourceSet& resources, const Graph& graph, Diagnostics& out) {
  for (const std::vector<size_t>& cycle : graph.cycles) {
    std::vector<std::string> names;
    for (const size_t component : cycle) names.push_back(graph.components[component].name);
    Findings findings(resources.components[cycle.front()]);
    findings.add(model::Severity::kNote, Path(), fmt::format("cycle: {} feed each other", fmt::join(names, ", ")), {});
    if (!fed_from_outside(graph, cycle)) {
      findings.warning("", fmt::format("the cycle of {} has no input from outside: no record ever enters it",
                                       fmt::join(names, ", ")));
    }
    out.append(findings.take());
  }
}

}  // namespace

model::Diagnostics check(const ResourceSet& resources, model::Target target, const model::BuiltinNames& builtins) {
  Diagnostics all = resources.findings;
  all.append(model::validate_set(resources, {.target = target, .builtins = builtins}));
  check_patterns(resources, all);
  if (target == model::Target::kLocal) check_hosts(resources, all);
  if (all.ok()) {  // loose ends of a graph with mistakes in it are most often those mistakes
    const Graph graph = make_graph(resources);
    check_loose_ends(resources, graph, all);
    check_cycles(resources, graph, all);
  }
  all.sort();
  return all;
}

}  // namespace fmesh::plan
