#include "operator/owned.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "operator/settings.h"

namespace fmesh::op {
namespace {

namespace json = boost::json;

constexpr const char* kSet = R"({
  "apiVersion": "apps/v1", "kind": "StatefulSet",
  "metadata": {"name": "f-function", "namespace": "n", "labels": {"app": "function-mesh"},
               "ownerReferences": [{"kind": "Function", "name": "f", "uid": "u-f", "controller": true,
                                    "apiVersion": "compute.functionmesh.io/v1alpha1"}]},
  "spec": {"replicas": 1, "serviceName": "f-function-headless", "podManagementPolicy": "Parallel",
           "selector": {"matchLabels": {"name": "f"}},
           "template": {"metadata": {"labels": {"name": "f"}},
                        "spec": {"containers": [{"name": "pulsar-function", "image": "i:1",
                                                 "command": ["bash", "-c", "exec java"],
                                                 "env": [{"name": "A", "value": "1"}]}]}}}
})";

// A world in which one StatefulSet may live.
class OwnedTest : public testing::Test {
 protected:
  json::object wanted() { return json::parse(kSet).get_object(); }
  // As the API server would hold what fmesh wrote.
  json::object live() {
    json::object object = wanted();
    json::object& metadata = object["metadata"].get_object();
    metadata["uid"] = "u-s";
    metadata["resourceVersion"] = "7";
    metadata["annotations"] = {{kApplied, "0"}};
    container(object)["imagePullPolicy"] = "IfNotPresent";
    container(object)["terminationMessagePolicy"] = "File";
    spec(object)["revisionHistoryLimit"] = 10;
    return object;
  }
  static json::object& spec(json::object& object) { return object["spec"].get_object(); }
  static json::object& container(json::object& object) {
    return spec(object)["template"].at("spec").at("containers").get_array().at(0).get_object();
  }
  static json::object& template_metadata(json::object& object) {
    return spec(object)["template"].at("metadata").get_object();
  }
  void put(const json::object& object) { world_.stateful_sets.put(*kube::Object::make(object)); }
  Deed decide(const std::optional<json::object>& object) {
    const Wanted wanted{
        &kube::kStatefulSet, {"n", "f-function"}, object ? std::make_shared<const json::object>(*object) : nullptr};
    return op::decide(world_, wanted, circumstances_);
  }
  static json::value body(const Deed& deed) { return json::parse(deed.write.request.body); }

  ManualClock clock_;
  World world_{clock_};
  Circumstances circumstances_{.owner = {"Function", "f", "u-f"}};
};

TEST_F(OwnedTest, MakesWhatIsMissingAndMarksIt) {
  const Deed deed = decide(wanted());
  ASSERT_EQ(deed.kind, Deed::Kind::kWrite);
  EXPECT_EQ(deed.write.verb, WriteVerb::kCreate);
  EXPECT_EQ(deed.write.request.method, "POST");
  EXPECT_TRUE(body(deed).at("metadata").at("annotations").get_object().contains(kApplied));
}

TEST_F(OwnedTest, LeavesAloneWhatDiffersByDefaultsOnly) {
  put(live());
  EXPECT_EQ(decide(wanted()).kind, Deed::Kind::kNothing);
}

TEST_F(OwnedTest, BringsBackWhatSomeoneEdited) {
  for (const char* field : {"label", "env", "selector of nodes"}) {
    json::object edited = live();
    if (field == std::string("label")) template_metadata(edited)["labels"].get_object()["more"] = "x";
    if (field == std::string("env")) container(edited)["env"] = json::parse(R"([{"name":"A","value":"2"}])");
    if (field == std::string("selector of nodes"))
      spec(edited)["template"].at("spec").get_object()["nodeSelector"] = {{"disk", "ssd"}};
    put(edited);
    const Deed deed = decide(wanted());
    ASSERT_EQ(deed.kind, Deed::Kind::kWrite) << field;
    EXPECT_EQ(deed.write.request.method, "PUT");
    json::value sent = body(deed);
    EXPECT_EQ(sent.at("metadata").at("resourceVersion"), "7");
    EXPECT_EQ(sent.at("spec").at("template"), wanted()["spec"].at("template")) << field;
  }
}

TEST_F(OwnedTest, RemovedVariablesReallyGo) {
  put(live());
  json::object without = wanted();
  container(without).erase("env");
  const Deed deed = decide(without);
  ASSERT_EQ(deed.kind, Deed::Kind::kWrite);
  EXPECT_FALSE(body(deed).at("spec").at("template").at("spec").at("containers").at(0).get_object().contains("env"));
}

TEST_F(OwnedTest, ARestartByKubectlIsNotUndone) {
  json::object restarted = live();
  template_metadata(restarted)["annotations"] = {{"kubectl.kubernetes.io/restartedAt", "t"}};
  put(restarted);
  EXPECT_EQ(decide(wanted()).kind, Deed::Kind::kNothing);
  json::object other = wanted();
  container(other)["image"] = "i:2";
  const Deed deed = decide(other);
  ASSERT_EQ(deed.kind, Deed::Kind::kWrite);
  EXPECT_EQ(
      body(deed).at("spec").at("template").at("metadata").at("annotations").at("kubectl.kubernetes.io/restartedAt"),
      "t");
}

