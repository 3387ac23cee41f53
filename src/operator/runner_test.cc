#include "operator/runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "operator/pass_testing.h"

namespace fmesh::op {
namespace {

namespace json = boost::json;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

// Keeps requests. What is patched or deleted is gone, which a finalizer that goes takes along; nothing can be made.
class KeptRequests final : public kube::Api {
 public:
  explicit KeptRequests(Loop& loop) : loop_(loop) {}
  void send(kube::Request request, std::function<void(Result<kube::Response>)> done) override {
    sent.push_back(request.method + " " + request.target);
    const bool gone = request.method == "PATCH" || request.method == "DELETE";
    kube::Response response{503, R"({"kind":"Status","reason":"ServiceUnavailable","message":"away"})", std::nullopt};
    if (gone) response = {404, R"({"kind":"Status","reason":"NotFound","message":"gone"})", std::nullopt};
    loop_.post([done = std::move(done), response] { done(response); });
  }
  std::unique_ptr<kube::ApiStream> open(kube::Request, kube::StreamHandler) override { return nullptr; }

  std::vector<std::string> sent;

 private:
  Loop& loop_;
};

// An API server that makes what it is told to make, when the test says so.
class HeldRequests final : public kube::Api {
 public:
  struct Held {
    kube::Request request;
    std::function<void(Result<kube::Response>)> done;
  };
  void send(kube::Request request, std::function<void(Result<kube::Response>)> done) override {
    held.push_back({std::move(request), std::move(done)});
    most = std::max(most, held.size());
    ++sent;
  }
  std::unique_ptr<kube::ApiStream> open(kube::Request, kube::StreamHandler) override { return nullptr; }

  // The one that came first, of those whose target holds `what`.
  bool answer(const std::string& what, std::optional<kube::Response> response = std::nullopt) {
    const auto found = std::find_if(
        held.begin(), held.end(), [&](const Held& one) { return one.request.target.find(what) != std::string::npos; });
    if (found == held.end()) return false;
    Held one = std::move(*found);
    held.erase(found);
    if (!response) response = kube::Response{201, carried_out(one.request), std::nullopt};
    one.done(*response);
    return true;
  }
  size_t count(const std::string& what) const {
    return static_cast<size_t>(std::count_if(
        held.begin(), held.end(), [&](const Held& one) { return one.request.target.find(what) != std::string::npos; }));
  }

  std::vector<Held> held;
  size_t most = 0, sent = 0;

 private:
  std::string carried_out(const kube::Request& request) {
    json::object object = json::parse(request.body).get_object();
    json::object& metadata = object["metadata"].get_object();
    metadata["namespace"] = "n";
    metadata["resourceVersion"] = "made-" + std::to_string(++version_);
    if (!metadata.contains("uid")) metadata["uid"] = "u-" + std::string(metadata.at("name").get_string());
    metadata["generation"] = 1;
    return json::serialize(object);
  }
  int version_ = 0;
};

// A Pulsar that answers when it is told to.
class SlowCleaner final : public Cleaner {
 public:
  void clean(const kube::ObjectPtr& resource, int64_t limit_ms, std::function<void(Status)> done) override {
    names.push_back(resource->key().name);
    limits_ms.push_back(limit_ms);
    waiting.push_back(std::move(done));
  }
  void answer_all(const Status& outcome) {
    for (auto& done : std::exchange(waiting, {})) done(outcome);
  }

  std::vector<std::string> names;
  std::vector<int64_t> limits_ms;
  std::vector<std::function<void(Status)>> waiting;
};

class KeptNotes final : public Notes {
 public:
  void note(const kube::ResourceType&, const kube::ObjectPtr& resource, const Note& note) override {
    told.push_back(resource->key().name + (note.warning ? " Warning " : " ") + note.reason + ": " + note.text);
  }
  std::vector<std::string> told;
};

class RunnerTest : public PassTest {
 protected:
  void SetUp() override {
    settings_.cleanup_deadline_ms = 10'000;
    settings_.passes_max = 2;
    runner_ = std::make_unique<Runner>(loop_, api_, world_, settings_, rng_, cleaner_, notes_);
    runner_->set_active(true);
  }
  void put_function(const std::string& name, bool going) {
    json::object object = function_of_test();
    json::object& metadata = object["metadata"].get_object();
    metadata["name"] = name;
    metadata["uid"] = "u-" + name;
    if (going) {
      object["spec"].get_object()["cleanupSubscription"] = true;
      metadata["finalizers"] = {kCleanupFinalizer};
      metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z";
    }
    put(kube::kFunction, std::move(object));
    loop_.run_ready();
  }
  void run_for(int64_t ms) {
    const int64_t end_ns = clock_.monotonic_ns() + ms * 1'000'000;
    loop_.run_ready();
    while (loop_.advance_to_next((end_ns - clock_.monotonic_ns()) / 1'000'000)) loop_.run_ready();
  }

