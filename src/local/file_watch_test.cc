#include "local/file_watch.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

namespace fmesh::local {
namespace {

class FileWatchTest : public testing::Test {
 protected:
  FileWatchTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "fmesh-watch-XXXXXX").string();
    folder = mkdtemp(pattern.data());
  }
  ~FileWatchTest() override { std::filesystem::remove_all(folder); }
  void write(const std::string& name) { std::ofstream(folder + "/" + name) << "x"; }
  bool told_within(int count, int limit_ms) {
    for (int waited = 0; waited < limit_ms; waited += 5) {
      if (told >= count) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return told >= count;
  }

  std::string folder;
  std::atomic<int> told{0};
};

TEST_F(FileWatchTest, TellsOfAFileThatWasWrittenOrReplaced) {
  write("mesh.yaml");
  const auto watch = FileWatch::start({folder + "/mesh.yaml"}, [&] { ++told; });
  ASSERT_TRUE(watch) << watch.error().to_string();
  write("mesh.yaml");
  EXPECT_TRUE(told_within(1, 5'000));
  write("mesh.yaml.new");
  std::filesystem::rename(folder + "/mesh.yaml.new", folder + "/mesh.yaml");
  EXPECT_TRUE(told_within(2, 5'000));
}

TEST_F(FileWatchTest, SaysNothingOfOtherFilesInTheFolder) {
  write("mesh.yaml");
  const auto watch = FileWatch::start({folder + "/mesh.yaml"}, [&] { ++told; });
  ASSERT_TRUE(watch);
  write("other.yaml");
  EXPECT_FALSE(told_within(1, kFileChangeQuietMs * 4));
}

TEST_F(FileWatchTest, WatchesAFolderForWhatComesIntoIt) {
  const auto watch = FileWatch::start({folder}, [&] { ++told; });
  ASSERT_TRUE(watch);
  write("new.yaml");
  EXPECT_TRUE(told_within(1, 5'000));
}

}  // namespace
}  // namespace fmesh::local
