#include "plan/graph.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan/check.h"
#include "plan/draw.h"
#include "plan/pattern.h"

namespace fmesh::plan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::string mesh(std::string_view parts) {
  return fmt::format(
      "apiVersion: compute.functionmesh.io/v1alpha1\nkind: FunctionMesh\nmetadata: {{name: m}}\nspec:\n{}", parts);
}
std::string map(std::string_view name, std::string_view rest) {
  return fmt::format("  - {{name: {}, className: map, genericRuntime: {{language: builtin}}, {}}}\n", name, rest);
}

model::ResourceSet set_of(const std::string& text) {
  model::ResourceSet set = model::read_text("m.yaml", text);
  EXPECT_EQ(render(set.findings, set.sources), "");
  return set;
}

std::string checked(const std::string& text) { return render(check(set_of(text), model::Target::kLocal), {}); }

const std::string kLoop =
    mesh("  sources:\n  - {name: src, sourceType: generator, output: {topic: in}}\n  functions:\n" +
         map("work", "input: {topics: [in, again]}, output: {topic: done}, maxMessageRetry: 1, deadLetterTopic: bad") +
         map("retry", "input: {topics: [bad]}, output: {topic: again}") +
         "  sinks:\n  - {name: out, sinkType: drop, input: {topics: [done]}, logTopic: logs}\n");

TEST(Graph, JoinsComponentsByFullStreamNames) {
  const Graph graph = make_graph(set_of(
      mesh("  functions:\n" + map("a", "input: {topics: [x]}, output: {topic: 'persistent://public/default/y'}") +
           map("b", "input: {topics: [y]}"))));
  ASSERT_EQ(graph.streams.size(), 2u);
  EXPECT_EQ(graph.streams[1].short_name, "y");
  EXPECT_THAT(graph.edges, ElementsAre(GraphEdge{0, 0, false, EdgeRole::kData}, GraphEdge{0, 1, true, EdgeRole::kData},
                                       GraphEdge{1, 1, false, EdgeRole::kData}));
  EXPECT_THAT(graph.cycles, IsEmpty());
}

TEST(Graph, FindsCyclesThroughDeadLettersAndNotThroughLogs) {
  EXPECT_THAT(make_graph(set_of(kLoop)).cycles, ElementsAre(ElementsAre(1, 2)));
  const std::string logs =
      mesh("  functions:\n" + map("a", "input: {topics: [logs]}, output: {topic: x}, logTopic: logs"));
  EXPECT_THAT(make_graph(set_of(logs)).cycles, IsEmpty());
}

TEST(Graph, FindsCyclesInLongChains) {
  std::string parts = "  functions:\n";
  constexpr int kLength = 3000;
  for (int index = 0; index < kLength; ++index) {
    parts += map(fmt::format("f{}", index),
                 fmt::format("input: {{topics: [s{}]}}, output: {{topic: s{}}}", index, (index + 1) % kLength));
  }
  const Graph graph = make_graph(set_of(mesh(parts)));
  ASSERT_EQ(graph.cycles.size(), 1u);
  EXPECT_EQ(graph.cycles[0].size(), static_cast<size_t>(kLength));
}

TEST(Graph, ExpandsPatternsToTheStreamsThatMatch) {
  const Graph graph =
      make_graph(set_of(mesh("  sources:\n  - {name: a, sourceType: generator, output: {topic: orders-eu}}\n  - {name: "
                             "b, sourceType: generator, output: "
                             "{topic: prices}}\n  sinks:\n  - {name: out, sinkType: drop, input: {topicPattern: "
                             "'persistent://public/default/orders-.*'}}\n")));
  EXPECT_EQ(graph.streams.size(), 2u);
  EXPECT_THAT(graph.edges, testing::Contains(GraphEdge{2, 0, false, EdgeRole::kData}));
}

TEST(Pattern, IsCheckedAndBounded) {
  EXPECT_TRUE(check_pattern("persistent://a/b/c-(x|y).*"));
  EXPECT_FALSE(check_pattern("a/b/(c"));
  EXPECT_FALSE(check_pattern(std::string(2000, 'a')));
  const std::set<std::string> topics = {"persistent://public/default/" + std::string(60, 'a')};
  EXPECT_THAT(matching_topics("(a*)*b", topics), IsEmpty());
  EXPECT_THAT(matching_topics("a+", topics), testing::SizeIs(1)) << "a short form means public/default";
}

TEST(Check, NotesCyclesAndSaysNothingElseOfASoundMesh) {
  EXPECT_EQ(checked(kLoop), "m.yaml:8:5: note: spec.functions[0]: cycle: work, retry feed each other\n");
}

