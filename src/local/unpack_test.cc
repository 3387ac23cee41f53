#include "local/unpack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "local/unpack_testing.h"

namespace fmesh::local {
namespace {

namespace files = std::filesystem;
using testing::HasSubstr;

class Unpack : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = files::temp_directory_path() / ("fmesh-unpack-" + std::to_string(::getpid()) + "-" + test->name());
    files::remove_all(folder_);
    files::create_directories(folder_ / "out");
  }
  void TearDown() override { files::remove_all(folder_); }

  Result<Unpacked> unpack_bytes(const std::string& bytes, const UnpackLimits& limits = {}) {
    files::remove_all(folder_ / "out");
    files::create_directories(folder_ / "out");
    write_file(folder_ / "archive", bytes);
    return unpack(folder_ / "archive", folder_ / "out", limits);
  }
  std::string refusal(const std::string& bytes, const UnpackLimits& limits = {}) {
    const auto done = unpack_bytes(bytes, limits);
    return done ? "it was unpacked" : done.error().to_string();
  }
  files::path out(const char* name) const { return folder_ / "out" / name; }
  // What is beside the folder that is unpacked into.
  bool only_archive_and_out() const {
    size_t count = 0;
    for ([[maybe_unused]] const auto& entry : files::directory_iterator(folder_)) ++count;
    return count == 2;
  }

  files::path folder_;
};

