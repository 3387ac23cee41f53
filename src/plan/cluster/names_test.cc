#include "plan/cluster/names.h"

#include "plan/cluster/objects_test_support.h"

namespace fmesh::plan {
namespace {

using model::Kind;

TEST(ClusterNames, AreUpstreams) {
  EXPECT_EQ(stateful_set_name(Kind::kFunction, "a"), "a-function");
  EXPECT_EQ(stateful_set_name(Kind::kSource, "a"), "a-source");
  EXPECT_EQ(stateful_set_name(Kind::kSink, "a"), "a-sink");
  EXPECT_EQ(service_name(Kind::kSink, "a"), "a-sink-headless");
  EXPECT_EQ(container_name(Kind::kSource), "pulsar-source");
  EXPECT_EQ(child_name("mesh", "item"), "mesh-item");
}

// Selectors can't be changed, and so have to be upstream's to the letter.
TEST(ClusterNames, LabelsAreUpstreams) {
  const model::StringMap sink{{"app.kubernetes.io/instance", "a-sink"},
                              {"app.kubernetes.io/name", "a-sink"},
                              {"component", "sink"},
                              {"compute.functionmesh.io/component", "sink"},
                              {"compute.functionmesh.io/name", "a"},
                              {"compute.functionmesh.io/namespace", "n"},
                              {"name", "a"},
                              {"namespace", "n"}};
  EXPECT_EQ(component_labels(Kind::kSink, "n", "a"), sink);
  const model::StringMap function = component_labels(Kind::kFunction, "n", "a");
  EXPECT_EQ(function.size(), 10U);
  EXPECT_EQ(function.at("app"), "function-mesh");
  EXPECT_EQ(function.at("compute.functionmesh.io/app"), "function-mesh");
}

TEST(ClusterNames, OfAResourceWithoutNamespaceAreInDefault) {
  model::Component component = java_function();
  component.metadata.name_space.clear();
  const ClusterObjects objects = objects_of(component);
  EXPECT_EQ(text_at(objects.service, "/metadata/namespace"), "\"default\"");
  EXPECT_EQ(text_at(objects.service, "/spec/selector/namespace"), "\"default\"");
}

}  // namespace
}  // namespace fmesh::plan
