#include "kube/watch_machine.h"

#include <gtest/gtest.h>

#include "base/clock.h"
#include "kube/kube_testing.h"
#include "kube/store.h"

namespace fmesh::kube {
namespace {

constexpr int64_t kMs = 1'000'000;

std::string item(const std::string& name, const std::string& version, const std::string& uid = "u") {
  return R"({"metadata":{"name":")" + name + R"(","namespace":"ns","uid":")" + uid + R"(","resourceVersion":")" +
         version + R"("}})";
}
std::string event(const std::string& type, const std::string& object) {
  return R"({"type":")" + type + R"(","object":)" + object + "}\n";
}
std::string page(const std::string& version, const std::string& items, const std::string& token = "") {
  return R"({"kind":"ServiceList","metadata":{"resourceVersion":")" + version + R"(","continue":")" + token +
         R"("},"items":[)" + items + "]}";
}
std::string bookmark(const std::string& version) {
  return event("BOOKMARK", R"({"kind":"Service","metadata":{"resourceVersion":")" + version + R"("}})");
}
std::string initial_end(const std::string& version) {
  return event("BOOKMARK", R"({"metadata":{"resourceVersion":")" + version +
                               R"(","annotations":{"k8s.io/initial-events-end":"true"}}})");
}
std::string status(int code, const std::string& reason) {
  return R"({"kind":"Status","status":"Failure","reason":")" + reason + R"(","message":"m","code":)" +
         std::to_string(code) + "}";
}

// The machine with a store behind it and a clock in front.
class WatchMachineTest : public testing::Test {
 protected:
  static WatchMachineOptions pages() {
    WatchMachineOptions options;
    options.type = kService;
    options.page_size = 2;
    options.streaming_list = false;
    return options;
  }
  static WatchMachineOptions streaming() {
    WatchMachineOptions options = pages();
    options.streaming_list = true;
    return options;
  }
  void use(WatchMachineOptions options) { machine.emplace(std::move(options), rng); }

  int64_t now() const { return clock.monotonic_ns(); }
  // The next request; waits are waited for and added up in `waited_ms`.
  std::string next() {
    waited_ms = 0;
    while (true) {
      EXPECT_FALSE(machine->busy());
      const WatchStep step = machine->next(now());
      if (step.kind != WatchStep::Kind::kWait) {
        return (step.kind == WatchStep::Kind::kSend ? "list " : "watch ") + step.request.target;
      }
      EXPECT_GT(step.wait_ms, 0);
      waited_ms += step.wait_ms;
      clock.advance_ms(step.wait_ms);
    }
  }
  void apply(WatchEvents events) {
    for (WatchEvent& event : events) {
      log += event.kind == WatchEvent::Kind::kReplace ? "R" : event.kind == WatchEvent::Kind::kPut ? "P" : "D";
      if (event.kind == WatchEvent::Kind::kReplace) store.replace(std::move(event.objects), event.asked_at_ns);
      if (event.kind == WatchEvent::Kind::kPut) store.put(std::move(event.object));
      if (event.kind == WatchEvent::Kind::kRemove) store.remove(event.object->key(), event.object->uid());
    }
  }
  void answer(int code, const std::string& body) { apply(machine->on_answer(Response{code, body, {}}, now())); }
  void head(int code = 200, const std::string& body = "", std::optional<int64_t> retry = {}) {
    machine->on_head(Response{code, body, retry}, now());
  }
  void data(std::string_view piece) { apply(machine->on_data(piece, now())); }
  void end(const Status& status = {}) { machine->on_end(status, now()); }
  void break_off() { end(fail(ErrorKind::kRetryLater, "connection reset")); }
  std::string names() {
    std::string text;
    store.each([&](const ObjectPtr& object) {
      text += object->key().name + object->resource_version() + " ";
      return true;
    });
    return text;
  }
  // Up to an open watch from version 9 with a1 and b2.
  void start_watch() {
    use(pages());
    next();
    answer(200, page("9", item("a", "1") + "," + item("b", "2")));
    EXPECT_NE(next().find("resourceVersion=9"), std::string::npos);
    head();
  }

