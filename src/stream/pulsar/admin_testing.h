// A server in place of Pulsar or of an OAuth2 issuer, for tests of what speaks to them: it answers what it is told and
// writes down what it was asked.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "net/http.h"
#include "net/io_loop.h"
#include "stream/pulsar/address.h"

namespace fmesh::stream::pulsar {

class SpokenServer {
 public:
  // TLS with the certificate, if there is one.
  explicit SpokenServer(const net::KeyPair& tls = {}) {
    auto server = net::HttpServer::start(
        {.address = "127.0.0.1:0", .tls_pair = tls},
        [this](const net::HttpRequest& request, const net::Respond& respond) {
          const std::lock_guard lock(mutex_);
          const auto header = request.headers.find("authorization");
          asked_.push_back(request.method + " " + request.path +
                           (header == request.headers.end() ? "" : " " + header->second) +
                           (request.body.empty() ? "" : " " + request.body));
          const auto answer = answers_.find(request.method + " " + request.path);
          respond(answer == answers_.end() ? net::HttpResponse{404, {}, "", {}} : answer->second);
        });
    EXPECT_TRUE(server);
    server_ = std::move(*server);
  }

  // `what`: "GET /path".
  void answer(const std::string& what, int status, const std::string& body = "",
              const std::map<std::string, std::string>& headers = {}) {
    const std::lock_guard lock(mutex_);
    answers_[what] = {status, headers, body, {}};
  }
  // "METHOD /path authorization body", what is missing left out.
  std::vector<std::string> asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }
  std::string url(const std::string& host = "127.0.0.1", const char* scheme = "http") const {
    return std::string(scheme) + "://" + host + ":" + std::to_string(server_->port());
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> asked_;
  std::map<std::string, net::HttpResponse> answers_;
  std::unique_ptr<net::HttpServer> server_;
};

class LoopTest : public testing::Test {
 protected:
  void SetUp() override { loop_ = net::IoLoop::start(clock_, "test"); }
  void TearDown() override { loop_->stop(); }

  // Runs `task` on the loop.
  void on_loop(const std::function<void()>& task) {
    std::promise<void> ran;
    loop_->post([&] {
      task();
      ran.set_value();
    });
    ran.get_future().get();
  }

  const AllowedHosts loopback_ = *AllowedHosts::parse({"127.0.0.0/8", "::1"});
  SystemClock clock_;
  std::unique_ptr<net::IoLoop> loop_;
};

}  // namespace fmesh::stream::pulsar
