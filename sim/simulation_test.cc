// Runs the simulator. Without variables: a fixed number of seeds. FMESH_SIM_SECONDS=n: new seeds for so long.
// FMESH_SIM_SEED=n: that seed, with its trace.
#include "sim/simulation.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <random>

namespace fmesh::sim {
namespace {

constexpr uint64_t kFixedSeeds = 60;

std::optional<uint64_t> variable(const char* name) {
  const char* const text = std::getenv(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  return std::strtoull(text, nullptr, 10);
}

SimulationResult run_seed(uint64_t seed, bool print_trace = false) {
  std::error_code ignored;
  const bool has_memory = std::filesystem::is_directory("/dev/shm", ignored);
  std::string pattern = (has_memory ? std::string("/dev/shm/") : testing::TempDir()) + "fmesh-sim-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) return {.seed = seed, .broken = "no folder " + pattern};
  SimulationResult result = simulate(seed, {pattern, print_trace});
  std::filesystem::remove_all(pattern, ignored);
  return result;
}

// One gtest failure per broken seed, with the way to see it again.
void expect_held(const SimulationResult& result) {
  EXPECT_EQ(result.broken, "") << "replay: FMESH_SIM_SEED=" << result.seed << " build/sim_test";
}

TEST(Simulation, KeepsItsPromisesUnderEachSeed) {
  if (const auto seed = variable("FMESH_SIM_SEED")) {
    const SimulationResult result = run_seed(*seed, true);
    fmt::print("seed {}: trace hash {:016x}\n", result.seed, result.trace_hash);
    expect_held(result);
    return;
  }
  const auto seconds = variable("FMESH_SIM_SECONDS");
  const uint64_t first = seconds ? std::random_device()() * uint64_t{1'000'000} : 1;
  const auto begin = std::chrono::steady_clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); };
  uint64_t seeds = 0;
  SimulationResult sum;
  while (seconds ? elapsed() < static_cast<double>(*seconds) : seeds < kFixedSeeds) {
    const SimulationResult one = run_seed(first + seeds++);
    expect_held(one);
    sum.records += one.records;
    sum.power_losses += one.power_losses;
    sum.kills += one.kills;
    sum.disk_faults += one.disk_faults;
    sum.restarts += one.restarts;
    sum.duplicates += one.duplicates;
    sum.simulated_ms += one.simulated_ms;
  }
  fmt::print(
      "{} seeds from {} in {:.1f} s: {} records, {} power losses, {} kills, {} disk faults, {} drained instances, "
      "{} duplicates where allowed, {} s simulated\n",
      seeds, first, elapsed(), sum.records, sum.power_losses, sum.kills, sum.disk_faults, sum.restarts, sum.duplicates,
      sum.simulated_ms / 1000);
  EXPECT_GT(sum.records, 0u);
  EXPECT_GT(sum.power_losses + sum.kills, 0u);
}

TEST(Simulation, OfOneSeedIsTheSameEachTime) {
  for (const uint64_t seed : {7u, 19u, 23u}) {
    const SimulationResult first = run_seed(seed);
    EXPECT_EQ(first.trace_hash, run_seed(seed).trace_hash) << "seed " << seed;
    EXPECT_NE(first.trace_hash, run_seed(seed + 1).trace_hash) << "seed " << seed;
  }
}

}  // namespace
}  // namespace fmesh::sim
