#include "plan/layout.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "plan/text_width.h"

namespace fmesh::plan {
namespace {

constexpr int kGap = 3;     // characters between neighbours
constexpr int kSweeps = 8;  // of ordering and of straightening; more change nothing one sees

struct Edge {
  size_t from, to;
  EdgeRole role;
  bool turned = false;
};

// Of a node in the search for edges that close a cycle: not seen, on the way, left.
enum class Mark { kNew, kOpen, kDone };

class LayoutMaker {
 public:
  explicit LayoutMaker(const Graph& graph) : graph_(graph) {}

  Layout make() {
    add_nodes();
    turn_back_edges();
    assign_layers();
    add_links();
    order_layers();
    place();
    return std::move(layout_);
  }

 private:
  void add_nodes() {
    for (size_t index = 0; index < graph_.components.size(); ++index) {
      const GraphComponent& component = graph_.components[index];
      LayoutNode node;
      node.component = index;
      node.lines = {component.name, component.label};
      node.width = std::max(text_width(component.name), text_width(component.label)) + 4;
      node.width += node.width % 2 == 0;  // odd, so that the centre is a character
      layout_.nodes.push_back(std::move(node));
    }
    std::vector<std::optional<size_t>> position(graph_.streams.size());
    for (const GraphEdge& edge : graph_.edges) {
      if (edge.role == EdgeRole::kLog) continue;
      if (!position[edge.stream]) {
        position[edge.stream] = layout_.nodes.size();
        layout_.nodes.push_back(stream_node(edge.stream));
      }
      const size_t stream = *position[edge.stream];
      edges_.push_back(edge.writes ? Edge{edge.component, stream, edge.role} : Edge{stream, edge.component, edge.role});
    }
  }

  LayoutNode stream_node(size_t index) const {
    LayoutNode node;
    node.stream = index;
    std::string text = "( " + graph_.streams[index].short_name;
    const bool only_role = std::none_of(graph_.edges.begin(), graph_.edges.end(), [&](const GraphEdge& edge) {
      return edge.stream == index && edge.writes && edge.role == EdgeRole::kData;
    });
    for (const GraphEdge& edge : graph_.edges) {
      if (!only_role || edge.stream != index || !edge.writes || edge.role == EdgeRole::kLog) continue;
      text += std::string(": ") + to_string(edge.role);
      break;
    }
    text += " )";
    node.lines = {text};
    node.width = text_width(text);
    node.width += node.width % 2 == 0;
    return node;
  }

  // Depth first from the nodes nothing flows into; an edge back to a node on the way is turned.
  void turn_back_edges() {
    std::vector<std::vector<size_t>> out(layout_.nodes.size());
    std::vector<int> incoming(layout_.nodes.size());
    for (size_t edge = 0; edge < edges_.size(); ++edge) {
      out[edges_[edge].from].push_back(edge);
      ++incoming[edges_[edge].to];
    }
    std::vector<size_t> starts(layout_.nodes.size());
    std::iota(starts.begin(), starts.end(), size_t{0});
    std::stable_sort(starts.begin(), starts.end(),
                     [&](size_t a, size_t b) { return incoming[a] == 0 && incoming[b] != 0; });
    std::vector<Mark> marks(layout_.nodes.size(), Mark::kNew);
    for (const size_t start : starts) {
      if (marks[start] == Mark::kNew) turn_from(start, out, marks);
    }
    for (Edge& edge : edges_) {
      if (edge.turned) std::swap(edge.from, edge.to);
    }
  }

  void turn_from(size_t start, const std::vector<std::vector<size_t>>& out, std::vector<Mark>& marks) {
    struct Frame {
      size_t node, next;
    };
    std::vector<Frame> frames{{start, 0}};
    marks[start] = Mark::kOpen;
    while (!frames.empty()) {
      Frame& frame = frames.back();
      if (frame.next == out[frame.node].size()) {
        marks[frame.node] = Mark::kDone;
        frames.pop_back();
        continue;
      }
      Edge& edge = edges_[out[frame.node][frame.next++]];
      if (marks[edge.to] == Mark::kOpen) {
        edge.turned = true;
      } else if (marks[edge.to] == Mark::kNew) {
        marks[edge.to] = Mark::kOpen;
        frames.push_back({edge.to, 0});
      }
    }
  }

