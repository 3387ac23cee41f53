#include "operator/mesh_pass.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "operator/pass_testing.h"

namespace fmesh::op {
namespace {

namespace json = boost::json;

class MeshPassTest : public PassTest {
 protected:
  static json::object item(const char* name) {
    json::object spec = function_of_test()["spec"].get_object();
    spec["name"] = name;
    return spec;
  }
  void put_mesh(json::array functions) {
    put(kube::kFunctionMesh, {{"apiVersion", "compute.functionmesh.io/v1alpha1"},
                              {"kind", "FunctionMesh"},
                              {"metadata", {{"name", "m"}, {"namespace", "n"}, {"uid", "u-m"}}},
                              {"spec", {{"functions", std::move(functions)}}}});
  }
  std::unique_ptr<Pass> begin() { return make_pass(world_, settings_, {"FunctionMesh", "n", "m"}); }
  // All steps that need no answer of another; none is carried out yet.
  static std::vector<Write> hand_out(Pass& pass) {
    std::vector<Write> writes;
    Step step = pass.next();
    for (; step.kind == Step::Kind::kWrite && step.independent; step = pass.next()) writes.push_back(step.write);
    EXPECT_EQ(step.kind, Step::Kind::kWait);
    return writes;
  }
  static Writes names(const std::vector<Write>& writes) {
    Writes names;
    for (const Write& write : writes) names.push_back(write.request.method + " " + write.key.name);
    return names;
  }
  Writes run() { return PassTest::run(kube::kFunctionMesh, "m"); }
  std::string status(const char* field) { return PassTest::status(kube::kFunctionMesh, "m", field); }
};

TEST_F(MeshPassTest, OfTwoItemsWithOneNameTheFirstStaysAndTheStatusSaysSo) {
  json::object second = item("a");
  second["className"] = "other.Class";
  put_mesh({item("a"), second});
  EXPECT_EQ(run(), Writes{"POST Function"});
  EXPECT_EQ(run(), Writes{});
  EXPECT_EQ(get(kube::kFunction, "m-a")["spec"].at("className"), "a.B");
  EXPECT_NE(status("message").find("two Functions of the mesh have the name a; rename one"), std::string::npos)
      << status("message");
}

TEST_F(MeshPassTest, WhatAdmissionFilledIntoAChildIsNoDifference) {
  put_mesh({item("a")});
  run();
  json::object child = get(kube::kFunction, "m-a");
  json::object& spec = child["spec"].get_object();
  spec["maxPendingAsyncRequests"] = 1000;
  spec["input"].get_object()["typeClassName"] = "[B";
  put(kube::kFunction, child);
  EXPECT_EQ(run(), Writes{}) << notes_;
}

TEST_F(MeshPassTest, TheSizeThatAnAutoscalerGaveAChildStays) {
  json::object scaled = item("a");
  scaled["maxReplicas"] = 9;
  put_mesh({scaled});
  run();
  change(kube::kFunction, "m-a", [](json::object& spec) { spec["replicas"] = 5; });
  EXPECT_EQ(run(), Writes{});
  change(kube::kFunctionMesh, "m",
         [](json::object& spec) { spec["functions"].at(0).get_object()["image"] = "mine:2"; });
  EXPECT_EQ(run(), Writes{"PUT Function"});
  EXPECT_EQ(get(kube::kFunction, "m-a")["spec"].at("replicas"), 5);
  EXPECT_EQ(get(kube::kFunction, "m-a")["spec"].at("image"), "mine:2");
}

TEST_F(MeshPassTest, ChildrenDoNotWaitForEachOther) {
  put_mesh({item("a"), item("b")});
  run();
  put_mesh({item("b"), item("c"), item("d")});
  const std::unique_ptr<Pass> pass = begin();
  const std::vector<Write> writes = hand_out(*pass);
  EXPECT_EQ(names(writes), (Writes{"POST m-c", "POST m-d", "DELETE m-a"}));
  for (auto write = writes.rbegin(); write != writes.rend(); ++write) {
    EXPECT_EQ(pass->next().kind, Step::Kind::kWait);  // the status waits for all of them
    carry_out(*write);
    pass->answered(*write, {});
  }
  const Step last = pass->next();
  ASSERT_EQ(last.kind, Step::Kind::kWrite);
  EXPECT_EQ(last.write.verb, WriteVerb::kStatus);
  EXPECT_FALSE(last.independent);
}

TEST_F(MeshPassTest, WhicheverStepsAStopLetHappenTheNextPassDoesTheOthers) {
  constexpr size_t kChildren = 4;
  for (unsigned happened = 0; happened < 1U << kChildren; ++happened) {
    for (const char* name : {"m-a", "m-b", "m-c", "m-d"})
      world_.functions.remove({"n", name}, "Function/" + std::string(name));
    put_mesh({item("a"), item("b"), item("c"), item("d")});
    std::unique_ptr<Pass> pass = begin();
    const std::vector<Write> writes = hand_out(*pass);
    ASSERT_EQ(writes.size(), kChildren);
    std::vector<Write> missing;
    for (size_t i = 0; i < kChildren; ++i) {
      if (happened >> i & 1U) {
        carry_out(writes[i]);
      } else {
        missing.push_back(writes[i]);
      }
    }
    pass.reset();  // none was answered
    pass = begin();
    if (missing.empty()) {
      EXPECT_EQ(pass->next().write.verb, WriteVerb::kStatus);
    } else {
      EXPECT_EQ(names(hand_out(*pass)), names(missing)) << "happened: " << happened;
    }
  }
}

TEST_F(MeshPassTest, AChildThatWasRefusedKeepsNoOtherBack) {
  put_mesh({item("a"), item("b")});
  const std::unique_ptr<Pass> pass = begin();
  const std::vector<Write> writes = hand_out(*pass);
  kube::Outcome refused;
  refused.verdict = kube::Verdict::kInvalid;
  refused.message = "no";
  pass->answered(writes.at(0), refused);
  EXPECT_EQ(pass->next().kind, Step::Kind::kWait);
  carry_out(writes.at(1));
  pass->answered(writes.at(1), {});
  const Step last = pass->next();
  carry_out(last.write);
  EXPECT_NE(status("message").find("a: Function m-a refused by the API server: no"), std::string::npos)
      << status("message");
}

}  // namespace
}  // namespace fmesh::op
