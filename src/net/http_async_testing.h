// A loop with an asynchronous client on it, for tests that wait for answers.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "net/certificate.h"
#include "net/http_async.h"

namespace fmesh::net {

inline constexpr int64_t kYearMs = 365LL * 24 * 3600 * 1000;

// An authority, and certificates of it for `localhost` or what is named.
struct TestAuthority {
  KeyPair own = make_authority(options_for("test", {})).value();

  KeyPair serving(std::vector<std::string> names = {"localhost"}) const {
    return make_serving(options_for("server", std::move(names)), own).value();
  }

 private:
  static CertificateOptions options_for(const std::string& name, std::vector<std::string> names) {
    const int64_t now_ms = SystemClock().wall_ms();
    return {name, std::move(names), now_ms - 60'000, now_ms + kYearMs};
  }
};

class AsyncTest : public testing::Test {
 protected:
  ~AsyncTest() override {
    on_loop([this] { client.reset(); });
    loop->stop();
  }

  template <class Work>
  void on_loop(Work work) {
    std::promise<void> done;
    loop->post([&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }

  void make(AsyncHttpClientOptions options) {
    auto made = AsyncHttpClient::make(*loop, std::move(options));
    ASSERT_TRUE(made) << made.error().text();
    on_loop([&] { client = std::move(*made); });
  }

  std::future<Result<HttpResponse>> send(AsyncRequest request) {
    auto answer = std::make_shared<std::promise<Result<HttpResponse>>>();
    auto future = answer->get_future();
    loop->post([this, answer, request = std::move(request)] {
      client->send(request, [answer](Result<HttpResponse> response) { answer->set_value(std::move(response)); });
    });
    return future;
  }
  Result<HttpResponse> ask(AsyncRequest request) { return send(std::move(request)).get(); }
  Result<HttpResponse> get(const std::string& target) { return ask({.target = target}); }

  SystemClock clock;
  std::unique_ptr<IoLoop> loop = IoLoop::start(clock, "test");
  std::unique_ptr<AsyncHttpClient> client;
};

}  // namespace fmesh::net
