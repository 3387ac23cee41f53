#include "plan/cluster/cluster_plan.h"

#include "plan/cluster/objects_test_support.h"

namespace fmesh::plan {
namespace {

using testing::HasSubstr;

constexpr const char* kOwner =
    R"([{"apiVersion":"compute.functionmesh.io/v1alpha1","kind":"Function","name":"orders",)"
    R"("uid":"0e6f6b8c-1111-2222-3333-444455556666","controller":true,"blockOwnerDeletion":true}])";

TEST(ClusterPlan, StatefulSetIsUpstreams) {
  const boost::json::value set = objects_of(java_function("replicas: 3")).stateful_set;
  EXPECT_EQ(text_at(set, "/apiVersion"), "\"apps/v1\"");
  EXPECT_EQ(text_at(set, "/metadata/name"), "\"orders-function\"");
  EXPECT_EQ(text_at(set, "/metadata/namespace"), "\"shop\"");
  EXPECT_EQ(text_at(set, "/metadata/ownerReferences"), kOwner);
  EXPECT_EQ(text_at(set, "/spec/replicas"), "3");
  EXPECT_EQ(text_at(set, "/spec/serviceName"), "\"orders-function-headless\"");
  EXPECT_EQ(text_at(set, "/spec/podManagementPolicy"), "\"Parallel\"");
  EXPECT_EQ(text_at(set, "/spec/updateStrategy"), R"({"type":"RollingUpdate"})");
  EXPECT_EQ(text_at(set, "/spec/selector/matchLabels"), text_at(set, "/metadata/labels"));
}

TEST(ClusterPlan, ServiceIsUpstreams) {
  const boost::json::value service = objects_of(java_function()).service;
  EXPECT_EQ(text_at(service, "/metadata/name"), "\"orders-function-headless\"");
  EXPECT_EQ(text_at(service, "/metadata/ownerReferences"), kOwner);
  EXPECT_EQ(text_at(service, "/spec/clusterIP"), "\"None\"");
  EXPECT_EQ(text_at(service, "/spec/ports"),
            R"([{"name":"tcp-grpc","protocol":"TCP","port":9093,"targetPort":9093},)"
            R"({"name":"http-metrics","protocol":"TCP","port":9094,"targetPort":9094}])");
}

TEST(ClusterPlan, ClaimsAndTheirRetentionAreCarried) {
  const boost::json::value set =
      objects_of(java_function("volumeClaimTemplates: [{metadata: {name: c}, spec: {x: 1}}], "
                               "persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete}"))
          .stateful_set;
  EXPECT_EQ(text_at(set, "/spec/volumeClaimTemplates"), R"([{"metadata":{"name":"c"},"spec":{"x":1}}])");
  EXPECT_EQ(text_at(set, "/spec/persistentVolumeClaimRetentionPolicy"), R"({"whenDeleted":"Delete"})");
}

TEST(ClusterPlan, ScaledToZeroIsZero) {
  EXPECT_EQ(text_at(objects_of(java_function("replicas: 0")).stateful_set, "/spec/replicas"), "0");
}

// D21 and defect 1: upstream's operator dies of each of these, and again after every start.
TEST(ClusterPlan, WhatIsMissingIsTakenAtItsDefault) {
  const boost::json::value set = objects_of(java_function()).stateful_set;
  EXPECT_EQ(text_at(set, "/spec/replicas"), "1");
  const std::string command = text_at(set, "/spec/template/spec/containers/0/command/2");
  EXPECT_THAT(command, HasSubstr(R"(\"forwardSourceMessageProperty\":true)"));
  EXPECT_THAT(command, HasSubstr(R"(\"tenant\":\"public\",\"namespace\":\"default\",\"name\":\"orders\")"));
  EXPECT_THAT(command, HasSubstr("--cluster_name kubernetes"));
  EXPECT_EQ(text_at(objects_of(java_function("minReplicas: 2")).stateful_set, "/spec/replicas"), "2");
  objects_of(component_of("Source",
                          "className: C, java: {jar: a.nar}, pulsar: {pulsarConfig: b}, output: {topic: o}, "
                          "batchSourceConfig: {discoveryTriggererClassName: T}"));
}

TEST(ClusterPlan, WhatCantBeRenderedIsRefusedWithTheWayOut) {
  EXPECT_THAT(refusal_of(component_of("Function", "className: C, java: {jar: a}, input: {topics: [i]}")),
              HasSubstr("Function orders: spec.pulsar.pulsarConfig: is missing; expected the name of a ConfigMap"));
  EXPECT_THAT(refusal_of(component_of("Function", "className: C, pulsar: {pulsarConfig: b}")),
              HasSubstr("no runtime is given"));
  EXPECT_THAT(refusal_of(component_of("Sink", "className: C, pulsar: {pulsarConfig: b}, python: {py: a}")),
              HasSubstr("needs `java`"));
}

// D1
TEST(ClusterPlan, AGoFunctionWithoutPlainTopicsIsRendered) {
  for (const char* input : {"topicPattern: 'a-.*'", "sourceSpecs: {a: {}}", "customSerdeSources: {a: S}"}) {
    objects_of(
        component_of("Function", fmt::format("golang: {{go: g}}, pulsar: {{pulsarConfig: b}}, input: {{{}}}", input)));
  }
}

// D11: upstream's StatefulSet mounts a volume that is not there.
TEST(ClusterPlan, AGenericFunctionIsDownloadedByAnInitContainer) {
  const auto pod =
      pod_of(objects_of(component_of("Function",
                                     "genericRuntime: {functionFile: f.js, language: nodejs, functionFileLocation: "
                                     "'function://a/b/c@1'}, pulsar: {pulsarConfig: b}, input: {topics: [i]}"),
                        {.init_containers = true}));
  EXPECT_EQ(names_in(pod, "/initContainers"), "downloader");
  EXPECT_EQ(names_in(pod, "/volumes"), "downloader-volume");
  EXPECT_EQ(names_in(pod, "/containers/0/volumeMounts"), "downloader-volume");
}

// D18 and defect 12: upstream writes batch keys, pull secrets and windows into the resource, which restarts its pods.
TEST(ClusterPlan, AResourceIsNeverChangedAndGivesTheSameBytesEachTime) {
  const model::Component batch = component_of(
      "Source",
      "className: C, java: {jar: a.nar}, pulsar: {pulsarConfig: b}, output: {topic: o}, sourceConfig: {x: 1}, "
      "batchSourceConfig: {discoveryTriggererClassName: T, discoveryTriggererConfig: {y: 2}}");
  const model::Component window = java_function("windowConfig: {windowLengthCount: 5, slidingIntervalCount: 5}");
  const ClusterOptions options{.runner = {.image_pull_secrets = {"corp"}}};
  for (const model::Component& component : {batch, window}) {
    const model::ComponentSpec before = component.spec;
    const ClusterObjects first = objects_of(component, options);
    const ClusterObjects second = objects_of(component, options);
    EXPECT_TRUE(component.spec == before);
    EXPECT_EQ(model::write_json(first.stateful_set), model::write_json(second.stateful_set));
  }
}

// The reader of the API server's answers may give members of a map in any order.
TEST(ClusterPlan, TheOrderOfMapsInAResourceDoesNotMatter) {
  const auto one =
      java_function("secretsMap: {A: {path: s, key: k}, B: {path: s, key: k}}, pod: {labels: {x: y, a: b}}");
  const auto two =
      java_function("secretsMap: {B: {path: s, key: k}, A: {path: s, key: k}}, pod: {labels: {a: b, x: y}}");
  EXPECT_EQ(model::write_json(objects_of(one).stateful_set), model::write_json(objects_of(two).stateful_set));
}

// D14
TEST(ClusterPlan, CleanupNeedsNoPod) {
  const auto plain = objects_of(java_function()), cleaned = objects_of(java_function("cleanupSubscription: true"));
  EXPECT_EQ(text_at(plain.service, "/spec/selector"), text_at(cleaned.service, "/spec/selector"));
  EXPECT_EQ(names_in(pod_of(cleaned), "/containers"), "pulsar-function");
}

// What admission fills in later would restart the pods of resources that are there.
TEST(ClusterPlan, DefaultsOfAdmissionAreNotPutIntoPods) {
  const auto pod = pod_of(objects_of(java_function("logTopic: l")));
  EXPECT_EQ(text_at(pod, "/containers/0/resources"), "absent");
  EXPECT_THAT(text_at(pod, "/containers/0/command/2"), testing::Not(HasSubstr("--pending_async_requests")));
}

TEST(ClusterPlan, AMeshsChildIsTheItemAsWritten) {
  model::Component item = component_of("Sink", "name: tail, className: C, sinkConfig: {b: 1, a: {}}, replicas: 0");
  item.metadata.name = child_name("line", "tail");
  EXPECT_EQ(
      model::write_json(make_mesh_child(item, {"FunctionMesh", "line", "u-1"})),
      R"({"apiVersion":"compute.functionmesh.io/v1alpha1","kind":"Sink","metadata":{"name":"line-tail",)"
      R"("namespace":"shop","ownerReferences":[{"apiVersion":"compute.functionmesh.io/v1alpha1",)"
      R"("kind":"FunctionMesh","name":"line","uid":"u-1","controller":true,"blockOwnerDeletion":true}]},)"
      R"("spec":{"name":"tail","className":"C","replicas":0,"input":{},"sinkConfig":{"b":1,"a":{}},"resources":{},)"
      R"("pod":{}}})");
}

}  // namespace
}  // namespace fmesh::plan
