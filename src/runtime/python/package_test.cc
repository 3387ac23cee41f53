// Packages of Python functions: folders, zips as Pulsar lays them out, wheels, and those that must not be unpacked.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "runtime/python/python_testing.h"

namespace fmesh::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class PythonPackage : public PythonCase {
 protected:
  // Packages are made by the zipfile of Python itself.
  void make_archive(const std::string& name, const std::string& members) {
    write("make.py",
          "import sys, zipfile\n"
          "members = " +
              members +
              "\n"
              "with zipfile.ZipFile(sys.argv[1], 'w') as archive:\n"
              "    for name, text in members:\n"
              "        archive.writestr(name, text)\n");
    const std::string command = "/usr/bin/python3 " + (folder_ / "make.py").string() + " " + (folder_ / name).string();
    ASSERT_EQ(std::system(command.c_str()), 0);  // NOLINT(cert-env33-c): a test's own command
  }
  std::string error_of(const std::string& name, const std::string& class_name) {
    spec_.library_path = folder_ / name;
    spec_.details.class_name = class_name;
    const Status status = open();
    return status ? "no error" : status.error().text();
  }
};

TEST_F(PythonPackage, AZipHasSourcesAndWheels) {
  make_archive("priced-1.0-py3-none-any.whl", "[('t_priced.py', 'PRICE = 3')]");
  make_archive("shop.zip", R"py([
    ("shop/src/t_shop/__init__.py", ""),
    ("shop/src/t_shop/main.py", "import t_priced\n\nclass Shop:\n    def process(self, input, context):\n        return t_priced.PRICE * int(input)\n"),
    ("shop/deps/priced-1.0-py3-none-any.whl", open(sys.argv[1].replace("shop.zip", "priced-1.0-py3-none-any.whl"), "rb").read()),
    ("shop/requirements.txt", "priced==1.0"),
])py");
  EXPECT_EQ(error_of("shop.zip", "t_shop.main.Shop"), "no error");
  EXPECT_THAT(run({"2"}).payloads(), ElementsAre("6"));
  // A second instance takes what is unpacked.
  EXPECT_EQ(error_of("shop.zip", "t_shop.main.Shop"), "no error");
}

TEST_F(PythonPackage, AWheelAndAFolderAreTakenAsTheyAre) {
  make_archive("wheeled-1.0-py3-none-any.whl", R"([("t_wheeled.py", "def process(input):\n    return 'wheel'\n")])");
  EXPECT_EQ(error_of("wheeled-1.0-py3-none-any.whl", "t_wheeled"), "no error");
  EXPECT_THAT(run({"a"}).payloads(), ElementsAre("wheel"));
  std::filesystem::create_directories(folder_ / "code" / "src");
  write("code/src/t_folder.py", "def process(input):\n    return 'folder'\n");
  EXPECT_EQ(error_of("code", "t_folder"), "no error");
  EXPECT_THAT(run({"a"}).payloads(), ElementsAre("folder"));
}

TEST_F(PythonPackage, AnArchiveCannotWriteOutsideOfItsFolder) {
  for (const char* name : {"../evil.py", "/tmp/evil.py", "a/../../evil.py"}) {
    make_archive("evil.zip", std::string("[('") + name + "', 'x = 1')]");
    EXPECT_THAT(error_of("evil.zip", "evil"), HasSubstr("leads out of the archive")) << name;
    EXPECT_FALSE(std::filesystem::exists(folder_ / "evil.py"));
  }
  make_archive("link.zip", "[]");
  write("make.py",
        "import sys, zipfile\n"
        "with zipfile.ZipFile(sys.argv[1], 'w') as archive:\n"
        "    link = zipfile.ZipInfo('link')\n"
        "    link.external_attr = 0o120777 << 16\n"
        "    archive.writestr(link, '/etc')\n");
  const std::string command =
      "/usr/bin/python3 " + (folder_ / "make.py").string() + " " + (folder_ / "link.zip").string();
  ASSERT_EQ(std::system(command.c_str()), 0);  // NOLINT(cert-env33-c): a test's own command
  EXPECT_THAT(error_of("link.zip", "link"), HasSubstr("leads out of the archive"));
}

TEST_F(PythonPackage, WhatIsNoPackageIsRefused) {
  write("text.zip", "this is no zip");
  EXPECT_THAT(error_of("text.zip", "text"), HasSubstr("text.zip: it is no zip archive"));
  write("code.tar", "x");
  EXPECT_THAT(error_of("code.tar", "code"), HasSubstr("expected a .py file, a .zip, a .whl or a folder"));
  make_archive("fast-1.0-cp38-cp38-linux_x86_64.whl", "[('t_fast.py', '')]");
  EXPECT_THAT(error_of("fast-1.0-cp38-cp38-linux_x86_64.whl", "t_fast"),
              HasSubstr("the wheel is for cp38, this Python is cp311"));
}

}  // namespace
}  // namespace fmesh::runtime
