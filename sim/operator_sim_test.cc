#include "sim/operator_sim.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace fmesh::sim {
namespace {

// More of them: FMESH_SIM_SEEDS=10000 sim_test --gtest_filter='OperatorSim*'
uint64_t seeds(uint64_t usual) {
  const char* given = std::getenv("FMESH_SIM_SEEDS");
  return given ? std::strtoull(given, nullptr, 10) : usual;
}
uint64_t first_seed() {
  const char* given = std::getenv("FMESH_SIM_FIRST");
  return given ? std::strtoull(given, nullptr, 10) : 1;
}

std::string tail(const OperatorSimOutcome& outcome) {
  std::string text;
  const size_t from = outcome.log.size() > 60 ? outcome.log.size() - 60 : 0;
  for (size_t i = from; i < outcome.log.size(); ++i) text += "  " + outcome.log[i] + "\n";
  return text;
}

const OperatorSimOutcome& undisturbed(const Scenario& scenario) {
  static std::map<std::string, OperatorSimOutcome> known;
  const auto found = known.find(scenario.name);
  if (found != known.end()) return found->second;
  return known[scenario.name] = run_operator_sim(scenario, {});
}

TEST(OperatorSim, AnUndisturbedRunComesToRestAndARestartWritesNothing) {
  for (const Scenario& scenario : operator_scenarios()) {
    const OperatorSimOutcome& outcome = undisturbed(scenario);
    EXPECT_TRUE(outcome.quiet) << scenario.name << "\n" << tail(outcome);
    EXPECT_EQ(outcome.late_writes, 0U) << scenario.name << "\n" << tail(outcome);
    EXPECT_GT(outcome.writes, 0U) << scenario.name;
  }
}

// Sieve's intermediate states: the process dies after each of its writes.
TEST(OperatorSim, AStopAfterAnyWriteLeavesTheSameInTheEnd) {
  for (const Scenario& scenario : operator_scenarios()) {
    const OperatorSimOutcome& whole = undisturbed(scenario);
    for (size_t stop = 1; stop <= whole.writes; ++stop) {
      OperatorSimOptions options;
      options.stop_after = stop;
      const OperatorSimOutcome outcome = run_operator_sim(scenario, options);
      ASSERT_TRUE(outcome.quiet) << scenario.name << ", stop after write " << stop << "\n" << tail(outcome);
      ASSERT_EQ(outcome.state, whole.state) << scenario.name << ", stop after write " << stop << "\n" << tail(outcome);
      EXPECT_EQ(outcome.creates, whole.creates) << scenario.name << ", stop after write " << stop;
      EXPECT_EQ(outcome.deletes, whole.deletes) << scenario.name << ", stop after write " << stop;
      EXPECT_EQ(outcome.late_writes, 0U) << scenario.name << ", stop after write " << stop << "\n" << tail(outcome);
    }
  }
}

// Everything at once: conflicts, busy servers, lost answers, streams that break or hide what cancelled itself out,
// people who do not wait.
TEST(OperatorSim, FaultsOfASeedLeaveTheSameInTheEnd) {
  const uint64_t first = first_seed();
  for (uint64_t seed = first; seed < first + seeds(120); ++seed) {
    const Scenario& scenario = operator_scenarios()[seed % operator_scenarios().size()];
    OperatorSimOptions options;
    options.seed = seed;
    options.patient = seed % 2 == 0;
    const double rate = 0.02 * static_cast<double>(1 + seed % 5);
    options.faults = {rate, rate, rate, rate, rate, rate, rate, rate};
    options.stop_after = seed % 3 == 0 ? 1 + seed % 17 : 0;
    const OperatorSimOutcome outcome = run_operator_sim(scenario, options);
    ASSERT_TRUE(outcome.quiet) << scenario.name << ", seed " << seed << "\n" << tail(outcome);
    ASSERT_EQ(outcome.state, undisturbed(scenario).state) << scenario.name << ", seed " << seed << "\n"
                                                          << tail(outcome);
    ASSERT_EQ(outcome.late_writes, 0U) << scenario.name << ", seed " << seed << "\n" << tail(outcome);
  }
}

}  // namespace
}  // namespace fmesh::sim