  ManualClock clock;
  Rng rng{3};
  std::optional<WatchMachine> machine;
  Store store{clock};
  std::string log;
  int64_t waited_ms = 0;
};

TEST_F(WatchMachineTest, ListsPageByPageThenWatchesFromTheListsVersion) {
  use(pages());
  EXPECT_EQ(next(), "list /api/v1/services?limit=2");
  answer(200, page("9", item("a", "1") + "," + item("b", "2"), "t+1"));
  EXPECT_FALSE(store.synced()) << "half a list is no list";
  EXPECT_EQ(next(), "list /api/v1/services?limit=2&continue=t%2B1");
  answer(200, page("9", item("c", "3")));
  EXPECT_EQ(names(), "a1 b2 c3 ");
  EXPECT_TRUE(next().starts_with("watch /api/v1/services?watch=true&resourceVersion=9&allowWatchBookmarks=true"));
  EXPECT_EQ(log, "R");
}

TEST_F(WatchMachineTest, ItemsOfAListGetTheirKind) {
  use(pages());
  next();
  answer(200, page("9", item("a", "1")));
  EXPECT_EQ(string_at(store.get({"ns", "a"})->json(), {"kind"}), "Service");
  EXPECT_EQ(string_at(store.get({"ns", "a"})->json(), {"apiVersion"}), "v1");
}

TEST_F(WatchMachineTest, AnEmptyListMayHaveNullItems) {
  use(pages());
  next();
  answer(200, R"({"metadata":{"resourceVersion":"4"},"items":null})");
  EXPECT_TRUE(store.synced());
}

TEST_F(WatchMachineTest, EventsChangeTheStoreAndMoveTheVersion) {
  start_watch();
  data(event("ADDED", item("c", "10")) + event("MODIFIED", item("a", "11")) + event("DELETED", item("b", "12")));
  EXPECT_EQ(names(), "a11 c10 ");
  EXPECT_EQ(machine->resource_version(), "12");
}

TEST_F(WatchMachineTest, ABookmarkMovesTheVersionAndTouchesNothingElse) {
  start_watch();
  log.clear();
  data(bookmark("50"));
  EXPECT_EQ(log, "");
  EXPECT_EQ(names(), "a1 b2 ");
  break_off();
  EXPECT_NE(next().find("resourceVersion=50&"), std::string::npos);
}

