#include "plan/cluster/backend.h"

#include "plan/cluster/objects_test_support.h"

namespace fmesh::plan {
namespace {

constexpr const char* kPod = "/spec/template/spec";

ClusterObjects with(const model::Component& component, std::string_view global, std::string_view namespaced,
                    const ClusterOptions& options = {}) {
  const model::BackendConfig one = backend_config(global), two = backend_config(namespaced);
  return objects_of(component, options, {&one, &two});
}

// Upstream's order is that of a Go map, so that every change of a resource may restart its pods.
TEST(Backend, EnvironmentIsSortedAndBeforeTheContainersOwn) {
  const auto pod = pod_of(with(java_function("pod: {env: [{name: OWN, value: x}], sidecars: [{name: side}]}"),
                               "env: {Z: '1', SHARED: global}", "env: {A: '2', SHARED: near}"));
  EXPECT_EQ(names_in(pod, "/containers/1/env"), "A,SHARED,Z,POD_NAME,OWN");
  EXPECT_EQ(text_at(pod, "/containers/1/env/1/value"), "\"near\"");
  EXPECT_EQ(names_in(pod, "/containers/0/env"), "A,SHARED,Z");
}

TEST(Backend, AVariableOfTheResourceWinsAndIsThereOnce) {
  const auto pod = pod_of(with(java_function("pod: {env: [{name: A, value: own}]}"), "env: {A: '1'}", "env: {A: '2'}"));
  EXPECT_EQ(text_at(pod, "/containers/0/env/1"), R"({"name":"A","value":"own"})");
  EXPECT_EQ(names_in(pod, "/containers/0/env"), "POD_NAME,A");
}

TEST(Backend, TheResourceWinsOverTheNamespaceAndThatOverTheCluster) {
  const ClusterObjects objects = with(
      java_function("pod: {labels: {c: own}, annotations: {c: own}, nodeSelector: {c: own}, tolerations: [{key: "
                    "own}], imagePullSecrets: [{name: own}]}"),
      "pod: {labels: {a: g, b: g, c: g}, annotations: {a: g, b: g, c: g, prometheus.io/port: g}, nodeSelector: {a: "
      "g, b: g, c: g}, tolerations: [{key: g}], imagePullSecrets: [{name: g}], terminationGracePeriodSeconds: 1, "
      "serviceAccountName: g, liveness: {periodSeconds: 1}}",
      "pod: {labels: {b: n, c: n}, annotations: {b: n, c: n}, nodeSelector: {b: n, c: n}, tolerations: [{key: n}], "
      "imagePullSecrets: [{name: n}], terminationGracePeriodSeconds: 2, serviceAccountName: n, liveness: "
      "{periodSeconds: 2}}");
  const boost::json::value set = objects.stateful_set;
  const auto pod = pod_of(objects);
  for (const char* map :
       {"/spec/template/metadata/labels", "/spec/template/metadata/annotations", "/spec/template/spec/nodeSelector"}) {
    EXPECT_EQ(text_at(set, std::string(map) + "/a"), "\"g\"") << map;
    EXPECT_EQ(text_at(set, std::string(map) + "/b"), "\"n\"") << map;
    EXPECT_EQ(text_at(set, std::string(map) + "/c"), "\"own\"") << map;
  }
  EXPECT_EQ(text_at(set, "/spec/template/metadata/annotations/prometheus.io~1port"), "\"9094\"");
  EXPECT_EQ(text_at(pod, "/tolerations"), R"([{"key":"g"},{"key":"n"},{"key":"own"}])");
  EXPECT_EQ(names_in(pod, "/imagePullSecrets"), "g,n,own");
  EXPECT_EQ(text_at(pod, "/terminationGracePeriodSeconds"), "2");
  EXPECT_EQ(text_at(pod, "/serviceAccountName"), "\"n\"");
  EXPECT_EQ(text_at(pod, "/containers/0/livenessProbe/periodSeconds"), "2");
}

// D17
TEST(Backend, AffinityAndSecurityContextCountWhereTheResourceHasNone) {
  const char* config = "pod: {affinity: {nodeAffinity: {x: 1}}, securityContext: {runAsUser: 5}}";
  const auto pod = pod_of(with(java_function(), config, "autoUpdate: true"));
  EXPECT_EQ(text_at(pod, "/affinity/nodeAffinity"), R"({"x":1})");
  EXPECT_EQ(text_at(pod, "/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/0/weight"), "100");
  EXPECT_EQ(text_at(pod, "/securityContext"), R"({"runAsUser":5})");
  const auto own = pod_of(with(java_function("pod: {affinity: {podAffinity: {y: 1}}, securityContext: {runAsUser: 6}}"),
                               config, "autoUpdate: true"));
  EXPECT_EQ(text_at(own, "/affinity/nodeAffinity"), "absent");
  EXPECT_EQ(text_at(own, "/securityContext"), R"({"runAsUser":6})");
}

TEST(Backend, SelectorLabelsCantBeOverridden) {
  const ClusterObjects objects =
      with(java_function("pod: {labels: {app: mine, component: mine}}"), "pod: {labels: {name: g}}",
           "pod: {labels: {namespace: n}}", {.runner = {.labels = {{"compute.functionmesh.io/name", "r"}}}});
  const boost::json::value set = objects.stateful_set;
  for (const auto& [label, text] : component_labels(model::Kind::kFunction, "shop", "orders")) {
    EXPECT_EQ(set.at_pointer("/spec/template/metadata/labels").at(label).as_string(), text) << label;
    EXPECT_EQ(set.at_pointer("/spec/selector/matchLabels").at(label).as_string(), text) << label;
  }
}

TEST(Backend, WhatUpstreamPassesOverHasNoEffect) {
  const char* config =
      "pod: {env: [{name: X, value: '1'}], volumes: [{name: x}], sidecars: [{name: x}], initContainers: [{name: y}], "
      "vpa: "
      "{updatePolicy: {updateMode: 'Off'}}, disableDefaultAffinity: true, builtinAutoscaler: [a]}";
  EXPECT_EQ(model::write_json(with(java_function(), config, config).stateful_set),
            model::write_json(objects_of(java_function()).stateful_set));
}

TEST(Backend, TheGlobalConfigOfItsOwnNamespaceCountsOnce) {
  const model::BackendConfig both = backend_config("pod: {tolerations: [{key: t}]}");
  EXPECT_EQ(text_at(objects_of(java_function(), {}, {&both, &both}).stateful_set, std::string(kPod) + "/tolerations"),
            R"([{"key":"t"}])");
}

}  // namespace
}  // namespace fmesh::plan
