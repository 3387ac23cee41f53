// The pages in docs/connectors are true: each connector has one, with the table of its fields and an example that
// holds.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "connect/check.h"
#include "connect/list.h"
#include "model/resource_set.h"

namespace fmesh::connect {
namespace {

constexpr std::string_view kBegin = "<!-- fields -->\n", kEnd = "<!-- /fields -->";

std::string read(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST(ConnectorPages, HaveTheFieldsOfTheCode) {
  for (const ConnectorDoc& doc : connector_docs()) {
    const std::string path = "docs/connectors/" + page_name(doc);
    const std::string page = read(path);
    const size_t begin = page.find(kBegin), end = page.find(kEnd);
    ASSERT_NE(begin, std::string::npos) << path;
    ASSERT_NE(end, std::string::npos) << path;
    const std::string table = doc.config.fields.empty() ? "" : "\n" + markdown(doc.config.fields) + "\n";
    const std::string wanted = page.substr(0, begin + kBegin.size()) + table + page.substr(end);
    if (std::getenv("FMESH_UPDATE_DOCS") != nullptr)  // NOLINT(concurrency-mt-unsafe): nothing sets it
      std::ofstream(path) << wanted;
    else
      EXPECT_EQ(page, wanted) << path << " is not as the code says; run FMESH_UPDATE_DOCS=1 build/connect_test";
  }
}

TEST(ConnectorPages, HaveAnExampleThatHolds) {
  for (const ConnectorDoc& doc : connector_docs()) {
    const std::string path = "docs/connectors/" + page_name(doc);
    const std::string page = read(path);
    const size_t begin = page.find("```yaml\n"), end = page.find("\n```\n", begin + 1);
    ASSERT_NE(end, std::string::npos) << path;
    const model::ResourceSet resources = model::read_text(path, page.substr(begin + 8, end + 1 - begin - 8));
    EXPECT_EQ(model::render(resources.findings, resources.sources), "");
    EXPECT_EQ(model::render(check_connectors(resources), resources.sources), "");
    ASSERT_EQ(resources.components.size(), 1u);
    EXPECT_EQ(resources.components[0].kind == model::Kind::kSource, doc.is_source);
  }
}

TEST(ConnectorPages, MistakesInConfigurationsAreToldWithTheirPlace) {
  const model::ResourceSet resources = model::read_text("m.yaml", R"(apiVersion: compute.functionmesh.io/v1alpha1
kind: Source
metadata: {name: in}
spec:
  sourceType: file
  sourceConfig:
    pth: x
    format: xml
  output: {topic: lines}
)");
  const std::string text = model::render(check_connectors(resources), resources.sources);
  EXPECT_NE(text.find("m.yaml:7:10: spec.sourceConfig.pth: "), std::string::npos) << text;
  EXPECT_NE(text.find("did you mean path?"), std::string::npos) << text;
  EXPECT_NE(text.find("m.yaml:8:13: spec.sourceConfig.format: "), std::string::npos) << text;
}

}  // namespace
}  // namespace fmesh::connect
