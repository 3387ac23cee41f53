#include "sim/kube/registry.h"

#include <gtest/gtest.h>

#include "sim/kube/api_server_testing.h"

namespace fmesh::sim {
namespace {

TEST_F(ApiServerTest, CreatesOnceWithUidVersionAndDefaults) {
  const json::value first = made(kube::kService, service("a"));
  EXPECT_FALSE(uid_of(first).empty());
  EXPECT_FALSE(version_of(first).empty());
  EXPECT_EQ(text_at(first, {"spec", "type"}), "ClusterIP");
  EXPECT_EQ(outcome(kube::create(kube::kService, "ns", service("a"))).reason, "AlreadyExists");
  EXPECT_EQ(verdict(kube::get(kube::kService, {"ns", "b"})), Verdict::kNotFound);
  EXPECT_EQ(verdict(kube::create(kube::kService, "other", service("b"))), Verdict::kInvalid);
  EXPECT_EQ(verdict(kube::create(kube::kService, "ns", function("b"))), Verdict::kInvalid);
}

TEST_F(ApiServerTest, AnUpdateNeedsTheNewestVersionAndTheSameUid) {
  const json::value first = made(kube::kFunction, function("f"));
  json::value change = first;
  change.at("spec").as_object()["replicas"] = 2;
  EXPECT_EQ(verdict(kube::update(kube::kFunction, {"ns", "f"}, change)), Verdict::kOk);
  EXPECT_EQ(verdict(kube::update(kube::kFunction, {"ns", "f"}, change)), Verdict::kConflict);
  change = now(kube::kFunction, "f");
  change.at("metadata").as_object()["uid"] = "other";
  EXPECT_EQ(verdict(kube::update(kube::kFunction, {"ns", "f"}, change)), Verdict::kConflict);
  change.at("metadata").as_object().erase("uid");
  change.at("metadata").as_object().erase("resourceVersion");
  EXPECT_EQ(verdict(kube::update(kube::kFunction, {"ns", "f"}, change)), Verdict::kInvalid)
      << "custom resources need one";
  EXPECT_EQ(verdict(kube::update(kube::kFunction, {"ns", "g"}, change)), Verdict::kInvalid);
}

TEST_F(ApiServerTest, GenerationCountsSpecsAndStatusHasADoorOfItsOwn) {
  json::value object = made(kube::kFunction, function("f"));
  EXPECT_EQ(kube::int_at(object, {"metadata", "generation"}), 1);
  object.as_object()["status"] = {{"phase", "x"}};
  EXPECT_EQ(verdict(kube::update(kube::kFunction, {"ns", "f"}, object)), Verdict::kOk);
  EXPECT_EQ(version_of(now(kube::kFunction, "f")), version_of(object)) << "nothing was changed, nothing was written";
  object.at("spec").as_object()["replicas"] = 7;
  EXPECT_EQ(verdict(kube::update(kube::kFunction, {"ns", "f"}, object, "status")), Verdict::kInvalid)
      << "by its schema";
  object.as_object()["status"] = {{"conditions", json::object()}, {"replicas", 1}, {"selector", "s"}, {"phase", "x"}};
  EXPECT_EQ(verdict(kube::update(kube::kFunction, {"ns", "f"}, object, "status")), Verdict::kOk);
  object = now(kube::kFunction, "f");
  EXPECT_EQ(kube::int_at(object, {"spec", "replicas"}), 1);
  EXPECT_EQ(text_at(object, {"status", "phase"}), "x");
  EXPECT_EQ(kube::int_at(object, {"metadata", "generation"}), 1);
  object.at("spec").as_object()["replicas"] = 7;
  ask(kube::update(kube::kFunction, {"ns", "f"}, object));
  EXPECT_EQ(kube::int_at(now(kube::kFunction, "f"), {"metadata", "generation"}), 2);
  EXPECT_EQ(text_at(now(kube::kFunction, "f"), {"status", "phase"}), "x");
}

TEST_F(ApiServerTest, ScaleReadsAndWritesReplicasOnly) {
  made(kube::kFunction, function("f", 3));
  const json::value patch = {{"spec", {{"replicas", 5}}}};
  const kube::Response response =
      ask(kube::patch(kube::kFunction, {"ns", "f"}, kube::PatchKind::kMerge, patch, "scale"));
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(kube::int_at(*kube::read_json(response.body), {"spec", "replicas"}), 5);
  EXPECT_EQ(kube::int_at(now(kube::kFunction, "f"), {"spec", "replicas"}), 5);
  EXPECT_EQ(kube::int_at(now(kube::kFunction, "f"), {"metadata", "generation"}), 2);
}

TEST_F(ApiServerTest, DeletesCheckPreconditionsAndWaitForFinalizers) {
  const json::value object = made(kube::kService, service("a", R"({"finalizers": ["x/y"]})"));
  EXPECT_EQ(verdict(kube::remove(kube::kService, {"ns", "a"}, {"other", ""}, kube::Propagation::kBackground)),
            Verdict::kConflict);
  EXPECT_EQ(verdict(kube::remove(kube::kService, {"ns", "a"}, {"", "1"}, kube::Propagation::kBackground)),
            Verdict::kConflict);
  EXPECT_EQ(verdict(kube::remove(kube::kService, {"ns", "a"}, {uid_of(object), version_of(object)},
                                 kube::Propagation::kBackground)),
            Verdict::kOk);
  json::value going = now(kube::kService, "a");
  EXPECT_TRUE(kube::find(going, {"metadata", "deletionTimestamp"}));
  EXPECT_EQ(verdict(kube::create(kube::kService, "ns", service("a"))), Verdict::kBeingDeleted);
  json::value more = going;
  more.at("metadata").at("finalizers").as_array().emplace_back("z/z");
  EXPECT_EQ(verdict(kube::update(kube::kService, {"ns", "a"}, more)), Verdict::kInvalid);
  going.at("metadata").as_object().erase("finalizers");
  EXPECT_EQ(verdict(kube::update(kube::kService, {"ns", "a"}, going)), Verdict::kOk);
  EXPECT_TRUE(now(kube::kService, "a").is_null());
  EXPECT_EQ(verdict(kube::remove(kube::kService, {"ns", "a"}, {}, kube::Propagation::kBackground)), Verdict::kNotFound);
}

TEST_F(ApiServerTest, ATerminatingNamespaceTakesNothingNew) {
  server.registry().terminate_namespace("ns");
  EXPECT_EQ(verdict(kube::create(kube::kService, "ns", service("a"))), Verdict::kBeingDeleted);
}

TEST_F(ApiServerTest, AStatefulSetMayNotChangeEverything) {
  made(kube::kStatefulSet, stateful_set("s"));
  json::value change = now(kube::kStatefulSet, "s");
  change.at("spec").as_object()["serviceName"] = "other";
  const kube::Outcome refused = outcome(kube::update(kube::kStatefulSet, {"ns", "s"}, change));
  EXPECT_EQ(refused.code, 422);
  EXPECT_EQ(refused.verdict, Verdict::kInvalid);
  change = now(kube::kStatefulSet, "s");
  change.at("spec").at("template").at("spec").at("containers").as_array()[0].as_object()["image"] = "i:2";
  EXPECT_EQ(verdict(kube::update(kube::kStatefulSet, {"ns", "s"}, change)), Verdict::kOk);
}

TEST_F(ApiServerTest, WhatDoesNotFitTogetherIsRefused) {
  const auto with = [](std::string_view container, std::string_view pod = "{}") {
    json::value object = stateful_set("s");
    json::object& spec = object.at("spec").at("template").at("spec").as_object();
    const json::value more = json::parse(container), more_pod = json::parse(pod);
    for (const auto& [key, value] : more.as_object()) spec["containers"].as_array()[0].as_object()[key] = value;
    for (const auto& [key, value] : more_pod.as_object()) spec[key] = value;
    return object;
  };
  const auto refused = [&](const json::value& object) {
    return outcome(kube::create(kube::kStatefulSet, "ns", object)).message;
  };
  EXPECT_NE(refused(with(R"({"volumeMounts": [{"name": "v", "mountPath": "/v"}]})")).find("volumeMounts[0].name"),
            std::string::npos);
  EXPECT_NE(refused(with("{}", R"({"volumes": [{"name": "v"}, {"name": "v"}]})")).find("volumes[1].name"),
            std::string::npos);
  EXPECT_NE(refused(with(R"({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1500m"}}})"))
                .find("resources.requests"),
            std::string::npos);
  EXPECT_NE(refused(with(R"({"name": "Big"})")).find("containers[0].name"), std::string::npos);
  json::value other = stateful_set("s");
  other.at("spec").at("selector").at("matchLabels").as_object()["a"] = "c";
  EXPECT_NE(refused(other).find("spec.template.metadata.labels"), std::string::npos);
}

