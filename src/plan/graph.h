// The mesh graph: components and the streams between them. It may be cyclic. A value made by make_graph(), read by the
// checks of a mesh, `fmesh graph`, the HTTP API and the dashboard.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/function_details.h"
#include "model/resource_set.h"

namespace fmesh::plan {

enum class EdgeRole { kData, kDeadLetter, kLateData, kLog };
const char* to_string(EdgeRole role);

struct GraphComponent {
  std::string name;
  std::string mesh;  // empty: a resource of its own
  model::ComponentType type = model::ComponentType::kFunction;
  std::string label;            // what runs it: "builtin map", "generator", "java com.example.Enrich"
  bool outside_input = false;   // a source, or a function with a connector as its input
  bool outside_output = false;  // a sink, or a function with a connector as its output
  bool operator==(const GraphComponent&) const = default;
};

struct GraphStream {
  std::string topic;        // full name
  std::string short_name;   // as short as it can be without losing meaning: "orders", "tenant/ns/orders"
  bool is_pattern = false;  // a regular expression that matches no other stream of the graph; `topic` is the pattern
  bool operator==(const GraphStream&) const = default;
};

// Between a component and a stream, by index.
struct GraphEdge {
  size_t component = 0;
  size_t stream = 0;
  bool writes = false;  // the component writes the stream; otherwise it reads it
  EdgeRole role = EdgeRole::kData;
  bool operator==(const GraphEdge&) const = default;
};

struct Graph {
  std::vector<GraphComponent> components;  // in the order of the resources
  std::vector<GraphStream> streams;        // sorted by topic
  std::vector<GraphEdge> edges;
  // Strongly connected groups of components: each has a cycle through all of its members. Data, dead-letter and
  // late-data edges count, logs do not. Indexes ascend.
  std::vector<std::vector<size_t>> cycles;
  bool operator==(const Graph&) const = default;
};

Graph make_graph(const model::ResourceSet& resources);

}  // namespace fmesh::plan
