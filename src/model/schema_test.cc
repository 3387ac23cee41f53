#include "model/schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <sstream>

#include "model/explain.h"

namespace fmesh::model {
namespace {

namespace json = boost::json;
using testing::HasSubstr;

const json::object& version_of(const json::value& crd) { return crd.at("spec").at("versions").at(0).as_object(); }

TEST(Crds, AreSmallEnoughForKubectlApply) {
  for (const Kind kind : kKinds) EXPECT_LT(make_crd_yaml(kind).size(), 256u * 1024) << to_string(kind);
}

TEST(Crds, HaveUpstreamsNamesAndSubresources) {
  for (const Kind kind : kKinds) {
    const json::value crd = make_crd(kind);
    EXPECT_EQ(crd.at("metadata").at("name").as_string(), plural(kind) + ".compute.functionmesh.io");
    const json::object& version = version_of(crd);
    EXPECT_TRUE(version.at("subresources").as_object().contains("status"));
    const bool mesh = kind == Kind::kFunctionMesh;
    EXPECT_EQ(version.at("subresources").as_object().contains("scale"), !mesh) << to_string(kind);
    const json::object& root = version.at("schema").at("openAPIV3Schema").as_object();
    EXPECT_EQ(root.contains("x-kubernetes-preserve-unknown-fields"), !mesh) << to_string(kind);
  }
  EXPECT_EQ(plural(Kind::kFunctionMesh), "functionmeshes");
}

// Every field says what it is: `kubectl explain` has nothing else to show.
void expect_described(const json::value& schema, const std::string& path) {
  const json::object& object = schema.as_object();
  if (const auto* properties = object.if_contains("properties")) {
    for (const auto& [name, inner] : properties->as_object()) {
      const std::string below = path + "." + std::string(name);
      EXPECT_TRUE(inner.as_object().contains("description")) << below;
      expect_described(inner, below);
    }
  }
  if (const auto* items = object.if_contains("items")) expect_described(*items, path + "[]");
  if (const auto* values = object.if_contains("additionalProperties")) expect_described(*values, path + ".*");
}

TEST(Crds, DescribeEveryField) {
  for (const Kind kind : kKinds) {
    const json::value crd = make_crd(kind);
    const json::value& root = version_of(crd).at("schema").at("openAPIV3Schema");
    EXPECT_EQ(root.at("description"), json::value(kind_meaning(kind)));
    for (const char* part : {"spec", "status"}) {
      expect_described(root.at("properties").at(part), std::string(to_string(kind)) + "." + part);
    }
  }
  const json::value crd = make_crd(Kind::kFunction);
  const json::value& spec = version_of(crd).at("schema").at("openAPIV3Schema").at("properties").at("spec");
  EXPECT_EQ(spec.at("properties").at("autoAck").at("description"),
            "Acknowledge records once they are processed. Default: true");
}

// The rules of structural schemas that these could break: a type everywhere, unless int-or-string; enums are of
// strings.
void expect_structural(const json::value& schema, const std::string& path) {
  const json::object& object = schema.as_object();
  EXPECT_TRUE(object.contains("type") || object.contains("x-kubernetes-int-or-string")) << path;
  EXPECT_FALSE(object.contains("properties") && object.contains("additionalProperties")) << path;
  if (const auto* properties = object.if_contains("properties")) {
    for (const auto& [name, inner] : properties->as_object()) expect_structural(inner, path + "." + std::string(name));
    if (const auto* required = object.if_contains("required")) {
      for (const auto& name : required->as_array()) {
        EXPECT_TRUE(properties->as_object().contains(name.as_string())) << path;
      }
    }
  }
  if (const auto* items = object.if_contains("items")) expect_structural(*items, path + "[]");
  if (const auto* values = object.if_contains("additionalProperties")) expect_structural(*values, path + ".*");
  const bool list = object.contains("type") && object.at("type").as_string() == "array";
  EXPECT_EQ(list, object.contains("items")) << path;
}

TEST(Crds, AreStructural) {
  for (const Kind kind : kKinds) {
    expect_structural(version_of(make_crd(kind)).at("schema").at("openAPIV3Schema"), to_string(kind));
  }
}

TEST(Crds, InTheChartAreUpToDate) {
  for (const Kind kind : kKinds) {
    const std::string path = "deploy/chart/fmesh-operator/files/crds/" + plural(kind) + ".yaml";
    std::ifstream file(path);
    std::ostringstream crd;
    crd << file.rdbuf();
    EXPECT_EQ(crd.str(), make_crd_yaml(kind)) << path << " is out of date; run tools/make_deploy.py";
  }
}

TEST(Crds, GiveEachKindItsOwnFields) {
  const auto spec_of = [](Kind kind) {
    const json::value crd = make_crd(kind);
    return version_of(crd).at("schema").at("openAPIV3Schema").at("properties").at("spec").at("properties").as_object();
  };
  EXPECT_TRUE(spec_of(Kind::kFunction).contains("windowConfig"));
  EXPECT_FALSE(spec_of(Kind::kSource).contains("input"));
  EXPECT_TRUE(spec_of(Kind::kSource).contains("sourceType"));
  EXPECT_FALSE(spec_of(Kind::kSink).contains("output"));
  EXPECT_TRUE(spec_of(Kind::kSink).contains("negativeAckRedeliveryDelayMs"));
  const json::object mesh = spec_of(Kind::kFunctionMesh);
  EXPECT_TRUE(mesh.at("sinks").at("items").at("properties").as_object().contains("sinkType"));
  EXPECT_FALSE(mesh.at("sources").at("items").at("properties").as_object().contains("sinkType"));
  json::object at_least = spec_of(Kind::kFunction).at("minReplicas").as_object();
  at_least.erase("description");
  EXPECT_EQ(at_least, json::parse(R"({"type":"integer","format":"int32","minimum":0,"default":1})"));
  EXPECT_TRUE(spec_of(Kind::kFunction).at("funcConfig").as_object().contains("x-kubernetes-preserve-unknown-fields"));
}

TEST(Explain, TellsTypeMeaningAndLimits) {
  const auto text = explain("function.spec.processingGuarantee");
  ASSERT_TRUE(text);
  EXPECT_THAT(*text, HasSubstr("FIELD:    processingGuarantee <string>"));
  EXPECT_THAT(*text, HasSubstr("default: atleast_once; one of atleast_once, atmost_once, effectively_once, manual"));
  EXPECT_THAT(explain("functionmesh.spec.sinks").value(), HasSubstr("sinkType"));
  EXPECT_THAT(explain("sources.status").value(), HasSubstr("conditions"));
}

TEST(Explain, SuggestsTheClosestSpelling) {
  EXPECT_THAT(explain("fnction").error().text(), HasSubstr("did you mean function?"));
  EXPECT_THAT(explain("function.spec.inptu").error().text(), HasSubstr("did you mean input?"));
  EXPECT_THAT(explain("function.spec.name.first").error().text(), HasSubstr("there are no fields below"));
}

TEST(Reference, PagesAreUpToDate) {
  for (const Kind kind : kKinds) {
    const std::string path = "docs/reference/" + reference_file(kind);  // tests run in the folder of the source
    std::ifstream file(path);
    std::ostringstream page;
    page << file.rdbuf();
    EXPECT_EQ(page.str(), reference_page(kind))
        << path << " is out of date; run build/fmesh explain --markdown docs/reference";
  }
}

}  // namespace
}  // namespace fmesh::model