TEST_F(ApiServerTest, StatefulSetsBecomeReadyInSteps) {
  made(kube::kStatefulSet, stateful_set("s"));
  run_ms(10'000);
  const json::value ready = now(kube::kStatefulSet, "s");
  EXPECT_EQ(kube::int_at(ready, {"status", "readyReplicas"}), 2);
  EXPECT_EQ(kube::int_at(ready, {"status", "updatedReplicas"}), 2);
  EXPECT_EQ(kube::int_at(ready, {"status", "observedGeneration"}), 1);
  EXPECT_EQ(kube::int_at(ready, {"metadata", "generation"}), 1);
  EXPECT_TRUE(server.controllers().idle());
}

class Garbage : public ApiServerTest {
 protected:
  json::value owned(const std::string& name, const json::value& owner) {
    json::value object = service(name);
    object.at("metadata").as_object()["ownerReferences"] = json::array{{{"apiVersion", text_at(owner, {"apiVersion"})},
                                                                        {"kind", text_at(owner, {"kind"})},
                                                                        {"name", text_at(owner, {"metadata", "name"})},
                                                                        {"uid", uid_of(owner)},
                                                                        {"controller", true},
                                                                        {"blockOwnerDeletion", true}}};
    return made(kube::kService, object);
  }
};

TEST_F(Garbage, BackgroundDeletionTakesDependentsLater) {
  const json::value owner = made(kube::kFunction, function("f"));
  owned("a", owner);
  owned("b", owner);
  made(kube::kService, service("c"));
  ask(kube::remove(kube::kFunction, {"ns", "f"}, {}, kube::Propagation::kBackground));
  EXPECT_TRUE(now(kube::kFunction, "f").is_null());
  EXPECT_FALSE(now(kube::kService, "a").is_null()) << "not at once";
  run_ms(5'000);
  EXPECT_EQ(server.all(kube::kService).size(), 1U);
}

TEST_F(Garbage, ForegroundDeletionTakesDependentsFirst) {
  const json::value owner = made(kube::kFunction, function("f"));
  owned("a", owner);
  ask(kube::remove(kube::kFunction, {"ns", "f"}, {}, kube::Propagation::kForeground));
  EXPECT_FALSE(now(kube::kFunction, "f").is_null());
  run_ms(5'000);
  EXPECT_TRUE(now(kube::kFunction, "f").is_null());
  EXPECT_EQ(server.all(kube::kService).size(), 0U);
}

TEST_F(Garbage, OrphaningLeavesDependentsWithoutAnOwner) {
  const json::value owner = made(kube::kFunction, function("f"));
  owned("a", owner);
  ask(kube::remove(kube::kFunction, {"ns", "f"}, {}, kube::Propagation::kOrphan));
  run_ms(5'000);
  EXPECT_TRUE(now(kube::kFunction, "f").is_null());
  EXPECT_FALSE(now(kube::kService, "a").is_null());
  EXPECT_FALSE(kube::find(now(kube::kService, "a"), {"metadata", "ownerReferences"}));
}

TEST_F(Garbage, AnOwnerMadeAnewIsNotTheOwner) {
  const json::value owner = made(kube::kFunction, function("f"));
  owned("a", owner);
  ask(kube::remove(kube::kFunction, {"ns", "f"}, {}, kube::Propagation::kBackground));
  made(kube::kFunction, function("f"));
  run_ms(5'000);
  EXPECT_EQ(server.all(kube::kService).size(), 0U);
}

TEST_F(Garbage, PodsOutliveAStatefulSetThatIsRemadeAroundThem) {
  ApiServerOptions options;
  options.controllers.pods = true;
  ApiServer with_pods(loop, options);
  with_pods.user(kube::create(kube::kStatefulSet, "ns", stateful_set("s")));
  run_ms(30'000);
  ASSERT_EQ(with_pods.all(kube::kPod).size(), 2U);
  const std::string uid = uid_of(*with_pods.get(kube::kPod, {"ns", "s-0"}));
  with_pods.user(kube::remove(kube::kStatefulSet, {"ns", "s"}, {}, kube::Propagation::kOrphan));
  run_ms(10'000);
  EXPECT_FALSE(with_pods.get(kube::kStatefulSet, {"ns", "s"}));
  with_pods.user(kube::create(kube::kStatefulSet, "ns", stateful_set("s")));
  run_ms(30'000);
  EXPECT_EQ(uid_of(*with_pods.get(kube::kPod, {"ns", "s-0"})), uid) << "it was not restarted";
  EXPECT_TRUE(kube::find(*with_pods.get(kube::kPod, {"ns", "s-0"}), {"metadata", "ownerReferences"}));
}

TEST_F(ApiServerTest, PatchesChangeWhatTheyNameAndTestsGuardThem) {
  made(kube::kService, service("a", R"({"finalizers": ["f/one", "f/two"]})"));
  const auto patch = [&](std::string_view text) {
    return kube::patch(kube::kService, {"ns", "a"}, kube::PatchKind::kJson, json::parse(text));
  };
  EXPECT_EQ(
      verdict(patch(
          R"([{"op": "test", "path": "/metadata/finalizers/0", "value": "f/two"}, {"op": "remove", "path": "/metadata/finalizers/0"}])")),
      Verdict::kInvalid);
  EXPECT_EQ(
      verdict(patch(
          R"([{"op": "test", "path": "/metadata/finalizers/0", "value": "f/one"}, {"op": "remove", "path": "/metadata/finalizers/0"}])")),
      Verdict::kOk);
  EXPECT_EQ(kube::find(now(kube::kService, "a"), {"metadata", "finalizers"})->as_array().size(), 1U);
  const json::value merge = json::parse(R"({"metadata": {"finalizers": null, "labels": {"x": "y"}}})");
  EXPECT_EQ(verdict(kube::patch(kube::kService, {"ns", "a"}, kube::PatchKind::kMerge, merge)), Verdict::kOk);
  EXPECT_FALSE(kube::find(now(kube::kService, "a"), {"metadata", "finalizers"}));
  EXPECT_EQ(text_at(now(kube::kService, "a"), {"metadata", "labels", "x"}), "y");
}

TEST_F(ApiServerTest, ApplyOwnsItsFieldsAndTakesThemAwayAgain) {
  const auto applied = [](std::string_view env) {
    json::value object = stateful_set("s");
    object.at("spec").at("template").at("spec").at("containers").as_array()[0].as_object()["env"] = json::parse(env);
    return object;
  };
  const auto apply = [&](const json::value& object, bool force = false) {
    return kube::apply(kube::kStatefulSet, {"ns", "s"}, object, force);
  };
  const auto env_names = [&] {
    std::string names;
    const json::value set = now(kube::kStatefulSet, "s");
    const json::value* env =
        kube::find(set.at("spec").at("template").at("spec").at("containers").as_array()[0], {"env"});
    if (!env) return names;
    for (const json::value& item : env->as_array())
      names += text_at(item, {"name"}) + "=" + text_at(item, {"value"}) + " ";
    return names;
  };
  EXPECT_EQ(ask(apply(applied(R"([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}])"))).status, 201);
  EXPECT_EQ(verdict(apply(applied(R"([{"name": "B", "value": "3"}])"))), Verdict::kOk);
  EXPECT_EQ(env_names(), "B=3 ") << "what is no longer applied is gone";
  const std::string version = version_of(now(kube::kStatefulSet, "s"));
  EXPECT_EQ(verdict(apply(applied(R"([{"name": "B", "value": "3"}])"))), Verdict::kOk);
  EXPECT_EQ(version_of(now(kube::kStatefulSet, "s")), version) << "the same again is no write";
  // Another one's field: kept, and fought for only with force.
  kube::Request other = kube::update(kube::kStatefulSet, {"ns", "s"}, [&] {
    json::value set = now(kube::kStatefulSet, "s");
    set.at("spec").as_object()["replicas"] = 9;
    set.at("spec")
        .at("template")
        .at("spec")
        .at("containers")
        .as_array()[0]
        .at("env")
        .as_array()
        .push_back({{"name", "C"}, {"value", "4"}});
    return set;
  }());
  other.target = other.target.substr(0, other.target.find('?')) + "?fieldManager=someone";
  EXPECT_EQ(verdict(other), Verdict::kOk);
  const kube::Outcome conflict = outcome(apply(applied(R"([{"name": "B", "value": "3"}])")));
  EXPECT_EQ(conflict.verdict, Verdict::kConflict);
  EXPECT_NE(conflict.message.find("conflict with \"someone\": .spec.replicas"), std::string::npos) << conflict.message;
  EXPECT_EQ(verdict(apply(applied(R"([{"name": "B", "value": "3"}])"), true)), Verdict::kOk);
  EXPECT_EQ(kube::int_at(now(kube::kStatefulSet, "s"), {"spec", "replicas"}), 2);
  EXPECT_EQ(env_names(), "B=3 C=4 ");
  json::value without_replicas = applied(R"([{"name": "B", "value": "3"}])");
  without_replicas.at("spec").as_object().erase("replicas");
  EXPECT_EQ(verdict(apply(without_replicas)), Verdict::kOk);
  EXPECT_EQ(kube::int_at(now(kube::kStatefulSet, "s"), {"spec", "replicas"}), 1) << "owned by no one: the default";
}

TEST_F(ApiServerTest, PagesShowOneMomentAndExpire) {
  for (const char* name : {"a", "b", "c", "d", "e"}) made(kube::kService, service(name));
  kube::ListOptions options;
  options.limit = 2;
  json::value page = *kube::read_json(ask(kube::list(kube::kService, options)).body);
  EXPECT_EQ(page.at("items").as_array().size(), 2U);
  EXPECT_FALSE(kube::find(page.at("items").as_array()[0], {"kind"})) << "as a real server's items";
  ask(kube::remove(kube::kService, {"ns", "d"}, {}, kube::Propagation::kBackground));
  made(kube::kService, service("f"));
  std::string names;
  while (!text_at(page, {"metadata", "continue"}).empty()) {
    options.continue_token = text_at(page, {"metadata", "continue"});
    page = *kube::read_json(ask(kube::list(kube::kService, options)).body);
    for (const json::value& item : page.at("items").as_array()) names += text_at(item, {"metadata", "name"});
  }
  EXPECT_EQ(names, "cde");
  server.compact();
  EXPECT_EQ(verdict(kube::list(kube::kService, options)), Verdict::kGone);
  options.continue_token = "nonsense";
  EXPECT_EQ(verdict(kube::list(kube::kService, options)), Verdict::kInvalid);
}

TEST_F(ApiServerTest, SelectorsOfLabelsAndFields) {
  made(kube::kService, service("a", R"({"labels": {"app": "x", "t": "1"}})"));
  made(kube::kService, service("b", R"({"labels": {"app": "y"}})"));
  made(kube::kService, service("c"));
  const auto names = [&](const std::string& labels, const std::string& fields = "") {
    std::string text;
    kube::ListOptions options;
    options.label_selector = labels;
    options.field_selector = fields;
    const json::value list = *kube::read_json(ask(kube::list(kube::kService, options)).body);
    for (const json::value& item : list.at("items").as_array()) text += text_at(item, {"metadata", "name"});
    return text;
  };
  EXPECT_EQ(names("app=x"), "a");
  EXPECT_EQ(names("app!=x"), "bc");
  EXPECT_EQ(names("app in (x,y),!t"), "b");
  EXPECT_EQ(names("app notin (x)"), "bc");
  EXPECT_EQ(names("app"), "ab");
  EXPECT_EQ(names("", "metadata.name=c"), "c");
}

}  // namespace
}  // namespace fmesh::sim
