#include "local/plan_diff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fmesh::local {
namespace {

using testing::ElementsAre;

plan::ComponentPlan component(const std::string& name, std::vector<std::string> inputs,
                              std::vector<std::string> outputs) {
  plan::ComponentPlan plan;
  plan.spec.component = name;
  plan.inputs = std::move(inputs);
  plan.outputs = std::move(outputs);
  return plan;
}

TEST(PlanDiff, IsEmptyForTheSamePlanInAnotherPlaceAndOrder) {
  plan::LocalPlan now, next;
  now.components = {component("a", {}, {"s"}), component("b", {"s"}, {})};
  next.components = {now.components[1], now.components[0]};
  next.components[0].place = {"mesh.yaml", 9, 1};
  EXPECT_TRUE(diff_plans(now, next).empty());
}

TEST(PlanDiff, TellsReplacedFromResized) {
  plan::LocalPlan now, next;
  now.components = {component("a", {}, {"s"}), component("b", {"s"}, {})};
  next = now;
  next.components[0].replicas = 4;
  next.components[1].spec.details.class_name = "other";
  const PlanDiff diff = diff_plans(now, next);
  EXPECT_THAT(diff.resized, ElementsAre(0U));
  EXPECT_THAT(diff.replaced, ElementsAre(1U));
}

TEST(GraphLevels, FollowTheRecords) {
  plan::LocalPlan plan;
  plan.components = {component("sink", {"b", "c"}, {}), component("map", {"a"}, {"b"}), component("source", {}, {"a"}),
                     component("again", {"b"}, {"c"})};
  EXPECT_THAT(graph_levels(plan), ElementsAre(3U, 1U, 0U, 2U));
}

TEST(GraphLevels, GoOnBehindACycle) {
  plan::LocalPlan plan;
  plan.components = {component("source", {}, {"a"}), component("x", {"a", "retry"}, {"b"}),
                     component("y", {"b"}, {"retry", "out"}), component("sink", {"out"}, {})};
  const std::vector<size_t> levels = graph_levels(plan);
  EXPECT_LT(levels[0], levels[1]);
  EXPECT_LT(levels[1], levels[3]);
  EXPECT_LT(levels[2], levels[3]);
}

}  // namespace
}  // namespace fmesh::local
