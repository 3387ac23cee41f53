#include "kube/requests.h"

#include <gtest/gtest.h>

#include "kube/kube_testing.h"

namespace fmesh::kube {
namespace {

Outcome outcome(int status, std::string body, std::optional<int64_t> retry_after_ms = std::nullopt) {
  return read_outcome(Response{status, std::move(body), retry_after_ms});
}

std::string failure(std::string_view reason, int code, std::string_view message = "m",
                    std::string_view details = "{}") {
  return "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"reason\":\"" + std::string(reason) +
         "\",\"message\":\"" + std::string(message) + "\",\"details\":" + std::string(details) +
         ",\"code\":" + std::to_string(code) + "}";
}

TEST(Requests, PathsFollowGroupNamespaceAndSubresource) {
  EXPECT_EQ(get(kPod, {"ns", "p"}).target, "/api/v1/namespaces/ns/pods/p");
  EXPECT_EQ(get(kStatefulSet, {"ns", "s"}).target, "/apis/apps/v1/namespaces/ns/statefulsets/s");
  EXPECT_EQ(get(kMutatingWebhook, {"", "w"}).target,
            "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/w");
  EXPECT_EQ(list(kPod, {}).target, "/api/v1/pods");
  EXPECT_EQ(list(kPod, {}).method, "GET");
  const Request status = update(kFunction, {"ns", "f"}, parse(R"({"a": 1})"), "status");
  EXPECT_EQ(status.method, "PUT");
  EXPECT_EQ(status.target,
            "/apis/compute.functionmesh.io/v1alpha1/namespaces/ns/functions/f/status?fieldManager=fmesh-operator");
  EXPECT_EQ(status.body, R"({"a":1})");
  EXPECT_EQ(status.content_type, "application/json");
  const Request made = create(kService, "ns", parse("{}"));
  EXPECT_EQ(made.method, "POST");
  EXPECT_EQ(made.target, "/api/v1/namespaces/ns/services?fieldManager=fmesh-operator");
}

TEST(Requests, SelectorsAndTokensArePercentEncoded) {
  ListOptions options;
  options.name_space = "ns";
  options.label_selector = "a=b,c!=d&e in (f,g)";
  options.continue_token = "a+/b==";
  options.limit = 500;
  EXPECT_EQ(
      list(kPod, options).target,
      "/api/v1/namespaces/ns/pods?labelSelector=a%3Db%2Cc%21%3Dd%26e%20in%20%28f%2Cg%29&limit=500&continue=a%2B%2Fb%"
      "3D%3D");
  EXPECT_EQ(get(kPod, {"n/s", "../x?y#\xc3\xa9"}).target, "/api/v1/namespaces/n%2Fs/pods/..%2Fx%3Fy%23%C3%A9");
  EXPECT_EQ(percent_encode("aZ09-._~"), "aZ09-._~");
}

TEST(Requests, AWatchAsksForBookmarksAndAStreamingListOnlyWhereWanted) {
  WatchOptions options;
  options.resource_version = "7";
  options.timeout_s = 290;
  EXPECT_EQ(watch(kPod, options).target,
            "/api/v1/pods?watch=true&resourceVersion=7&allowWatchBookmarks=true&timeoutSeconds=290");
  options = {};
  options.initial_events = true;
  EXPECT_EQ(
      watch(kPod, options).target,
      "/api/v1/pods?watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan");
}

TEST(Requests, PatchesNameTheirKindAndApplyItsManager) {
  EXPECT_EQ(patch(kFunction, {"n", "f"}, PatchKind::kJson, parse("[]")).content_type, "application/json-patch+json");
  EXPECT_EQ(patch(kFunction, {"n", "f"}, PatchKind::kMerge, parse("{}")).content_type, "application/merge-patch+json");
  const Request applied = apply(kService, {"n", "s"}, parse("{}"), true);
  EXPECT_EQ(applied.method, "PATCH");
  EXPECT_EQ(applied.content_type, "application/apply-patch+yaml");
  EXPECT_EQ(applied.target, "/api/v1/namespaces/n/services/s?fieldManager=fmesh-operator&force=true");
  EXPECT_EQ(apply(kService, {"n", "s"}, parse("{}"), false).target.find("force"), std::string::npos);
}

TEST(Requests, ADeleteCarriesItsPreconditionsAndPropagation) {
  const Request request = remove(kStatefulSet, {"n", "s"}, {"u1", "7"}, Propagation::kOrphan);
  EXPECT_EQ(request.method, "DELETE");
  EXPECT_EQ(request.target, "/apis/apps/v1/namespaces/n/statefulsets/s");
  EXPECT_EQ(parse(request.body), parse(R"({"apiVersion": "v1", "kind": "DeleteOptions",
      "preconditions": {"uid": "u1", "resourceVersion": "7"}, "propagationPolicy": "Orphan"})"));
  EXPECT_EQ(
      parse(remove(kService, {"n", "s"}, {}, Propagation::kBackground).body).as_object().contains("preconditions"),
      false);
}

TEST(Outcome, ReasonsDecideBeforeCodes) {
  EXPECT_EQ(outcome(200, "{}").verdict, Verdict::kOk);
  EXPECT_EQ(outcome(201, "").verdict, Verdict::kOk);
  EXPECT_EQ(outcome(404, failure("NotFound", 404)).verdict, Verdict::kNotFound);
  EXPECT_EQ(outcome(409, failure("AlreadyExists", 409)).verdict, Verdict::kAlreadyExists);
  EXPECT_EQ(outcome(409, failure("Conflict", 409)).verdict, Verdict::kConflict);
  EXPECT_EQ(outcome(410, failure("Expired", 410)).verdict, Verdict::kGone);
  EXPECT_EQ(outcome(410, failure("Gone", 410)).verdict, Verdict::kGone);
  EXPECT_EQ(outcome(500, failure("Expired", 500)).verdict, Verdict::kGone);
  EXPECT_EQ(outcome(422, failure("Invalid", 422)).verdict, Verdict::kInvalid);
  EXPECT_EQ(outcome(400, failure("BadRequest", 400)).verdict, Verdict::kInvalid);
  EXPECT_EQ(outcome(413, "too large").verdict, Verdict::kInvalid);
  EXPECT_EQ(outcome(401, failure("Unauthorized", 401)).verdict, Verdict::kForbidden);
  EXPECT_EQ(outcome(403, failure("Forbidden", 403)).verdict, Verdict::kForbidden);
  EXPECT_EQ(outcome(500, failure("InternalError", 500, "etcdserver: request timed out")).verdict,
            Verdict::kUnavailable);
  EXPECT_EQ(outcome(504, failure("Timeout", 504)).verdict, Verdict::kUnavailable);
  EXPECT_EQ(outcome(503, "").verdict, Verdict::kUnavailable);
  EXPECT_EQ(outcome(302, "").verdict, Verdict::kUnavailable);
}

TEST(Outcome, WhatIsBeingDeletedIsNeitherConflictNorForbidden) {
  EXPECT_EQ(
      outcome(409, failure("AlreadyExists", 409, "object is being deleted: services \\\"a\\\" already exists")).verdict,
      Verdict::kBeingDeleted);
  EXPECT_EQ(outcome(403, failure("Forbidden", 403, "m", R"({"causes": [{"reason": "NamespaceTerminating"}]})")).verdict,
            Verdict::kBeingDeleted);
}

TEST(Outcome, RetryAfterComesFromTheHeaderOrTheStatusAndIsBounded) {
  const Outcome header = outcome(429, failure("TooManyRequests", 429, "m", R"({"retryAfterSeconds": 9})"), 3000);
  EXPECT_EQ(header.verdict, Verdict::kTooMany);
  EXPECT_EQ(header.retry_after_ms, 3000);
  EXPECT_EQ(outcome(429, failure("TooManyRequests", 429, "m", R"({"retryAfterSeconds": 9})")).retry_after_ms, 9000);
  EXPECT_EQ(outcome(503, "", 1000).retry_after_ms, 1000);
  EXPECT_EQ(outcome(429, "", 1'000'000'000'000).retry_after_ms, 600'000);
  EXPECT_EQ(outcome(429, "slow down").verdict, Verdict::kTooMany);
}

TEST(Outcome, AnAnswerThatIsNoStatusIsQuotedShort) {
  const Outcome page = outcome(404, "404 page not found");
  EXPECT_EQ(page.verdict, Verdict::kNotFound);
  EXPECT_EQ(page.message, "the API server answered 404: 404 page not found");
  EXPECT_LT(outcome(500, std::string(1'000'000, 'x')).message.size(), 2000U);
}

TEST(Outcome, NoAnswerMeansUnknownAndBadCredentialsMeanForbidden) {
  EXPECT_EQ(read_outcome(fail(ErrorKind::kRetryLater, "reset")).verdict, Verdict::kUnavailable);
  EXPECT_EQ(read_outcome(fail(ErrorKind::kRetryLater, "reset")).message, "reset");
  EXPECT_EQ(read_outcome(fail(ErrorKind::kFixInput, "certificate")).verdict, Verdict::kForbidden);
}

TEST(Outcome, StatusObjectsInsideAStreamMeanTheSame) {
  const Outcome gone = read_status(parse(failure("Expired", 410, "too old resource version: 1 (9)")));
  EXPECT_EQ(gone.verdict, Verdict::kGone);
  EXPECT_EQ(gone.message, "too old resource version: 1 (9)");
  EXPECT_EQ(read_status(parse(R"({"code": 410})")).verdict, Verdict::kGone);
  EXPECT_EQ(read_status(parse(R"({"code": 99999999999})")).verdict, Verdict::kUnavailable);
  EXPECT_EQ(read_status(parse("[]")).verdict, Verdict::kUnavailable);
}

}  // namespace
}  // namespace fmesh::kube
