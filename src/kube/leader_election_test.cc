#include "kube/leader_election.h"

#include <gtest/gtest.h>

#include <array>

#include "kube/kube_testing.h"
#include "sim/kube/api_server.h"

namespace fmesh::kube {
namespace {

const ObjectKey kTheLease{"fmesh", "a3f45fce.functionmesh.io"};

// One replica of an operator.
struct Replica {
  std::unique_ptr<Api> api;
  std::unique_ptr<LeaderElector> elector;
  std::string told;  // "+" and "-"
};

class LeaderElectionTest : public testing::Test {
 protected:
  explicit LeaderElectionTest(const sim::ApiServerOptions& options = {}) : server(loop, options) {}

  Replica& add(const std::string& name) {
    Replica& replica = replicas[name];
    replica.api = server.connect(name);
    LeaderElectionOptions options;
    options.lease = kTheLease;
    options.identity = name;
    replica.elector = LeaderElector::start(*replica.api, loop, rng, options,
                                           [&replica](bool leading) { replica.told += leading ? "+" : "-"; });
    return replica;
  }
  void run_ms(int64_t ms) {
    const int64_t until = clock.monotonic_ns() + ms * 1'000'000;
    loop.run_ready();
    check();
    while (loop.advance_to_next((until - clock.monotonic_ns()) / 1'000'000)) check();
    clock.advance_ms((until - clock.monotonic_ns()) / 1'000'000);
    loop.run_ready();
    check();
  }
  void check() {
    int writers = 0;
    for (const auto& [name, replica] : replicas) writers += replica.elector && replica.elector->may_write() ? 1 : 0;
    ASSERT_LE(writers, 1);
  }
  std::string writer() {
    std::string names;
    for (const auto& [name, replica] : replicas) {
      if (replica.elector && replica.elector->may_write()) names += name;
    }
    return names;
  }
  boost::json::value lease() {
    const sim::JsonPtr object = server.get(kLease, kTheLease);
    return object ? *object : boost::json::value();
  }

