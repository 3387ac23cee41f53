#include "stream/pulsar/admin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "stream/pulsar/admin_testing.h"

namespace fmesh::stream::pulsar {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const TopicName kTopic{true, "t", "n", "a b"};
constexpr const char* kDelete = "DELETE /admin/v2/persistent/t/n/a b";
constexpr const char* kUnsubscribe = "DELETE /admin/v2/persistent/t/n/a b/subscription/x/y";

class AdminTest : public LoopTest {
 protected:
  // What `call` ends with.
  template <class T>
  T ask(AdminOptions options, const std::function<void(Admin&, std::function<void(T)>)>& call) {
    std::unique_ptr<Admin> admin;
    std::promise<T> outcome;
    on_loop([&] {
      auto made = Admin::make(*loop_, std::move(options));
      if (!made) return outcome.set_value(fail(made.error()));
      admin = std::move(*made);
      call(*admin, [&](T result) { outcome.set_value(std::move(result)); });
    });
    T result = outcome.get_future().get();
    on_loop([&] { admin.reset(); });
    return result;
  }
  Status unsubscribe(AdminOptions options) {
    return ask<Status>(std::move(options), [](Admin& admin, std::function<void(Status)> done) {
      admin.delete_subscription(kTopic, "x/y", std::move(done));
    });
  }
  Status delete_topic() {
    return ask<Status>(
        options(), [](Admin& admin, std::function<void(Status)> done) { admin.delete_topic(kTopic, std::move(done)); });
  }
  Result<std::vector<std::string>> list() {
    using Names = Result<std::vector<std::string>>;
    return ask<Names>(
        options(), [](Admin& admin, std::function<void(Names)> done) { admin.list_topics("t", "n", std::move(done)); });
  }
  AdminOptions options() const {
    AdminOptions out;
    out.url = server_.url();
    out.authorization = "Bearer abc";
    out.hosts = loopback_;
    return out;
  }

