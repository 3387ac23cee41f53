#include "kube/object.h"

#include <gtest/gtest.h>

#include "kube/kube_testing.h"

namespace fmesh::kube {
namespace {

ObjectPtr make(std::string_view text) {
  Result<boost::json::value> value = read_json(text);
  EXPECT_TRUE(value);
  Result<ObjectPtr> object = Object::make(*value);
  EXPECT_TRUE(object) << (object ? "" : object.error().text());
  return *object;
}

TEST(Object, ReadsWhatEveryReaderAsksFor) {
  const ObjectPtr object = make(R"({"kind": "Service", "metadata": {"name": "a", "namespace": "n", "uid": "u1",
      "resourceVersion": "00x7", "generation": 3, "deletionTimestamp": "2026-01-01T00:00:00Z", "ownerReferences": [
        {"kind": "Node", "name": "not", "uid": "u0"}, {"kind": "Sink", "name": "s", "uid": "u2", "controller": true}]}})");
  EXPECT_EQ(object->key(), (ObjectKey{"n", "a"}));
  EXPECT_EQ(object->key().to_string(), "n/a");
  EXPECT_EQ(object->uid(), "u1");
  EXPECT_EQ(object->resource_version(), "00x7");  // opaque: not a number
  EXPECT_EQ(object->generation(), 3);
  EXPECT_TRUE(object->being_deleted());
  EXPECT_EQ(object->owner_uid(), "u2");
  EXPECT_EQ(object->owner_kind(), "Sink");
  EXPECT_EQ(object->owner_name(), "s");
}

TEST(Object, CountsReplicasWhereThereAreSome) {
  const Object::Counts set = make(R"({"metadata":{"name":"a"},"spec":{"replicas":3},
                                      "status":{"readyReplicas":2,"observedGeneration":7}})")
                                 ->counts();
  EXPECT_EQ(set.replicas, 3);
  EXPECT_EQ(set.ready_replicas, 2);
  EXPECT_EQ(set.observed_generation, 7);
  EXPECT_EQ(make(R"({"metadata":{"name":"a"},"spec":{"replicas":"3"}})")->counts().replicas, 0);
}

TEST(Object, AnOwnerThatDoesNotControlIsNoOwner) {
  const ObjectPtr object = make(R"({"metadata": {"name": "a", "deletionTimestamp": null, "ownerReferences": [
      {"kind": "Node", "name": "n", "uid": "u0", "controller": false}]}})");
  EXPECT_EQ(object->owner_uid(), "");
  EXPECT_FALSE(object->being_deleted());
  EXPECT_EQ(object->key().to_string(), "a");
}

TEST(Object, KeepsUnknownFieldsAndDropsManagedFieldsAndTheLastAppliedAnnotation) {
  const ObjectPtr object = make(R"({"kind": "X", "metadata": {"name": "a", "managedFields": [{"manager": "m"}],
      "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "1"}}, "spec": {"new": [1.5, null]}})");
  EXPECT_EQ(object->text(),
            R"({"kind":"X","metadata":{"name":"a","annotations":{"mine":"1"}},"spec":{"new":[1.5,null]}})");
  EXPECT_EQ(object->json(), parse(object->text()));
  EXPECT_EQ(make(R"({"metadata": {"name": "a", "annotations":
      {"kubectl.kubernetes.io/last-applied-configuration": "{}"}}})")
                ->text(),
            R"({"metadata":{"name":"a"}})");
}

TEST(Object, LargeIntegersAndQuantitiesComeBackAsTheyWere) {
  const std::string text =
      R"({"metadata":{"name":"a"},"a":9007199254740993,"b":-1,"c":0.1,"d":"100m","e":18446744073709551615,"f":8080})";
  EXPECT_EQ(make(text)->text(), text);
  EXPECT_EQ(write_json(make(text)->json()), text);
}

TEST(Object, WhatHasNoNameIsAnError) {
  for (const char* text : {"1", "null", "[]", "{}", R"({"metadata": 1})", R"({"metadata": {"name": 5}})",
                           R"({"metadata": {"name": ""}})", R"({"metadata": [{"name": "a"}]})"}) {
    const Result<ObjectPtr> object = Object::make(*read_json(text));
    ASSERT_FALSE(object) << text;
    EXPECT_EQ(object.error().kind(), ErrorKind::kBug);
  }
}

TEST(Json, BrokenUtf8BrokenNestingAndCutOffTextAreErrors) {
  EXPECT_FALSE(read_json("{\"a\": \"\xff\"}"));
  EXPECT_FALSE(read_json("{\"a\": \"\xed\xa0\x80\"}"));
  EXPECT_FALSE(read_json("{\"a\": 1"));
  EXPECT_FALSE(read_json("{} {}"));
  EXPECT_FALSE(read_json(""));
  EXPECT_FALSE(read_json(std::string(100'000, '[')));
  EXPECT_TRUE(read_json(std::string(100, '[') + std::string(100, ']')));
}

TEST(Json, OfTwoKeysTheLastWins) {
  EXPECT_EQ(string_at(*read_json(R"({"metadata": {"name": "first", "x": 1, "name": "second"}})"), {"metadata", "name"}),
            "second");
}

TEST(ResourceType, NamesItsApiVersion) {
  EXPECT_EQ(kPod.api_version(), "v1");
  EXPECT_EQ(kStatefulSet.api_version(), "apps/v1");
}

}  // namespace
}  // namespace fmesh::kube
