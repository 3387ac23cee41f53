#include "operator/cleaner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/json.hpp>
#include <chrono>
#include <future>
#include <mutex>
#include <thread>

#include "net/http.h"
#include "stream/pulsar/admin.h"

namespace fmesh::op {
namespace {

namespace json = boost::json;
namespace pulsar = stream::pulsar;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

// Answers GETs of ConfigMaps and Secrets.
class FewObjects final : public kube::Api {
 public:
  explicit FewObjects(Loop& loop) : loop_(loop) {}
  void put(const std::string& plural, const std::string& name, json::object data) {
    objects_["/api/v1/namespaces/n/" + plural + "/" + name] =
        json::serialize(json::object{{"kind", "X"}, {"data", std::move(data)}});
  }
  void send(kube::Request request, std::function<void(Result<kube::Response>)> done) override {
    const auto found = objects_.find(request.target);
    kube::Response response{404, R"({"kind":"Status","reason":"NotFound","message":"not found"})", std::nullopt};
    if (found != objects_.end()) response = {200, found->second, std::nullopt};
    loop_.post([done = std::move(done), response] { done(response); });
  }
  std::unique_ptr<kube::ApiStream> open(kube::Request, kube::StreamHandler) override { return nullptr; }

 private:
  Loop& loop_;
  std::map<std::string, std::string> objects_;
};

// A broker's admin API that writes down what it is asked.
class CleanerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto server = net::HttpServer::start(
        {.address = "127.0.0.1:0"}, [this](const net::HttpRequest& request, const net::Respond& respond) {
          const std::lock_guard lock(mutex_);
          const auto header = request.headers.find("authorization");
          asked_.push_back(request.method + " " + request.path +
                           (header == request.headers.end() ? "" : " " + header->second));
          if (silent_) {
            never_.push_back(respond);
            return;
          }
          const auto answer = answers_.find(request.path);
          respond(answer == answers_.end() ? net::HttpResponse{204, {}, "", {}} : answer->second);
        });
    ASSERT_TRUE(server);
    server_ = std::move(*server);
    loop_ = net::IoLoop::start(clock_, "test");
    api_ = std::make_unique<FewObjects>(*loop_);
    url_ = "http://127.0.0.1:" + std::to_string(server_->port());
    api_->put("configmaps", "p", {{"webServiceURL", url_}});
  }
  void TearDown() override { loop_->stop(); }

  static json::object function(const std::string& spec) {
    json::object object = json::parse(R"({"apiVersion":"compute.functionmesh.io/v1alpha1","kind":"Function",
        "metadata":{"name":"f","namespace":"n","uid":"u"},"spec":{"name":"f","cleanupSubscription":true,"tenant":"t","namespace":"s",
        "pulsar":{"pulsarConfig":"p"},"java":{"jar":"x"}}})")
                              .get_object();
    const json::value more = json::parse(spec);
    for (const auto& member : more.get_object()) {
      object["spec"].get_object().insert_or_assign(member.key(), member.value());
    }
    return object;
  }
  Status clean(const json::object& object, bool allow_loopback = true, int64_t limit_ms = 20'000) {
    const auto hosts = pulsar::AllowedHosts::parse(allow_loopback ? std::vector<std::string>{"127.0.0.0/8", "::1"}
                                                                  : std::vector<std::string>{});
    const auto cleaner = make_pulsar_cleaner(*loop_, *api_, *hosts);
    std::promise<Status> outcome;
    loop_->post([&] {
      cleaner->clean(*kube::Object::make(object), limit_ms,
                     [&](Status status) { outcome.set_value(std::move(status)); });
    });
    return outcome.get_future().get();
  }

  std::mutex mutex_;
  std::atomic<bool> silent_ = false;
  std::vector<net::Respond> never_;
  std::vector<std::string> asked_;
  std::map<std::string, net::HttpResponse> answers_;
  std::unique_ptr<net::HttpServer> server_;
  SystemClock clock_;
  std::unique_ptr<net::IoLoop> loop_;
  std::unique_ptr<FewObjects> api_;
  std::string url_;
};

