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

WhyAnswer about_ready(const char* container, std::map<std::string, std::string> logs) {
  const std::string pod =
      R"({"metadata":{"name":"p"},"status":{"phase":"Running","containerStatuses":[)" + std::string(container) + "]}}";
  return why(WhyFacts{seen_function(), set_of(1, 1), {json::parse(pod)}, {}, std::move(logs)});
}

TEST(Why, AContainerThatIsStartedAgainAndAgainIsToldWhileItRuns) {
  const WhyAnswer answer = about_ready(R"({"name":"c","ready":true,"restartCount":3,"state":{"running":{}},
      "lastState":{"terminated":{"exitCode":1,"reason":"Error","finishedAt":"2026-01-01T00:00:00Z"}}})",
                                       {{"p/c", "first\n  at a.B.run(B.java)\n"}});
  EXPECT_TRUE(answer.ready);
  EXPECT_THAT(
      answer.lines,
      ElementsAre("Function f is ready: 1 of 1 pods",
                  "container c of pod p was started again 3 times; at 2026-01-01T00:00:00Z it ended with exit code 1",
                  "its last log line: first"));
}

TEST(Why, AContainerWithoutProbesThatDoesNotReachTheBrokerIsTold) {
  const char* running = R"({"name":"c","ready":true,"restartCount":0,"state":{"running":{}}})";
  const WhyAnswer answer = about_ready(running, {{"p/c", "start\nConnectException: a:6650\nretry\n"}});
  EXPECT_TRUE(answer.ready);
  EXPECT_THAT(answer.lines,
              ElementsAre("Function f is ready: 1 of 1 pods", "the log of container c of pod p ends with: retry",
                          "before that: ConnectException: a:6650", HasSubstr("does not reach the broker")));
  // What stands further up is over.
  EXPECT_EQ(about_ready(running, {{"p/c", "ConnectException\n1\n2\n3\n4\n5\n"}}).lines.size(), 1U);
}

TEST(Why, TheReasonOfACrashIsFoundAboveTheStack) {
  const std::string all = about(
      R"({"metadata":{"name":"p"},"status":{"phase":"Running","containerStatuses":[{"name":"c","ready":false,
          "state":{"waiting":{"reason":"CrashLoopBackOff"}},"lastState":{"terminated":{"exitCode":1}}}]}})",
      {},
      {{"p/c",
        "Caused by: java.net.UnknownHostException: broker\n\tat a.B.c(B.java:1)\n\t... 3 more\nshutting down\n\n"}});
  EXPECT_THAT(all, HasSubstr("its last log line: shutting down\n"));
  EXPECT_THAT(all, HasSubstr("before that: Caused by: java.net.UnknownHostException: broker\n"));
  EXPECT_THAT(all, HasSubstr("check brokerServiceURL"));
}

// Of fmesh's own image: it runs, its readiness probe says no, and its log says why.
TEST(Why, AnInstanceThatIsNotAttachedYetSaysWhatItWaitsFor) {
  const char* pod = R"({"metadata":{"name":"p"},"status":{"phase":"Running","containerStatuses":[{"name":"c",
      "ready":false,"state":{"running":{}}}]}})";
  const std::vector<json::value> events = {json::parse(R"({"involvedObject":{"name":"p"},"reason":"Unhealthy",
                      "message":"Readiness probe failed: HTTP probe failed with statuscode: 503"})")};
  EXPECT_THAT(
      about(pod, events,
            {{"p/c", "post[0] warn: connect to 10.0.0.1:6651: Connection refused; starting again in 800 ms\n"}}),
      testing::AllOf(HasSubstr("runs and is not ready yet"), HasSubstr("statuscode: 503"),
                     HasSubstr("does not reach the broker")));
  EXPECT_THAT(about(pod, events, {{"p/c", "mark[0] error: produce to t: AuthorizationError: no\n"}}),
              HasSubstr("the broker refuses it"));
}

TEST(Why, AnEndWithoutAnErrorIsOneToo) {
  const std::string all = about(
      R"({"metadata":{"name":"p"},"status":{"phase":"Running","containerStatuses":[{"name":"c","ready":false,
          "state":{"terminated":{"exitCode":0,"reason":"Completed"}}}]}})",
      {}, {{"p/c", "WARN Connection refused: /10.0.0.1:6650\nClient closing\n"}});
  EXPECT_THAT(all, HasSubstr("container c of pod p ended with exit code 0 and is started again and again\n"
                             "its last log line: Client closing\nbefore that: WARN Connection refused"));
  EXPECT_THAT(all, HasSubstr("it does not reach the broker"));
}

TEST(Why, LongLinesAreCutAtACharacter) {
  std::string line = "x";
  while (line.size() < 600) line += "ü";
  const std::string all = about(
      R"({"metadata":{"name":"p"},"status":{"phase":"Running","containerStatuses":[{"name":"c","ready":false,
          "state":{"terminated":{"exitCode":1}}}]}})",
      {}, {{"p/c", line}});
  EXPECT_THAT(all, HasSubstr("line: " + line.substr(0, 399) + "\n"));
}

TEST(Why, AMeshSaysWhatIsInItsOwnWay) {
  const auto lines = [](const char* mesh) { return why_mesh(json::parse(mesh)).lines; };
  EXPECT_THAT(lines(R"({"kind":"FunctionMesh","metadata":{"name":"m","generation":1}})"),
              ElementsAre(HasSubstr("no operator has looked at FunctionMesh m yet"), HasSubstr("kubectl get pods")));
  EXPECT_THAT(lines(R"({"kind":"FunctionMesh","metadata":{"name":"m","generation":1,
                        "annotations":{"compute.functionmesh.io/managed":"false"}}})"),
              ElementsAre(HasSubstr("no operator looks after it")));
  EXPECT_THAT(lines(R"({"kind":"FunctionMesh","metadata":{"name":"m","generation":1},
                        "status":{"reason":"Invalid","message":"two Functions of the mesh have the name a; rename one"}})"),
              ElementsAre(HasSubstr("two Functions of the mesh")));
  const WhyAnswer answer = why_mesh(json::parse(R"({"kind":"FunctionMesh","metadata":{"name":"m","generation":1},
                        "status":{"observedGeneration":1,"reason":"ComponentsNotReady","ready":"1/2"}})"));
  EXPECT_FALSE(answer.ready);
  EXPECT_THAT(answer.lines, ElementsAre("FunctionMesh m: 1/2 components ready"));
}

TEST(Why, AsksForTheLogOfTheRunBefore) {
  const json::value pod = json::parse(R"({"metadata":{"name":"p"},"status":{
      "initContainerStatuses":[{"name":"i","ready":true,"state":{"terminated":{"exitCode":0}}}],
      "containerStatuses":[{"name":"c","ready":false,
      "state":{"waiting":{"reason":"CrashLoopBackOff"}},"lastState":{"terminated":{"exitCode":1}}},
      {"name":"d","ready":true,"state":{"running":{}}},{"name":"e","ready":false,"state":{"waiting":{}}}]}})");
  EXPECT_THAT(logs_wanted({pod}), ElementsAre(LogWanted{"p", "c", true}, LogWanted{"p", "d", false}));
}

}  // namespace
}  // namespace fmesh::op
