#include "kube/events.h"

#include <gtest/gtest.h>

#include "kube/kube_testing.h"
#include "sim/kube/api_server.h"

namespace fmesh::kube {
namespace {

class EventsTest : public testing::Test {
 protected:
  EventsTest() {
    EventRecorderOptions options;
    options.instance = "pod-1";
    recorder = EventRecorder::start(server, loop, rng, options);
  }
  void record(const std::string& note = "it went", const std::string& uid = "u1",
              const std::string& reason = "Scaled") {
    recorder->record(kFunction, test_object({"f", uid, "7"}), true, reason, "Scale", note);
  }
  void run_ms(int64_t ms) {
    const int64_t until = clock.monotonic_ns() + ms * 1'000'000;
    loop.run_ready();
    while (loop.advance_to_next((until - clock.monotonic_ns()) / 1'000'000)) {
    }
    clock.advance_ms((until - clock.monotonic_ns()) / 1'000'000);
    loop.run_ready();
  }
  std::vector<sim::JsonPtr> events() { return server.all(kEvent); }

  ManualClock clock;
  ManualLoop loop{clock};
  sim::ApiServer server{loop, {}};
  Rng rng{5};
  std::unique_ptr<EventRecorder> recorder;
};

TEST_F(EventsTest, AnEventSaysWhatHappenedToWhat) {
  record();
  EXPECT_EQ(server.client_writes(), 0U) << "telling does not wait";
  run_ms(1'000);
  ASSERT_EQ(events().size(), 1U);
  const boost::json::value& event = *events()[0];
  EXPECT_EQ(string_at(event, {"regarding", "kind"}), "Function");
  EXPECT_EQ(string_at(event, {"regarding", "apiVersion"}), "compute.functionmesh.io/v1alpha1");
  EXPECT_EQ(string_at(event, {"regarding", "uid"}), "u1");
  EXPECT_EQ(string_at(event, {"metadata", "namespace"}), "ns");
  EXPECT_EQ(string_at(event, {"type"}), "Warning");
  EXPECT_EQ(string_at(event, {"reason"}), "Scaled");
  EXPECT_EQ(string_at(event, {"action"}), "Scale");
  EXPECT_EQ(string_at(event, {"note"}), "it went");
  EXPECT_EQ(string_at(event, {"reportingInstance"}), "pod-1");
  EXPECT_FALSE(string_at(event, {"eventTime"}).empty());
  EXPECT_FALSE(find(event, {"series"}));
}

TEST_F(EventsTest, WhatRepeatsIsOneEventWithASeries) {
  for (int i = 0; i < 100; ++i) {
    record();
    run_ms(100);
  }
  ASSERT_EQ(events().size(), 1U);
  EXPECT_EQ(int_at(*events()[0], {"series", "count"}), 2) << "the second time is told at once";
  EXPECT_LE(server.client_writes(), 3U);
  run_ms(70'000);
  EXPECT_EQ(int_at(*events()[0], {"series", "count"}), 100) << "the rest when a minute is over";
  EXPECT_FALSE(string_at(*events()[0], {"series", "lastObservedTime"}).empty());
  const size_t writes = server.client_writes();
  run_ms(kEventSeriesMs + 20'000);
  EXPECT_EQ(server.client_writes(), writes) << "nothing happens any more, nothing is written";
  record();
  run_ms(1'000);
  EXPECT_EQ(events().size(), 2U) << "much later it is something new";
}

TEST_F(EventsTest, AnObjectHasABudgetAndOthersDoNotSufferFromIt) {
  for (int i = 0; i < 200; ++i) record("note " + std::to_string(i));
  record("quiet", "u2");
  run_ms(60'000 - 1);
  EXPECT_EQ(events().size(), static_cast<size_t>(kEventsPerObject) + 1);
  EXPECT_EQ(recorder->counts().dropped, 200U - kEventsPerObject);
  run_ms(2);
  record("later");
  record("too many");
  run_ms(10'000);
  EXPECT_EQ(events().size(), static_cast<size_t>(kEventsPerObject) + 2);
}

TEST_F(EventsTest, WhatWaitsIsBoundedAndWrittenSlowly) {
  for (size_t i = 0; i < kEventsWaitingMax + 500; ++i) record("x", "u" + std::to_string(i));
  EXPECT_EQ(recorder->counts().dropped, 500U);
  run_ms(10'000);
  EXPECT_LE(events().size(), 10U * kEventsPerSecond + 1);
  EXPECT_GE(events().size(), 9U * kEventsPerSecond);
}

TEST_F(EventsTest, LongNotesAreCutBetweenCharacters) {
  std::string note;
  for (int i = 0; i < 600; ++i) note += "\xc3\xa9";
  record(note);
  run_ms(1'000);
  const std::string_view kept = string_at(*events()[0], {"note"});
  EXPECT_LE(kept.size(), kEventNoteMaxBytes);
  EXPECT_GT(kept.size(), kEventNoteMaxBytes - 8);
  EXPECT_TRUE(kept.ends_with("\xc3\xa9..."));
}

TEST_F(EventsTest, ABusyServerIsTriedAgainAFewTimes) {
  server.plan(1, sim::Fault::kTooMany);
  server.plan(2, sim::Fault::kLostDone);
  record();
  run_ms(60'000);
  EXPECT_EQ(events().size(), 1U);
  EXPECT_EQ(recorder->counts().written, 1U);
  server.set_faults({.error_undone = 1.0});
  record("other");
  run_ms(120'000);
  EXPECT_EQ(recorder->counts().dropped, 1U);
  const size_t writes = server.client_writes();
  run_ms(600'000);
  EXPECT_EQ(server.client_writes(), writes);
}

TEST_F(EventsTest, AnEventThatWasRemovedMeanwhileIsMadeAnew) {
  record();
  run_ms(1'000);
  server.user(
      remove(kEvent, {"ns", std::string(string_at(*events()[0], {"metadata", "name"}))}, {}, Propagation::kBackground));
  record();
  run_ms(5'000);
  ASSERT_EQ(events().size(), 1U);
  EXPECT_EQ(int_at(*events()[0], {"series", "count"}), 2);
}

TEST_F(EventsTest, WhatIsRefusedIsDroppedAndNothingElseSuffers) {
  server.registry().terminate_namespace("ns");
  record();
  run_ms(5'000);
  EXPECT_EQ(recorder->counts().dropped, 1U);
  recorder->record(kFunction, test_object({"g", "u9", "1", "", "other"}), false, "Made", "Create", "fine");
  run_ms(5'000);
  EXPECT_EQ(events().size(), 1U);
}

TEST_F(EventsTest, SeriesThatAreRememberedAreBoundedAndTheLongestUnheardOfGoesFirst) {
  record("x", "first");
  run_ms(1'000);
  record("x", "second");
  for (size_t i = 0; i < kEventSeriesMax - 1; ++i) {
    record("x", "u" + std::to_string(i));
    if (i % 900 == 0) run_ms(50'000);
  }
  record("x", "second");
  record("x", "first");
  run_ms(100'000);
  std::map<std::string, int> counts;
  for (const sim::JsonPtr& event : events()) ++counts[std::string(string_at(*event, {"regarding", "uid"}))];
  EXPECT_EQ(counts["second"], 1);
  EXPECT_EQ(counts["first"], 2);
}

}  // namespace
}  // namespace fmesh::kube