TEST_F(CleanerTest, RemovesTheSubscriptionOfEachTopicUnderItsDefaultName) {
  ASSERT_TRUE(clean(function(R"({"input":{"topics":["a","persistent://t/s/b+c"]}})")));
  EXPECT_THAT(asked_, ElementsAre("DELETE /admin/v2/persistent/public/default/a/subscription/t/s/f",
                                  "DELETE /admin/v2/persistent/t/s/b+c/subscription/t/s/f"));
}

TEST_F(CleanerTest, APatternTouchesOnlyTheTopicsThatMatch) {
  answers_["/admin/v2/persistent/t/s"] = {200, {}, R"(["persistent://t/s/in-1","persistent://t/s/other"])", {}};
  answers_["/admin/v2/persistent/t/s/partitioned"] = {200, {}, R"(["persistent://t/s/in-2"])", {}};
  ASSERT_TRUE(clean(function(R"({"subscriptionName":"mine","input":{"topicPattern":"persistent://t/s/in-.*"}})")));
  EXPECT_THAT(asked_, Contains("DELETE /admin/v2/persistent/t/s/in-1/subscription/mine"));
  EXPECT_THAT(asked_, Contains("DELETE /admin/v2/persistent/t/s/in-2/subscription/mine"));
  EXPECT_THAT(asked_, testing::Not(Contains(HasSubstr("other"))));
}

TEST_F(CleanerTest, ABatchSourceLeavesNeitherSubscriptionNorTopic) {
  json::object source = function(R"({"batchSourceConfig":{"discoveryTriggererClassName":"d"}})");
  source["kind"] = "Source";
  ASSERT_TRUE(clean(source));
  EXPECT_THAT(asked_,
              Contains("DELETE /admin/v2/persistent/t/s/f-intermediate/subscription/BatchSourceExecutor-t/s/f"));
  EXPECT_THAT(asked_, Contains("DELETE /admin/v2/persistent/t/s/f-intermediate"));
}

TEST_F(CleanerTest, SpeaksWithTheCredentialsThatTheResourceGives) {
  api_->put("secrets", "s",
            {{"clientAuthenticationPlugin", "b3JnLmFwYWNoZS5wdWxzYXIuY2xpZW50LmltcGwuYXV0aC5BdXRoZW50aWNhdGlvblRva2Vu"},
             {"clientAuthenticationParameters", "dG9rZW46YWJj"}});
  ASSERT_TRUE(clean(function(R"({"input":{"topics":["a"]},"pulsar":{"pulsarConfig":"p","authSecret":"s"}})")));
  ASSERT_TRUE(
      clean(function(R"({"input":{"topics":["a"]},"pulsar":{"pulsarConfig":"p","authSecret":"s","cleanupAuthConfig":
      {"genericAuth":{"clientAuthenticationPlugin":"org.apache.pulsar.client.impl.auth.AuthenticationBasic",
                      "clientAuthenticationParameters":"{\"userId\":\"u\",\"password\":\"p\"}"}}}})")));
  EXPECT_THAT(asked_[0], HasSubstr("Bearer abc"));
  EXPECT_THAT(asked_[1], HasSubstr("Basic dTpw"));
}

TEST_F(CleanerTest, ASourcesOwnCredentialsForTheCleanupCount) {
  const auto token = [](const char* name, const char* text) {
    return std::string("\"") + name +
           R"(":{"genericAuth":{"clientAuthenticationPlugin":"org.apache.pulsar.client.impl.auth.AuthenticationToken",)"
           R"("clientAuthenticationParameters":"token:)" +
           text + "\"}}";
  };
  json::object source =
      function(R"({"batchSourceConfig":{"discoveryTriggererClassName":"d"},"pulsar":{"pulsarConfig":"p",)" +
               token("authConfig", "usual") + "," + token("cleanupAuthConfig", "cleaner") + "}}");
  source["kind"] = "Source";
  ASSERT_TRUE(clean(source));
  ASSERT_FALSE(asked_.empty());
  for (const std::string& asked : asked_) EXPECT_THAT(asked, HasSubstr("Bearer cleaner"));
}

TEST_F(CleanerTest, OAuth2AsksTheIssuerFirst) {
  api_->put("secrets", "key", {{"k", "eyJjbGllbnRfaWQiOiJpIiwiY2xpZW50X3NlY3JldCI6InMifQ=="}});
  answers_["/.well-known/openid-configuration"] = {200, {}, R"({"token_endpoint":")" + url_ + R"(/token"})", {}};
  answers_["/token"] = {200, {}, R"({"access_token":"fresh"})", {}};
  ASSERT_TRUE(clean(function(R"({"input":{"topics":["a"]},"pulsar":{"pulsarConfig":"p","authConfig":{"oauth2Config":{
      "issuerUrl":")" + url_ +
                             R"(/","audience":"au","keySecretName":"key","keySecretKey":"k"}}}})")));
  EXPECT_THAT(asked_.back(), HasSubstr("Bearer fresh"));
}

TEST_F(CleanerTest, WhatIsGoneAlreadyIsFineAndWhatIsInUseIsTriedAgain) {
  answers_["/admin/v2/persistent/public/default/a/subscription/t/s/f"] = {404, {}, R"({"reason":"no topic"})", {}};
  EXPECT_TRUE(clean(function(R"({"input":{"topics":["a"]}})")));
  answers_["/admin/v2/persistent/public/default/a/subscription/t/s/f"] = {412, {}, R"({"reason":"has consumers"})", {}};
  const Status busy = clean(function(R"({"input":{"topics":["a"]}})"));
  ASSERT_FALSE(busy);
  EXPECT_EQ(busy.error().kind(), ErrorKind::kRetryLater);
  EXPECT_THAT(busy.error().text(), HasSubstr("has consumers"));
}

TEST_F(CleanerTest, DoesNotFollowARedirectToAnotherHost) {
  answers_["/admin/v2/persistent/public/default/a/subscription/t/s/f"] = {
      307, {{"location", "http://10.0.0.1/"}}, "", {}};
  const Status refused = clean(function(R"({"input":{"topics":["a"]}})"));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("another host"));
}

TEST_F(CleanerTest, DoesNotConnectToLoopbackUnlessTheListSaysSo) {
  const Status refused = clean(function(R"({"input":{"topics":["a"]}})"), false);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("loopback"));
  EXPECT_THAT(asked_, ElementsAre());
}

TEST_F(CleanerTest, GivesUpAtItsLimitAndSaysWhatItWaitedFor) {
  const auto begin = std::chrono::steady_clock::now();
  silent_ = true;
  const Status late = clean(function(R"({"input":{"topics":["a"]}})"), true, 100);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind(), ErrorKind::kRetryLater);
  EXPECT_THAT(late.error().text(), HasSubstr("not done within 100 ms"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST_F(CleanerTest, CleanupsEndWithTheirCleaner) {
  silent_ = true;
  std::unique_ptr<Cleaner> cleaner = make_pulsar_cleaner(*loop_, *api_, *pulsar::AllowedHosts::parse({"127.0.0.0/8"}));
  std::atomic<int> called = 0;
  loop_->post([&] {
    cleaner->clean(*kube::Object::make(function(R"({"input":{"topics":["a"]}})")), 50,
                   [&](const Status&) { ++called; });
  });
  for (bool asked = false; !asked; std::this_thread::yield()) {
    const std::lock_guard lock(mutex_);
    asked = !asked_.empty();
  }
  std::promise<void> gone;
  loop_->post([&] {
    cleaner.reset();
    api_.reset();
  });
  loop_->post_after(100, [&] { gone.set_value(); });
  gone.get_future().get();
  EXPECT_EQ(called, 0);
}

TEST_F(CleanerTest, ManyTopicsGoAFewAtATimeAndOneInUseKeepsNoOther) {
  std::string topics;
  for (int i = 0; i < 100; ++i) topics += (topics.empty() ? "\"t" : ",\"t") + std::to_string(i) + "\"";
  answers_["/admin/v2/persistent/public/default/t50/subscription/t/s/f"] = {
      412, {}, R"({"reason":"has consumers"})", {}};
  const Status busy = clean(function(R"({"input":{"topics":[)" + topics + "]}}"));
  ASSERT_FALSE(busy);
  EXPECT_THAT(busy.error().text(), HasSubstr("has consumers"));
  EXPECT_EQ(asked_.size(), 100U);
}

TEST_F(CleanerTest, AFileOfThePodIsReadFromTheSecretItComesFrom) {
  const std::string mounted = R"("volumeMounts":[{"name":"v","mountPath":"/etc/t"}],
      "pod":{"volumes":[{"name":"v","secret":{"secretName":"files"}}]},"input":{"topics":["a"]},"pulsar":{"pulsarConfig":"p",
      "authConfig":{"genericAuth":{"clientAuthenticationPlugin":"token","clientAuthenticationParameters":"file:///etc/t/token"}}})";
  const Status missing = clean(function("{" + mounted + "}"));
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().text(), HasSubstr("Secret files"));
  api_->put("secrets", "files", {{"other", ""}});
  EXPECT_THAT(clean(function("{" + mounted + "}")).error().text(), HasSubstr("Secret files has no key token"));
  api_->put("secrets", "files", {{"token", "YWJjCg=="}});
  EXPECT_TRUE(clean(function("{" + mounted + "}")));
  EXPECT_THAT(asked_, ElementsAre(HasSubstr("Bearer abc")));
}

TEST_F(CleanerTest, TheOldTlsSecretCountsUnlessThereIsATlsConfig) {
  // Its CA is in the image, which the operator has not.
  api_->put("secrets", "old", {{"tlsTrustCertsFilePath", "L29wdC9jYS5wZW0="}});
  const Status unreadable =
      clean(function(R"({"input":{"topics":["a"]},"pulsar":{"pulsarConfig":"p","tlsSecret":"old"}})"));
  ASSERT_FALSE(unreadable);
  EXPECT_THAT(unreadable.error().text(), HasSubstr("/opt/ca.pem is a file of the pod"));
  EXPECT_TRUE(clean(function(
      R"({"input":{"topics":["a"]},"pulsar":{"pulsarConfig":"p","tlsSecret":"old","tlsConfig":{"enabled":false}}})")));
  api_->put("secrets", "old", {{"tlsTrustCertsFilePath", "L2V0Yy9zc2wvY2VydHMvY2EtY2VydGlmaWNhdGVzLmNydA=="}});
  EXPECT_TRUE(clean(function(R"({"input":{"topics":["a"]},"pulsar":{"pulsarConfig":"p","tlsSecret":"old"}})")))
      << "what images trust, the system trusts";
}

TEST_F(CleanerTest, APackageGoesOnlyWhereTheResourceSaysSo) {
  json::object packaged =
      function(R"({"input":{"topics":["a"]},"java":{"jar":"x","jarLocation":"function://t/s/p@1"}})");
  ASSERT_TRUE(clean(packaged));
  EXPECT_THAT(asked_, testing::Not(Contains(HasSubstr("packages"))));
  packaged["metadata"].get_object()["annotations"] = {{kCleanupPackage, "true"}};
  asked_.clear();
  ASSERT_TRUE(clean(packaged));
  EXPECT_THAT(asked_, ElementsAre(HasSubstr("/a/subscription/"), "DELETE /admin/v3/packages/function/t/s/p/1"));
  packaged["spec"].get_object()["cleanupSubscription"] = false;
  asked_.clear();
  ASSERT_TRUE(clean(packaged));
  EXPECT_THAT(asked_, ElementsAre("DELETE /admin/v3/packages/function/t/s/p/1"));
}

TEST_F(CleanerTest, APackageIsRemovedFromThePulsarThatHasIt) {
  json::object packaged = function(R"({"input":{"topics":["a"]},"java":{"jar":"x","jarLocation":"function://t/s/p@1"},
      "pulsarPackageService":{"pulsarConfig":"other","authConfig":{"genericAuth":{"clientAuthenticationPlugin":"token",
      "clientAuthenticationParameters":"theirs"}}}})");
  packaged["metadata"].get_object()["annotations"] = {{kCleanupPackage, "true"}};
  const Status missing = clean(packaged);
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().text(), HasSubstr("ConfigMap other"));
  api_->put("configmaps", "other", {{"webServiceURL", url_ + "/other"}});
  asked_.clear();
  ASSERT_TRUE(clean(packaged));
  EXPECT_THAT(asked_, ElementsAre("DELETE /admin/v2/persistent/public/default/a/subscription/t/s/f",
                                  "DELETE /other/admin/v3/packages/function/t/s/p/1 Bearer theirs"));
}

TEST_F(CleanerTest, AMissingConfigMapIsTold) {
  const Status missing = clean(function(R"({"pulsar":{"pulsarConfig":"absent"}})"));
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().text(), HasSubstr("ConfigMap absent"));
}

}  // namespace
}  // namespace fmesh::op