  SpokenServer server_;
};

TEST_F(AdminTest, NamesAreEncodedAndGoneIsDone) {
  server_.answer(kUnsubscribe, 204);
  EXPECT_TRUE(unsubscribe(options()));
  server_.answer(kUnsubscribe, 404, R"({"reason":"Subscription not found"})");
  EXPECT_TRUE(unsubscribe(options()));
  EXPECT_EQ(server_.asked()[0], std::string(kUnsubscribe) + " Bearer abc");
}

TEST_F(AdminTest, ThePathOfTheUrlComesFirst) {
  server_.answer("DELETE /pulsar/admin/v2/persistent/t/n/a b/subscription/x/y", 204);
  AdminOptions with_path = options();
  with_path.url += "/pulsar/";
  EXPECT_TRUE(unsubscribe(with_path));
  EXPECT_THAT(server_.asked().at(0), HasSubstr("DELETE /pulsar/admin/v2/"));
}

TEST_F(AdminTest, APartitionedTopicIsDeletedTheOtherWay) {
  server_.answer(kDelete, 409, R"({"reason":"is a partitioned topic"})");
  server_.answer(std::string(kDelete) + "/partitions", 204);
  EXPECT_TRUE(delete_topic());
  EXPECT_THAT(server_.asked(), ElementsAre(HasSubstr(kDelete), HasSubstr(std::string(kDelete) + "/partitions")));
  server_.answer(std::string(kDelete) + "/partitions", 409, R"({"reason":"still something"})");
  const Status kept = delete_topic();
  ASSERT_FALSE(kept);
  EXPECT_THAT(kept.error().text(), HasSubstr("still something"));
}

TEST_F(AdminTest, APackageIsDeletedByItsVersion) {
  const auto remove = [&] {
    return ask<Status>(options(), [](Admin& admin, std::function<void(Status)> done) {
      admin.delete_package({"function", "t", "n", "f", "1"}, std::move(done));
    });
  };
  EXPECT_TRUE(remove()) << "404: it is gone already";
  EXPECT_THAT(server_.asked(), ElementsAre("DELETE /admin/v3/packages/function/t/n/f/1 Bearer abc"));
  // As Pulsar's storage on a disk answers the second time.
  server_.answer("DELETE /admin/v3/packages/function/t/n/f/1", 500, R"({"reason":"no storage"})");
  EXPECT_TRUE(remove());
  server_.answer("GET /admin/v3/packages/function/t/n/f/1/metadata", 200, "{}");
  EXPECT_THAT(remove().error().text(), HasSubstr("function://t/n/f@1: Pulsar answers 500: no storage"));
}

TEST_F(AdminTest, PartitionsAreListedAsTheirTopic) {
  server_.answer("GET /admin/v2/persistent/t/n/partitioned", 200, R"(["persistent://t/n/p"])");
  server_.answer("GET /admin/v2/persistent/t/n", 200,
                 R"(["persistent://t/n/p-partition-0","persistent://t/n/p-partition-1","persistent://t/n/s"])");
  EXPECT_EQ(*list(), (std::vector<std::string>{"persistent://t/n/p", "persistent://t/n/s"}));
}

TEST_F(AdminTest, ANamespaceThatIsGoneHasNoTopicsAndNoJsonIsNoPulsar) {
  EXPECT_EQ(*list(), std::vector<std::string>{});
  for (const char* body : {"", "<html>", "{}"}) {
    server_.answer("GET /admin/v2/persistent/t/n/partitioned", 200, body);
    const auto names = list();
    ASSERT_FALSE(names) << body;
    EXPECT_THAT(names.error().text(), HasSubstr("is webServiceURL the address of Pulsar's admin API?"));
  }
}

TEST_F(AdminTest, RefusalsAreForAPersonAndTheRestIsTriedLater) {
  const std::pair<int, ErrorKind> kinds[] = {{401, ErrorKind::kFixInput},   {403, ErrorKind::kFixInput},
                                             {412, ErrorKind::kRetryLater}, {429, ErrorKind::kRetryLater},
                                             {500, ErrorKind::kRetryLater}, {503, ErrorKind::kRetryLater}};
  for (const auto& [status, kind] : kinds) {
    server_.answer(kUnsubscribe, status, R"({"reason":"because"})");
    const Status refused = unsubscribe(options());
    ASSERT_FALSE(refused) << status;
    EXPECT_EQ(refused.error().kind(), kind) << status;
    EXPECT_THAT(refused.error().text(), HasSubstr("Pulsar answers " + std::to_string(status) + ": because"));
  }
}

TEST_F(AdminTest, WhatAnotherServerAnswersIsNotToldOn) {
  for (const char* body : {"the key is hunter2", R"({"password":"hunter2"})", R"({"reason":{"a":"hunter2"}})"}) {
    server_.answer(kUnsubscribe, 500, body);
    const Status refused = unsubscribe(options());
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().text(), Not(HasSubstr("hunter2")));
  }
  // A long reason is cut between characters.
  std::string reason = "x";
  while (reason.size() < 1000) reason += "\xc3\xa4";
  server_.answer(kUnsubscribe, 500, R"({"reason":")" + reason + "\"}");
  EXPECT_TRUE(unsubscribe(options()).error().text().ends_with("\xc3\xa4"));
}

TEST_F(AdminTest, ARedirectToTheSameHostIsFollowedWithItsMethodAndToken) {
  server_.answer(kUnsubscribe, 307, "", {{"location", server_.url() + "/moved?x=1"}});
  server_.answer("DELETE /moved", 308, "", {{"location", "/again"}});
  server_.answer("DELETE /again", 204);
  EXPECT_TRUE(unsubscribe(options()));
  EXPECT_THAT(server_.asked(),
              ElementsAre(HasSubstr("Bearer abc"), "DELETE /moved Bearer abc", "DELETE /again Bearer abc"));
}

TEST_F(AdminTest, ARedirectElsewhereIsNotFollowed) {
  SpokenServer other;
  for (const std::string& location :
       {other.url() + "/x", server_.url("localhost") + "/x", server_.url("127.0.0.1", "https") + "/x",
        std::string("file:///etc/passwd"), std::string()}) {
    server_.answer(kUnsubscribe, 307, "", {{"location", location}});
    const Status refused = unsubscribe(options());
    ASSERT_FALSE(refused) << location;
    EXPECT_EQ(refused.error().kind(), ErrorKind::kFixInput);
    EXPECT_THAT(refused.error().text(), HasSubstr("not followed"));
  }
  EXPECT_THAT(other.asked(), ElementsAre());
  EXPECT_EQ(server_.asked().size(), 5U);
}

TEST_F(AdminTest, RedirectsInACircleEnd) {
  server_.answer(kUnsubscribe, 307, "", {{"location", "/a"}});
  server_.answer("DELETE /a", 307, "", {{"location", "/a"}});
  const Status refused = unsubscribe(options());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("more than 3 redirects"));
  EXPECT_EQ(server_.asked().size(), 1U + kRedirectsMax);
}