  // Longest path from the top. Edges go between components and streams, so that parity keeps the two apart.
  void assign_layers() {
    const size_t count = layout_.nodes.size();
    std::vector<int> incoming(count);
    std::vector<std::vector<size_t>> next(count);
    for (const Edge& edge : edges_) {
      ++incoming[edge.to];
      next[edge.from].push_back(edge.to);
    }
    std::vector<size_t> ready;
    for (size_t node = 0; node < count; ++node) {
      layout_.nodes[node].layer = layout_.nodes[node].component ? 1 : 0;
      if (incoming[node] == 0) ready.push_back(node);
    }
    int deepest = 0;
    for (size_t at = 0; at < ready.size(); ++at) {
      const LayoutNode& node = layout_.nodes[ready[at]];
      deepest = std::max(deepest, node.layer);
      for (const size_t child : next[ready[at]]) {
        layout_.nodes[child].layer = std::max(layout_.nodes[child].layer, node.layer + 1);
        if (--incoming[child] == 0) ready.push_back(child);
      }
    }
    layout_.layers.resize(static_cast<size_t>(deepest) + 1);
    for (size_t node = 0; node < count; ++node) layer_of(node).push_back(node);
  }

  std::vector<size_t>& layer_of(size_t node) { return layout_.layers[static_cast<size_t>(layout_.nodes[node].layer)]; }

  void add_links() {
    for (const Edge& edge : edges_) {
      size_t upper = edge.from;
      const int last = layout_.nodes[edge.to].layer;
      for (int layer = layout_.nodes[edge.from].layer + 1; layer <= last; ++layer) {
        size_t lower = edge.to;
        if (layer < last) {
          lower = layout_.nodes.size();
          LayoutNode dummy;
          dummy.layer = layer;
          layout_.nodes.push_back(dummy);
          layer_of(lower).push_back(lower);
        }
        const bool head = edge.turned ? upper == edge.from : lower == edge.to;
        layout_.links.push_back({upper, lower, edge.turned, head, edge.role});
        upper = lower;
      }
    }
    below_.resize(layout_.layers.size());
    for (const LayoutLink& link : layout_.links) {
      below_[static_cast<size_t>(layout_.nodes[link.upper].layer)].push_back(link);
    }
  }

  // Puts each node near the middle of its neighbours, down and up again.
  void order_layers() {
    std::vector<double> rank(layout_.nodes.size());
    const auto remember = [&](const std::vector<size_t>& layer) {
      for (size_t at = 0; at < layer.size(); ++at) rank[layer[at]] = static_cast<double>(at);
    };
    for (const auto& layer : layout_.layers) remember(layer);
    for (int sweep = 0; sweep < kSweeps; ++sweep) {
      const bool down = sweep % 2 == 0;
      std::vector<double> sum(layout_.nodes.size()), count(layout_.nodes.size());
      for (size_t step = 1; step < layout_.layers.size(); ++step) {
        const size_t layer = down ? step : layout_.layers.size() - 1 - step;
        for (const size_t node : layout_.layers[layer]) sum[node] = count[node] = 0;
        for (const LayoutLink& link : below_[down ? layer - 1 : layer]) {
          const size_t node = down ? link.lower : link.upper, other = down ? link.upper : link.lower;
          sum[node] += rank[other];
          count[node] += 1;
        }
        const auto key = [&](size_t node) { return count[node] > 0 ? sum[node] / count[node] : rank[node]; };
        std::stable_sort(layout_.layers[layer].begin(), layout_.layers[layer].end(),
                         [&](size_t a, size_t b) { return key(a) < key(b); });
        remember(layout_.layers[layer]);
      }
    }
  }