TEST_F(Unpack, FilesFoldersAndLinksOfATar) {
  const std::string large(100'000, 'x');
  const std::string tar = tar_of({{.name = "./lib/", .type = '5'},
                                  {.name = "./lib/a.so.1", .content = large, .mode = 04755},
                                  {.name = "./lib/a.so", .type = '2', .link = "a.so.1"},
                                  {.name = "deep/er/up", .type = '2', .link = "../../lib/a.so"},
                                  {.name = "deep/note", .content = "hello", .type = '\0'}});
  for (const std::string& bytes : {tar, gzip_of(tar)}) {
    const auto done = unpack_bytes(bytes);
    ASSERT_TRUE(done) << done.error().to_string();
    EXPECT_EQ(done->bytes, large.size() + 5);
    EXPECT_EQ(read_file(out("deep/er/up")), large);
    EXPECT_EQ(read_file(out("deep/note")), "hello");
    EXPECT_EQ(files::status(out("lib/a.so.1")).permissions(), files::perms(0755)) << "no set-user-id bit";
    EXPECT_EQ(files::status(out("deep/note")).permissions(), files::perms(0644));
  }
}

TEST_F(Unpack, LongNamesOfBothKindsOfTar) {
  const std::string name(200, 'n');
  const std::string pax = "path=" + name;
  const std::string record = "210 " + pax + "\n";
  ASSERT_EQ(record.size(), 210);
  const std::string tar = tar_of({{.name = "PaxHeader", .content = record, .type = 'x'},
                                  {.name = "short", .content = "1"},
                                  {.name = "././@LongLink", .content = name + "2" + '\0', .type = 'L'},
                                  {.name = "short", .content = "2"},
                                  {.name = "short", .content = "3"}});
  const auto done = unpack_bytes(tar);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(read_file(out(name.c_str())), "1");
  EXPECT_EQ(read_file(out((name + "2").c_str())), "2");
  EXPECT_EQ(read_file(out("short")), "3") << "a name is for the next entry only";
}

TEST_F(Unpack, StoredAndDeflatedEntriesOfAZip) {
  const std::string large(300'000, 'y');
  const auto done = unpack_bytes(zip_of({{.name = "lib/", .mode = 040755},
                                         {.name = "lib/a.so", .content = large, .mode = 0100755, .deflated = true},
                                         {.name = "note", .content = "hello"},
                                         {.name = "empty", .deflated = true}}));
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(read_file(out("lib/a.so")), large);
  EXPECT_EQ(files::status(out("lib/a.so")).permissions(), files::perms(0755));
  EXPECT_EQ(read_file(out("note")), "hello");
  EXPECT_TRUE(files::exists(out("empty")));
}

TEST_F(Unpack, NothingLeavesTheFolder) {
  for (const char* name : {"../x", "/x", "a/../../x", "a/./x", "a//x", "..", "a\\..\\x", "", "./../x"}) {
    EXPECT_THAT(refusal(tar_of({{.name = name, .content = "x"}})), HasSubstr("is no path below the folder")) << name;
    if (*name != '\0') {
      EXPECT_THAT(refusal(zip_of({{.name = name, .content = "x"}})), HasSubstr("is no path below the folder")) << name;
    }
    EXPECT_TRUE(only_archive_and_out()) << name;
  }
}

TEST_F(Unpack, NoLinkLeadsOut) {
  for (const auto& [name, target] : std::vector<std::pair<const char*, const char*>>{{"a", "/etc/passwd"},
                                                                                     {"a", "../x"},
                                                                                     {"a/b", "../../x"},
                                                                                     {"a", "b/../../x"},
                                                                                     {"a/b", "../c/../../x"},
                                                                                     {"a", "."},
                                                                                     {"a", ""}}) {
    EXPECT_THAT(refusal(tar_of({{.name = name, .type = '2', .link = target}})), HasSubstr("is a link to")) << target;
  }
  // Nothing is written through a link, wherever it leads.
  EXPECT_THAT(
      refusal(tar_of(
          {{.name = "d/", .type = '5'}, {.name = "a", .type = '2', .link = "d"}, {.name = "a/x", .content = "x"}})),
      HasSubstr("a is no folder in this archive"));
  EXPECT_THAT(refusal(tar_of({{.name = "a", .type = '2', .link = "b"}, {.name = "a", .content = "x"}})),
              HasSubstr("is there twice"));
  EXPECT_FALSE(files::exists(out("b")));
  EXPECT_THAT(refusal(tar_of({{.name = "a", .type = '1', .link = "/etc/passwd"}})), HasSubstr("is a hard link"));
  EXPECT_THAT(refusal(zip_of({{.name = "a", .content = "/etc/passwd", .mode = 0120777}})),
              HasSubstr("use tar for links"));
}

TEST_F(Unpack, NeitherDevicesNorPipes) {
  for (const char type : {'3', '4', '6', 'S'}) {
    EXPECT_THAT(refusal(tar_of({{.name = "a", .type = type}})), HasSubstr("neither file, folder nor link")) << type;
  }
}

TEST_F(Unpack, WhatItHoldsIsBounded) {
  const std::string zeros(1'000'000, '\0');
  const UnpackLimits small{.bytes_max = 999'999, .entries_max = 3};
  EXPECT_THAT(refusal(gzip_of(tar_of({{.name = "a", .content = zeros}})), small), HasSubstr("more than 999999 bytes"));
  EXPECT_THAT(refusal(zip_of({{.name = "a", .content = zeros, .deflated = true}}), small),
              HasSubstr("more than 999999 bytes"));
  EXPECT_THAT(refusal(tar_of({{.name = "a/b/c/d", .content = "x"}}), small), HasSubstr("more than 3 entries"));
  EXPECT_THAT(refusal(zip_of({{.name = "a"}, {.name = "b"}, {.name = "c"}, {.name = "d"}}), small),
              HasSubstr("more than 3 entries"));
  const TarEntry header{.name = "h", .content = "11 path=ab\n", .type = 'x'};
  EXPECT_THAT(refusal(tar_of({header, header, header, header, header, header, header}), small),
              HasSubstr("too many headers"));
  EXPECT_THAT(refusal(tar_of({{.name = "h", .content = std::string(70'000, 'x'), .type = 'L'}})),
              HasSubstr("a name or header of 70000 bytes"));
  EXPECT_THAT(refusal(tar_of({{.name = "h", .content = std::string(1'100, 'x'), .type = 'L'}, {.name = "a"}})),
              HasSubstr("a path of more than 1024 bytes"));
}

TEST_F(Unpack, DamageIsTold) {
  const std::string tar = tar_of({{.name = "a", .content = std::string(2'000, 'x')}});
  EXPECT_THAT(refusal(tar.substr(0, 1'500)), HasSubstr("is damaged: it ends early"));
  std::string wrong = tar;
  wrong[0] = 'b';
  EXPECT_THAT(refusal(wrong), HasSubstr("a header's sum is wrong"));
  std::string gzip = gzip_of(tar);
  EXPECT_THAT(refusal(gzip.substr(0, gzip.size() - 9)), HasSubstr("is damaged"));
  gzip[gzip.size() - 7] ^= 0x55;
  EXPECT_THAT(refusal(gzip), HasSubstr("is damaged"));
  std::string zip = zip_of({{.name = "a", .content = "hello"}});
  EXPECT_THAT(refusal(zip.substr(0, zip.size() - 1)), HasSubstr("has no directory"));
  zip[31] ^= 1;
  EXPECT_THAT(refusal(zip), HasSubstr("a: is damaged"));
  EXPECT_THAT(refusal(zip_of({{.name = "a", .content = "hello", .deflated = true, .said_size = 4}})),
              HasSubstr("is larger than the archive says"));
  EXPECT_THAT(refusal(zip_of({{.name = "a", .content = "hello", .deflated = true, .said_size = 6}})),
              HasSubstr("a: is damaged"));
  EXPECT_THAT(refusal(zip_of({{.name = "a", .content = "hello", .flags = 1}})), HasSubstr("is encrypted"));
  EXPECT_THAT(refusal(zip_of({{.name = "a", .content = "hello", .method = 14}})), HasSubstr("by method 14"));
  EXPECT_THAT(refusal("#!/bin/sh\n"), HasSubstr("is no zip, tar or tar.gz"));
}

}  // namespace
}  // namespace fmesh::local