TEST_F(AdminTest, ANameThatResolvesToLoopbackIsRefused) {
  for (const char* host : {"localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]", "0"}) {
    AdminOptions guarded = options();
    guarded.hosts = AllowedHosts();
    guarded.url = server_.url(host);
    const Status refused = unsubscribe(guarded);
    ASSERT_FALSE(refused) << host;
    EXPECT_EQ(refused.error().kind(), ErrorKind::kFixInput) << host;
    EXPECT_THAT(refused.error().text(), HasSubstr("the operator does not connect there")) << host;
  }
  EXPECT_THAT(server_.asked(), ElementsAre());
}

TEST_F(AdminTest, ALineBreakInTheCredentialsCanNotAddAHeader) {
  AdminOptions broken = options();
  broken.authorization = "Bearer abc\r\nx-evil: 1";
  const Status refused = unsubscribe(broken);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), Not(HasSubstr("abc")));
  EXPECT_THAT(server_.asked(), ElementsAre());
}

TEST_F(AdminTest, TlsTrustsWhoItIsToldTo) {
  constexpr int64_t kLateMs = 4'000'000'000'000;
  const net::KeyPair authority = *net::make_authority({"test CA", {}, 0, kLateMs});
  const net::KeyPair other = *net::make_authority({"test CA", {}, 0, kLateMs});
  const net::KeyPair pair = *net::make_serving({"broker", {"localhost"}, 0, kLateMs}, authority);
  SpokenServer secure({pair.certificate + authority.certificate, pair.key});
  secure.answer(kUnsubscribe, 204);
  enum class Check { kAll, kAnyName, kNothing };
  const auto outcome = [&](const std::string& host, const std::string& ca, Check check = Check::kAll) {
    AdminOptions over_tls = options();
    over_tls.url = secure.url(host, "https");
    over_tls.tls.ca = ca;
    over_tls.tls.any_name = check == Check::kAnyName;
    over_tls.tls.insecure = check == Check::kNothing;
    return unsubscribe(over_tls);
  };
  EXPECT_TRUE(outcome("localhost", authority.certificate));
  EXPECT_TRUE(outcome("127.0.0.1", authority.certificate, Check::kAnyName));
  EXPECT_TRUE(outcome("127.0.0.1", "", Check::kNothing));
  const size_t trusted = secure.asked().size();
  EXPECT_FALSE(outcome("127.0.0.1", authority.certificate)) << "the certificate has another name";
  EXPECT_FALSE(outcome("localhost", other.certificate));
  EXPECT_FALSE(outcome("127.0.0.1", other.certificate, Check::kAnyName));
  EXPECT_FALSE(outcome("localhost", "")) << "the system does not know it";
  EXPECT_FALSE(outcome("localhost", "no PEM"));
  EXPECT_EQ(secure.asked().size(), trusted);
}

}  // namespace
}  // namespace fmesh::stream::pulsar
