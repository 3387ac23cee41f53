#include "local/plan_diff.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

namespace fmesh::local {
namespace {

void add_part(std::string& text, std::string_view what, const std::vector<std::string>& names) {
  constexpr size_t kNamesShownMax = 5;
  if (names.empty()) return;
  if (!text.empty()) text += ", ";
  text += std::to_string(names.size()) + " " + std::string(what) + " (";
  for (size_t i = 0; i < std::min(names.size(), kNamesShownMax); ++i) text += (i == 0 ? "" : ", ") + names[i];
  text += names.size() > kNamesShownMax ? ", ...)" : ")";
}

using Edges = std::vector<std::vector<size_t>>;

// Appends what can be reached from `start` and was not seen, each behind all that it reaches (depth first, post-order).
void visit(const Edges& edges, size_t start, std::vector<bool>& seen, std::vector<size_t>& reached) {
  if (seen[start]) return;
  seen[start] = true;
  std::vector<std::pair<size_t, size_t>> path = {{start, 0}};  // node, next edge
  while (!path.empty()) {
    auto& [node, edge] = path.back();
    if (edge == edges[node].size()) {
      reached.push_back(node);
      path.pop_back();
      continue;
    }
    const size_t next = edges[node][edge++];
    if (seen[next]) continue;
    seen[next] = true;
    path.emplace_back(next, 0);
  }
}

}  // namespace

std::string PlanDiff::summary(const plan::LocalPlan& next) const {
  const auto names = [&](const std::vector<size_t>& indexes) {
    std::vector<std::string> list;
    for (const size_t index : indexes) list.push_back(next.components[index].spec.component);
    return list;
  };
  std::string text;
  add_part(text, "replaced", names(replaced));
  add_part(text, "resized", names(resized));
  add_part(text, "added", names(added));
  add_part(text, "removed", removed);
  return text.empty() ? "nothing changed" : text;
}

PlanDiff diff_plans(const plan::LocalPlan& now, const plan::LocalPlan& next) {
  std::map<std::string_view, const plan::ComponentPlan*> running;
  for (const plan::ComponentPlan& component : now.components) running[component.spec.component] = &component;
  PlanDiff diff;
  for (size_t i = 0; i < next.components.size(); ++i) {
    const plan::ComponentPlan& component = next.components[i];
    const auto found = running.find(component.spec.component);
    if (found == running.end()) {
      diff.added.push_back(i);
      continue;
    }
    if (!component.same_instances(*found->second)) {
      diff.replaced.push_back(i);
    } else if (!(component == *found->second)) {
      diff.resized.push_back(i);
    }
    running.erase(found);
  }
  for (const plan::ComponentPlan& component : now.components) {
    if (running.contains(component.spec.component)) diff.removed.push_back(component.spec.component);
  }
  return diff;
}

std::vector<size_t> graph_levels(const plan::LocalPlan& plan) {
  const size_t count = plan.components.size();
  std::map<std::string_view, std::vector<size_t>> readers, writers;
  for (size_t i = 0; i < count; ++i) {
    for (const std::string& input : plan.components[i].inputs) readers[input].push_back(i);
    for (const std::string& output : plan.components[i].outputs) writers[output].push_back(i);
  }
  Edges onward(count), back(count);
  for (size_t i = 0; i < count; ++i) {
    for (const std::string& output : plan.components[i].outputs) {
      onward[i].insert(onward[i].end(), readers[output].begin(), readers[output].end());
    }
    for (const std::string& input : plan.components[i].inputs) {
      back[i].insert(back[i].end(), writers[input].begin(), writers[input].end());
    }
  }
  // Kosaraju: the groups that are each other's cause come out in the direction of the records.
  std::vector<size_t> order;
  std::vector<bool> seen(count, false);
  for (size_t i = 0; i < count; ++i) visit(onward, i, seen, order);
  std::vector<size_t> levels(count, 0);
  std::vector<bool> grouped(count, false);
  for (auto last = order.rbegin(); last != order.rend(); ++last) {
    std::vector<size_t> group;
    visit(back, *last, grouped, group);
    size_t level = 0;
    for (const size_t member : group) {
      for (const size_t writer : back[member]) {
        if (std::ranges::find(group, writer) == group.end()) level = std::max(level, levels[writer] + 1);
      }
    }
    for (const size_t member : group) levels[member] = level;
  }
  return levels;
}

}  // namespace fmesh::local
