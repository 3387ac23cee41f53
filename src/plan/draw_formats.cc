// Mermaid, Graphviz, SVG and JSON.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "model/json.h"
#include "plan/draw.h"
#include "plan/layout.h"

namespace fmesh::plan {
namespace {

// Within double quotes of DOT; Mermaid and SVG take HTML's entities.
std::string dot_text(std::string_view text) {
  std::string out;
  for (const char byte : text) {
    if (byte == '"' || byte == '\\') out += '\\';
    out += byte;
  }
  return out;
}

std::string html_text(std::string_view text) {
  std::string out;
  for (const char byte : text) {
    switch (byte) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += byte;
    }
  }
  return out;
}

bool in_cycle(const Graph& graph, size_t component) {
  return std::any_of(graph.cycles.begin(), graph.cycles.end(), [&](const std::vector<size_t>& cycle) {
    return std::binary_search(cycle.begin(), cycle.end(), component);
  });
}

}  // namespace

std::string draw_mermaid(const Graph& graph) {
  std::string out = "flowchart LR\n";
  for (size_t index = 0; index < graph.components.size(); ++index) {
    const GraphComponent& component = graph.components[index];
    out += fmt::format("  c{}[\"{}<br/>{}\"]\n", index, html_text(component.name), html_text(component.label));
  }
  for (size_t index = 0; index < graph.streams.size(); ++index) {
    out += fmt::format("  s{}([\"{}\"])\n", index, html_text(graph.streams[index].short_name));
  }
  for (const GraphEdge& edge : graph.edges) {
    const std::string from = edge.writes ? fmt::format("c{}", edge.component) : fmt::format("s{}", edge.stream);
    const std::string to = edge.writes ? fmt::format("s{}", edge.stream) : fmt::format("c{}", edge.component);
    if (edge.role == EdgeRole::kData) {
      out += fmt::format("  {} --> {}\n", from, to);
    } else {
      out += fmt::format("  {} -. {} .-> {}\n", from, to_string(edge.role), to);
    }
  }
  return out;
}

std::string draw_dot(const Graph& graph) {
  std::string out = "digraph mesh {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n";
  for (size_t index = 0; index < graph.components.size(); ++index) {
    const GraphComponent& component = graph.components[index];
    out += fmt::format("  c{} [shape=box, label=\"{}\\n{}\"];\n", index, dot_text(component.name),
                       dot_text(component.label));
  }
  for (size_t index = 0; index < graph.streams.size(); ++index) {
    out += fmt::format("  s{} [shape=ellipse, label=\"{}\"];\n", index, dot_text(graph.streams[index].short_name));
  }
  for (const GraphEdge& edge : graph.edges) {
    const std::string from = edge.writes ? fmt::format("c{}", edge.component) : fmt::format("s{}", edge.stream);
    const std::string to = edge.writes ? fmt::format("s{}", edge.stream) : fmt::format("c{}", edge.component);
    const std::string style = edge.role == EdgeRole::kData
                                  ? std::string()
                                  : fmt::format(" [style=dashed, label=\"{}\"]", to_string(edge.role));
    out += fmt::format("  {} -> {}{};\n", from, to, style);
  }
  return out + "}\n";
}

namespace {

constexpr int kCharacterWidth = 8, kLayerGap = 56, kBoxHeight = 44, kStreamHeight = 26, kMargin = 24;

// The layers of the terminal drawing, with curves for edges.
class SvgDrawing {
 public:
  SvgDrawing(const Graph& graph, const Layout& layout) : graph_(graph), layout_(layout) {
    int y = kMargin;
    for (size_t layer = 0; layer < layout.layers.size(); ++layer) {
      tops_.push_back(y);
      if (!layout.layers[layer].empty()) y += height(layer) + kLayerGap;
    }
    total_height_ = std::max(y - kLayerGap, kMargin) + kMargin;
  }

  std::string draw() const {
    const int width = layout_.width * kCharacterWidth + 2 * kMargin;
    std::string out = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
        "font-family=\"sans-serif\" font-size=\"13\">\n"
        "<style>.box{{fill:#eef3fb;stroke:#3b6ea5}}.cycle{{stroke:#b5572a}}.stream{{fill:#fff;stroke:#888}}"
        ".edge{{fill:none;stroke:#555;stroke-width:1.4}}.up{{stroke:#b5572a}}.other{{stroke-dasharray:4 3}}"
        ".small{{font-size:11px;fill:#555}}</style>\n"
        "<defs><marker id=\"head\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" "
        "orient=\"auto\"><path d=\"M0,0L8,4L0,8z\" fill=\"#555\"/></marker></defs>\n"
        "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        width, total_height_);
    for (const LayoutLink& link : layout_.links) out += edge(link);
    for (const LayoutNode& node : layout_.nodes) out += shape(node);
    return out + "</svg>\n";
  }

