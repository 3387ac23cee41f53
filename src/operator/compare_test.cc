#include "operator/compare.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace fmesh::op {
namespace {

namespace json = boost::json;

std::string changes(std::string_view wanted, std::string_view live) {
  const auto found = difference(json::parse(wanted), json::parse(live));
  return found ? json::serialize(*found) : "";
}

TEST(Compare, TakesTheApiServersDefaultsForNothing) {
  EXPECT_EQ(changes(R"({"livenessProbe":{"httpGet":{"path":"/","port":9094},"periodSeconds":30}})",
                    R"({"livenessProbe":{"httpGet":{"path":"/","port":9094,"scheme":"HTTP"},"periodSeconds":30,
                        "timeoutSeconds":1,"successThreshold":1,"failureThreshold":3}})"),
            "");
  EXPECT_EQ(changes(R"({"containers":[{"name":"a","image":"x"}]})",
                    R"({"containers":[{"name":"a","image":"x","imagePullPolicy":"Always","resources":{},
                        "terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],
                        "dnsPolicy":"ClusterFirst","restartPolicy":"Always","securityContext":{}})"),
            "");
}

TEST(Compare, ComparesQuantitiesByValue) {
  EXPECT_EQ(changes(R"({"limits":{"cpu":"0.5","memory":"0.5Gi","x":2}})",
                    R"({"limits":{"cpu":"500m","memory":"512Mi","x":"2"}})"),
            "");
  EXPECT_EQ(changes(R"({"limits":{"cpu":"0.5"}})", R"({"limits":{"cpu":"501m"}})"), R"({"limits":{"cpu":"0.5"}})");
}

TEST(Compare, SeesWhatWasRemovedAndWhatWasAdded) {
  EXPECT_EQ(changes(R"({"a":1})", R"({"a":1,"nodeName":"n"})"), R"({"nodeName":null})");
  EXPECT_EQ(changes(R"({"labels":{"a":"1"}})", R"({"labels":{"a":"1","b":"2"}})"), R"({"labels":{"b":null}})");
  EXPECT_EQ(changes(R"({"nodeSelector":{"a":"1"}})", "{}"), R"({"nodeSelector":{"a":"1"}})");
  EXPECT_EQ(changes("{}", R"({"livenessProbe":{"periodSeconds":5}})"), R"({"livenessProbe":null})");
}

TEST(Compare, LeavesAnnotationsOfOthersAlone) {
  EXPECT_EQ(changes(R"({"annotations":{"a":"1"}})",
                    R"({"annotations":{"a":"1","kubectl.kubernetes.io/restartedAt":"today"}})"),
            "");
  EXPECT_NE(changes(R"({"annotations":{"a":"1"}})", R"({"annotations":{"a":"2"}})"), "");
}

TEST(Compare, ComparesVariablesByNameAndTheLastOneCounts) {
  EXPECT_EQ(changes(R"({"env":[{"name":"a","value":"1"},{"name":"b","value":"2"}]})",
                    R"({"env":[{"name":"b","value":"2"},{"name":"a","value":"0"},{"name":"a","value":"1"}]})"),
            "");
  EXPECT_EQ(changes(R"({"env":[{"name":"a","value":"secret"}]})", R"({"env":[{"name":"a","value":"old"}]})"),
            R"j({"env":[{"value":"(not shown)","name":"a"}]})j");
  EXPECT_EQ(changes(R"({"env":[{"name":"a","value":"1"}]})",
                    R"({"env":[{"name":"a","value":"1"},{"name":"x","value":"2"}]})"),
            R"({"env":[{"name":"x","$patch":"delete"}]})");
}

TEST(Compare, HidesCommands) {
  const std::string found = changes(R"({"containers":[{"name":"a","command":["bash","-c","password=1"]}]})",
                                    R"({"containers":[{"name":"a","command":["bash","-c","password=2"]}]})");
  EXPECT_EQ(found.find("password"), std::string::npos);
  EXPECT_NE(found, "");
}

TEST(Compare, ZeroReplicasAreNotNothing) {
  EXPECT_NE(changes(R"({"replicas":0})", R"({"replicas":1})"), "");
  EXPECT_EQ(changes(R"({"replicas":0})", R"({"replicas":0})"), "");
  EXPECT_NE(changes(R"({"replicas":0})", "{}"), "");
}

TEST(Compare, ARootUserThatWasRemovedIsSeen) {
  EXPECT_EQ(changes("{}", R"({"securityContext":{"runAsUser":0}})"), R"({"securityContext":null})");
  EXPECT_EQ(changes(R"({"securityContext":{"fsGroup":1}})", R"({"securityContext":{"fsGroup":1,"runAsUser":0}})"),
            R"({"securityContext":{"runAsUser":null}})");
}

TEST(Compare, RulesOfAnAutoscalerThatWereRemovedAreSeen) {
  const char* completed = R"({"behavior":{"scaleUp":{"stabilizationWindowSeconds":5,"selectPolicy":"Max","policies":[
      {"type":"Pods","value":4,"periodSeconds":15},{"type":"Percent","value":100,"periodSeconds":15}]},
      "scaleDown":{"selectPolicy":"Disabled","policies":[{"type":"Percent","value":100,"periodSeconds":15}]}}})";
  EXPECT_EQ(changes(R"({"behavior":{"scaleUp":{"stabilizationWindowSeconds":5},
                                    "scaleDown":{"selectPolicy":"Disabled"}}})",
                    completed),
            "");
  EXPECT_EQ(changes(R"({"behavior":{"scaleUp":{"stabilizationWindowSeconds":5}}})", completed),
            R"({"behavior":{"scaleDown":{"selectPolicy":"Max"}}})");
  EXPECT_EQ(changes(R"({"behavior":{"scaleDown":{"selectPolicy":"Disabled"}}})", completed),
            R"({"behavior":{"scaleUp":{"stabilizationWindowSeconds":0}}})");
}

TEST(Compare, WhereNobodyFillsInDefaultsAllIsSeen) {
  const auto exact = [](std::string_view wanted, std::string_view live) {
    const auto found = difference(json::parse(wanted), json::parse(live), Defaults::kNone);
    return found ? json::serialize(*found) : "";
  };
  EXPECT_EQ(exact(R"({"liveness":{"periodSeconds":3}})", R"({"liveness":{"periodSeconds":3,"failureThreshold":3}})"),
            R"({"liveness":{"failureThreshold":null}})");
  EXPECT_EQ(exact(R"({"pod":{}})", R"({"pod":{"annotations":{"a":"1"}}})"), R"({"pod":{"annotations":null}})");
  EXPECT_EQ(exact("{}", R"({"receiverQueueSize":0,"labels":{},"name":"","claims":[]})"),
            R"({"receiverQueueSize":null})");
}

TEST(Compare, NamesTheChangedFields) {
  EXPECT_EQ(
      list_changes(json::parse(R"({"replicas":3,"template":{"spec":{"containers":[{"name":"f","image":"x"}]}}})")),
      "replicas, template.spec.containers[f].image");
}

TEST(Compare, FingerprintsDoNotDependOnTheOrderOfMembers) {
  EXPECT_EQ(fingerprint(json::parse(R"({"a":1,"b":[2]})")), fingerprint(json::parse(R"({"b":[2],"a":1})")));
  EXPECT_NE(fingerprint(json::parse(R"({"a":1})")), fingerprint(json::parse(R"({"a":2})")));
}

}  // namespace
}  // namespace fmesh::op
