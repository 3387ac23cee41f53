#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "plan/draw.h"
#include "plan/layout.h"
#include "plan/text_width.h"

namespace fmesh::plan {
namespace {

enum Direction : uint8_t { kUp = 1, kDown = 2, kLeft = 4, kRight = 8 };

// Characters in rows; lines that meet are joined, lines that only cross are not.
class Canvas {
 public:
  void text(int row, int column, std::string_view text) {
    for (size_t at = 0; at < text.size();) {
      size_t next = at + 1;
      while (next < text.size() && (static_cast<unsigned char>(text[next]) & 0xC0) == 0x80) ++next;
      cell(row, column++).glyph = std::string(text.substr(at, next - at));
      at = next;
    }
  }

  void line(int row, int column, unsigned directions) {
    Cell& at = cell(row, column);
    constexpr unsigned kVertical = kUp | kDown, kHorizontal = kLeft | kRight;
    const bool crosses =
        (at.lines == kVertical && directions == kHorizontal) || (at.lines == kHorizontal && directions == kVertical);
    at.lines = crosses ? kVertical : at.lines | directions;
  }

  std::string print() const {
    static constexpr std::array<const char*, 16> kGlyphs = {" ", "│", "│", "│", "─", "┘", "┐", "┤",
                                                            "─", "└", "┌", "├", "─", "┴", "┬", "┼"};
    std::string out;
    for (const auto& row : rows_) {
      std::string line;
      for (const Cell& cell : row) line += cell.glyph.empty() ? kGlyphs[cell.lines] : cell.glyph;
      line.erase(line.find_last_not_of(' ') + 1);
      out += line + "\n";
    }
    return out;
  }

 private:
  struct Cell {
    std::string glyph;
    unsigned lines = 0;
  };
  Cell& cell(int row, int column) {
    const size_t line = static_cast<size_t>(std::max(row, 0)), at = static_cast<size_t>(std::max(column, 0));
    if (rows_.size() <= line) rows_.resize(line + 1);
    if (rows_[line].size() <= at) rows_[line].resize(at + 1);
    return rows_[line][at];
  }
  std::vector<std::vector<Cell>> rows_;
};

// All links of one channel that leave the same column: drawn as one tree.
struct Net {
  int from = 0;
  std::set<int> to;
  int track = -1;  // -1: straight down
  int left() const { return std::min(from, *to.begin()); }
  int right() const { return std::max(from, *to.rbegin()); }
};

class TerminalDrawing {
 public:
  explicit TerminalDrawing(const Layout& layout) : layout_(layout) {}

  std::string draw() {
    int row = 0;
    for (size_t layer = 0; layer < layout_.layers.size(); ++layer) {
      if (layout_.layers[layer].empty()) continue;
      row = draw_layer(layer, row);
      if (layer + 1 < layout_.layers.size()) row = draw_channel(layer, row);
    }
    return canvas_.print();
  }

 private:
  int draw_layer(size_t layer, int row) {
    const bool boxes = layer % 2 == 1;
    const int height = boxes ? 4 : 1;
    for (const size_t index : layout_.layers[layer]) {
      const LayoutNode& node = layout_.nodes[index];
      const int left = node.center - node.width / 2;
      if (node.component) {
        draw_box(node, row, left);
      } else if (node.stream) {
        canvas_.text(row, left, node.lines.front());
      } else {
        const int column = node.center + (passes_up(index) ? kUpwardShift : 0);
        for (int at = 0; at < height; ++at) canvas_.line(row + at, column, kUp | kDown);
      }
    }
    return row + height;
  }

  void draw_box(const LayoutNode& node, int row, int left) {
    const auto bar = [&](const char* begin, const char* end) {
      std::string text = begin;
      for (int at = 0; at < node.width - 2; ++at) text += "─";
      return text + end;
    };
    canvas_.text(row, left, bar("┌", "┐"));
    for (size_t at = 0; at < node.lines.size(); ++at) {
      const std::string pad(static_cast<size_t>(node.width - 3 - text_width(node.lines[at])), ' ');
      canvas_.text(row + 1 + static_cast<int>(at), left, "│ " + node.lines[at] + pad + "│");
    }
    canvas_.text(row + 3, left, bar("└", "┘"));
  }

  bool passes_up(size_t node) const {
    return std::any_of(layout_.links.begin(), layout_.links.end(),
                       [&](const LayoutLink& link) { return link.lower == node && link.upward; });
  }

  // Edges that close a cycle keep a column of their own beside the others.
  static int column(const LayoutNode& node, bool upward) { return node.center + (upward ? kUpwardShift : 0); }

