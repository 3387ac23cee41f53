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

}  // namespace
}  // namespace fmesh::op