  void place() {
    for (const auto& layer : layout_.layers) push_right(layer, 0);
    for (int sweep = 0; sweep < kSweeps; ++sweep) {
      const bool down = sweep % 2 == 0;
      for (size_t step = 1; step < layout_.layers.size(); ++step) {
        straighten(down ? step : layout_.layers.size() - 1 - step, down);
      }
    }
    for (size_t layer = 1; layer < layout_.layers.size(); ++layer) snap(layer);
    int least = 0;
    for (const LayoutNode& node : layout_.nodes) least = std::min(least, node.center - node.width / 2);
    for (LayoutNode& node : layout_.nodes) {
      node.center -= least;
      layout_.width = std::max(layout_.width, node.center + node.width / 2 + 1);
    }
  }

  // Moves nodes to the right until none overlaps its left neighbour.
  void push_right(const std::vector<size_t>& layer, size_t from) {
    for (size_t at = from; at < layer.size(); ++at) {
      LayoutNode& node = layout_.nodes[layer[at]];
      if (at > 0) node.center = std::max(node.center, least_center(layer, at));
    }
  }
  int least_center(const std::vector<size_t>& layer, size_t at) const {
    const LayoutNode& left = layout_.nodes[layer[at - 1]];
    return left.center + left.width / 2 + kGap + layout_.nodes[layer[at]].width / 2 + 1;
  }

  // Wishes each node above or below the middle of its neighbours, and grants what fits.
  void straighten(size_t layer_index, bool down) {
    const std::vector<size_t>& layer = layout_.layers[layer_index];
    std::map<size_t, int> sum, count;
    for (const LayoutLink& link : below_[down ? layer_index - 1 : layer_index]) {
      const size_t node = down ? link.lower : link.upper, other = down ? link.upper : link.lower;
      sum[node] += layout_.nodes[other].center;
      ++count[node];
    }
    for (const size_t node : layer) {
      if (count.contains(node)) layout_.nodes[node].center = sum[node] / count[node];
    }
    // Overlaps are shared: half of what the row is too long goes to the left.
    std::vector<int> wished;
    for (const size_t node : layer) wished.push_back(layout_.nodes[node].center);
    push_right(layer, 1);
    int shift = 0;
    for (size_t at = 0; at < layer.size(); ++at) shift += layout_.nodes[layer[at]].center - wished[at];
    shift /= static_cast<int>(std::max<size_t>(layer.size(), 1));
    if (layer.size() > 1) {
      for (const size_t node : layer) layout_.nodes[node].center -= shift;
    }
  }

  // A node that stands nearly below a neighbour is put right below it, if there is room: no small jogs.
  void snap(size_t layer_index) {
    constexpr int kNear = 3;
    const std::vector<size_t>& layer = layout_.layers[layer_index];
    for (size_t at = 0; at < layer.size(); ++at) {
      LayoutNode& node = layout_.nodes[layer[at]];
      for (const LayoutLink& link : below_[layer_index - 1]) {
        if (link.lower != layer[at]) continue;
        const int wish = layout_.nodes[link.upper].center, before = node.center;
        if (wish == before || std::abs(wish - before) > kNear) continue;
        node.center = wish;
        const bool left_fits = at == 0 || node.center >= least_center(layer, at);
        const bool right_fits =
            at + 1 == layer.size() || layout_.nodes[layer[at + 1]].center >= least_center(layer, at + 1);
        if (left_fits && right_fits) break;
        node.center = before;
      }
    }
  }

  const Graph& graph_;
  Layout layout_;
  std::vector<Edge> edges_;
  std::vector<std::vector<LayoutLink>> below_;  // the links of each layer to the next
};

}  // namespace

Layout lay_out(const Graph& graph) { return LayoutMaker(graph).make(); }

}  // namespace fmesh::plan
