#include "operator/why.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace fmesh::op {
namespace {

namespace json = boost::json;
using testing::ElementsAre;
using testing::HasSubstr;

json::value seen_function() {
  return json::parse(R"({"kind":"Function","metadata":{"name":"f","generation":2},
                         "status":{"observedGeneration":2,"reason":"PodsNotReady"}})");
}
json::value set_of(int wanted, int ready) {
  return {
      {"metadata", {{"name", "f-function"}}}, {"spec", {{"replicas", wanted}}}, {"status", {{"readyReplicas", ready}}}};
}

std::string about(const char* pod, std::vector<json::value> events = {}, std::map<std::string, std::string> logs = {}) {
  WhyFacts facts{seen_function(), set_of(1, 0), {json::parse(pod)}, std::move(events), std::move(logs)};
  const WhyAnswer answer = why(facts);
  EXPECT_FALSE(answer.ready);
  std::string all;
  for (const std::string& line : answer.lines) all += line + "\n";
  return all;
}

TEST(Why, NamesWhatKeepsACleanup) {
  WhyFacts facts;
  facts.resource = json::parse(R"({"kind":"Function","metadata":{"name":"f","deletionTimestamp":"2026-01-01T00:00:00Z",
                                   "finalizers":["cleanup.subscription.finalizer"]}})");
  EXPECT_THAT(why(facts).lines, ElementsAre(HasSubstr("it waits for the finalizer cleanup.subscription.finalizer")));
  facts.events = {
      json::parse(R"({"reason":"CleanupRetried","involvedObject":{"name":"f"},"message":"the broker is away"})")};
  EXPECT_THAT(why(facts).lines, ElementsAre(HasSubstr("its cleanup in Pulsar does not go through: the broker is away"),
                                            HasSubstr("compute.functionmesh.io/need-cleanup=false")));
}

TEST(Why, NamesAPodThatFitsOnNoNode) {
  EXPECT_THAT(about(R"({"metadata":{"name":"f-function-0"},"status":{"phase":"Pending","conditions":[
                  {"type":"PodScheduled","status":"False","message":"0/3 nodes: Insufficient cpu"}]}})"),
              HasSubstr("pod f-function-0 fits on no node: 0/3 nodes: Insufficient cpu"));
}

TEST(Why, NamesAnImageThatCantBeGot) {
  EXPECT_THAT(
      about(R"({"metadata":{"name":"p"},"status":{"phase":"Pending","containerStatuses":[{"name":"pulsar-function",
                  "image":"x:1","ready":false,"state":{"waiting":{"reason":"ImagePullBackOff","message":"not found"}}}]}})"),
      HasSubstr("container pulsar-function of pod p can't get its image x:1: ImagePullBackOff: not found"));
}

TEST(Why, NamesAMissingKeyOfAConfigMap) {
  EXPECT_THAT(
      about(R"({"metadata":{"name":"p"},"status":{"phase":"Pending","containerStatuses":[{"name":"c","ready":false,
                  "state":{"waiting":{"reason":"CreateContainerConfigError","message":"configmap \"blue\" not found"}}}]}})"),
      HasSubstr("configmap \"blue\" not found"));
}

TEST(Why, ShowsTheLastLineOfACrashAndThatTheBrokerIsAway) {
  const std::string all = about(
      R"({"metadata":{"name":"p"},"status":{"phase":"Running","containerStatuses":[{"name":"c","ready":false,
          "state":{"waiting":{"reason":"CrashLoopBackOff"}},"lastState":{"terminated":{"exitCode":255,"reason":"Error"}}}]}})",
      {}, {{"p/c", "java.net.UnknownHostException: broker"}});
  EXPECT_THAT(all, HasSubstr("ended with exit code 255"));
  EXPECT_THAT(all, HasSubstr("UnknownHostException: broker"));
  EXPECT_THAT(all, HasSubstr("does not reach the broker"));
}

TEST(Why, TellsAContainerThatRanOutOfMemory) {
  EXPECT_THAT(
      about(R"({"metadata":{"name":"p"},"status":{"phase":"Running","containerStatuses":[{"name":"c","ready":false,
                  "state":{"terminated":{"exitCode":137,"reason":"OOMKilled"}}}]}})"),
      HasSubstr("raise spec.resources.limits.memory"));
}

TEST(Why, TellsAVolumeThatIsNotThere) {
  EXPECT_THAT(
      about(R"({"metadata":{"name":"p"},"status":{"phase":"Pending","containerStatuses":[{"name":"c","ready":false,
                  "state":{"waiting":{"reason":"ContainerCreating"}}}]}})",
            {json::parse(
                R"({"reason":"FailedMount","involvedObject":{"name":"p"},"message":"secret \"a\" not found"})")}),
      HasSubstr("waits for a volume: secret \"a\" not found"));
}

TEST(Why, TellsThatTheClusterRefusesPods) {
  WhyFacts facts{
      seen_function(),
      set_of(2, 0),
      {},
      {json::parse(R"({"reason":"FailedCreate","regarding":{"name":"f-function"},"note":"exceeded quota"})")},
      {}};
  EXPECT_THAT(why(facts).lines.front(), HasSubstr("0 of 2 pods exist; the cluster refuses more: exceeded quota"));
}

TEST(Why, TellsThatNoOperatorRuns) {
  WhyFacts facts;
  facts.resource = json::parse(R"({"kind":"Function","metadata":{"name":"f","generation":1}})");
  EXPECT_THAT(why(facts).lines.front(), HasSubstr("no operator has looked at Function f yet"));
}

TEST(Why, SaysReadyWhenItIs) {
  WhyFacts facts{seen_function(),
                 set_of(1, 1),
                 {json::parse(R"({"metadata":{"name":"p"},"status":{"phase":"Running",
      "containerStatuses":[{"name":"c","ready":true,"state":{"running":{}}}]}})")},
                 {},
                 {}};
  EXPECT_TRUE(why(facts).ready);
  EXPECT_THAT(why(facts).lines, ElementsAre("Function f is ready: 1 of 1 pods"));
}

TEST(Why, AsksForTheLogOfTheRunBefore) {
  const json::value pod =
      json::parse(R"({"metadata":{"name":"p"},"status":{"containerStatuses":[{"name":"c","ready":false,
      "state":{"waiting":{"reason":"CrashLoopBackOff"}},"lastState":{"terminated":{"exitCode":1}}},
      {"name":"d","ready":true,"state":{"running":{}}}]}})");
  EXPECT_THAT(logs_wanted({pod}), ElementsAre(LogWanted{"p", "c", true}));
}

}  // namespace
}  // namespace fmesh::op
