#include "plan/graph.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "model/host.h"
#include "plan/details.h"
#include "plan/pattern.h"

namespace fmesh::plan {

const char* to_string(EdgeRole role) {
  switch (role) {
    case EdgeRole::kData:
      return "data";
    case EdgeRole::kDeadLetter:
      return "dead letters";
    case EdgeRole::kLateData:
      return "late data";
    case EdgeRole::kLog:
      return "log";
  }
  return "unknown";
}

namespace {

using model::Component;
using model::Kind;

struct Link {
  size_t component;
  std::string topic;
  bool writes;
  EdgeRole role;
};

// Streams a component names; patterns come separately.
std::vector<Link> links_of(size_t index, const Component& component) {
  std::vector<Link> links;
  const auto& spec = component.spec;
  const auto writes = [&](const std::string& topic, EdgeRole role) {
    if (!topic.empty()) links.push_back({index, model::full_topic_name(topic), true, role});
  };
  if (component.kind != Kind::kSource) {
    for (const std::string& topic : input_topics(spec.input)) links.push_back({index, topic, false, EdgeRole::kData});
  }
  if (component.kind != Kind::kSink && !spec.inline_sink) writes(spec.output.topic, EdgeRole::kData);
  for (const std::string& topic : dead_letter_topics(component)) writes(topic, EdgeRole::kDeadLetter);
  if (spec.window_config) writes(spec.window_config->late_data_topic, EdgeRole::kLateData);
  writes(spec.log_topic, EdgeRole::kLog);
  return links;
}

model::ComponentType type_of(Kind kind) {
  if (kind == Kind::kSource) return model::ComponentType::kSource;
  return kind == Kind::kSink ? model::ComponentType::kSink : model::ComponentType::kFunction;
}

// Tarjan's algorithm without recursion: meshes may be long chains.
class CycleFinder {
 public:
  explicit CycleFinder(const std::vector<std::vector<size_t>>& next)
      : next_(next), order_(next.size(), 0), low_(next.size(), 0), on_stack_(next.size(), false) {}

  std::vector<std::vector<size_t>> find() {
    for (size_t start = 0; start < next_.size(); ++start) {
      if (order_[start] == 0) walk(start);
    }
    std::sort(cycles_.begin(), cycles_.end());
    return std::move(cycles_);
  }

 private:
  struct Frame {
    size_t node;
    size_t child;
  };

  void enter(size_t node) {
    order_[node] = low_[node] = ++counter_;
    stack_.push_back(node);
    on_stack_[node] = true;
    frames_.push_back({node, 0});
  }

  void walk(size_t start) {
    enter(start);
    while (!frames_.empty()) {
      Frame& frame = frames_.back();
      const size_t node = frame.node;
      if (frame.child < next_[node].size()) {
        const size_t child = next_[node][frame.child++];
        if (order_[child] == 0) {
          enter(child);
        } else if (on_stack_[child]) {
          low_[node] = std::min(low_[node], order_[child]);
        }
        continue;
      }
      frames_.pop_back();
      if (!frames_.empty()) low_[frames_.back().node] = std::min(low_[frames_.back().node], low_[node]);
      if (low_[node] == order_[node]) close(node);
    }
  }

  void close(size_t root) {
    std::vector<size_t> group;
    for (size_t node = next_.size(); node != root;) {
      node = stack_.back();
      stack_.pop_back();
      on_stack_[node] = false;
      group.push_back(node);
    }
    const bool self = std::find(next_[root].begin(), next_[root].end(), root) != next_[root].end();
    if (group.size() < 2 && !self) return;
    std::sort(group.begin(), group.end());
    cycles_.push_back(std::move(group));
  }

  const std::vector<std::vector<size_t>>& next_;
  std::vector<size_t> order_, low_;
  std::vector<bool> on_stack_;
  std::vector<size_t> stack_;
  std::vector<Frame> frames_;
  std::vector<std::vector<size_t>> cycles_;
  size_t counter_ = 0;
};

std::vector<std::vector<size_t>> find_cycles(const Graph& graph) {
  std::vector<std::vector<size_t>> readers(graph.streams.size());
  for (const GraphEdge& edge : graph.edges) {
    if (!edge.writes) readers[edge.stream].push_back(edge.component);
  }
  std::vector<std::vector<size_t>> next(graph.components.size());
  for (const GraphEdge& edge : graph.edges) {
    if (!edge.writes || edge.role == EdgeRole::kLog) continue;
    for (const size_t reader : readers[edge.stream]) next[edge.component].push_back(reader);
  }
  return CycleFinder(next).find();
}

}  // namespace

Graph make_graph(const model::ResourceSet& resources) {
  Graph graph;
  std::vector<Link> links;
  std::set<std::string> topics;
  for (size_t index = 0; index < resources.components.size(); ++index) {
    const Component& component = resources.components[index];
    GraphComponent node;
    node.name = component.name();
    node.mesh = component.mesh;
    node.type = type_of(component.kind);
    node.label = host_label(component.spec, component.kind);
    node.outside_input = component.kind == Kind::kSource || component.spec.inline_source.has_value();
    node.outside_output = component.kind == Kind::kSink || component.spec.inline_sink.has_value();
    graph.components.push_back(std::move(node));
    for (Link& link : links_of(index, component)) {
      topics.insert(link.topic);
      links.push_back(std::move(link));
    }
  }

  std::set<std::string> patterns;
  for (size_t index = 0; index < resources.components.size(); ++index) {
    const Component& component = resources.components[index];
    if (component.kind == Kind::kSource) continue;
    for (const std::string& pattern : input_patterns(component.spec.input)) {
      const std::vector<std::string> matches = matching_topics(pattern, topics);
      for (const std::string& topic : matches) links.push_back({index, topic, false, EdgeRole::kData});
      if (!matches.empty()) continue;
      patterns.insert(pattern);
      links.push_back({index, pattern, false, EdgeRole::kData});
    }
  }

  std::map<std::string, size_t> positions;
  topics.insert(patterns.begin(), patterns.end());
  for (const std::string& topic : topics) {
    positions[topic] = graph.streams.size();
    graph.streams.push_back({topic, model::short_topic_name(topic), patterns.contains(topic)});
  }
  std::set<std::tuple<size_t, size_t, bool, EdgeRole>> seen;
  for (const Link& link : links) {
    const GraphEdge edge{link.component, positions[link.topic], link.writes, link.role};
    if (seen.emplace(edge.component, edge.stream, edge.writes, edge.role).second) graph.edges.push_back(edge);
  }
  graph.cycles = find_cycles(graph);
  return graph;
}

}  // namespace fmesh::plan