TEST_F(OwnedTest, AnAnnotationOfPodsThatIsNoLongerWantedGoesAndThoseOfOthersStay) {
  json::object annotated = wanted();
  template_metadata(annotated)["annotations"] = {{"ours", "1"}, {"kept", "1"}};
  json::object made = body(decide(annotated)).get_object();
  made["metadata"].get_object()["uid"] = "u-s";
  made["metadata"].get_object()["resourceVersion"] = "7";
  template_metadata(made)["annotations"].get_object()["of.others"] = "1";
  put(made);
  EXPECT_EQ(decide(annotated).kind, Deed::Kind::kNothing);

  template_metadata(annotated)["annotations"] = {{"kept", "1"}};
  const Deed deed = decide(annotated);
  ASSERT_EQ(deed.kind, Deed::Kind::kWrite);
  EXPECT_NE(deed.text.find("annotations.ours"), std::string::npos) << deed.text;
  EXPECT_FALSE(template_metadata(made = body(deed).get_object())["annotations"].get_object().contains("ours"));

  made["metadata"].get_object()["resourceVersion"] = "8";
  put(made);
  EXPECT_EQ(decide(annotated).kind, Deed::Kind::kNothing);
}

TEST_F(OwnedTest, ScalingKeepsTheTemplateToTheLetter) {
  put(live());
  json::object larger = wanted();
  spec(larger)["replicas"] = 3;
  const Deed deed = decide(larger);
  ASSERT_EQ(deed.kind, Deed::Kind::kWrite);
  EXPECT_EQ(body(deed).at("spec").at("template"), live()["spec"].at("template"));
  EXPECT_EQ(body(deed).at("spec").at("replicas"), 3);
}

TEST_F(OwnedTest, TakesOverWhatAnotherOperatorMadeAsItIs) {
  json::object upstream = live();
  upstream["metadata"].get_object().erase("annotations");
  container(upstream)["image"] = "i:0";
  put(upstream);
  circumstances_.adopt = true;
  const Deed held = decide(wanted());
  EXPECT_EQ(held.kind, Deed::Kind::kHeld);
  EXPECT_NE(json::serialize(*held.difference).find("i:1"), std::string::npos);
  // Only its size follows, and it stays theirs.
  json::object larger = wanted();
  spec(larger)["replicas"] = 2;
  const Deed scaled = decide(larger);
  ASSERT_EQ(scaled.kind, Deed::Kind::kWrite);
  EXPECT_EQ(body(scaled).at("spec").at("template"), upstream["spec"].at("template"));
  EXPECT_FALSE(body(scaled).at("metadata").get_object().contains("annotations"));
  // Until the resource changes.
  circumstances_.adopt = false;
  EXPECT_EQ(decide(wanted()).kind, Deed::Kind::kWrite);
}

TEST_F(OwnedTest, HoldsUpdatesButNotCreations) {
  circumstances_.hold = true;
  EXPECT_EQ(decide(wanted()).kind, Deed::Kind::kWrite);
  json::object old = live();
  container(old)["image"] = "i:0";
  put(old);
  EXPECT_EQ(decide(wanted()).kind, Deed::Kind::kHeld);
}

TEST_F(OwnedTest, MakesAStatefulSetAnewWhoseClaimsChangedAndKeepsItsPods) {
  put(live());
  json::object claims = wanted();
  spec(claims)["volumeClaimTemplates"] =
      json::parse(R"([{"metadata":{"name":"d"},"spec":{"accessModes":["ReadWriteOnce"]}}])");
  const Deed deed = decide(claims);
  ASSERT_EQ(deed.kind, Deed::Kind::kWrite);
  EXPECT_EQ(deed.write.verb, WriteVerb::kDelete);
  EXPECT_NE(deed.write.request.body.find("Orphan"), std::string::npos);
  EXPECT_NE(deed.write.request.body.find("u-s"), std::string::npos);
}

TEST_F(OwnedTest, KeepsASelectorThatCantChangeAndGivesPodsItsLabels) {
  json::object old = live();
  spec(old)["selector"] = {{"matchLabels", {{"former", "f"}}}};
  put(old);
  const Deed deed = decide(wanted());
  ASSERT_EQ(deed.kind, Deed::Kind::kWrite);
  EXPECT_EQ(body(deed).at("spec").at("selector").at("matchLabels").at("former"), "f");
  EXPECT_EQ(body(deed).at("spec").at("template").at("metadata").at("labels").at("former"), "f");
}

TEST_F(OwnedTest, DoesNotTouchWhatBelongsToAnother) {
  json::object foreign = live();
  foreign["metadata"].get_object()["ownerReferences"].at(0).get_object()["uid"] = "u-x";
  foreign["metadata"].get_object()["ownerReferences"].at(0).get_object()["name"] = "g";
  put(foreign);
  const Deed deed = decide(wanted());
  EXPECT_EQ(deed.kind, Deed::Kind::kBlocked);
  EXPECT_NE(deed.text.find("belongs to Function g"), std::string::npos);
  EXPECT_EQ(decide(std::nullopt).kind, Deed::Kind::kNothing);
}

TEST_F(OwnedTest, WaitsForWhatIsLeftOfAResourceOfTheSameName) {
  json::object former = live();
  former["metadata"].get_object()["ownerReferences"].at(0).get_object()["uid"] = "u-former";
  put(former);
  EXPECT_EQ(decide(wanted()).kind, Deed::Kind::kWait);
}

TEST_F(OwnedTest, TakesAnOrphanBack) {
  json::object orphan = live();
  orphan["metadata"].get_object().erase("ownerReferences");
  put(orphan);
  const Deed deed = decide(wanted());
  ASSERT_EQ(deed.kind, Deed::Kind::kWrite);
  EXPECT_EQ(body(deed).at("metadata").at("ownerReferences").at(0).at("uid"), "u-f");
}

TEST_F(OwnedTest, RemovesWhatIsNoLongerWantedByItsUid) {
  put(live());
  const Deed deed = decide(std::nullopt);
  ASSERT_EQ(deed.kind, Deed::Kind::kWrite);
  EXPECT_EQ(deed.write.request.method, "DELETE");
  EXPECT_NE(deed.write.request.body.find("u-s"), std::string::npos);
}

}  // namespace
}  // namespace fmesh::op