 private:
  static int height(size_t layer) { return layer % 2 == 1 ? kBoxHeight : kStreamHeight; }
  int top(const LayoutNode& node) const { return tops_[static_cast<size_t>(node.layer)]; }
  int bottom(const LayoutNode& node) const { return top(node) + height(static_cast<size_t>(node.layer)); }
  static int x(const LayoutNode& node) { return kMargin + node.center * kCharacterWidth + kCharacterWidth / 2; }

  std::string edge(const LayoutLink& link) const {
    const LayoutNode& upper = layout_.nodes[link.upper];
    const LayoutNode& lower = layout_.nodes[link.lower];
    // Edges that close a cycle leave a little to the right of the others.
    const int side = link.upward ? 12 : 0;
    const int x1 = x(upper) + side, x2 = x(lower) + side;
    const bool upper_dummy = !upper.component && !upper.stream;
    const int y1 = upper_dummy ? top(upper) : bottom(upper), y2 = top(lower), middle = (y1 + y2) / 2;
    const std::string curve = link.upward
                                  ? fmt::format("M{},{}C{},{} {},{} {},{}", x2, y2, x2, middle, x1, middle, x1, y1)
                                  : fmt::format("M{},{}C{},{} {},{} {},{}", x1, y1, x1, middle, x2, middle, x2, y2);
    return fmt::format("<path class=\"edge{}{}\" d=\"{}\"{}/>\n", link.upward ? " up" : "",
                       link.role == EdgeRole::kData ? "" : " other", curve,
                       link.head ? " marker-end=\"url(#head)\"" : "");
  }

  std::string shape(const LayoutNode& node) const {
    if (!node.component && !node.stream) return {};
    const int width = node.width * kCharacterWidth, left = x(node) - width / 2;
    if (node.stream) {
      const std::string_view text = std::string_view(node.lines.front()).substr(2, node.lines.front().size() - 4);
      return fmt::format(
          "<rect class=\"stream\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"13\"/>"
          "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
          left, top(node), width, kStreamHeight, x(node), top(node) + 17, html_text(text));
    }
    return fmt::format(
        "<rect class=\"box{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"4\"/>"
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\" font-weight=\"bold\">{}</text>"
        "<text class=\"small\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
        in_cycle(graph_, *node.component) ? " cycle" : "", left, top(node), width, kBoxHeight, x(node), top(node) + 18,
        html_text(node.lines[0]), x(node), top(node) + 35, html_text(node.lines[1]));
  }

  const Graph& graph_;
  const Layout& layout_;
  std::vector<int> tops_;
  int total_height_ = 0;
};

}  // namespace

std::string graph_json(const Graph& graph) {
  boost::json::array components, streams, edges, cycles;
  for (const GraphComponent& one : graph.components) {
    const char* type = one.type == model::ComponentType::kSource ? "source"
                       : one.type == model::ComponentType::kSink ? "sink"
                                                                 : "function";
    components.push_back(
        boost::json::object{{"name", one.name}, {"mesh", one.mesh}, {"type", type}, {"runs", one.label}});
  }
  for (const GraphStream& one : graph.streams) {
    streams.push_back(boost::json::object{{"topic", one.topic}, {"name", one.short_name}, {"pattern", one.is_pattern}});
  }
  for (const GraphEdge& edge : graph.edges) {
    edges.push_back(boost::json::object{{"component", graph.components[edge.component].name},
                                        {"topic", graph.streams[edge.stream].topic},
                                        {"direction", edge.writes ? "writes" : "reads"},
                                        {"role", to_string(edge.role)}});
  }
  for (const auto& cycle : graph.cycles) {
    boost::json::array names;
    for (const size_t component : cycle) names.push_back(boost::json::value(graph.components[component].name));
    cycles.push_back(std::move(names));
  }
  const boost::json::object all{{"components", std::move(components)},
                                {"streams", std::move(streams)},
                                {"edges", std::move(edges)},
                                {"cycles", std::move(cycles)}};
  return model::write_json(all, {.indent = 2}) + "\n";
}

std::string draw_svg(const Graph& graph) {
  const Layout layout = lay_out(graph);
  return SvgDrawing(graph, layout).draw();
}

}  // namespace fmesh::plan
