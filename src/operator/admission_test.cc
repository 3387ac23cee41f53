#include "operator/admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>

#include "kube/json.h"

namespace fmesh::op {
namespace {

namespace json = boost::json;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

json::value function(std::string_view more = "") {
  return json::parse(R"({"apiVersion": "compute.functionmesh.io/v1alpha1", "kind": "Function",
    "metadata": {"name": "f", "namespace": "ns", "finalizers": ["kept"]},
    "spec": {"className": "C", "input": {"topics": ["in"]}, "output": {"topic": "out"},
             "java": {"jar": "a.jar"}, "pulsar": {"pulsarConfig": "p"})" +
                     std::string(more) + "}}");
}

json::value mesh(std::string_view functions) {
  return json::parse(R"({"apiVersion": "compute.functionmesh.io/v1alpha1", "kind": "FunctionMesh",
    "metadata": {"name": "m"}, "spec": {"functions": [)" +
                     std::string(functions) + "]}}");
}

std::string item(const std::string& name, const std::string& more = "") {
  return R"({"name": ")" + name + R"(", "className": "C", "input": {"topics": ["in"]}, "output": {"topic": "out"},
    "java": {"jar": "a.jar"}, "pulsar": {"pulsarConfig": "p"})" +
         more + "}";
}

std::vector<std::string> paths(const AdmissionAnswer& answer) {
  std::vector<std::string> out;
  for (const AdmissionError& one : answer.errors) out.push_back(one.path);
  return out;
}

TEST(Admission, FillsInWhatWasLeftOut) {
  const AdmissionAnswer answer = admit_create(function());
  ASSERT_TRUE(answer.allowed) << answer.message;
  EXPECT_EQ(kube::int_at(answer.object, {"spec", "replicas"}), 1);
  EXPECT_EQ(kube::string_at(answer.object, {"spec", "tenant"}), "public");
  EXPECT_EQ(kube::string_at(answer.object, {"spec", "name"}), "f");
  EXPECT_TRUE(kube::bool_at(answer.object, {"spec", "autoAck"}));
  EXPECT_NE(kube::find(answer.object, {"spec", "pod"}), nullptr);
  EXPECT_EQ(*kube::find(answer.object, {"metadata"}), *kube::find(function(), {"metadata"}));
}

TEST(Admission, ResourcesThatAreLeftOutAreOneCpuAndOneGiB) {
  const AdmissionAnswer answer = admit_create(function());
  EXPECT_EQ(kube::string_at(answer.object, {"spec", "resources", "requests", "cpu"}), "1");
  EXPECT_EQ(kube::string_at(answer.object, {"spec", "resources", "limits", "memory"}), "1Gi");
}

TEST(Admission, WritesQuantitiesAsTheApiServerDoes) {
  const AdmissionAnswer answer = admit_create(function(
      R"(, "resources": {"requests": {"cpu": "0.1", "memory": "0.5Gi"}, "limits": {"cpu": 2, "memory": "1.1G"}})"));
  ASSERT_TRUE(answer.allowed) << answer.message;
  EXPECT_EQ(kube::string_at(answer.object, {"spec", "resources", "requests", "cpu"}), "100m");
  EXPECT_EQ(kube::string_at(answer.object, {"spec", "resources", "requests", "memory"}), "512Mi");
  EXPECT_EQ(kube::string_at(answer.object, {"spec", "resources", "limits", "cpu"}), "2");
  EXPECT_EQ(kube::string_at(answer.object, {"spec", "resources", "limits", "memory"}), "1100M");
}

TEST(Admission, RemovesUnknownFieldsWithAWarning) {
  const AdmissionAnswer answer = admit_create(function(R"(, "clasName": "D", "pod": {"label": {}})"));
  ASSERT_TRUE(answer.allowed) << answer.message;
  EXPECT_EQ(kube::find(answer.object, {"spec", "clasName"}), nullptr);
  EXPECT_EQ(kube::find(answer.object, {"spec", "pod", "label"}), nullptr);
  EXPECT_THAT(answer.warnings,
              Contains(HasSubstr("spec.clasName: no such field, it is removed; did you mean className?")));
  EXPECT_THAT(answer.warnings, Contains(HasSubstr("spec.pod.label: ")));
}

TEST(Admission, AdmittingTwiceChangesNothing) {
  const AdmissionAnswer once = admit_create(function());
  EXPECT_EQ(admit_create(once.object).object, once.object);
}

TEST(Admission, NamesEverythingThatIsWrongAtOnce) {
  const AdmissionAnswer answer = admit_create(function(R"(, "replicas": 3, "maxReplicas": 1, "logTopic": "q://")"));
  EXPECT_FALSE(answer.allowed);
  EXPECT_THAT(paths(answer), ElementsAre("spec.maxReplicas", "spec.logTopic"));
  EXPECT_THAT(answer.message, HasSubstr("Function \"f\" is invalid: spec.maxReplicas: "));
  EXPECT_THAT(answer.message, HasSubstr("; spec.logTopic: "));
}

TEST(Admission, ACountWindowWithoutSlideIsFilledIn) {  // upstream's webhook crashes
  const AdmissionAnswer answer = admit_create(function(R"(, "windowConfig": {"windowLengthCount": 5})"));
  ASSERT_TRUE(answer.allowed) << answer.message;
  EXPECT_EQ(kube::int_at(answer.object, {"spec", "windowConfig", "slidingIntervalCount"}), 5);
}

TEST(Admission, AnUpdateIsRefusedForWhatIsNewlyWrong) {
  const AdmissionAnswer answer = admit_update(function(), function(R"(, "logTopic": "q://")"));
  EXPECT_FALSE(answer.allowed);
  EXPECT_THAT(paths(answer), ElementsAre("spec.logTopic"));
}

TEST(Admission, AnUpdateIsNotRefusedForWhatWasThereBefore) {
  const AdmissionAnswer answer =
      admit_update(function(R"(, "logTopic": "q://")"), function(R"(, "logTopic": "q://", "replicas": 2)"));
  EXPECT_TRUE(answer.allowed) << answer.message;
  EXPECT_THAT(answer.warnings, Contains(HasSubstr("spec.logTopic")));
}

TEST(Admission, WhatKeepsItsSpecStaysAsItIs) {
  json::value labelled = function(R"(, "mystery": 1)");
  const json::value before = labelled;
  labelled.at("metadata").as_object()["labels"] = {{"a", "b"}};
  const AdmissionAnswer answer = admit_update(before, labelled);
  EXPECT_TRUE(answer.allowed);
  EXPECT_EQ(answer.object, labelled);
}

TEST(Admission, WhatIsBeingDeletedIsNeverHeldUp) {
  json::value going = function(R"(, "logTopic": "q://")");
  going.at("metadata").as_object()["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  EXPECT_TRUE(admit_update(function(), going).allowed);
  EXPECT_EQ(admit_update(function(), going).object, going);
}

TEST(Admission, GeneratedNamesAreNotGuessed) {
  json::value object = function();
  object.at("metadata").as_object() = {{"generateName", "f-"}};
  const AdmissionAnswer answer = admit_create(object);
  ASSERT_TRUE(answer.allowed) << answer.message;
  EXPECT_EQ(kube::find(answer.object, {"spec", "name"}), nullptr);
}

TEST(Admission, MeshItemsAreCheckedOneByOne) {
  const AdmissionAnswer answer = admit_create(mesh(item("a") + "," + item("b", R"(, "logTopic": "q://")")));
  EXPECT_FALSE(answer.allowed);
  EXPECT_THAT(paths(answer), ElementsAre("spec.functions[1].logTopic"));
}

TEST(Admission, NamesOfMeshItemsDiffer) {
  const AdmissionAnswer answer = admit_create(mesh(item("a") + "," + item("a")));
  EXPECT_FALSE(answer.allowed);
  EXPECT_THAT(paths(answer), ElementsAre("spec.functions[1].name"));
  EXPECT_TRUE(
      admit_update(mesh(item("a") + "," + item("a")), mesh(item("a") + "," + item("a") + "," + item("b"))).allowed);
}

TEST(Admission, NamesOfMeshAndItemTogetherHaveALimit) {
  const AdmissionAnswer answer = admit_create(mesh(item(std::string(42, 'x'))));
  EXPECT_FALSE(answer.allowed);
  EXPECT_THAT(paths(answer), ElementsAre("spec.functions[0].name"));
}

TEST(Admission, AMeshKeepsItsSpecAsWritten) {
  const json::value object = mesh(item("a"));
  EXPECT_EQ(admit_create(object).object, object);
}

TEST(Admission, NativeComponentsAreTakenAndNeedLess) {
  const json::value native = json::parse(R"({"apiVersion": "compute.functionmesh.io/v1alpha1", "kind": "Function",
    "metadata": {"name": "f"}, "spec": {"className": "map", "input": {"topics": ["in"]}, "pulsar": {"pulsarConfig": "p"},
    "genericRuntime": {"language": "builtin"}}})");
  const AdmissionAnswer answer = admit_create(native);
  EXPECT_TRUE(answer.allowed) << answer.message;
  EXPECT_EQ(kube::string_at(answer.object, {"spec", "resources", "requests", "memory"}), "128Mi");
  EXPECT_EQ(kube::string_at(answer.object, {"spec", "resources", "limits", "memory"}), "256Mi");
  const json::value source = json::parse(R"({"apiVersion": "compute.functionmesh.io/v1alpha1", "kind": "Source",
    "metadata": {"name": "s"}, "spec": {"sourceType": "generator", "sourceConfig": {}, "output": {"topic": "out"},
    "pulsar": {"pulsarConfig": "p"}}})");
  EXPECT_TRUE(admit_create(source).allowed);
}

TEST(Admission, NativeComponentsThatNoPodCanRunAreRefusedWithAWayOut) {
  const json::value native = json::parse(R"({"apiVersion": "compute.functionmesh.io/v1alpha1", "kind": "Function",
    "metadata": {"name": "f"}, "spec": {"className": "map", "input": {"topics": ["in"]}, "pulsar": {"pulsarConfig": "p"},
    "genericRuntime": {"language": "cpp", "functionFile": "f.so"}}})");
  const AdmissionAnswer answer = admit_create(native);
  EXPECT_FALSE(answer.allowed);
  EXPECT_THAT(paths(answer), ElementsAre("spec.genericRuntime.functionFile"));
  EXPECT_THAT(answer.message, HasSubstr("functionFileLocation"));
  const json::value source = json::parse(R"({"apiVersion": "compute.functionmesh.io/v1alpha1", "kind": "Source",
    "metadata": {"name": "s"}, "spec": {"sourceType": "generater", "sourceConfig": {}, "output": {"topic": "out"},
    "pulsar": {"pulsarConfig": "p"}}})");
  EXPECT_THAT(paths(admit_create(source)), ElementsAre("spec.sourceType"));
}

TEST(Admission, WhatIsNoResourceOfOursIsRefused) {
  for (const char* text : {"{}", "[]", "null", "7", R"({"kind": "Pod", "apiVersion": "v1", "spec": {}})",
                           R"({"kind": "Function", "spec": 7})", R"({"kind": "Function", "spec": {"input": 3}})"}) {
    const AdmissionAnswer answer = admit_create(json::parse(text));
    EXPECT_FALSE(answer.allowed) << text;
    EXPECT_NE(answer.message, "") << text;
  }
}

TEST(Admission, WrongTypesAreNamedAndNotMended) {
  const json::value object = function(R"(, "replicas": "two")");
  const AdmissionAnswer answer = admit_create(object);
  EXPECT_THAT(paths(answer), ElementsAre("spec.replicas"));
  EXPECT_EQ(answer.object, object);
}

}  // namespace
}  // namespace fmesh::op