  ManualLoop loop_{clock_};
  KeptRequests api_{loop_};
  SlowCleaner cleaner_;
  KeptNotes notes_;
  Rng rng_{1};
  std::unique_ptr<Runner> runner_;
};

TEST_F(RunnerTest, CleanupsThatWaitForPulsarHoldNobodyElseUp) {
  for (size_t i = 0; i < kCleanupsMax + 5; ++i) put_function("going-" + std::to_string(i), true);
  EXPECT_EQ(cleaner_.waiting.size(), kCleanupsMax);
  put_function("here", false);
  EXPECT_THAT(api_.sent, Contains(HasSubstr("statefulsets")));
  // The others have their turn.
  cleaner_.answer_all({});
  run_for(kCleanupTurnMs + 10);
  EXPECT_EQ(cleaner_.names.size(), kCleanupsMax + 5);
}

TEST_F(RunnerTest, ACleanupMayTakeWhatIsLeftUntilTheDeadline) {
  put_function("f", true);
  EXPECT_THAT(cleaner_.limits_ms, ElementsAre(10'000));
  clock_.advance_ms(7'000);
  cleaner_.answer_all(fail(ErrorKind::kRetryLater, "away"));
  run_for(1'000);
  ASSERT_EQ(cleaner_.limits_ms.size(), 2U);
  EXPECT_LE(cleaner_.limits_ms[1], 3'000);
  EXPECT_GT(cleaner_.limits_ms[1], 1'900);
}

TEST_F(RunnerTest, WhyAResourceWentUncleanedIsToldAlthoughItIsGone) {
  put_function("f", true);
  for (int i = 0; i < 100 && !cleaner_.waiting.empty(); ++i) {
    cleaner_.answer_all(fail(ErrorKind::kRetryLater, "the broker is away"));
    run_for(100);
    // However long the backoff has become, there is a last try at the deadline.
    if (cleaner_.waiting.empty()) run_for(5'000);
  }
  EXPECT_EQ(world_.functions.get({"n", "f"}), nullptr);
  EXPECT_THAT(notes_.told,
              Contains("f Warning CleanupFailed: gave up after 10 s, subscriptions, topics or packages may be left in "
                       "Pulsar: the broker is away"));
  EXPECT_LT(clock_.monotonic_ns() / 1'000'000, 17'000);
}

TEST_F(RunnerTest, ACleanupThatWentWellIsToldAlthoughTheResourceIsGone) {
  put_function("f", true);
  cleaner_.answer_all({});
  loop_.run_ready();
  EXPECT_EQ(world_.functions.get({"n", "f"}), nullptr);
  EXPECT_THAT(notes_.told, ElementsAre(HasSubstr("f CleanedUp")));
}

TEST_F(RunnerTest, AJobOfTheFormerOperatorGoesWithItsResource) {
  put(kube::kJob, {{"apiVersion", "batch/v1"},
                   {"kind", "Job"},
                   {"metadata", {{"name", "f-function-cleanup"}, {"namespace", "n"}, {"labels", {{"owner", "u-f"}}}}}});
  put_function("f", true);
  EXPECT_THAT(api_.sent, ElementsAre(HasSubstr("DELETE /apis/batch/v1/namespaces/n/jobs/f-function-cleanup")));
  EXPECT_THAT(cleaner_.names, ElementsAre("f"));
}

class RunnerOfMeshesTest : public PassTest {
 protected:
  void begin(size_t passes_max) {
    settings_.passes_max = passes_max;
    runner_ = std::make_unique<Runner>(loop_, api_, world_, settings_, rng_, cleaner_, notes_);
    runner_->set_active(true);
  }
  void put_mesh(const std::string& name, int children) {
    json::array items;
    for (int i = 0; i < children; ++i) {
      json::object spec = function_of_test()["spec"].get_object();
      spec["name"] = "c" + std::to_string(i);
      items.push_back(std::move(spec));
    }
    put(kube::kFunctionMesh, {{"apiVersion", "compute.functionmesh.io/v1alpha1"},
                              {"kind", "FunctionMesh"},
                              {"metadata", {{"name", name}, {"namespace", "n"}, {"uid", "u-" + name}}},
                              {"spec", {{"functions", std::move(items)}}}});
    loop_.run_ready();
  }
  void run_for(int64_t ms) {
    const int64_t end_ms = clock_.wall_ms() + ms;
    loop_.run_ready();
    while (loop_.advance_to_next(end_ms - clock_.wall_ms())) loop_.run_ready();
    clock_.advance_ms(end_ms - clock_.wall_ms());
  }
  // Until nothing is asked for any more.
  void answer_all() {
    while (api_.answer("")) loop_.run_ready();
  }

  static constexpr const char* kFunctions = "/namespaces/n/functions?";
  ManualLoop loop_{clock_};
  HeldRequests api_;
  SlowCleaner cleaner_;
  KeptNotes notes_;
  Rng rng_{1};
  std::unique_ptr<Runner> runner_;
};

TEST_F(RunnerOfMeshesTest, AMeshHasHalfOfTheWritesUnderWayAndLeavesTheOthersTheirTurn) {
  begin(8);
  put_mesh("m", 20);
  EXPECT_EQ(api_.held.size(), 4U);
  put(kube::kFunction, function_of_test());
  loop_.run_ready();
  EXPECT_EQ(api_.count("/statefulsets"), 1U);
  EXPECT_EQ(api_.held.size(), 5U);
  api_.answer(kFunctions);  // the next child takes its place
  EXPECT_EQ(api_.count(kFunctions), 4U);
  answer_all();
  EXPECT_EQ(world_.functions.size(), 21U);
  EXPECT_LE(api_.most, 8U);
}

TEST_F(RunnerOfMeshesTest, ManyMeshesHaveNoMoreWritesUnderWayThanAllowed) {
  begin(4);
  for (const char* name : {"m", "n", "o", "p", "q"}) put_mesh(name, 6);
  answer_all();
  EXPECT_EQ(world_.functions.size(), 30U);
  EXPECT_EQ(api_.most, 4U);
}

TEST_F(RunnerOfMeshesTest, OneWriteAtATimeMakesAMeshToo) {
  begin(1);
  put_mesh("m", 5);
  answer_all();
  EXPECT_EQ(world_.functions.size(), 5U);
  EXPECT_EQ(api_.most, 1U);
}

TEST_F(RunnerOfMeshesTest, ALargeMeshIsMadeInOnePass) {
  begin(16);
  std::vector<std::string> failed;
  runner_->on_pass([&](const kube::WorkKey& key, double, bool failure) {
    if (failure) failed.push_back(key.kind + " " + key.name);
  });
  put_mesh("m", 300);
  answer_all();
  EXPECT_EQ(world_.functions.size(), 300U);
  EXPECT_THAT(failed, ElementsAre());
}

TEST_F(RunnerOfMeshesTest, AServerThatAsksToWaitIsSentNoFurtherChildren) {
  begin(8);
  put_mesh("m", 10);
  ASSERT_EQ(api_.held.size(), 4U);
  api_.answer(kFunctions, kube::Response{429, R"({"kind":"Status","reason":"TooManyRequests"})", 5'000});
  EXPECT_EQ(api_.count(kFunctions), 3U);
  // Those that were under way are still heard.
  while (api_.answer(kFunctions)) loop_.run_ready();
  EXPECT_EQ(api_.count(kFunctions), 0U);
  EXPECT_EQ(world_.functions.size(), 3U);
  for (int i = 0; i < 40; ++i) {  // the three children's own objects are made meanwhile
    answer_all();
    run_for(100);
  }
  EXPECT_EQ(world_.functions.size(), 3U);
  run_for(4'000);
  answer_all();
  EXPECT_EQ(world_.functions.size(), 10U);
}

TEST_F(RunnerOfMeshesTest, NothingNewIsBegunWhileTheWatchesAreFarBehind) {
  begin(8);
  put_mesh("m", static_cast<int>(kUnseenWritesMax) + 100);
  answer_all();
  // The mesh's pass ends; what its children need waits for the watches.
  const size_t behind = api_.sent;
  EXPECT_GE(world_.unseen(), kUnseenWritesMax);
  run_for(1'000);
  EXPECT_EQ(api_.sent, behind);
  std::vector<kube::ObjectPtr> made;
  world_.functions.each([&](const kube::ObjectPtr& object) {
    made.push_back(object);
    return true;
  });
  for (const kube::ObjectPtr& object : made) world_.functions.put(object);
  EXPECT_LT(world_.unseen(), kUnseenWritesMax);
  run_for(100);
  EXPECT_GT(api_.sent, behind);
}

TEST_F(RunnerOfMeshesTest, AChildThatIsThereAlreadyIsLookedAtAndTheOthersGoOn) {
  begin(8);
  put_mesh("m", 6);
  const std::string taken = json::serialize(json::parse(api_.held.front().request.body));
  api_.answer(kFunctions, kube::Response{409, R"({"kind":"Status","reason":"AlreadyExists"})", std::nullopt});
  EXPECT_EQ(api_.count("/functions/m-c0"), 1U);
  EXPECT_EQ(api_.count(kFunctions), 3U);  // the look is the fourth
  json::object object = json::parse(taken).get_object();
  object["metadata"].get_object()["uid"] = "u-old";
  object["metadata"].get_object()["namespace"] = "n";
  object["metadata"].get_object()["resourceVersion"] = "7";
  api_.answer("/functions/m-c0", kube::Response{200, json::serialize(object), std::nullopt});
  EXPECT_EQ(api_.count(kFunctions), 4U);
  answer_all();
  EXPECT_EQ(world_.functions.size(), 6U);
  EXPECT_EQ(world_.functions.get({"n", "m-c0"})->uid(), "u-old");
}

}  // namespace
}  // namespace fmesh::op