TEST(Check, WarnsOfACycleThatNothingEnters) {
  EXPECT_THAT(checked(mesh("  functions:\n" + map("a", "input: {topics: [x]}, output: {topic: y}") +
                           map("b", "input: {topics: [y]}, output: {topic: x}"))),
              HasSubstr("warning: spec.functions[0]: the cycle of a, b has no input from outside"));
}

TEST(Check, WarnsOfHostsThatAreNotHere) {
  EXPECT_THAT(
      checked(mesh("  functions:\n  - {name: j, genericRuntime: {language: nodejs, functionFile: j.js}, "
                   "input: {topics: [x]}}\n")),
      HasSubstr("warning: spec.functions[0]: j does not run on one machine: the language 'nodejs' needs an instance "
                "that is not part of Pulsar's distribution"));
}

TEST(Check, WarnsOfLooseEnds) {
  const std::string text = checked(mesh("  functions:\n" + map("a", "input: {topics: [x]}, output: {topic: y}")));
  EXPECT_THAT(text, HasSubstr("spec.functions[0].input.topics[0]: nobody here writes the stream x"));
  EXPECT_THAT(text, HasSubstr("spec.functions[0].output.topic: nobody here reads the stream y"));
}

TEST(Check, KeepsLooseEndsBackWhileThereAreErrors) {
  const std::string text =
      checked(mesh("  functions:\n" + map("a", "input: {topics: [x, 'a/b']}, output: {topic: y}")));
  EXPECT_THAT(text, HasSubstr("Input topic a/b is invalid"));
  EXPECT_THAT(text, Not(HasSubstr("nobody")));
}

TEST(Check, RefusesPatternsThatAreNoExpressions) {
  EXPECT_THAT(checked(mesh("  sinks:\n  - {name: s, sinkType: drop, input: {topicPattern: 'public/default/(x'}}\n")),
              HasSubstr("spec.sinks[0].input.topicPattern: not a regular expression"));
}

TEST(Draw, ShowsACycleInATerminal) {
  EXPECT_EQ("\n" + draw_terminal(make_graph(set_of(kLoop))), R"(
                   ┌───────────┐
                   │ src       │
                   │ generator │
                   └───────────┘
                         │
                         ▼
                      ( in )
                         │
                         ▼
                  ┌─────────────┐
                  │ work        │
                  │ builtin map │
                  └─────────────┘
                         │ ▲
    ┌────────────────────┴─│─┐
    │                      └─│───────────────┐
    ▼                        ▼               │
( done )           ( bad: dead letters )     │
    │                        │               │
    ▼                        ▼               │
┌───────┐             ┌─────────────┐        │
│ out   │             │ retry       │        │
│ drop  │             │ builtin map │        │
└───────┘             └─────────────┘        │
                             │               │
                             └───┐ ┌─────────┘
                                 ▼ │
                             ( again )
cycle: work, retry
log logs: out
)");
}

TEST(Draw, WritesMermaidAndDot) {
  const Graph graph = make_graph(set_of(kLoop));
  EXPECT_THAT(draw_mermaid(graph), HasSubstr("  c1[\"work<br/>builtin map\"]\n"));
  EXPECT_THAT(draw_mermaid(graph), HasSubstr("  c1 -. dead letters .-> s1\n"));
  EXPECT_THAT(draw_dot(graph), HasSubstr("  c1 -> s1 [style=dashed, label=\"dead letters\"];\n"));
}

TEST(Draw, WritesJson) {
  EXPECT_THAT(graph_json(make_graph(set_of(kLoop))), HasSubstr(R"("cycles": [
    [
      "work",
      "retry"
    ]
  ])"));
}

TEST(Draw, EscapesNamesInSvg) {
  Graph graph;
  graph.components.push_back({"a<b>&\"", "", model::ComponentType::kFunction, "map", false, false});
  EXPECT_THAT(draw_svg(graph), HasSubstr(">a&lt;b&gt;&amp;&quot;</text>"));
  EXPECT_THAT(draw_svg(graph), Not(HasSubstr("a<b")));
}

TEST(Draw, ListsMeshesThatAreTooLargeToDraw) {
  std::string parts = "  sinks:\n";
  for (size_t index = 0; index <= kDrawnComponentsMax; ++index) {
    parts += fmt::format("  - {{name: s{}, sinkType: drop, input: {{topics: [x]}}}}\n", index);
  }
  EXPECT_THAT(draw_terminal(make_graph(set_of(mesh(parts)))), HasSubstr("s7 (drop): x -> outside\n"));
}

}  // namespace
}  // namespace fmesh::plan