TEST_F(WatchMachineTest, ANormalEndIsSilentQuickAndContinues) {
  start_watch();
  clock.advance_ms(270'000);
  end();
  EXPECT_EQ(machine->trouble(), "");
  EXPECT_NE(next().find("resourceVersion=9&"), std::string::npos);
  EXPECT_LE(waited_ms, 100);
  EXPECT_EQ(log, "R") << "no second list";
}

TEST_F(WatchMachineTest, AWatchThatEndsAtOnceIsNoNormalEnd) {
  start_watch();
  end();
  EXPECT_NE(machine->trouble(), "");
  next();
  EXPECT_GE(waited_ms, 250);
}

TEST_F(WatchMachineTest, ABrokenStreamContinuesFromTheLastVersionTold) {
  start_watch();
  data(event("ADDED", item("c", "10")) + R"({"type":"ADDED","object":{"metadata":{"na)");
  break_off();
  EXPECT_NE(machine->trouble().find("watch services: connection reset"), std::string::npos);
  EXPECT_NE(next().find("resourceVersion=10&"), std::string::npos);
  head();
  EXPECT_EQ(machine->trouble(), "");
  data(event("ADDED", item("d", "11")));  // nothing of the half line is left
  EXPECT_EQ(names(), "a1 b2 c10 d11 ");
}

TEST_F(WatchMachineTest, GoneOnStartGoneInTheStreamAndExpiredAllListAnew) {
  for (int guise = 0; guise < 3; ++guise) {
    start_watch();
    if (guise == 0) {
      clock.advance_ms(270'000);
      end();
      next();
      head(410, status(410, "Expired"));
      end();
    } else {
      data(event("ERROR", status(410, guise == 1 ? "Expired" : "Gone")));
    }
    EXPECT_FALSE(machine->busy());
    EXPECT_EQ(next(), "list /api/v1/services?limit=2") << guise;
    EXPECT_LE(waited_ms, 2000);
    answer(200, page("80", item("a", "70")));
    EXPECT_EQ(names(), "a70 ") << "what was deleted meanwhile is gone";
  }
}

TEST_F(WatchMachineTest, OtherErrorsInTheStreamContinueFromTheLastVersion) {
  start_watch();
  data(event("ADDED", item("c", "10")) + event("ERROR", status(500, "InternalError")) +
       event("ADDED", item("d", "11")));
  EXPECT_EQ(names(), "a1 b2 c10 ") << "what follows an error is not read";
  EXPECT_NE(next().find("watch=true&resourceVersion=10&"), std::string::npos);
}

TEST_F(WatchMachineTest, AnExpiredContinueTokenStartsTheListAgainAndTheSecondTimeWhole) {
  use(pages());
  next();
  answer(200, page("9", item("a", "1"), "t1"));
  next();
  answer(410, status(410, "Expired"));
  EXPECT_EQ(next(), "list /api/v1/services?limit=2");
  answer(200, page("19", item("b", "2"), "t2"));
  next();
  answer(400, status(400, "BadRequest"));  // "continue key is not valid"
  EXPECT_EQ(next(), "list /api/v1/services");
  answer(200, page("29", item("c", "3")));
  EXPECT_EQ(names(), "c3 ") << "nothing of an expired list is mixed in";
}

TEST_F(WatchMachineTest, AFailedPageIsAskedForAgain) {
  use(pages());
  next();
  answer(200, page("9", item("a", "1"), "t1"));
  next();
  answer(503, "");
  EXPECT_EQ(next(), "list /api/v1/services?limit=2&continue=t1");
  apply(machine->on_answer(fail(ErrorKind::kRetryLater, "reset"), now()));
  EXPECT_EQ(next(), "list /api/v1/services?limit=2&continue=t1");
  answer(200, page("9", item("b", "2")));
  EXPECT_EQ(names(), "a1 b2 ");
}

TEST_F(WatchMachineTest, AMissingResourceVersionIsAnError) {
  use(pages());
  next();
  answer(200, R"({"metadata":{},"items":[]})");
  EXPECT_NE(machine->trouble().find("without resourceVersion"), std::string::npos);
  EXPECT_FALSE(store.synced());
  next();
  answer(200, page("9", ""));
  next();
  head();
  data(event("ADDED", R"({"metadata":{"name":"a"}})"));
  EXPECT_NE(machine->trouble().find("ADDED without resourceVersion"), std::string::npos);
  EXPECT_EQ(names(), "");
  EXPECT_NE(next().find("resourceVersion=9&"), std::string::npos);
}

TEST_F(WatchMachineTest, AStreamingListIsWholeAtItsBookmarkAndGoesOnAsAWatch) {
  use(streaming());
  EXPECT_NE(next().find("sendInitialEvents=true"), std::string::npos);
  head();
  data(event("ADDED", item("a", "1")) + event("ADDED", item("b", "2")) + bookmark("3"));
  EXPECT_FALSE(store.synced());
  data(event("MODIFIED", item("a", "4")) +
       event("DELETED", item("b", "5")));  // should not be, and is right all the same
  data(initial_end("8"));
  EXPECT_TRUE(store.synced());
  EXPECT_EQ(names(), "a4 ");
  data(event("ADDED", item("c", "9")));
  EXPECT_EQ(names(), "a4 c9 ");
  EXPECT_EQ(log, "RP");
  break_off();
  const std::string target = next();
  EXPECT_NE(target.find("resourceVersion=9&"), std::string::npos);
  EXPECT_EQ(target.find("sendInitialEvents"), std::string::npos);
}

TEST_F(WatchMachineTest, AServerWithoutStreamingListsIsAskedForPagesAtOnce) {
  for (const bool inside : {false, true}) {
    use(streaming());
    next();
    if (inside) {
      head();
      data(event("ERROR", status(422, "Invalid")));
    } else {
      head(422, status(422, "Invalid"));
      end();
    }
    EXPECT_EQ(next(), "list /api/v1/services?limit=2");
    if (!inside) {
      EXPECT_EQ(waited_ms, 0);
    }
    answer(200, page("9", ""));
    next();
    head(410, status(410, "Expired"));
    EXPECT_EQ(next(), "list /api/v1/services?limit=2") << "it is not asked for a second time";
  }
}

TEST_F(WatchMachineTest, AServerThatIgnoresTheWishForAStreamingListIsFoundOut) {
  use(streaming());
  next();
  head();
  data(event("ADDED", item("a", "1")));
  EXPECT_EQ(machine->idle_at_ns(), now() + 30'000 * kMs);
  clock.advance_ms(30'000);
  machine->on_idle(now());
  EXPECT_EQ(next(), "list /api/v1/services?limit=2");
}

TEST_F(WatchMachineTest, AnUnfinishedStreamingListThatBreaksLeavesNothing) {
  use(streaming());
  next();
  head();
  data(event("ADDED", item("a", "1")));
  break_off();
  EXPECT_NE(next().find("sendInitialEvents=true"), std::string::npos);
  head();
  data(event("ADDED", item("b", "2")) + initial_end("8"));
  EXPECT_EQ(names(), "b2 ");
}

TEST_F(WatchMachineTest, AHalfOpenConnectionIsFoundByTheIdleTimer) {
  start_watch();
  const int64_t first = machine->idle_at_ns();
  EXPECT_GT(first, now() + 270'000 * kMs) << "not before the server's own end";
  EXPECT_LT(first, now() + 310'000 * kMs);
  clock.advance_ms(100'000);
  data(bookmark("20"));
  EXPECT_EQ(machine->idle_at_ns(), first + 100'000 * kMs);
  clock.advance_ms(310'000);
  machine->on_idle(now());
  EXPECT_NE(next().find("resourceVersion=20&"), std::string::npos);
}

TEST_F(WatchMachineTest, FailuresBackOffWithJitterUpToABoundAndAHealthyTimeResetsThem) {
  use(pages());
  next();
  answer(200, page("9", ""));
  int64_t at_most = 0;
  for (int i = 0; i < 12; ++i) {
    next();
    if (i > 0) {
      EXPECT_LE(waited_ms, at_most);
      EXPECT_GE(waited_ms, at_most / 2);
    }
    at_most = i == 0 ? 500 : std::min<int64_t>(at_most * 2, 30'000);
    break_off();
  }
  next();
  EXPECT_GE(waited_ms, 15'000);
  head();
  clock.advance_ms(60'000);
  break_off();
  next();
  EXPECT_LE(waited_ms, 500);
}

TEST_F(WatchMachineTest, RelistStormsAreSpreadAndSlowedDown) {
  start_watch();
  int64_t last = 0;
  for (int i = 0; i < 8; ++i) {
    data(event("ERROR", status(410, "Expired")));
    ASSERT_EQ(next(), "list /api/v1/services?limit=2");
    last = waited_ms;
    answer(200, page("9", ""));
    next();
    head();
  }
  EXPECT_GE(last, 15'000) << "a server that forgets at once is not listed twice a second";
}

TEST_F(WatchMachineTest, RetryAfterIsObeyed) {
  use(pages());
  next();
  apply(machine->on_answer(Response{429, status(429, "TooManyRequests"), 7000}, now()));
  next();
  EXPECT_GE(waited_ms, 7000);
  EXPECT_LE(waited_ms, 7000 + 7000 / 4);
  answer(200, page("9", ""));
  next();
  head(503, "", 9000);
  next();
  EXPECT_GE(waited_ms, 9000);
}

TEST_F(WatchMachineTest, ALineBeyondTheBoundIsNotGathered) {
  start_watch();
  const std::string piece(1024 * 1024, 'x');
  for (int i = 0; i < 9 && machine->busy(); ++i) data(piece);
  EXPECT_FALSE(machine->busy());
  EXPECT_NE(machine->trouble().find("more than 8388608 bytes"), std::string::npos);
}

TEST_F(WatchMachineTest, WhatCannotBeReadIsTriedAgainThenTheWholeIsListed) {
  for (const std::string bad :
       {"{\"type\":\"ADDED\",\"object\":{\"a\":\"\xff\"}}", "[1", "{}", "null", R"({"type":"ADDED"})",
        R"({"type":"WHAT","object":{"metadata":{"resourceVersion":"1"}}})",
        R"({"type":"ADDED","object":{"metadata":{"resourceVersion":"1"}}})"}) {
    start_watch();
    for (size_t i = 0; i < kUnreadableMax; ++i) {
      data(bad + "\n");
      EXPECT_FALSE(machine->busy()) << bad;
      EXPECT_NE(machine->trouble(), "") << bad;
      ASSERT_NE(next().find("resourceVersion=9&"), std::string::npos) << bad;
      head();
    }
    data(bad + "\n");
    EXPECT_EQ(next(), "list /api/v1/services?limit=2") << bad;
  }
}

TEST_F(WatchMachineTest, OfTwoKeysTheLastWins) {
  start_watch();
  data(R"({"type":"ADDED","type":"DELETED","object":)" + item("a", "20", "u") + "}\n");
  EXPECT_EQ(names(), "b2 ");
}

TEST_F(WatchMachineTest, TrimChangesWhatIsStored) {
  WatchMachineOptions options = pages();
  options.trim = [](boost::json::value& object) { object.as_object().erase("data"); };
  use(std::move(options));
  next();
  answer(200, R"({"metadata":{"resourceVersion":"9"},"items":[{"metadata":{"name":"a"},"data":{"k":"secret"}}]})");
  EXPECT_EQ(store.get({"", "a"})->text().find("secret"), std::string::npos);
}

// A stream cut at any byte, and continued as asked for, ends where an undisturbed one ends.
TEST_F(WatchMachineTest, ACutAtAnyByteLosesAndRepeatsNothingThatMatters) {
  struct Told {
    int version;
    std::string line;
  };
  const std::vector<Told> history = {{10, event("ADDED", item("c", "10"))},
                                     {11, event("MODIFIED", item("a", "11"))},
                                     {12, event("DELETED", item("b", "12"))},
                                     {14, "\r\n" + bookmark("14")},
                                     {15, event("ADDED", item("b", "15", "u2"))}};
  std::string all;
  for (const Told& told : history) all += told.line;
  for (size_t cut = 0; cut <= all.size(); ++cut) {
    start_watch();
    data(std::string_view(all).substr(0, cut / 2));
    data(std::string_view(all).substr(cut / 2, cut - cut / 2));
    break_off();
    const std::string target = next();
    const size_t at = target.find("resourceVersion=") + 16;
    const int from = std::stoi(target.substr(at));
    head();
    for (const Told& told : history) {
      if (told.version > from) data(told.line);
    }
    ASSERT_EQ(names(), "a11 b15 c10 ") << "cut at " << cut;
    ASSERT_EQ(machine->resource_version(), "15");
    store.replace({});
  }
}

}  // namespace
}  // namespace fmesh::kube
