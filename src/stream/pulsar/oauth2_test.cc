#include "stream/pulsar/oauth2.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "stream/pulsar/admin_testing.h"

namespace fmesh::stream::pulsar {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kMetadata = "GET /.well-known/openid-configuration";

class Oauth2Test : public LoopTest {
 protected:
  void SetUp() override {
    LoopTest::SetUp();
    issuer_.answer(kMetadata, 200, R"({"token_endpoint":")" + issuer_.url() + R"(/token"})");
    issuer_.answer("POST /token", 200, R"({"access_token":"fresh","token_type":"Bearer"})");
  }
  Oauth2Options options() const {
    Oauth2Options out;
    out.issuer_url = issuer_.url();
    out.key_json = R"({"type":"client_credentials","client_id":"me","client_secret":"s&c=r t"})";
    out.hosts = loopback_;
    return out;
  }
  Result<std::string> token(Oauth2Options options) {
    std::unique_ptr<TokenRequest> request;
    std::promise<Result<std::string>> outcome;
    on_loop([&] {
      auto started = TokenRequest::start(*loop_, std::move(options),
                                         [&](Result<std::string> result) { outcome.set_value(std::move(result)); });
      if (!started) return outcome.set_value(fail(started.error()));
      request = std::move(*started);
    });
    Result<std::string> result = outcome.get_future().get();
    on_loop([&] { request.reset(); });
    return result;
  }

  SpokenServer issuer_;
};

TEST_F(Oauth2Test, ATokenIsAskedForWithTheKey) {
  EXPECT_EQ(*token(options()), "fresh");
  Oauth2Options more = options();
  more.audience = "urn:a b";
  more.scope = "x y";
  EXPECT_EQ(*token(more), "fresh");
  const std::string form = "POST /token grant_type=client_credentials&client_id=me&client_secret=s%26c%3Dr%20t";
  EXPECT_THAT(issuer_.asked(), ElementsAre(kMetadata, form, kMetadata, form + "&audience=urn%3Aa%20b&scope=x%20y"));
}

TEST_F(Oauth2Test, AnIssuerMayHaveAPath) {
  issuer_.answer("GET /realms/a/.well-known/openid-configuration", 200,
                 R"({"token_endpoint":")" + issuer_.url() + R"(/token"})");
  for (const char* path : {"/realms/a", "/realms/a/"}) {
    Oauth2Options below = options();
    below.issuer_url += path;
    EXPECT_EQ(*token(below), "fresh") << path;
  }
}

TEST_F(Oauth2Test, AKeyFileThatIsNoneIsRefusedBeforeAnythingIsSent) {
  for (const char* key : {"", "no json", "[]", "{}", R"({"client_id":"me"})",
                          R"({"client_id":"me","client_secret":""})", R"({"client_id":7,"client_secret":"hunter2"})"}) {
    Oauth2Options broken = options();
    broken.key_json = key;
    const auto refused = token(broken);
    ASSERT_FALSE(refused) << key;
    EXPECT_EQ(refused.error().kind(), ErrorKind::kFixInput);
    EXPECT_THAT(refused.error().text(), HasSubstr("expected JSON with client_id and client_secret"));
    EXPECT_THAT(refused.error().text(), Not(HasSubstr("hunter2")));
  }
  EXPECT_THAT(issuer_.asked(), ElementsAre());
}

TEST_F(Oauth2Test, ARefusalIsForAPersonAndSaysOnlyItsCode) {
  issuer_.answer("POST /token", 401, R"({"error":"invalid_client","error_description":"hunter2"})");
  const auto refused = token(options());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kFixInput);
  EXPECT_THAT(refused.error().text(), HasSubstr("answer 401, invalid_client"));
  for (const char* body : {R"({"error":"hunter2 in it"})", "hunter2", R"({"error_description":"hunter2"})"}) {
    issuer_.answer("POST /token", 500, body);
    const auto away = token(options());
    ASSERT_FALSE(away);
    EXPECT_EQ(away.error().kind(), ErrorKind::kRetryLater);
    EXPECT_THAT(away.error().text(), Not(HasSubstr("hunter2")));
  }
  issuer_.answer("POST /token", 200, R"({"access_token":7})");
  EXPECT_THAT(token(options()).error().text(), HasSubstr("no access_token"));
  issuer_.answer("POST /token", 200, "<html>");
  EXPECT_THAT(token(options()).error().text(), HasSubstr("no JSON"));
}

TEST_F(Oauth2Test, TheIssuerCanNotSendTheSecretWhereItMayNotGo) {
  for (const char* endpoint :
       {"http://169.254.169.254/token", "http://10.0.0.1:1/token", "ftp://127.0.0.1/", "file:///x", "/token", ""}) {
    issuer_.answer(kMetadata, 200, std::string(R"({"token_endpoint":")") + endpoint + "\"}");
    const auto refused = token(options());
    ASSERT_FALSE(refused) << endpoint;
    EXPECT_EQ(refused.error().kind(), ErrorKind::kFixInput) << endpoint << ": " << refused.error().text();
  }
  issuer_.answer(kMetadata, 307, "", {{"location", issuer_.url() + "/elsewhere"}});
  EXPECT_FALSE(token(options()));
}

TEST_F(Oauth2Test, AnIssuerOnLoopbackIsRefusedWithoutAList) {
  Oauth2Options guarded = options();
  guarded.hosts = AllowedHosts();
  const auto refused = token(guarded);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("is a loopback address"));
  EXPECT_THAT(issuer_.asked(), ElementsAre());
}

}  // namespace
}  // namespace fmesh::stream::pulsar
