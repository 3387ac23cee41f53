#include "model/resource_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fmesh::model {
namespace {

std::string all_findings(const ResourceSet& set) { return render(set.findings, set.sources); }

constexpr const char* kMesh = R"(apiVersion: compute.functionmesh.io/v1alpha1
kind: FunctionMesh
metadata:
  name: shop
spec:
  sources:
    - name: orders
      sourceType: generator
      output: {topic: orders}
  functions:
    - name: enrich
      className: identity
      genericRuntime: {language: builtin}
      input: {topics: [orders]}
      output: {topic: enriched}
      replicas: 3
  sinks:
    - name: out
      sinkType: console
      input: {topics: [enriched]}
)";

TEST(ResourceSet, ReadsAMeshAsComponentsWithDefaults) {
  const ResourceSet set = read_text("mesh.yaml", kMesh);
  ASSERT_EQ(all_findings(set), "");
  ASSERT_EQ(set.components.size(), 3u);
  const Component& enrich = set.components[1];
  EXPECT_EQ(enrich.name(), "enrich");
  EXPECT_EQ(enrich.metadata.name, "shop-enrich");
  EXPECT_EQ(enrich.mesh, "shop");
  EXPECT_EQ(enrich.spec.replicas, 3);
  EXPECT_EQ(enrich.spec.min_replicas, 1);
  EXPECT_EQ(enrich.spec.processing_guarantee, "atleast_once");
  EXPECT_EQ(enrich.spec.tenant, "public");
  EXPECT_EQ(enrich.spec.auto_ack, true);
  EXPECT_EQ(set.components[0].spec.output.producer_config->max_pending_messages, 1000);
  EXPECT_EQ(set.meshes.at(0).spec.functions.at(0).tenant, "") << "the mesh keeps what was written";
}

TEST(ResourceSet, ShowsEveryErrorWithPlaceSuggestionAndCaret) {
  const ResourceSet set = read_text("mesh.yaml", R"(apiVersion: compute.functionmesh.io/v1alpha1
kind: FunctionMesh
metadata: {name: shop}
spec:
  functions:
    - name: enrich
      procesingGuarantee: effectively_once
      replicas: many
      output: {topic: x, producerConf: {compressionType: LZ5}}
)");
  EXPECT_EQ(
      all_findings(set),
      "mesh.yaml:7:7: spec.functions[0].procesingGuarantee: no such field; did you mean processingGuarantee?\n"
      "    7 |       procesingGuarantee: effectively_once\n"
      "      |       ^~~~~~~~~~~~~~~~~~\n"
      "mesh.yaml:8:17: spec.functions[0].replicas: expected a whole number, found the string \"many\"\n"
      "    8 |       replicas: many\n"
      "      |                 ^~~~\n"
      "mesh.yaml:9:58: spec.functions[0].output.producerConf.compressionType: \"LZ5\" is not one of NONE, LZ4, ZLIB, "
      "ZSTD, SNAPPY; did you mean LZ4?\n"
      "    9 |       output: {topic: x, producerConf: {compressionType: LZ5}}\n"
      "      |                                                          ^~~\n");
  EXPECT_EQ(count_line(set.findings), "3 errors, 0 warnings.");
}

TEST(ResourceSet, PointsAtCharactersBehindTabsAndUmlauts) {
  const ResourceSet set = read_text("a.yaml",
                                    "apiVersion: compute.functionmesh.io/v1alpha1\nkind: Function\n"
                                    "metadata: {name: \"ü\", nam: 1}\nspec: {}\n");
  EXPECT_THAT(all_findings(set), testing::HasSubstr("a.yaml:3:23: metadata.nam: no such field; did you mean name?\n"
                                                    "    3 | metadata: {name: \"ü\", nam: 1}\n"
                                                    "      |                       ^~~\n"));
}

TEST(ResourceSet, KeepsConfigMapsAndSecretsBesideTheResources) {
  const ResourceSet set = read_text("a.yaml", R"(apiVersion: v1
kind: Secret
metadata: {name: s, creationTimestamp: null}
data: {password: aHVudGVyMg==}
stringData: {user: ada}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {brokerServiceURL: "pulsar://localhost:6650"}
)");
  ASSERT_EQ(all_findings(set), "");
  EXPECT_EQ(set.secrets.at(0).data.at("password"), "hunter2");
  EXPECT_EQ(set.secrets.at(0).data.at("user"), "ada");
  EXPECT_EQ(set.config_maps.at(0).data.at("brokerServiceURL"), "pulsar://localhost:6650");
}

