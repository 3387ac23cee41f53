#include "plan/local_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan/check.h"

namespace fmesh::plan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kMesh = R"(apiVersion: compute.functionmesh.io/v1alpha1
kind: FunctionMesh
metadata: {name: shop}
spec:
  sources:
    - name: orders
      sourceType: generator
      sourceConfig: {rate: 10, template: {b: 1.0, a: "<x>"}}
      output: {topic: orders}
  functions:
    - name: enrich
      className: map
      genericRuntime: {language: builtin}
      funcConfig: {expression: ".a"}
      input: {topics: [orders]}
      output: {topic: t/n/enriched}
      replicas: 2
      maxReplicas: 4
      maxMessageRetry: 3
      secretsMap: {KEY: {path: s, key: k}}
  sinks:
    - name: out
      sinkType: console
      input: {topics: [persistent://t/n/enriched]}
---
apiVersion: v1
kind: Secret
metadata: {name: s}
stringData: {k: v}
)";

TEST(LocalPlan, MakesInstanceSpecsAndStreamsOfAMesh) {
  const model::ResourceSet set = model::read_text("/data/mesh.yaml", kMesh);
  const model::Diagnostics findings = check(set, model::Target::kLocal);
  ASSERT_EQ(render(findings, set.sources), "");
  const auto plan = make_local_plan(set, {.partitions = 2, .only = {}});
  ASSERT_TRUE(plan) << plan.error().to_string();
  ASSERT_EQ(plan->components.size(), 3u);

  const ComponentPlan& source = plan->components[0];
  EXPECT_EQ(source.spec.host, model::HostKind::kSource);
  EXPECT_EQ(source.spec.component, "orders");
  EXPECT_EQ(source.spec.base_directory, "/data");
  EXPECT_EQ(source.spec.details.source->builtin, "generator");
  EXPECT_EQ(source.spec.details.source->configs, R"({"rate":10,"template":{"a":"\u003cx\u003e","b":1}})");
  EXPECT_EQ(source.spec.details.sink->topic, "persistent://public/default/orders");

  const ComponentPlan& map = plan->components[1];
  EXPECT_EQ(map.spec.host, model::HostKind::kBuiltin);
  EXPECT_EQ(map.spec.details.name, "enrich") << "not the name of the child resource";
  EXPECT_EQ(map.spec.details.class_name, "map");
  EXPECT_EQ(map.mesh, "shop");
  EXPECT_EQ(map.replicas, 2);
  EXPECT_EQ(map.min_replicas, 1);
  EXPECT_EQ(map.max_replicas, 4);
  EXPECT_EQ(map.spec.secrets.at("KEY"), "v");
  EXPECT_THAT(map.inputs, ElementsAre("persistent://public/default/orders"));
  EXPECT_THAT(map.outputs,
              ElementsAre("persistent://t/n/enriched", "persistent://public/default/public-default-enrich-DLQ"));
  EXPECT_EQ(map.place.line, 11);

  EXPECT_THAT(plan->streams, ElementsAre(StreamPlan{"persistent://public/default/orders", 2},
                                         StreamPlan{"persistent://public/default/public-default-enrich-DLQ", 2},
                                         StreamPlan{"persistent://t/n/enriched", 2}));
}

TEST(LocalPlan, ComparesComponentsForReload) {
  const auto plan_of = [](const std::string& text) {
    return make_local_plan(model::read_text("/data/mesh.yaml", text), {}).value();
  };
  const std::string text = kMesh;
  std::string scaled = text, changed = text;
  scaled.replace(scaled.find("replicas: 2"), 11, "replicas: 3");
  changed.replace(changed.find("\".a\""), 4, "\".b\"");
  const LocalPlan before = plan_of(text);
  EXPECT_EQ(before.components, plan_of("# moved by a line\n" + text).components);
  EXPECT_NE(before.components[1], plan_of(scaled).components[1]);
  EXPECT_TRUE(before.components[1].same_instances(plan_of(scaled).components[1]));
  EXPECT_FALSE(before.components[1].same_instances(plan_of(changed).components[1]));
  EXPECT_EQ(before.components[0], plan_of(changed).components[0]);
}

TEST(LocalPlan, KeepsOnlyTheNamedComponents) {
  const model::ResourceSet set = model::read_text("/data/mesh.yaml", kMesh);
  const auto plan = make_local_plan(set, {.only = {"out"}});
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->components.size(), 1u);
  EXPECT_THAT(plan->streams, ElementsAre(StreamPlan{"persistent://t/n/enriched", 0}));
  const auto wrong = make_local_plan(set, {.only = {"outt"}});
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().to_string(), HasSubstr("no component outt"));
}

TEST(LocalPlan, RefusesHostsThatAreNotHere) {
  const auto plan = make_local_plan(model::read_text("f.yaml", R"(apiVersion: compute.functionmesh.io/v1alpha1
kind: Function
metadata: {name: f}
spec:
  genericRuntime: {language: wasm, functionFile: f.wasm}
  input: {topics: [a]}
)"),
                                    {});
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().kind(), ErrorKind::kFixInput);
  EXPECT_THAT(plan.error().to_string(), HasSubstr("f.yaml:4:1: spec: the language 'wasm' needs an instance"));
}

}  // namespace
}  // namespace fmesh::plan
