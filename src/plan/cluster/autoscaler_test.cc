#include "plan/cluster/autoscaler.h"

#include "plan/cluster/objects_test_support.h"

namespace fmesh::plan {
namespace {

constexpr const char* kResources =
    "resources: {requests: {cpu: 100m, memory: 1G}, limits: {cpu: 200m, memory: 1.1G}}, ";

boost::json::value hpa_of(const std::string& more) {
  const ClusterObjects objects = objects_of(java_function(kResources + more));
  EXPECT_TRUE(objects.horizontal_pod_autoscaler);
  return objects.horizontal_pod_autoscaler.value_or(boost::json::object());
}

std::string metrics_of(const std::string& more) { return text_at(hpa_of(more), "/spec/metrics"); }

std::string utilization(const char* resource, int percent) {
  return fmt::format(
      R"({{"type":"Resource","resource":{{"name":"{}","target":{{"type":"Utilization","averageUtilization":{}}}}}}})",
      resource, percent);
}

TEST(Autoscaler, AimsAtTheResourceAndIsNamedAsTheStatefulSet) {
  const auto hpa = hpa_of("minReplicas: 2, maxReplicas: 5");
  EXPECT_EQ(text_at(hpa, "/apiVersion"), "\"autoscaling/v2\"");
  EXPECT_EQ(text_at(hpa, "/metadata/name"), "\"orders-function\"");
  EXPECT_EQ(text_at(hpa, "/spec/scaleTargetRef"),
            R"({"apiVersion":"compute.functionmesh.io/v1alpha1","kind":"Function","name":"orders"})");
  EXPECT_EQ(text_at(hpa, "/spec/minReplicas"), "2");
  EXPECT_EQ(text_at(hpa, "/spec/maxReplicas"), "5");
}

TEST(Autoscaler, IsThereOnlyWithMaxReplicas) {
  EXPECT_FALSE(objects_of(java_function("replicas: 3")).horizontal_pod_autoscaler);
}

TEST(Autoscaler, PercentagesAreOfTheLimit) {
  EXPECT_EQ(metrics_of("maxReplicas: 5"), "[" + utilization("cpu", 160) + "]");
  EXPECT_EQ(metrics_of("maxReplicas: 5, pod: {builtinAutoscaler: [AverageUtilizationMemoryPercent80]}"),
            "[" + utilization("memory", 88) + "]");
}

TEST(Autoscaler, TheFirstBuiltinRuleOfAResourceCountsAndUnknownOnesDoNot) {
  EXPECT_EQ(
      metrics_of("maxReplicas: 5, pod: {builtinAutoscaler: [AverageUtilizationMemoryPercent20, nonsense, "
                 "AverageUtilizationCPUPercent99, AverageUtilizationCPUPercent50, AverageUtilizationCPUPercent20]}"),
      "[" + utilization("cpu", 100) + "," + utilization("memory", 22) + "]");
}

TEST(Autoscaler, WithoutLimitOrRequestPercentagesStay) {
  const ClusterObjects objects = objects_of(java_function("maxReplicas: 5, resources: {requests: {cpu: 100m}}"));
  EXPECT_EQ(text_at(*objects.horizontal_pod_autoscaler, "/spec/metrics"), "[" + utilization("cpu", 80) + "]");
  const ClusterObjects zero =
      objects_of(java_function("maxReplicas: 5, resources: {requests: {cpu: 0}, limits: {cpu: 1}}"));
  EXPECT_EQ(text_at(*zero.horizontal_pod_autoscaler, "/spec/metrics"), "[" + utilization("cpu", 80) + "]");
}

TEST(Autoscaler, AVerySmallRequestDoesNotOverflow) {
  const ClusterObjects objects = objects_of(
      java_function("maxReplicas: 5, resources: {requests: {cpu: 1n}, limits: {cpu: '9000000000000000000'}}"));
  EXPECT_EQ(text_at(*objects.horizontal_pod_autoscaler, "/spec/metrics"), "[" + utilization("cpu", 2147483647) + "]");
}

// Defect 8 of the golden page: what is left to the API server comes back as a difference for ever.
TEST(Autoscaler, MetricsAreAlwaysGiven) {
  const std::string usual = "[" + utilization("cpu", 80) + "]";
  EXPECT_EQ(metrics_of("minReplicas: 3, maxReplicas: 3"), usual);
  EXPECT_EQ(metrics_of("maxReplicas: 3, pod: {autoScalingBehavior: {scaleUp: {stabilizationWindowSeconds: 1}}}"),
            usual);
  EXPECT_EQ(metrics_of("maxReplicas: 3, pod: {builtinAutoscaler: [nonsense]}"), usual);
  EXPECT_EQ(metrics_of("maxReplicas: 3, pod: {autoScalingMetrics: []}"), "[" + utilization("cpu", 160) + "]");
}

TEST(Autoscaler, OwnMetricsAreVerbatim) {
  EXPECT_EQ(metrics_of("maxReplicas: 3, pod: {autoScalingMetrics: [{type: Pods, pods: {metric: {name: lag}}}]}"),
            R"([{"type":"Pods","pods":{"metric":{"name":"lag"}}}])");
}

// D3, and 8: both directions are whole, as the API server would make them.
TEST(Autoscaler, BehaviourIsComplete) {
  const auto hpa = hpa_of("maxReplicas: 3, pod: {autoScalingBehavior: {scaleDown: {stabilizationWindowSeconds: 120}}}");
  EXPECT_EQ(text_at(hpa, "/spec/behavior/scaleDown"),
            R"({"stabilizationWindowSeconds":120,"selectPolicy":"Max","policies":[{"type":"Percent","value":100,)"
            R"("periodSeconds":15}]})");
  EXPECT_EQ(text_at(hpa, "/spec/behavior/scaleUp"),
            R"({"stabilizationWindowSeconds":0,"selectPolicy":"Max","policies":[{"type":"Pods","value":4,)"
            R"("periodSeconds":15},{"type":"Percent","value":100,"periodSeconds":15}]})");
  EXPECT_EQ(text_at(hpa_of("maxReplicas: 3"), "/spec/behavior"), "absent");
}

TEST(Autoscaler, VerticalIsThereIfAskedForAndServed) {
  const model::Component component = java_function(
      "pod: {vpa: {updatePolicy: {updateMode: Auto, minReplicas: 1}, resourcePolicy: {containerPolicies: []}}}");
  const ClusterObjects objects = objects_of(component);
  ASSERT_TRUE(objects.vertical_pod_autoscaler);
  EXPECT_EQ(text_at(*objects.vertical_pod_autoscaler, "/spec"),
            R"({"targetRef":{"apiVersion":"compute.functionmesh.io/v1alpha1","kind":"Function","name":"orders"},)"
            R"("updatePolicy":{"updateMode":"Auto","minReplicas":1},"resourcePolicy":{"containerPolicies":[]}})");
  EXPECT_FALSE(objects_of(component, {.vpa_served = false}).vertical_pod_autoscaler);
  EXPECT_FALSE(objects_of(java_function()).vertical_pod_autoscaler);
}

}  // namespace
}  // namespace fmesh::plan
