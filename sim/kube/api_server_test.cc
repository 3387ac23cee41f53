#include "sim/kube/api_server.h"

#include <gtest/gtest.h>

#include "sim/kube/api_server_testing.h"

namespace fmesh::sim {
namespace {

// --- clients ---

TEST_F(ApiServerTest, AnsweredWritesWereDoneAndLostOnesMayHaveBeen) {
  server.plan(1, Fault::kLostDone);
  server.plan(2, Fault::kLostUndone);
  server.plan(3, Fault::kErrorDone);
  server.plan(4, Fault::kTooMany);
  std::string verdicts;
  const auto note = [&](const Result<kube::Response>& response) {
    const kube::Outcome outcome = kube::read_outcome(response);
    verdicts += std::string(to_string(outcome.verdict)) + (outcome.retry_after_ms > 0 ? "!" : "") + ",";
  };
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    const size_t before = verdicts.size();
    server.send(kube::create(kube::kService, "ns", service(name)), note);
    EXPECT_EQ(verdicts.size(), before) << "never within send()";
    run_ms(60'000);
  }
  EXPECT_EQ(verdicts, "unavailable,unavailable,unavailable,too many requests!,ok,");
  std::string names;
  for (const JsonPtr& object : server.all(kube::kService)) names += text_at(*object, {"metadata", "name"});
  EXPECT_EQ(names, "ace");
}

TEST_F(ApiServerTest, AClientThatIsStoppedHearsNothingAndItsSuccessorDoes) {
  int heard = 0, stopped = 0;
  server.stop_after(2, [&] { ++stopped; });
  for (const char* name : {"a", "b", "c"}) {
    server.send(kube::create(kube::kService, "ns", service(name)), [&](const Result<kube::Response>&) { ++heard; });
    run_ms(1'000);
  }
  EXPECT_EQ(heard, 1);
  EXPECT_EQ(stopped, 1);
  EXPECT_EQ(server.all(kube::kService).size(), 2U) << "the write was carried out, what came after it was never sent";
  server.restarted();
  server.send(kube::get(kube::kService, {"ns", "a"}), [&](const Result<kube::Response>& response) {
    EXPECT_TRUE(response);
    ++heard;
  });
  run_ms(1'000);
  EXPECT_EQ(heard, 2);
}

TEST_F(ApiServerTest, FrozenReplicasShowThePast) {
  made(kube::kService, service("a"));
  const int64_t then = server.database().revision();
  made(kube::kService, service("b"));
  server.freeze(then);
  Rng rng(1);
  kube::Store store(clock);
  const auto reflector = kube::Reflector::start(server, loop, rng, store, of_services());
  run_ms(5'000);
  EXPECT_TRUE(store.synced());
  EXPECT_EQ(store.size(), 1U);
  server.thaw();
  run_ms(5'000);
  EXPECT_EQ(store.size(), 2U);
}

// Whatever goes wrong with requests and streams: once it is over, a reflected store has what the server has.
TEST(ApiServerSim, AReflectedStoreEndsAtTheServersState) {
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    ManualClock clock;
    ManualLoop loop(clock);
    Rng rng(seed);
    ApiServerOptions options;
    options.seed = seed;
    options.streaming_lists = rng.below(2) == 0;
    options.history_commits = 20 + static_cast<int64_t>(rng.below(100));
    options.controllers.stateful_sets = false;
    options.faults = {.too_many = 0.05,
                      .error_undone = 0.05,
                      .lost_undone = 0.05,
                      .lost_done = 0.05,
                      .stream_cut = 0.1,
                      .stream_held = 0.2};
    ApiServer server(loop, options);
    kube::Store store(clock);
    const auto reflector = kube::Reflector::start(server, loop, rng, store, of_services(2));
    for (int i = 0; i < 150; ++i) {
      const std::string name(1, static_cast<char>('a' + rng.below(6)));
      if (rng.below(2) == 0) {
        server.user(kube::create(kube::kService, "ns", service(name)));
      } else if (rng.below(2) == 0) {
        server.user(kube::remove(kube::kService, {"ns", name}, {}, kube::Propagation::kBackground));
      } else {
        const json::value patch = {{"metadata", {{"labels", {{"i", std::to_string(i)}}}}}};
        const auto answer = server.user(kube::patch(kube::kService, {"ns", name}, kube::PatchKind::kMerge, patch));
        // As the controller's own write, whose answer comes before or after the watch.
        if (answer.status == 200 && rng.below(2) == 0) {
          loop.post_after(static_cast<int64_t>(rng.below(200)),
                          [&store, body = answer.body] { store.wrote(*kube::Object::make(*kube::read_json(body))); });
        }
      }
      if (rng.below(20) == 0) server.compact();
      if (rng.below(20) == 0) server.drop_streams();
      if (rng.below(4) == 0) loop.advance_to_next(1'000);
      if (rng.below(10) == 0) {
        clock.advance_ms(static_cast<int64_t>(rng.below(20'000)));
        loop.run_ready();
      }
    }
    server.set_faults({});
    const int64_t until = clock.monotonic_ns() + 120'000'000'000;
    while (clock.monotonic_ns() < until && loop.advance_to_next(60'000)) {
    }
    std::string here, there;
    store.each([&](const kube::ObjectPtr& object) {
      here += object->key().name + object->resource_version() + " ";
      return true;
    });
    for (const JsonPtr& object : server.all(kube::kService))
      there += text_at(*object, {"metadata", "name"}) + version_of(*object) + " ";
    ASSERT_EQ(here, there) << "seed " << seed << ": " << reflector->trouble();
    ASSERT_EQ(server.open_streams(), 1U) << "seed " << seed;
  }
}

TEST(ApiServerSim, OneSeedIsOneRun) {
  const auto run = [](uint64_t seed) {
    ManualClock clock;
    ManualLoop loop(clock);
    ApiServerOptions options;
    options.seed = seed;
    options.faults = {.lost_done = 0.3, .stream_cut = 0.2};
    ApiServer server(loop, options);
    Rng rng(seed);
    kube::Store store(clock);
    std::string log;
    store.on_change([&](const kube::ObjectPtr&, const kube::ObjectPtr& after) {
      log += std::to_string(clock.monotonic_ns()) + (after ? after->key().name : "-");
    });
    const auto reflector = kube::Reflector::start(server, loop, rng, store, of_services());
    for (const char* name : {"a", "b", "c", "d"}) {
      server.send(kube::create(kube::kService, "ns", service(name)),
                  [&](const Result<kube::Response>& answer) { log += answer ? "y" : "n"; });
      for (int i = 0; i < 10; ++i) loop.advance_to_next(1'000);
    }
    return log + server.masked_state();
  };
  EXPECT_EQ(run(7), run(7));
  EXPECT_NE(run(7), run(8));
}

}  // namespace
}  // namespace fmesh::sim
