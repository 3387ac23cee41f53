// fmesh test: given records in, expected records out.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "cli/command.h"
#include "cli/control.h"
#include "cli/terminal.h"
#include "local/load.h"
#include "local/test_file.h"
#include "local/test_run.h"
#include "observe/json.h"
#include "sim/memory_disk.h"

namespace fmesh::cli {
namespace {

struct TestFlags {
  std::vector<std::string> files;
  bool json = false;
};

// Runs the tests of one file; nothing if the file or its mesh can't be read.
Result<std::vector<local::TestResult>> run_file(const std::string& path, const std::string& cache_directory,
                                                int& number) {
  FMESH_TRY(const local::TestFile file, local::read_test_file(path));
  local::LoadOptions options;
  options.files = file.mesh_files;
  FMESH_TRY(const local::Loaded loaded, local::load(options));
  std::vector<local::TestResult> results;
  for (const local::TestCase& test : file.cases) {
    sim::MemoryDisk disk;
    const std::string state = cache_directory + "/state-" + std::to_string(number++);
    std::filesystem::create_directories(state);
    results.push_back(local::run_test(disk, loaded.plan, test, runtime::make_instance, cache_directory, state));
  }
  return results;
}

int test(const TestFlags& flags) {
  std::string cache = (std::filesystem::temp_directory_path() / "fmesh-test-XXXXXX").string();
  if (::mkdtemp(cache.data()) == nullptr)
    return report(Error(ErrorKind::kRetryLater, "no temporary folder " + cache), flags.json);
  const bool colours = wants_colours(STDOUT_FILENO);
  boost::json::array all;
  int failed = 0, passed = 0, code = kExitOk, number = 0;
  for (const std::string& path : flags.files) {
    const auto results = run_file(path, cache, number);
    if (!results) {
      code = report(results.error(), flags.json);
      continue;
    }
    for (const local::TestResult& result : *results) {
      const bool good = result.failures.empty();
      ++(good ? passed : failed);
      if (flags.json) {
        boost::json::array failures(result.failures.begin(), result.failures.end());
        all.push_back(boost::json::object{
            {"file", path}, {"name", result.name}, {"passed", good}, {"failures", std::move(failures)}});
        continue;
      }
      const std::string word = good ? "ok  " : "FAIL";
      print((colours ? (good ? "\x1b[32m" : "\x1b[31m") + word + "\x1b[0m" : word) + "  " + path + ": " + result.name +
            "\n");
      for (const std::string& failure : result.failures) print("      " + failure + "\n");
    }
  }
  std::error_code ignored;
  std::filesystem::remove_all(cache, ignored);
  if (flags.json) {
    print(observe::to_text(boost::json::object{{"tests", std::move(all)}, {"passed", passed}, {"failed", failed}}) +
          "\n");
  } else {
    print(std::to_string(passed) + " passed, " + std::to_string(failed) + " failed\n");
  }
  return code != kExitOk ? code : failed != 0 ? kExitFailed : kExitOk;
}

}  // namespace

void add_test(CLI::App& app, Exit& exit) {
  CLI::App* verb = app.add_subcommand("test", "Run tests of a mesh's functions: records in, records out");
  const auto flags = std::make_shared<TestFlags>();
  verb->add_option("FILE", flags->files, "Test files (docs/guide/testing.md)")->required();
  verb->add_flag("--json", flags->json, "JSON instead of text");
  verb->footer(
      "Nothing is written to disk, no time passes, and sources and sinks are left out.\nExamples:\n  fmesh test "
      "orders_test.yaml");
  verb->callback([flags, &exit] { exit.code = test(*flags); });
}

}  // namespace fmesh::cli
