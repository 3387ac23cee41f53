// Whole meshes under seeds. The fast suite runs the same seeds every time; FMESH_SIM_SECONDS runs new ones for so long,
// FMESH_SIM_SEED replays one and tells its story.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <string>

#include "sim/mesh_sim.h"

namespace fmesh::sim {
namespace {

constexpr uint64_t kSeedsOfTheFastSuite = 150;

std::string environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing sets it
  return value == nullptr ? "" : value;
}

void expect_to_hold(uint64_t seed) {
  MeshSim sim(seed);
  const std::vector<std::string> broken = sim.run();
  std::string text;
  for (const std::string& one : broken) text += "  " + one + "\n";
  if (!broken.empty())
    ADD_FAILURE() << "seed " << seed << ":\n"
                  << text << sim.story() << "again: FMESH_SIM_SEED=" << seed << " build/sim_test";
}

TEST(Mesh, KeepsItsPromisesUnderFaults) {
  if (const std::string seed = environment("FMESH_SIM_SEED"); !seed.empty()) {
    MeshSim sim(std::stoull(seed));
    const std::vector<std::string> broken = sim.run();
    std::printf("%strace %llx\n", sim.story().c_str(), static_cast<unsigned long long>(sim.trace()));
    for (const std::string& one : broken) ADD_FAILURE() << one;
    return;
  }
  const std::string seconds = environment("FMESH_SIM_SECONDS");
  if (seconds.empty()) {
    for (uint64_t seed = 1; seed <= kSeedsOfTheFastSuite; ++seed) expect_to_hold(seed);
    return;
  }
  const auto begin = std::chrono::steady_clock::now();
  uint64_t seed = static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count()) / 1'000;
  uint64_t count = 0;
  while (std::chrono::steady_clock::now() - begin < std::chrono::seconds(std::stoi(seconds)) && !HasFailure()) {
    expect_to_hold(seed++);
    ++count;
  }
  std::printf("%llu seeds up to %llu\n", static_cast<unsigned long long>(count),
              static_cast<unsigned long long>(seed - 1));
}

TEST(Mesh, RunsTheSameForTheSameSeed) {
  for (uint64_t seed = 1'000; seed < 1'010; ++seed) {
    MeshSim first(seed), second(seed);
    first.run();
    second.run();
    EXPECT_EQ(first.trace(), second.trace()) << "seed " << seed;
    EXPECT_EQ(first.story(), second.story());
  }
}

}  // namespace
}  // namespace fmesh::sim
