#include "model/live.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "model/fields.h"

namespace fmesh::model {
namespace {

TEST(Live, ReadsWhatTheApiServerHoldsAndPassesOverTheRest) {
  const LiveResource live = read_live(R"({
    "apiVersion": "compute.functionmesh.io/v1alpha1", "kind": "Function",
    "metadata": {"name": "f", "namespace": "n", "uid": "u-1", "resourceVersion": "42", "generation": 3,
                 "finalizers": ["a", "b"], "deletionTimestamp": "2026-01-01T00:00:00Z", "annotations": {"x": "y"},
                 "managedFields": [{"manager": "kubectl"}]},
    "spec": {"className": "C", "noSuchField": {"a": 1}, "replicas": "two", "input": {"topics": ["t"]}},
    "status": {"observedGeneration": 2, "conditions": {"StatefulSet": {"condition": "StatefulSetReady"}}, "more": 1}
  })");
  EXPECT_EQ(live.kind, Kind::kFunction);
  EXPECT_EQ(live.uid, "u-1");
  EXPECT_EQ(live.resource_version, "42");
  EXPECT_EQ(live.generation, 3);
  EXPECT_TRUE(live.being_deleted);
  EXPECT_EQ(live.finalizers, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(live.metadata.annotations.at("x"), "y");
  ASSERT_TRUE(live.component);
  EXPECT_EQ(live.component->spec.class_name, "C");
  EXPECT_EQ(live.component->spec.input.topics, std::vector<std::string>{"t"});
  EXPECT_EQ(live.component->spec.tenant, "public");
  EXPECT_EQ(live.component_status.observed_generation, 2);
  EXPECT_EQ(live.component_status.conditions.at("StatefulSet").condition, "StatefulSetReady");
  EXPECT_FALSE(live.findings.ok());
}

TEST(Live, TakesANumberThatCanNotBeReadAsNotGiven) {
  const LiveResource live = read_live(R"({"apiVersion": "compute.functionmesh.io/v1alpha1", "kind": "Function",
    "metadata": {"name": "f"}, "spec": {"replicas": "two", "minReplicas": 2, "maxReplicas": -99999999999,
    "autoAck": "no", "maxPendingAsyncRequests": 0, "forwardSourceMessageProperty": false}})");
  const ComponentSpec& spec = live.component->spec;
  EXPECT_EQ(spec.replicas, 2);  // the default, not 0
  EXPECT_FALSE(spec.max_replicas);
  EXPECT_FALSE(spec.auto_ack);
  EXPECT_EQ(spec.max_pending_async_requests, 0);
  EXPECT_EQ(spec.forward_source_message_property, false);
  EXPECT_EQ(live.findings.errors(), 3U);
}

TEST(Live, ReadsAMeshWithItsItemsAndStatus) {
  const LiveResource live = read_live(R"({
    "apiVersion": "compute.functionmesh.io/v1alpha1", "kind": "FunctionMesh",
    "metadata": {"name": "m", "namespace": "n", "uid": "u"},
    "spec": {"functions": [{"name": "a"}], "sinks": [{"name": "b"}]},
    "status": {"functionConditions": {"a": {"status": "True"}}}
  })");
  ASSERT_TRUE(live.mesh);
  ASSERT_EQ(live.items.size(), 2U);
  EXPECT_EQ(live.items[0].metadata.name, "m-a");
  EXPECT_EQ(live.items[1].kind, Kind::kSink);
  EXPECT_EQ(live.mesh_status.function_conditions.at("a").status, "True");
}

TEST(Live, FillsInWhatNoPodCanDoWithoutAndNothingThatWouldChangePods) {
  const LiveResource live = read_live(R"({"apiVersion": "compute.functionmesh.io/v1alpha1", "kind": "Function",
    "metadata": {"name": "f"}, "spec": {"minReplicas": 2, "logTopic": "l"}})");
  const ComponentSpec& spec = live.component->spec;
  EXPECT_EQ(spec.name, "f");
  EXPECT_EQ(spec.cluster_name, "kubernetes");
  EXPECT_EQ(spec.replicas, 2);
  EXPECT_EQ(spec.resources, ResourceRequirements());
  EXPECT_FALSE(spec.max_pending_async_requests);
  EXPECT_EQ(spec.log_topic_agent, "");
  const LiveResource mesh = read_live(R"({"apiVersion": "compute.functionmesh.io/v1alpha1", "kind": "FunctionMesh",
    "metadata": {"name": "m"}, "spec": {"functions": [{"name": "a"}]}})");
  EXPECT_EQ(mesh.items.at(0).spec.tenant, "");
  EXPECT_FALSE(mesh.items.at(0).spec.replicas);
}

TEST(Live, AStatusWithNothingRunningHasWhatTheSchemaRequires) {
  const ComponentStatus none;
  EXPECT_EQ(write(struct_info<ComponentStatus>(), &none, kComponents),
            boost::json::parse(R"({"conditions": {}, "replicas": 0, "selector": ""})"));
}

TEST(Live, AnEmptyFieldThatTheSchemaRequiresIsWrittenAgain) {
  const LiveResource live = read_live(R"({"apiVersion": "compute.functionmesh.io/v1alpha1", "kind": "Function",
    "metadata": {"name": "f"}, "spec": {"java": {"jar": ""}}})");
  const boost::json::value spec = write(struct_info<ComponentSpec>(), &live.component->spec, kF);
  EXPECT_EQ(spec.at("java"), boost::json::parse(R"({"jar": ""})"));
}

TEST(Live, GivesNothingForTextThatIsNoResourceOfOurs) {
  for (const char* text : {"", "{", "[]", "1", R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"}})"}) {
    const LiveResource live = read_live(text);
    EXPECT_FALSE(live.component || live.mesh || live.backend_config) << text;
  }
}

}  // namespace
}  // namespace fmesh::model
