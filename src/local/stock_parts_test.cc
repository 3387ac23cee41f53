#include "local/stock_parts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace fmesh::local {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class StockPartsTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("stock-parts-" + std::to_string(::getpid()));
    fs::create_directories(folder_ / "home/instances/python-instance");
    fs::create_directories(folder_ / "mesh");
    make("home/instances/java-instance.jar");
    make("home/instances/python-instance/python_instance_main.py");
    make("python", true);
    spec_.stock.emplace();
    spec_.base_directory = folder_ / "mesh";
    spec_.details.runtime = model::DetailsRuntime::kPython;
    programs_ = {.pulsar_home = folder_ / "home", .python = folder_ / "python"};
  }
  void TearDown() override { fs::remove_all(folder_); }

  void make(const std::string& name, bool executable = false) const {
    std::ofstream(folder_ / name) << "x";
    if (executable) fs::permissions(folder_ / name, fs::perms::owner_all);
  }
  std::string package_of(const std::string& written) {
    spec_.library_path = written;
    const auto parts = find_stock_parts(spec_, programs_);
    return parts ? fs::relative(parts->package, folder_).string() : parts.error().text();
  }

  fs::path folder_;
  model::InstanceSpec spec_;
  StockPrograms programs_;
};

TEST_F(StockPartsTest, FindsAPackageBesideTheFileThenInPulsarsFolder) {
  make("home/f.py");
  EXPECT_EQ(package_of("f.py"), "home/f.py");
  EXPECT_EQ(package_of("/pulsar/f.py"), "home/f.py");
  make("mesh/f.py");
  EXPECT_EQ(package_of("f.py"), "mesh/f.py");
  EXPECT_EQ(package_of((folder_ / "mesh/f.py").string()), "mesh/f.py");
}

TEST_F(StockPartsTest, SaysWhereItLookedAndWhereAPodWouldTakeItFrom) {
  spec_.stock->package_location = "function://public/default/f@1";
  const std::string text = package_of("f.py");
  EXPECT_THAT(text, HasSubstr((folder_ / "mesh/f.py").string()));
  EXPECT_THAT(text, HasSubstr((folder_ / "home/f.py").string()));
  EXPECT_THAT(text, HasSubstr("function://public/default/f@1"));
}

TEST_F(StockPartsTest, SaysHowToGetWhatIsMissing) {
  programs_.python = folder_ / "no-python";
  EXPECT_THAT(package_of("f.py"), HasSubstr("pulsar-client[functions]"));
  programs_.pulsar_home = folder_ / "mesh";
  EXPECT_THAT(package_of("f.py"), HasSubstr("so it is no distribution of Pulsar"));
  programs_.pulsar_home = "";
  EXPECT_THAT(package_of("f.py"), HasSubstr("--pulsar-home DIR"));
}

TEST_F(StockPartsTest, AGoProgramNeedsNothingElse) {
  spec_.details.runtime = model::DetailsRuntime::kGo;
  programs_ = {};
  make("mesh/g");
  EXPECT_THAT(package_of("g"), HasSubstr("is not executable"));
  make("mesh/g", true);
  EXPECT_EQ(package_of("g"), "mesh/g");
}

}  // namespace
}  // namespace fmesh::local
