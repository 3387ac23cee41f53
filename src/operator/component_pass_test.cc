#include "operator/component_pass.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "operator/settings.h"

namespace fmesh::op {
namespace {

namespace json = boost::json;

constexpr const char* kFunctionText = R"({
  "apiVersion": "compute.functionmesh.io/v1alpha1", "kind": "Function",
  "metadata": {"name": "f", "namespace": "n", "uid": "u-f", "generation": 1, "resourceVersion": "1"},
  "spec": {"name": "f", "className": "a.B", "tenant": "t", "namespace": "d", "clusterName": "c", "replicas": 1,
           "autoAck": true, "forwardSourceMessageProperty": true, "input": {"topics": ["persistent://t/d/in"]},
           "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
           "java": {"jar": "/f.jar"}, "pulsar": {"pulsarConfig": "p"}}
})";

// One Function in a world that does what passes ask for, as an API server would.
class ComponentPassTest : public testing::Test {
 protected:
  void SetUp() override { put(kube::kFunction, json::parse(kFunctionText).get_object()); }

  void put(const kube::ResourceType& type, json::object object) {
    json::object& metadata = object["metadata"].get_object();
    metadata["resourceVersion"] = std::to_string(++version_);
    if (!metadata.contains("uid")) metadata["uid"] = fmt_uid(type, metadata);
    world_.of(type).put(*kube::Object::make(object));
  }
  static std::string fmt_uid(const kube::ResourceType& type, const json::object& metadata) {
    return std::string(type.kind) + "/" + std::string(metadata.at("name").get_string());
  }
  void put_backend(bool auto_update) {
    put(kube::kBackendConfig, {{"apiVersion", "compute.functionmesh.io/v1alpha1"},
                               {"kind", "BackendConfig"},
                               {"metadata", {{"name", "backend-config"}, {"namespace", "n"}, {"uid", "u-b"}}},
                               {"spec", {{"autoUpdate", auto_update}, {"env", {{"OF_BACKEND", "x"}}}}}});
  }
  void remove_backend() { world_.backend_configs.remove({"n", "backend-config"}, "u-b"); }

  // A whole pass; what it wrote, by kind and HTTP method, the status left out.
  std::vector<std::string> run() {
    std::vector<std::string> writes;
    const std::unique_ptr<Pass> pass = make_pass(world_, settings_, {"Function", "n", "f"});
    for (Step step = pass->next(); step.kind == Step::Kind::kWrite; step = pass->next()) {
      const Write& write = step.write;
      if (write.verb != WriteVerb::kStatus) writes.push_back(write.request.method + " " + std::string(write.type.kind));
      if (write.request.method == "DELETE") {
        world_.of(write.type).remove(write.key, write.uid);
      } else {
        put(write.type, json::parse(write.request.body).get_object());
      }
      pass->answered(write, {});
      if (writes.size() > 10) break;
    }
    return writes;
  }
  json::object function() { return world_.functions.get({"n", "f"})->json().get_object(); }
  std::string status(const char* field) {
    const json::value object = function();
    const json::value* value = object.at("status").get_object().if_contains(field);
    return value ? json::serialize(*value) : "";
  }
  // A person writes the spec anew.
  void change(const std::function<void(json::object&)>& change) {
    json::object object = function();
    change(object["spec"].get_object());
    json::object& metadata = object["metadata"].get_object();
    metadata["generation"] = metadata["generation"].to_number<int64_t>() + 1;
    put(kube::kFunction, object);
  }
  json::object stateful_set() { return world_.stateful_sets.get({"n", "f-function"})->json().get_object(); }
  bool set_has(const char* text) { return json::serialize(stateful_set()).find(text) != std::string::npos; }

  ManualClock clock_;
  World world_{clock_};
  Settings settings_;
  int version_ = 0;
};

using Writes = std::vector<std::string>;

TEST_F(ComponentPassTest, MakesWhatIsMissingAndThenNothing) {
  EXPECT_EQ(run(), (Writes{"POST StatefulSet", "POST Service"}));
  EXPECT_EQ(run(), Writes{});
  EXPECT_EQ(status("observedGeneration"), "1");
}

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
  json::object object = function();
  object["metadata"].get_object()["annotations"] = {{kApplyPendingChange, "true"}};
  put(kube::kFunction, object);
  EXPECT_EQ(run(), Writes{"PUT StatefulSet"});
  EXPECT_FALSE(set_has("nodeSelector"));
}

}  // namespace
}  // namespace fmesh::op