  int draw_channel(size_t layer, int row) {
    std::map<int, Net> nets;
    for (const LayoutLink& link : layout_.links) {
      if (static_cast<size_t>(layout_.nodes[link.upper].layer) != layer) continue;
      Net& net = nets[column(layout_.nodes[link.upper], link.upward)];
      net.from = column(layout_.nodes[link.upper], link.upward);
      net.to.insert(column(layout_.nodes[link.lower], link.upward));
    }
    const int tracks = assign_tracks(nets);
    const int height = tracks + 2;
    for (const auto& [from, net] : nets) draw_net(net, row, height);
    for (const LayoutLink& link : layout_.links) {
      if (static_cast<size_t>(layout_.nodes[link.upper].layer) != layer || !link.head) continue;
      if (link.upward) {
        canvas_.text(row, column(layout_.nodes[link.upper], true), "▲");
      } else {
        canvas_.text(row + height - 1, column(layout_.nodes[link.lower], false), "▼");
      }
    }
    return row + height;
  }

  // A net whose column is where another one arrives has to turn off above it. Nets side by side share a track.
  static int assign_tracks(std::map<int, Net>& nets) {
    std::vector<Net*> waiting, placed;
    for (auto& [from, net] : nets) {
      if (net.to.size() != 1 || *net.to.begin() != net.from) waiting.push_back(&net);
    }
    int tracks = 0;
    while (!waiting.empty()) {
      const auto free = std::find_if(waiting.begin(), waiting.end(), [&](const Net* net) {
        return std::none_of(waiting.begin(), waiting.end(),
                            [&](const Net* other) { return other != net && net->to.contains(other->from); });
      });
      Net* next = free == waiting.end() ? waiting.front() : *free;
      next->track = first_track(*next, placed);
      tracks = std::max(tracks, next->track + 1);
      placed.push_back(next);
      waiting.erase(std::find(waiting.begin(), waiting.end(), next));
    }
    return tracks;
  }

  static int first_track(const Net& net, const std::vector<Net*>& placed) {
    int track = 0;
    for (const Net* other : placed) {
      if (net.to.contains(other->from)) track = std::max(track, other->track + 1);
    }
    const auto taken = [&](const Net* other) {
      return other->track == track && net.left() <= other->right() + 1 && other->left() <= net.right() + 1;
    };
    while (std::any_of(placed.begin(), placed.end(), taken)) ++track;
    return track;
  }

  void vertical(int column, int from, int to) {
    for (int row = from; row <= to; ++row) canvas_.line(row, column, kUp | kDown);
  }

  void draw_net(const Net& net, int row, int height) {
    if (net.track < 0) return vertical(net.from, row, row + height - 1);
    const int turn = row + 1 + net.track;
    const int left = net.left(), right = net.right();
    vertical(net.from, row, turn - 1);
    for (int at = left; at <= right; ++at) {
      unsigned directions = 0;
      if (at > left) directions |= kLeft;
      if (at < right) directions |= kRight;
      if (at == net.from) directions |= kUp;
      if (net.to.contains(at)) directions |= kDown;
      canvas_.line(turn, at, directions);
    }
    for (const int to : net.to) vertical(to, turn + 1, row + height - 1);
  }

  static constexpr int kUpwardShift = 2;
  const Layout& layout_;
  Canvas canvas_;
};

std::string draw_layers(const Graph& graph) {
  const Layout layout = lay_out(graph);
  return TerminalDrawing(layout).draw();
}

std::string names_of_cycle(const Graph& graph, const std::vector<size_t>& cycle) {
  std::vector<std::string> names;
  for (const size_t component : cycle) names.push_back(graph.components[component].name);
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string list(const Graph& graph) {
  std::string out;
  for (size_t index = 0; index < graph.components.size(); ++index) {
    std::vector<std::string> reads, writes;
    for (const GraphEdge& edge : graph.edges) {
      if (edge.component == index) (edge.writes ? writes : reads).push_back(graph.streams[edge.stream].short_name);
    }
    out += fmt::format("{} ({}): {} -> {}\n", graph.components[index].name, graph.components[index].label,
                       reads.empty() ? "outside" : fmt::format("{}", fmt::join(reads, ", ")),
                       writes.empty() ? "outside" : fmt::format("{}", fmt::join(writes, ", ")));
  }
  return out;
}

}  // namespace

std::string draw_terminal(const Graph& graph) {
  if (graph.components.empty()) return "no components\n";
  std::string out = graph.components.size() > kDrawnComponentsMax ? list(graph) : draw_layers(graph);
  for (const auto& cycle : graph.cycles) out += fmt::format("cycle: {}\n", names_of_cycle(graph, cycle));
  std::map<std::string, std::vector<std::string>> logs;
  for (const GraphEdge& edge : graph.edges) {
    if (edge.role != EdgeRole::kLog) continue;
    logs[graph.streams[edge.stream].short_name].push_back(graph.components[edge.component].name);
  }
  for (const auto& [stream, names] : logs) out += fmt::format("log {}: {}\n", stream, fmt::join(names, ", "));
  return out;
}

}  // namespace fmesh::plan
