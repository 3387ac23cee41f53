#include "plan/cluster/render.h"

#include "plan/cluster/objects_test_support.h"

namespace fmesh::plan {
namespace {

using testing::HasSubstr;

constexpr const char* kHead = "apiVersion: compute.functionmesh.io/v1alpha1\n";
constexpr const char* kFunctionSpec =
    "{className: C, java: {jar: a.jar}, input: {topics: [in]}, output: {topic: out}, pulsar: {pulsarConfig: blue}";

std::string function(const std::string& name, const std::string& more = "", const std::string& metadata = "") {
  return fmt::format("{}kind: Function\nmetadata: {{name: {}{}}}\nspec: {}{}}}\n---\n", kHead, name, metadata,
                     kFunctionSpec, more);
}

Rendered render(const std::string& yaml, const RenderOptions& options = {}) {
  return render_set(read_yaml_set(yaml), options);
}

// "StatefulSet/default/a-function ..."
std::string list(const Rendered& rendered) {
  std::string out;
  for (const auto& object : rendered.objects) {
    out += fmt::format("{}{}/{}/{}", out.empty() ? "" : " ", object.at("kind").as_string().c_str(),
                       object.at_pointer("/metadata/namespace").as_string().c_str(),
                       object.at_pointer("/metadata/name").as_string().c_str());
  }
  return out;
}

TEST(RenderSet, AMeshGivesItsChildrenAndTheirObjects) {
  const Rendered rendered = render(
      fmt::format("{}kind: FunctionMesh\nmetadata: {{name: m, namespace: n}}\nspec: {{functions: [{}, name: a}}]}}\n",
                  kHead, kFunctionSpec));
  EXPECT_TRUE(rendered.findings.empty());
  EXPECT_EQ(list(rendered), "Function/n/m-a StatefulSet/n/m-a-function Service/n/m-a-function-headless");
  EXPECT_EQ(text_at(rendered.objects, "/0/metadata/ownerReferences/0/uid"), "\"{uid}\"");
  EXPECT_EQ(text_at(rendered.objects, "/1/metadata/ownerReferences/0/name"), "\"m-a\"");
  EXPECT_THAT(text_at(rendered.objects, "/1/spec/template/spec/containers/0/command/2"),
              HasSubstr("--function_id ${SHARD_ID}-{uid}"));
}

TEST(RenderSet, ALaterDocumentReplacesAnEarlierOneOfItsName) {
  const Rendered rendered = render(function("a", ", replicas: 1") + function("b") + function("a", ", replicas: 2") +
                                   function("a", "", ", namespace: other"));
  EXPECT_EQ(list(rendered),
            "StatefulSet/default/b-function Service/default/b-function-headless StatefulSet/default/a-function "
            "Service/default/a-function-headless StatefulSet/other/a-function Service/other/a-function-headless");
  EXPECT_EQ(text_at(rendered.objects, "/2/spec/replicas"), "2");
}

TEST(RenderSet, ALaterMeshReplacesTheWholeEarlierOne) {
  const std::string mesh = fmt::format("{}kind: FunctionMesh\nmetadata: {{name: m}}\nspec: {{functions: [", kHead);
  const std::string a = fmt::format("{}, name: a}}", kFunctionSpec), b = fmt::format("{}, name: b}}", kFunctionSpec);
  EXPECT_EQ(list(render(mesh + a + ", " + b + "]}\n---\n" + mesh + b + "]}\n")),
            "Function/default/m-b StatefulSet/default/m-b-function Service/default/m-b-function-headless");
}

TEST(RenderSet, AnUnmanagedResourceGivesNothing) {
  const std::string unmanaged = ", annotations: {compute.functionmesh.io/managed: 'false'}";
  EXPECT_EQ(list(render(function("a", "", unmanaged))), "");
  EXPECT_EQ(
      list(render(fmt::format("{}kind: FunctionMesh\nmetadata: {{name: m{}}}\nspec: {{functions: [{}, name: a}}]}}\n",
                              kHead, unmanaged, kFunctionSpec))),
      "");
}

TEST(RenderSet, BackendConfigsAreFoundByNameAndNamespace) {
  const auto config = [](const char* name, const char* space, const char* value) {
    return fmt::format("{}kind: BackendConfig\nmetadata: {{name: {}, namespace: {}}}\nspec: {{env: {{{}: x}}}}\n---\n",
                       kHead, name, space, value);
  };
  RenderOptions options;
  options.cluster.global_backend_config = "global";
  options.cluster.global_backend_config_namespace = "ops";
  const Rendered rendered = render(config("global", "ops", "G") + config("backend-config", "here", "OLD") +
                                       config("backend-config", "here", "N") + config("backend-config", "other", "O") +
                                       config("global", "here", "X") + function("a", "", ", namespace: here"),
                                   options);
  EXPECT_EQ(names_in(rendered.objects, "/0/spec/template/spec/containers/0/env"), "G,N,POD_NAME");
}

// Defect 10 of the golden page: upstream writes the two in turns, without end.
TEST(RenderSet, TwoItemsOfAMeshWithOneNameAreRefused) {
  const std::string item = fmt::format("{}, name: a}}", kFunctionSpec);
  const Rendered rendered = render(fmt::format(
      "{}kind: FunctionMesh\nmetadata: {{name: m}}\nspec:\n  functions:\n  - {}\n  - {}\n", kHead, item, item));
  ASSERT_EQ(rendered.findings.errors(), 1U);
  EXPECT_EQ(rendered.findings.list()[0].text, "two Functions of mesh m are named 'a'; rename one");
  EXPECT_EQ(rendered.findings.list()[0].place.line, 7);
}

TEST(RenderSet, WhatCantBeRenderedIsAFindingWithItsPlaceAndTheRestIsThere) {
  const Rendered rendered =
      render(fmt::format("{}kind: Function\nmetadata: {{name: bad}}\nspec:\n  className: C\n  java: {{jar: a}}\n---\n",
                         kHead) +
             function("good"));
  ASSERT_EQ(rendered.findings.errors(), 1U);
  EXPECT_EQ(rendered.findings.list()[0].place.line, 4);
  EXPECT_THAT(rendered.findings.list()[0].text, HasSubstr("Function bad: spec.pulsar.pulsarConfig: is missing"));
  EXPECT_EQ(list(rendered), "StatefulSet/default/good-function Service/default/good-function-headless");
}

TEST(RenderSet, AdmittedResourcesHaveWhatAdmissionFillsIn) {
  const auto resources = [](const Rendered& rendered) {
    return text_at(rendered.objects, "/0/spec/template/spec/containers/0/resources");
  };
  EXPECT_EQ(resources(render(function("a"))), "absent");
  EXPECT_EQ(resources(render(function("a"), {.admitted = true})),
            R"({"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"1","memory":"1Gi"}})");
}

TEST(RenderSet, TheClusterMayKnowTheSize) {
  const Rendered rendered =
      render(function("a") + function("b"), {.sizes = {{{model::Kind::kFunction, "default", "b"}, 4}}});
  EXPECT_EQ(text_at(rendered.objects, "/0/spec/replicas"), "1");
  EXPECT_EQ(text_at(rendered.objects, "/2/spec/replicas"), "4");
}

TEST(RenderSet, ResourcesWithoutNamespaceAreInTheOneAskedFor) {
  EXPECT_EQ(list(render(function("a"), {.name_space = "mine"})),
            "StatefulSet/mine/a-function Service/mine/a-function-headless");
}

}  // namespace
}  // namespace fmesh::plan
