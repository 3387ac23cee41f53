// Runs one test of a mesh's functions: in memory, on one thread, under a clock that jumps from timer to timer. Sources
// and sinks are left out; what they would bring is given, what they would take is compared.
#pragma once

#include <string>
#include <vector>

#include "base/disk.h"
#include "local/supervisor.h"
#include "local/test_file.h"
#include "plan/local_plan.h"

namespace fmesh::local {

// A test that is not drained after this much time of its own clock has a loop that feeds itself.
inline constexpr int64_t kTestTimeMaxMs = 3'600'000;

struct TestResult {
  std::string name;
  std::vector<std::string> failures;  // empty: passed
};

// `disk` and `state_directory` are empty and made for this test; the latter lies on the real disk, as does
// `cache_directory`, for copies of native libraries.
TestResult run_test(Disk& disk, const plan::LocalPlan& mesh, const TestCase& test, const InstanceFactory& make_instance,
                    const std::string& cache_directory, const std::string& state_directory);

}  // namespace fmesh::local
