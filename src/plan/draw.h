// A mesh graph as text: for terminals, for Mermaid and Graphviz, and as an SVG picture that needs no further program.
// Pure functions; the layout is layout.h's.
#pragma once

#include <string>

#include "plan/graph.h"

namespace fmesh::plan {

inline constexpr size_t kDrawnComponentsMax = 150;  // more are listed by draw_terminal(), not drawn

std::string draw_terminal(const Graph& graph);
std::string draw_mermaid(const Graph& graph);
std::string draw_dot(const Graph& graph);
std::string draw_svg(const Graph& graph);
// Components, streams, edges and cycles, for programs.
std::string graph_json(const Graph& graph);

}  // namespace fmesh::plan
