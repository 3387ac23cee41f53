#include "runtime/new_function.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace fmesh::runtime {
namespace {

TEST(NewFunction, SuggestsANameThatWillDo) {
  EXPECT_TRUE(check_project_name("price-orders2"));
  for (const auto& [bad, good] : {std::pair{"PriceOrders", "e.g. price-orders"},
                                  {"2x_y", "e.g. x-y"},
                                  {"", "e.g. my-function"},
                                  {"a-", "e.g. a"}}) {
    const Status status = check_project_name(bad);
    ASSERT_FALSE(status) << bad;
    EXPECT_THAT(status.error().text(), testing::EndsWith(good));
  }
}

TEST(NewFunction, LeavesNoMarkInAnyFile) {
  for (const auto& project : {function_project("price-orders"), python_project("price-orders")}) {
    for (const ProjectFile& file : project) {
      for (const char* mark : {"{name}", "{file}", "{class}", "{mesh}", "{source}", "{sink}", "{runtime}", "{next}"})
        EXPECT_EQ((file.path + file.text).find(mark), std::string::npos) << file.path;
    }
  }
}

TEST(NewFunction, TheComponentsBesideTheFunctionHaveOtherNames) {
  for (const std::string name : {"orders", "show"}) {
    for (const ProjectFile& file : function_project(name)) {
      if (file.path != "mesh.yaml") continue;
      EXPECT_EQ(file.text.find("    - name: " + name + "\n"), file.text.rfind("    - name: " + name + "\n"));
    }
  }
}

TEST(NewFunction, NeverWritesOverFiles) {
  const std::string directory = testing::TempDir() + "fmesh-new-" + std::to_string(getpid());
  ASSERT_TRUE(write_project(function_project("mine"), directory));
  const Status again = write_project(function_project("mine"), directory);
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().text(), testing::HasSubstr("exists already"));
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace fmesh::runtime
