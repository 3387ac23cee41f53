#include "operator/webhooks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>

#include "base/base64.h"
#include "kube/json.h"
#include "operator/json_patch_testing.h"

namespace fmesh::op {
namespace {

namespace json = boost::json;
using testing::HasSubstr;

json::object function() {
  return json::parse(R"({"apiVersion": "compute.functionmesh.io/v1alpha1", "kind": "Function",
    "metadata": {"name": "f"}, "spec": {"className": "C", "input": {"topics": ["in"]}, "output": {"topic": "out"},
    "java": {"jar": "a.jar"}, "pulsar": {"pulsarConfig": "p"}}})")
      .as_object();
}

net::HttpRequest review(const std::string& path, const json::value& object, const std::string& operation = "CREATE",
                        const json::value& before = nullptr, const std::string& version = "v1") {
  net::HttpRequest request;
  request.method = "POST";
  request.path = path;
  request.body = json::serialize(
      json::object{{"apiVersion", "admission.k8s.io/" + version},
                   {"kind", "AdmissionReview"},
                   {"request", {{"uid", "u-1"}, {"operation", operation}, {"object", object}, {"oldObject", before}}}});
  return request;
}

constexpr const char* kMutate = "/mutate-compute-functionmesh-io-v1alpha1-function";
constexpr const char* kValidate = "/validate-compute-functionmesh-io-v1alpha1-function";

json::value response_of(const net::HttpResponse& answer) {
  EXPECT_EQ(answer.status, 200) << answer.body;
  const json::value body = json::parse(answer.body);
  EXPECT_EQ(kube::string_at(body, {"response", "uid"}), "u-1");
  return body.at("response");
}

// What the API server does with the patch.
json::value apply_patch(json::value object, const json::value& response) {
  const std::string text = decode_base64(kube::string_at(response, {"patch"})).value();
  EXPECT_TRUE(apply_json_patch(object, json::parse(text).as_array())) << text;
  return object;
}

TEST(Webhooks, MutatingAnswersWithAPatchThatFillsIn) {
  for (const char* version : {"v1", "v1beta1"}) {
    const net::HttpResponse answer = answer_review(review(kMutate, function(), "CREATE", nullptr, version));
    EXPECT_EQ(kube::string_at(json::parse(answer.body), {"apiVersion"}), std::string("admission.k8s.io/") + version);
    const json::value response = response_of(answer);
    EXPECT_TRUE(response.at("allowed").as_bool());
    EXPECT_EQ(kube::string_at(response, {"patchType"}), "JSONPatch");
    const json::value after = apply_patch(function(), response);
    EXPECT_EQ(kube::int_at(after, {"spec", "replicas"}), 1);
    EXPECT_EQ(kube::string_at(after, {"spec", "input", "topics"}), "");
    EXPECT_EQ(kube::find(after, {"spec", "input", "topics"})->as_array().size(), 1U);
  }
}

TEST(Webhooks, WhatNeedsNothingGetsNoPatch) {
  const json::value once = apply_patch(function(), response_of(answer_review(review(kMutate, function()))));
  const json::value response = response_of(answer_review(review(kMutate, once)));
  EXPECT_EQ(kube::find(response, {"patch"}), nullptr);
  EXPECT_EQ(kube::find(response, {"patchType"}), nullptr);
}

TEST(Webhooks, ValidatingNamesEveryErrorAsACause) {
  json::object bad = function();
  bad["spec"].as_object()["logTopic"] = "q://";
  bad["spec"].as_object()["timeout"] = 5;
  bad["spec"].as_object()["processingGuarantee"] = "effectively_once";
  const json::value response = response_of(answer_review(review(kValidate, bad)));
  EXPECT_FALSE(response.at("allowed").as_bool());
  EXPECT_EQ(kube::int_at(response, {"status", "code"}), 422);
  EXPECT_EQ(kube::string_at(response, {"status", "details", "kind"}), "Function");
  EXPECT_EQ(kube::find(response, {"status", "details", "causes"})->as_array().size(), 2U);
  EXPECT_EQ(kube::find(response, {"patch"}), nullptr);
}

TEST(Webhooks, AnUpdateIsJudgedAgainstWhatWasThere) {
  json::object bad = function();
  bad["spec"].as_object()["logTopic"] = "q://";
  json::object changed = bad;
  changed["spec"].as_object()["replicas"] = 2;
  EXPECT_FALSE(response_of(answer_review(review(kValidate, changed, "UPDATE", function()))).at("allowed").as_bool());
  EXPECT_TRUE(response_of(answer_review(review(kValidate, changed, "UPDATE", bad))).at("allowed").as_bool());
}

TEST(Webhooks, DeletionsAndOtherOperationsPass) {
  for (const char* operation : {"DELETE", "CONNECT", ""}) {
    EXPECT_TRUE(response_of(answer_review(review(kValidate, nullptr, operation, function()))).at("allowed").as_bool());
  }
}

TEST(Webhooks, AnotherKindIsRefused) {
  const char* path = "/validate-compute-functionmesh-io-v1alpha1-sink";
  const json::value response = response_of(answer_review(review(path, function())));
  EXPECT_FALSE(response.at("allowed").as_bool());
  EXPECT_THAT(std::string(kube::string_at(response, {"status", "message"})), HasSubstr("for Sink"));
}

TEST(Webhooks, BadRequestsGetAnAnswer) {
  net::HttpRequest request = review(kMutate, function());
  request.path = "/mutate-compute-functionmesh-io-v1alpha1-pod";
  EXPECT_EQ(answer_review(request).status, 404);
  request.path = kMutate;
  request.method = "GET";
  EXPECT_EQ(answer_review(request).status, 405);
  request.method = "POST";
  for (const std::string& body :
       {std::string(), std::string("{"), std::string("[]"), std::string("null"), std::string(1000, '['),
        std::string(R"({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v2"})"),
        std::string(R"({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": []})"),
        std::string(R"({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"uid": 7}})"),
        std::string("{\"kind\": \"\xff\"}")}) {
    request.body = body;
    EXPECT_EQ(answer_review(request).status, 400) << body;
  }
  request.body.assign(kReviewMaxBytes + 1, ' ');
  EXPECT_EQ(answer_review(request).status, 413);
}

TEST(Webhooks, PatchesEscapeKeys) {
  const json::value before = json::parse(R"({"a/b": 1, "c~d": {"x": 1}, "gone": 1})");
  const json::value after = json::parse(R"({"a/b": 2, "c~d": {"x": 1, "y": 2}})");
  const json::value expected = json::parse(R"([{"op": "remove", "path": "/gone"},
    {"op": "replace", "path": "/a~1b", "value": 2}, {"op": "add", "path": "/c~0d/y", "value": 2}])");
  EXPECT_EQ(make_json_patch(before, after), expected.as_array());
}

TEST(Webhooks, LongWarningsAreCutAtACharacter) {
  json::object odd = function();
  odd["spec"].as_object()[std::string(200, 'x') + "äöüäöüäöüäöüäöüäöüäöüäöü"] = 1;
  const json::value response = response_of(answer_review(review(kMutate, odd)));
  ASSERT_EQ(response.at("warnings").as_array().size(), 1U);
  EXPECT_LE(response.at("warnings").at(0).as_string().size(), kWarningMaxBytes);
}

}  // namespace
}  // namespace fmesh::op
