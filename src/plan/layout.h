// A mesh graph laid out in layers, from top to bottom: components on odd layers, streams on even ones, each edge
// between neighbouring layers (long edges go through dummy nodes). Cycles are laid out by turning some edges round;
// those remember it. Positions are in characters of a terminal; a picture scales them. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "plan/graph.h"

namespace fmesh::plan {

struct LayoutNode {
  std::optional<size_t> component;  // or
  std::optional<size_t> stream;     // or neither: a dummy, where a long edge passes
  std::vector<std::string> lines;   // what is written in it
  int layer = 0;
  int width = 1;   // characters, border included
  int center = 0;  // column
};

// From a node of layer n to one of layer n + 1.
struct LayoutLink {
  size_t upper = 0, lower = 0;
  bool upward = false;  // records flow from lower to upper: it closes a cycle
  bool head = false;    // the end of the edge is at the node that records flow to, and gets the arrow
  EdgeRole role = EdgeRole::kData;
};

struct Layout {
  std::vector<LayoutNode> nodes;
  std::vector<std::vector<size_t>> layers;  // nodes from left to right
  std::vector<LayoutLink> links;
  int width = 0;  // characters
};

// Log streams are left out: one that every component writes would hide the rest.
Layout lay_out(const Graph& graph);

}  // namespace fmesh::plan
