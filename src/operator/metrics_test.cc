#include "operator/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fmesh::op {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Metrics, AreTextAsPrometheusReadsIt) {
  Metrics metrics;
  const kube::WorkKey key{"Function", "n", "f"};
  metrics.record(key, 0.5, false);
  metrics.record(key, 200, true);
  metrics.set({3, 1, 7, true});
  const std::string text = metrics.text();
  EXPECT_THAT(text, HasSubstr("# TYPE function_mesh_reconcile_count counter\n"
                              "function_mesh_reconcile_count{name=\"f\",namespace=\"n\",type=\"function\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE function_mesh_reconcile_latency histogram\n"));
  const std::string labels = "name=\"f\",namespace=\"n\",type=\"function\"";
  EXPECT_THAT(text, HasSubstr("function_mesh_reconcile_latency_bucket{" + labels + ",le=\"10\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("function_mesh_reconcile_latency_bucket{" + labels + ",le=\"+Inf\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("function_mesh_reconcile_latency_sum{" + labels + "} 200.5\n"));
  EXPECT_THAT(text, HasSubstr("function_mesh_reconcile_latency_count{" + labels + "} 2\n"));
  EXPECT_THAT(text, HasSubstr("controller_runtime_reconcile_total{controller=\"function\",result=\"error\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("workqueue_depth{name=\"resources\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("fmesh_api_writes 7\n"));
  metrics.forget(key);
  EXPECT_THAT(metrics.text(), Not(HasSubstr("name=\"f\"")));
}

}  // namespace
}  // namespace fmesh::op
