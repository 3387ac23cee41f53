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

}  // namespace
}  // namespace fmesh::op