TEST(ResourceSet, RefusesASecretThatIsNotBase64) {
  const ResourceSet set =
      read_text("a.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {password: hunter2}\n");
  EXPECT_THAT(all_findings(set), testing::HasSubstr("data.password: is not base64"));
}

TEST(ResourceSet, NeverShowsASecret) {
  const std::string head = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n";
  for (const char* data : {"data: {password: hunter22!}\n", "stringData: {password: 22222}\n",
                           "stringData: {p: hunter22, p: 22222}\n", "stringData: {p: hunter22, p: 22222\n"}) {
    const std::string shown = all_findings(read_text("a.yaml", head + data));
    EXPECT_NE(shown, "");
    EXPECT_THAT(shown, testing::Not(testing::HasSubstr("22"))) << data;
  }
}

TEST(ResourceSet, WarnsOfOtherKindsAndSkipsThem) {
  const ResourceSet set = read_text("a.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n");
  EXPECT_TRUE(set.findings.ok());
  EXPECT_THAT(all_findings(set), testing::HasSubstr("a.yaml:2:7: warning: kind: Deployment of apps/v1 is skipped"));
}

TEST(ResourceSet, ReadsListsAsKubectlWritesThem) {
  const ResourceSet set = read_text("a.json", R"({"apiVersion":"v1","kind":"List","items":[
    {"apiVersion":"compute.functionmesh.io/v1alpha1","kind":"Sink","metadata":{"name":"s","uid":"1","resourceVersion":"7"},
     "spec":{"sinkType":"drop","input":{"topics":["a"]}},"status":{"replicas":1}}]})");
  ASSERT_EQ(all_findings(set), "");
  EXPECT_EQ(set.components.at(0).path.to_string(), "items[0].spec");
}

TEST(ResourceSet, SuggestsKindsAndVersions) {
  const ResourceSet set =
      read_text("a.yaml", "apiVersion: compute.functionmesh.io/v1\nkind: Funktion\nmetadata: {name: f}\nspec: {}\n");
  EXPECT_THAT(all_findings(set), testing::HasSubstr("did you mean compute.functionmesh.io/v1alpha1?"));
  EXPECT_THAT(all_findings(set), testing::HasSubstr("kind: no such kind; did you mean Function?"));
}

TEST(ResourceSet, NamesTheByteOfBrokenUtf8) {
  const ResourceSet set = read_text("a.yaml", "kind: x\nname: \xC3(\n");
  EXPECT_EQ(all_findings(set), "a.yaml:2:7: broken UTF-8: byte 0xc3 does not belong here; save the file as UTF-8\n");
}

TEST(ResourceSet, RefusesMissingAndHugeFiles) {
  EXPECT_THAT(all_findings(read_files({"/nonexistent/mesh.yaml"})), testing::HasSubstr("no such file"));
  EXPECT_THAT(all_findings(read_text("big.yaml", std::string(kFileSizeMaxBytes + 1, ' '))),
              testing::HasSubstr("big.yaml: is larger than 16 MiB"));
}

TEST(TopicNames, HaveThreeForms) {
  EXPECT_EQ(full_topic_name("orders"), "persistent://public/default/orders");
  EXPECT_EQ(full_topic_name("t/n/orders"), "persistent://t/n/orders");
  EXPECT_EQ(full_topic_name("non-persistent://t/n/orders"), "non-persistent://t/n/orders");
  EXPECT_EQ(short_topic_name("persistent://public/default/orders"), "orders");
  EXPECT_EQ(short_topic_name("persistent://t/n/orders"), "t/n/orders");
  for (const char* bad :
       {"", "a/b", "persistent://a/b", "q://", "persistent://orders", "a/b/c/d", "x://a/b/c", "a//b"}) {
    EXPECT_FALSE(is_topic_name(bad)) << bad;
    EXPECT_EQ(full_topic_name(bad), bad);
  }
}

}  // namespace
}  // namespace fmesh::model
