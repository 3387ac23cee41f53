#include "operator/metrics_guard.h"

#include <gtest/gtest.h>

#include <vector>

namespace fmesh::op {
namespace {

// Knows two tokens: "reader" may read, "stranger" may not.
class ReviewApi final : public kube::Api {
 public:
  explicit ReviewApi(Loop& loop) : loop_(loop) {}
  void send(kube::Request request, std::function<void(Result<kube::Response>)> done) override {
    ++requests;
    loop_.post([this, request, done] {
      if (down) return done(fail(ErrorKind::kRetryLater, "no answer"));
      const auto says = [&](const char* text) { return request.body.find(text) != std::string::npos; };
      if (request.target.find("tokenreviews") != std::string::npos) {
        const bool known = says("\"reader\"") || says("\"stranger\"");
        const std::string user = says("\"reader\"") ? "reader" : "stranger";
        return done(kube::Response{
            201, known ? R"({"status":{"authenticated":true,"user":{"username":")" + user + "\"}}}" : "{}", {}});
      }
      EXPECT_TRUE(says("/metrics"));
      done(kube::Response{201, says("\"reader\"") ? R"({"status":{"allowed":true}})" : "{}", {}});
    });
  }
  std::unique_ptr<kube::ApiStream> open(kube::Request, kube::StreamHandler) override { return nullptr; }

  int requests = 0;
  bool down = false;

 private:
  Loop& loop_;
};

class MetricsGuardTest : public testing::Test {
 protected:
  int ask(const std::string& authorization) {
    int out = 0;
    guard_.check(authorization, [&](int status) { out = status; });
    loop_.run_ready();
    return out;
  }
  ManualClock clock_;
  ManualLoop loop_{clock_};
  ReviewApi api_{loop_};
  MetricsGuard guard_{loop_, api_};
};

TEST_F(MetricsGuardTest, LetsInWhomTheApiServerAllows) {
  EXPECT_EQ(ask("Bearer reader"), 200);
  EXPECT_EQ(ask("Bearer stranger"), 403);
  EXPECT_EQ(ask("Bearer nobody"), 401);
  EXPECT_EQ(ask(""), 401);
  EXPECT_EQ(ask("Basic reader"), 401);
}

TEST_F(MetricsGuardTest, RemembersForAWhile) {
  ask("Bearer reader");
  ask("Bearer reader");
  EXPECT_EQ(api_.requests, 2);
  clock_.advance_ms(kAccessKeptMs + 1);
  ask("Bearer reader");
  EXPECT_EQ(api_.requests, 4);
}

TEST_F(MetricsGuardTest, LetsNobodyInWhileTheApiServerIsAwayAndRemembersNothing) {
  api_.down = true;
  EXPECT_EQ(ask("Bearer reader"), 503);
  api_.down = false;
  EXPECT_EQ(ask("Bearer reader"), 200);
}

}  // namespace
}  // namespace fmesh::op
