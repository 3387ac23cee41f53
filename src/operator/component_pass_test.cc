#include "operator/component_pass.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "operator/pass_testing.h"
#include "operator/settings.h"

namespace fmesh::op {
namespace {

namespace json = boost::json;

class ComponentPassTest : public PassTest {
 protected:
  void SetUp() override { put(kube::kFunction, function_of_test()); }

  void put_backend(json::object spec) {
    put(kube::kBackendConfig, {{"apiVersion", "compute.functionmesh.io/v1alpha1"},
                               {"kind", "BackendConfig"},
                               {"metadata", {{"name", "backend-config"}, {"namespace", "n"}, {"uid", "u-b"}}},
                               {"spec", std::move(spec)}});
  }
  void put_backend(bool auto_update, const char* value = "x") {
    put_backend({{"autoUpdate", auto_update}, {"env", {{"OF_BACKEND", value}}}});
  }
  void remove_backend() { world_.backend_configs.remove({"n", "backend-config"}, "u-b"); }

  Writes run() { return PassTest::run(kube::kFunction, "f"); }
  std::string status(const char* field) { return PassTest::status(kube::kFunction, "f", field); }
  void change(const std::function<void(json::object&)>& edit) { PassTest::change(kube::kFunction, "f", edit); }
  void set_metadata(const char* field, json::value value) {
    json::object object = get(kube::kFunction, "f");
    object["metadata"].get_object()[field] = std::move(value);
    put(kube::kFunction, object);
  }
  json::object stateful_set() { return get(kube::kStatefulSet, "f-function"); }
  bool set_has(const char* text) { return json::serialize(stateful_set()).find(text) != std::string::npos; }
};

TEST_F(ComponentPassTest, MakesWhatIsMissingAndThenNothing) {
  for (const char* label : {"", "compute.functionmesh.io/pulsar-cluster"}) {
    SetUp();
    set_metadata("labels", {{label, "x"}});
    run();
    EXPECT_EQ(run(), Writes{});
    EXPECT_EQ(status("observedGeneration"), "1");
  }
}

// --- the finalizer ---

TEST_F(ComponentPassTest, TheFinalizerIsWrittenAloneAndNothingElseOfTheResource) {
  change([](json::object& spec) {
    spec["cleanupSubscription"] = true;
    spec["windowConfig"] = {{"windowLengthCount", 5}, {"slidingIntervalCount", 5}};
  });
  EXPECT_EQ(run(), (Writes{"PATCH Function", "POST StatefulSet", "POST Service"}));
  const json::value patch = json::parse(sent_.at(0));
  EXPECT_EQ(patch.get_object().size(), 1U) << sent_[0];
  EXPECT_EQ(patch.at("metadata").at("finalizers"), json::parse(R"(["cleanup.subscription.finalizer"])"));
  EXPECT_EQ(patch.at("metadata").get_object().size(), 2U) << "and the version: " << sent_[0];
}

TEST_F(ComponentPassTest, AResourceThatOptsOutOfTheCleanupLaterIsNotStuckInItsDeletion) {
  for (const char* place : {"annotations", "labels"}) {
    SetUp();
    change([](json::object& spec) { spec["cleanupSubscription"] = true; });
    run();
    set_metadata("deletionTimestamp", "2026-01-01T00:00:00Z");
    if (place == std::string("labels")) set_metadata(place, {{"pulsar-cluster", "x"}});
    if (place == std::string("annotations")) set_metadata(place, {{kNeedCleanup, "false"}});
    EXPECT_EQ(run(), Writes{"PATCH Function"}) << place;
    EXPECT_EQ(json::parse(sent_.at(0)).at("metadata").at("finalizers"), json::array()) << place;
  }
}

// --- BackendConfigs ---

TEST_F(ComponentPassTest, ABackendConfigWithAutoUpdateIsRolledOutWhenItComesAndWhenItGoes) {
  run();
  put_backend(true);
  EXPECT_EQ(run(), Writes{"PUT StatefulSet"});
  EXPECT_TRUE(set_has("OF_BACKEND"));
  remove_backend();
  EXPECT_EQ(run(), Writes{"PUT StatefulSet"});
  EXPECT_FALSE(set_has("OF_BACKEND"));
  EXPECT_EQ(status("namespacedBackendConfigRevision"), "");
}

TEST_F(ComponentPassTest, AnotherValueOrPodFieldOfABackendConfigIsRolledOut) {
  put_backend(true);
  run();
  put_backend(true, "other");
  EXPECT_EQ(run(), Writes{"PUT StatefulSet"});
  EXPECT_TRUE(set_has("other"));
  for (const char* field : {R"("labels":{"team":"x"})", R"("nodeSelector":{"disk":"ssd"})",
                            R"("serviceAccountName":"sa")", R"("tolerations":[{"key":"k","operator":"Exists"}])"}) {
    put_backend({{"autoUpdate", true}, {"pod", json::parse("{" + std::string(field) + "}")}});
    EXPECT_EQ(run(), Writes{"PUT StatefulSet"}) << field;
    EXPECT_EQ(run(), Writes{}) << field;
  }
}

TEST_F(ComponentPassTest, ABackendConfigWithoutAutoUpdateWaitsForAChangeOfTheResourceAlsoWhenItGoes) {
  put_backend(false);
  run();
  EXPECT_TRUE(set_has("OF_BACKEND"));
  remove_backend();
  EXPECT_EQ(run(), Writes{});
  EXPECT_TRUE(set_has("OF_BACKEND"));
  EXPECT_NE(status("pendingChange").find("OF_BACKEND"), std::string::npos);
  EXPECT_NE(status("namespacedBackendConfigRevision"), "") << "the one that is in use";
  EXPECT_EQ(run(), Writes{}) << "nor with a later pass, or after a restart";
  change([](json::object& spec) { spec["replicas"] = 2; });
  EXPECT_EQ(run(), Writes{"PUT StatefulSet"});
  EXPECT_FALSE(set_has("OF_BACKEND"));
  EXPECT_EQ(status("pendingChange"), "");
  EXPECT_EQ(status("namespacedBackendConfigRevision"), "");
}

TEST_F(ComponentPassTest, ABackendConfigThatGetsAutoUpdateIsRolledOut) {
  run();
  put_backend(false);
  EXPECT_EQ(run(), Writes{});
  EXPECT_FALSE(set_has("OF_BACKEND"));
  put_backend(true);
  EXPECT_EQ(run(), Writes{"PUT StatefulSet"});
  EXPECT_TRUE(set_has("OF_BACKEND"));
}

TEST_F(ComponentPassTest, APausedRolloutTellsOnlyWhatDiffersAndLetsTheResourcesOwnChangesPass) {
  set_metadata("annotations", {{kPauseRollout, "true"}});
  change([](json::object& spec) { spec["pod"] = {{"liveness", {{"periodSeconds", 5}}}}; });
  run();
  EXPECT_EQ(run(), Writes{});
  EXPECT_EQ(status("pendingChange"), "");
  put_backend(true);
  EXPECT_EQ(run(), Writes{});
  EXPECT_EQ(status("pendingChange").find("null"), std::string::npos) << status("pendingChange");
  EXPECT_NE(status("pendingChange").find("OF_BACKEND"), std::string::npos);
  change([](json::object& spec) { spec["image"] = "mine:2"; });
  EXPECT_EQ(run(), Writes{"PUT StatefulSet"});
  EXPECT_TRUE(set_has("mine:2"));
}

// --- autoscalers ---

TEST_F(ComponentPassTest, ABehaviourOfAnAutoscalerComesChangesAndGoes) {
  change([](json::object& spec) { spec["maxReplicas"] = 4; });
  EXPECT_EQ(run(), (Writes{"POST StatefulSet", "POST Service", "POST HorizontalPodAutoscaler"}));
  for (const int seconds : {60, 90}) {
    change([&](json::object& spec) {
      spec["pod"] = {{"autoScalingBehavior", {{"scaleUp", {{"stabilizationWindowSeconds", seconds}}}}}};
    });
    EXPECT_EQ(run(), Writes{"PUT HorizontalPodAutoscaler"}) << seconds;
    EXPECT_NE(sent_.at(0).find("\"stabilizationWindowSeconds\":" + std::to_string(seconds)), std::string::npos)
        << sent_[0];
    EXPECT_EQ(run(), Writes{});
  }
  change([](json::object& spec) { spec.erase("pod"); });
  EXPECT_EQ(run(), Writes{"PUT HorizontalPodAutoscaler"});
  EXPECT_EQ(sent_.at(0).find("\"stabilizationWindowSeconds\":90"), std::string::npos) << sent_[0];
}

// Upstream leaves it behind when maxReplicas goes, and it goes on scaling.
TEST_F(ComponentPassTest, AnAutoscalerThatUpstreamLeftBehindGoes) {
  change([](json::object& spec) { spec["maxReplicas"] = 4; });
  run();
  json::object left = get(kube::kHorizontalPodAutoscaler, "f-function");
  left["metadata"].get_object().erase("annotations");
  put(kube::kHorizontalPodAutoscaler, left);
  change([](json::object& spec) { spec.erase("maxReplicas"); });
  EXPECT_EQ(run(), Writes{"DELETE HorizontalPodAutoscaler"});
}

// --- what upstream made ---

// The StatefulSet is as upstream would have made it, and the resource as upstream leaves it.
class TakenOverTest : public ComponentPassTest {
 protected:
  void SetUp() override {
    ComponentPassTest::SetUp();
    run();
    json::object set = stateful_set();
    set["metadata"].get_object().erase("annotations");
    set["spec"].at("template").at("spec").get_object()["nodeSelector"] = {{"disk", "ssd"}};
    put(kube::kStatefulSet, set);
    EXPECT_EQ(run(), Writes{});
    EXPECT_NE(status("pendingChange").find("nodeSelector"), std::string::npos);
  }
};

TEST_F(TakenOverTest, ANewSizeIsNoChangeAlsoIfAdmissionFillsInDefaultsOnTheWay) {
  change([](json::object& spec) {
    spec["replicas"] = 3;
    spec["maxPendingAsyncRequests"] = 1000;
    spec["input"].get_object()["typeClassName"] = "[B";
  });
  EXPECT_EQ(run(), Writes{"PUT StatefulSet"});
  EXPECT_EQ(stateful_set()["spec"].at("replicas"), 3);
  EXPECT_TRUE(set_has("nodeSelector"));
  EXPECT_EQ(status("observedGeneration"), "2");
}

TEST_F(TakenOverTest, AnyOtherChangeAppliesWhatIsPending) {
  change([](json::object& spec) { spec["image"] = "mine:2"; });
  EXPECT_EQ(run(), Writes{"PUT StatefulSet"});
  EXPECT_FALSE(set_has("nodeSelector"));
  EXPECT_TRUE(set_has("mine:2"));
  EXPECT_EQ(status("pendingChange"), "");
  EXPECT_EQ(status("adoptedSpec"), "");
}

TEST_F(TakenOverTest, TheAnnotationAppliesWhatIsPending) {
  set_metadata("annotations", {{kApplyPendingChange, "true"}});
  EXPECT_EQ(run(), Writes{"PUT StatefulSet"});
  EXPECT_FALSE(set_has("nodeSelector"));
}

}  // namespace
}  // namespace fmesh::op
