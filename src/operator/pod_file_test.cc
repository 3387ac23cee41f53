#include "operator/pod_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace fmesh::op {
namespace {

namespace json = boost::json;
using testing::HasSubstr;

class PodFileTest : public testing::Test {
 protected:
  void SetUp() override {
    spec_.volume_mounts = model::Json(json::parse(R"([
        {"name":"all","mountPath":"/etc/all/"},{"name":"some","mountPath":"/etc/all/some"},{"name":"config","mountPath":"/c"},
        {"name":"all","mountPath":"/one/file.pem","subPath":"ca.pem"},{"name":"all","mountPath":"/sub","subPath":"folder"},
        {"name":"empty","mountPath":"/empty"},{"name":"nowhere","mountPath":"/nowhere"}])"));
    spec_.pod.volumes = model::Json(json::parse(R"([
        {"name":"all","secret":{"secretName":"s"}},
        {"name":"some","secret":{"secretName":"t","items":[{"key":"k","path":"deep/p"}]}},
        {"name":"config","configMap":{"name":"m"}},{"name":"empty","emptyDir":{}}])"));
  }
  // "secret/name/key"; empty if it is refused.
  std::string find(const std::string& path) {
    const auto file = find_pod_file(spec_, path);
    if (!file) {
      EXPECT_THAT(file.error().text(), HasSubstr(path + " is a file of the pod"));
    }
    return file ? std::string(file->type->kind) + "/" + file->name + "/" + file->key : "";
  }
  model::ComponentSpec spec_;
};

TEST_F(PodFileTest, IsFoundInTheSecretOrConfigMapThatIsMountedThere) {
  EXPECT_EQ(find("/etc/all/ca.pem"), "Secret/s/ca.pem");
  EXPECT_EQ(find("/etc/all/some/deep/p"), "Secret/t/k");
  EXPECT_EQ(find("/c/ca.pem"), "ConfigMap/m/ca.pem");
  EXPECT_EQ(find("/one/file.pem"), "Secret/s/ca.pem");
  EXPECT_EQ(find("/sub/x"), "Secret/s/folder/x");
}

TEST_F(PodFileTest, FromNowhereElse) {
  for (const char* path : {"/etc/all", "/etc/all/some/k", "/etc/all/some/deep", "/empty/x", "/nowhere/x", "/cc/ca.pem",
                           "/etc", "x", "/", ""}) {
    EXPECT_EQ(find(path), "") << path;
  }
  spec_ = {};
  EXPECT_EQ(find("/etc/all/ca.pem"), "");
}

}  // namespace
}  // namespace fmesh::op