  ManualClock clock;
  ManualLoop loop{clock};
  sim::ApiServer server;
  Rng rng{5};
  std::map<std::string, Replica> replicas;
};

TEST_F(LeaderElectionTest, TheFirstTakesTheLeaseInUpstreamsFormAndKeepsIt) {
  add("a");
  add("b");
  EXPECT_EQ(writer(), "");
  run_ms(1'000);
  const std::string first = writer();
  ASSERT_EQ(first.size(), 1U);
  const boost::json::value made = lease();
  EXPECT_EQ(string_at(made, {"spec", "holderIdentity"}), first);
  EXPECT_EQ(int_at(made, {"spec", "leaseDurationSeconds"}), 15);
  EXPECT_EQ(int_at(made, {"spec", "leaseTransitions"}), 0);
  EXPECT_EQ(string_at(made, {"spec", "acquireTime"}).size(), std::string_view("2026-01-31T23:59:59.123456Z").size());
  run_ms(300'000);
  EXPECT_EQ(writer(), first);
  EXPECT_EQ(replicas[first].told, "+");
  EXPECT_EQ(string_at(lease(), {"spec", "acquireTime"}), string_at(made, {"spec", "acquireTime"}));
  EXPECT_NE(string_at(lease(), {"spec", "renewTime"}), string_at(made, {"spec", "renewTime"}));
  for (const auto& [name, replica] : replicas) EXPECT_EQ(replica.elector->holder(), first);
}

TEST_F(LeaderElectionTest, WritingEndsByTheClockEvenIfTheLoopIsLate) {
  Replica& replica = add("a");
  run_ms(1'000);
  ASSERT_TRUE(replica.elector->may_write());
  clock.advance_ms(9'000);  // the process stands still
  EXPECT_TRUE(replica.elector->may_write());
  clock.advance_ms(2'000);
  EXPECT_FALSE(replica.elector->may_write());
  EXPECT_EQ(replica.told, "+") << "not told yet, and already not allowed";
}

TEST_F(LeaderElectionTest, AHolderThatIsCutOffStopsBeforeAnotherCanTakeOver) {
  add("a");
  run_ms(1'000);
  add("b");
  run_ms(5'000);
  ASSERT_EQ(writer(), "a");
  server.cut(*replicas["a"].api);
  const int64_t cut_at = clock.monotonic_ns();
  while (writer() == "a") run_ms(10);
  EXPECT_LE(clock.monotonic_ns() - cut_at, 10'000'000'000);
  EXPECT_EQ(replicas["a"].told, "+-");
  while (writer().empty()) run_ms(10);
  EXPECT_EQ(writer(), "b");
  EXPECT_GE(clock.monotonic_ns() - cut_at, 12'000'000'000) << "not before the duration since the last renewal";
  EXPECT_LE(clock.monotonic_ns() - cut_at, 20'000'000'000);
  EXPECT_EQ(int_at(lease(), {"spec", "leaseTransitions"}), 1);
}

TEST_F(LeaderElectionTest, ALeaseGivenBackIsTakenAtOnceAndTheGiverDoesNotWriteAnyMore) {
  add("a");
  run_ms(1'000);
  add("b");
  run_ms(3'000);
  int done = 0;
  replicas["a"].elector->release([&] { ++done; });
  EXPECT_EQ(done, 0);
  EXPECT_EQ(writer(), "");
  run_ms(100);
  EXPECT_EQ(done, 1);
  EXPECT_FALSE(find(lease(), {"spec", "holderIdentity"}));
  run_ms(3'000);
  EXPECT_EQ(writer(), "b");
  EXPECT_EQ(int_at(lease(), {"spec", "leaseTransitions"}), 1);
  run_ms(60'000);
  EXPECT_EQ(writer(), "b") << "who gave it back does not ask for it";
}

TEST_F(LeaderElectionTest, GivingBackWhatIsNotHeldIsDoneAtOnceAndTouchesNothing) {
  add("a");
  run_ms(1'000);
  add("b");
  run_ms(1'000);
  int done = 0;
  replicas["b"].elector->release([&] { ++done; });
  run_ms(10);
  EXPECT_EQ(done, 1);
  EXPECT_EQ(string_at(lease(), {"spec", "holderIdentity"}), "a");
}

TEST_F(LeaderElectionTest, AHolderOfAnotherKindIsRespectedForItsOwnDuration) {
  boost::json::value other = parse(R"({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {
      "name": "a3f45fce.functionmesh.io", "namespace": "fmesh", "labels": {"keep": "me"}}, "spec": {"holderIdentity": "upstream_1",
      "leaseDurationSeconds": 40, "leaseTransitions": 6, "renewTime": "2001-01-01T00:00:00.000000Z"}})");
  server.user(create(kLease, "fmesh", other));
  add("a");
  run_ms(39'000);
  EXPECT_EQ(writer(), "") << "times in the lease are by another clock";
  run_ms(10'000);
  EXPECT_EQ(writer(), "a");
  EXPECT_EQ(int_at(lease(), {"spec", "leaseTransitions"}), 7);
  EXPECT_EQ(string_at(lease(), {"metadata", "labels", "keep"}), "me");
}

TEST_F(LeaderElectionTest, ALeaseTakenByForceIsLostAtTheNextRenewal) {
  Replica& replica = add("a");
  run_ms(1'000);
  boost::json::value taken = lease();
  taken.as_object()["spec"].as_object()["holderIdentity"] = "thief";
  server.user(update(kLease, kTheLease, taken));
  run_ms(3'000);
  EXPECT_EQ(replica.told, "+-");
  EXPECT_EQ(replica.elector->holder(), "thief");
}

TEST_F(LeaderElectionTest, ADeletedLeaseIsMadeAnew) {
  Replica& replica = add("a");
  run_ms(1'000);
  server.user(remove(kLease, kTheLease, {}, Propagation::kBackground));
  run_ms(8'000);
  EXPECT_EQ(replica.told, "+");
  EXPECT_TRUE(replica.elector->may_write());
  EXPECT_EQ(string_at(lease(), {"spec", "holderIdentity"}), "a");
}

TEST_F(LeaderElectionTest, RefusalsAreTroubleAndNotTheEnd) {
  server.set_faults({.error_undone = 1.0});
  Replica& replica = add("a");
  run_ms(10'000);
  EXPECT_NE(replica.elector->trouble().find("lease fmesh/a3f45fce"), std::string::npos);
  server.set_faults({});
  run_ms(5'000);
  EXPECT_TRUE(replica.elector->may_write());
  EXPECT_EQ(replica.elector->trouble(), "");
}

TEST_F(LeaderElectionTest, MayBeDestroyedByItsOwnNews) {
  auto api = server.connect("x");
  LeaderElectionOptions options;
  options.lease = kTheLease;
  options.identity = "x";
  std::unique_ptr<LeaderElector> elector;
  elector = LeaderElector::start(*api, loop, rng, options, [&](bool) { elector.reset(); });
  run_ms(60'000);
  EXPECT_FALSE(elector);
}

// However requests fail and processes come and go, never two at a time; and when all is well again, one.
TEST(LeaderElectionSim, NeverTwoAtATimeAndOneInTheEnd) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    ManualClock clock;
    ManualLoop loop(clock);
    Rng rng(seed);
    sim::ApiServerOptions server_options;
    server_options.seed = seed;
    server_options.latency_max_ms = 1 + static_cast<int64_t>(rng.below(3'000));
    server_options.faults = {
        .too_many = 0.05, .error_undone = 0.1, .error_done = 0.1, .lost_undone = 0.1, .lost_done = 0.1};
    sim::ApiServer server(loop, server_options);
    std::array<Replica, 3> replicas;
    const auto start = [&](size_t i, int life) {
      replicas[i].elector.reset();
      replicas[i].api = server.connect("c");
      LeaderElectionOptions options;
      options.lease = kTheLease;
      options.identity = std::to_string(i) + "_" + std::to_string(life);
      replicas[i].elector = LeaderElector::start(*replicas[i].api, loop, rng, options, [](bool) {});
    };
    for (size_t i = 0; i < 3; ++i) start(i, 0);
    const auto run_ms = [&](int64_t ms) {
      const int64_t until = clock.monotonic_ns() + ms * 1'000'000;
      while (clock.monotonic_ns() < until && loop.advance_to_next(10'000)) {
        int writers = 0;
        for (const Replica& replica : replicas) writers += replica.elector->may_write() ? 1 : 0;
        ASSERT_LE(writers, 1) << "seed " << seed;
      }
    };
    for (int step = 1; step <= 40; ++step) {
      const size_t i = rng.below(3);
      switch (rng.below(4)) {
        case 0:
          start(i, step);
          break;
        case 1:
          server.cut(*replicas[i].api);
          break;
        case 2:
          replicas[i].elector->release([] {});
          break;
        default:
          break;
      }
      run_ms(static_cast<int64_t>(rng.below(20'000)));
      if (testing::Test::HasFatalFailure()) return;
    }
    server.set_faults({});
    for (size_t i = 0; i < 3; ++i) start(i, 100);
    run_ms(120'000);
    int writers = 0;
    for (const Replica& replica : replicas) writers += replica.elector->may_write() ? 1 : 0;
    ASSERT_EQ(writers, 1) << "seed " << seed;
  }
}

}  // namespace
}  // namespace fmesh::kube
