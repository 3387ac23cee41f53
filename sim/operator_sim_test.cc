// The operator under faults, scenario by scenario. The fast suite runs a part; `ctest -L sim` runs all stale views and
// 10,000 seeds (FMESH_SIM_SEEDS from FMESH_SIM_FIRST on). FMESH_SIM_SECONDS runs new seeds for so long.
#include "sim/operator_sim.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>

#include "kube/store.h"
#include "sim/operator_cluster.h"

namespace fmesh::sim {
namespace {

constexpr uint64_t kSeedsOfTheFastSuite = 60;
constexpr int64_t kFirstRevision = Database::kFirstRevision;

std::string environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing sets it
  return value == nullptr ? "" : value;
}
uint64_t number(const char* name, uint64_t usual) {
  const std::string given = environment(name);
  return given.empty() ? usual : std::stoull(given);
}

const OperatorSimOutcome& undisturbed(const Scenario& scenario) {
  static std::map<std::string, OperatorSimOutcome> known;
  const auto found = known.find(scenario.name);
  if (found != known.end()) return found->second;
  return known[scenario.name] = run_operator_sim(scenario, {});
}

// What holds of every run: it comes to rest, at the state of the undisturbed one, and stays there. Empty: it does.
std::string broken(const Scenario& scenario, const OperatorSimOutcome& outcome) {
  const OperatorSimOutcome& whole = undisturbed(scenario);
  std::string text;
  if (!outcome.quiet)
    text = "it does not come to rest";
  else if (outcome.state != whole.state)
    text = "the end differs: " + first_difference(whole.state, outcome.state);
  else if (outcome.late_writes > 0)
    text = std::to_string(outcome.late_writes) + " writes after all was quiet";
  return text.empty() ? text : scenario.name + ": " + text + "\n" + last_lines(outcome.log);
}

enum class Count {
  kEqual,    // as often as undisturbed
  kNotMore,  // what was never told need not be done
  kUndone,   // what a view of the past asks for is made again, and taken away again
};
// In a view of the past, as often as the operator stops to trust what it wrote itself, and once at the start.
constexpr int kMadeAgainMax = 1 + static_cast<int>(kStaleViewMs / kube::kOwnWriteMaxMs);

// What was made or deleted too often or too seldom: "creates Service team/f: 2 times, undisturbed 1".
std::string miscount(const Scenario& scenario, const OperatorSimOutcome& outcome, Count rule) {
  const OperatorSimOutcome& whole = undisturbed(scenario);
  const auto at = [](const std::map<std::string, int>& counts, const std::string& name) {
    const auto found = counts.find(name);
    return found == counts.end() ? 0 : found->second;
  };
  std::map<std::string, int> names;
  for (const auto* counts : {&whole.creates, &whole.deletes, &outcome.creates, &outcome.deletes})
    names.insert(counts->begin(), counts->end());
  std::string text;
  for (const auto& [name, any] : names) {
    const int made = at(outcome.creates, name) - at(whole.creates, name);
    const int gone = at(outcome.deletes, name) - at(whole.deletes, name);
    const bool bad = rule == Count::kEqual     ? made != 0 || gone != 0
                     : rule == Count::kNotMore ? made > 0 || gone > 0
                                               : made < 0 || made > kMadeAgainMax || gone < 0 || gone > made;
    if (!bad) continue;
    text += name + ": created " + std::to_string(at(outcome.creates, name)) + " times, undisturbed " +
            std::to_string(at(whole.creates, name)) + "; deleted " + std::to_string(at(outcome.deletes, name)) +
            ", undisturbed " + std::to_string(at(whole.deletes, name)) + "\n";
  }
  return text.empty() ? text : scenario.name + ":\n" + text + last_lines(outcome.log);
}

TEST(OperatorSim, AnUndisturbedRunComesToRestAndARestartWritesNothing) {
  for (const Scenario& scenario : operator_scenarios()) {
    EXPECT_EQ(broken(scenario, undisturbed(scenario)), "");
    EXPECT_GT(undisturbed(scenario).writes, 0U) << scenario.name;
  }
}

// Sieve's intermediate states: the process dies after each of its writes.
TEST(OperatorSim, AStopAfterAnyWriteLeavesTheSameInTheEnd) {
  for (const Scenario& scenario : operator_scenarios()) {
    for (size_t stop = 1; stop <= undisturbed(scenario).writes; ++stop) {
      OperatorSimOptions options;
      options.stop_after = stop;
      const OperatorSimOutcome outcome = run_operator_sim(scenario, options);
      ASSERT_EQ(broken(scenario, outcome), "") << "stop after write " << stop;
      EXPECT_EQ(miscount(scenario, outcome, Count::kEqual), "") << "stop after write " << stop;
    }
  }
}

// Sieve's stale states: the process begins anew and is shown what was before, as by a server that lags behind.
TEST(OperatorSim, AViewOfThePastLeavesTheSameInTheEnd) {
  const bool all = !environment("FMESH_SIM_ALL").empty();
  for (const Scenario& scenario : operator_scenarios()) {
    const std::vector<int64_t>& revisions = undisturbed(scenario).revisions;
    for (size_t step = 1; step <= revisions.size(); ++step) {
      std::vector<int64_t> views(revisions.begin(), revisions.begin() + static_cast<std::ptrdiff_t>(step) - 1);
      views.push_back(kFirstRevision);
      if (all) {
        views.clear();
        for (int64_t view = kFirstRevision; view < revisions[step - 1]; ++view) views.push_back(view);
      }
      for (const int64_t view : views) {
        OperatorSimOptions options;
        options.stale = {step, view};
        const OperatorSimOutcome outcome = run_operator_sim(scenario, options);
        ASSERT_EQ(broken(scenario, outcome), "") << "after step " << step << " it sees revision " << view;
        EXPECT_EQ(miscount(scenario, outcome, Count::kUndone), "")
            << "after step " << step << " it sees revision " << view;
      }
    }
  }
}

// Sieve's unobserved states: of what cancels itself out no watch tells.
TEST(OperatorSim, StepsThatAreNeverToldLeaveTheSameInTheEnd) {
  for (const Scenario& scenario : operator_scenarios()) {
    for (size_t to = 1; to <= scenario.steps.size(); ++to) {
      for (size_t from = 0; from < to; ++from) {
        OperatorSimOptions options;
        options.hidden = {from, to};
        const OperatorSimOutcome outcome = run_operator_sim(scenario, options);
        ASSERT_EQ(broken(scenario, outcome), "") << "steps " << from << " to " << to << " are not told";
        EXPECT_EQ(miscount(scenario, outcome, Count::kNotMore), "")
            << "steps " << from << " to " << to << " are not told";
      }
    }
  }
}

// A watch that is further behind than the operator trusts its own writes.
TEST(OperatorSim, AWatchThatLagsBehindMakesNothingTwice) {
  for (const Scenario& scenario : operator_scenarios()) {
    OperatorSimOptions options;
    options.lag_max_ms = 60'000;
    options.replicas = 1;  // all watches show one past
    const OperatorSimOutcome outcome = run_operator_sim(scenario, options);
    ASSERT_EQ(broken(scenario, outcome), "");
    EXPECT_EQ(miscount(scenario, outcome, Count::kEqual), "");
  }
}

// Everything at once: conflicts, busy servers, lost answers, streams that break or hide what cancelled itself out,
// people who do not wait.
std::string run_seed(uint64_t seed) {
  const Scenario& scenario = operator_scenarios()[seed % operator_scenarios().size()];
  OperatorSimOptions options;
  options.seed = seed;
  options.patient = seed % 2 == 0;
  const double rate = 0.02 * static_cast<double>(1 + seed % 5);
  options.faults = {rate, rate, rate, rate, rate, rate, rate, rate};
  options.stop_after = seed % 3 == 0 ? 1 + seed % 17 : 0;
  const OperatorSimOutcome outcome = run_operator_sim(scenario, options);
  std::string text = broken(scenario, outcome);
  if (text.empty()) return text;
  return "seed " + std::to_string(seed) + ", " + text +
         "again: FMESH_SIM_SEEDS=1 FMESH_SIM_FIRST=" + std::to_string(seed) +
         " build/sim_test --gtest_filter='OperatorSim.Faults*'";
}

TEST(OperatorSim, FaultsOfASeedLeaveTheSameInTheEnd) {
  const uint64_t first = number("FMESH_SIM_FIRST", 1);
  if (const uint64_t seconds = number("FMESH_SIM_SECONDS", 0); seconds > 0) {
    const auto begin = std::chrono::steady_clock::now();
    const uint64_t fresh = static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count()) / 1'000;
    uint64_t seed = fresh;
    while (std::chrono::steady_clock::now() - begin < std::chrono::seconds(seconds) && !HasFailure())
      EXPECT_EQ(run_seed(seed++), "");
    std::printf("%llu seeds of the operator up to %llu\n", static_cast<unsigned long long>(seed - fresh),
                static_cast<unsigned long long>(seed - 1));
    return;
  }
  for (uint64_t seed = first; seed < first + number("FMESH_SIM_SEEDS", kSeedsOfTheFastSuite); ++seed)
    ASSERT_EQ(run_seed(seed), "");
}

}  // namespace
}  // namespace fmesh::sim
