#include "stream/pulsar/credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fmesh::stream::pulsar {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kPackage = "org.apache.pulsar.client.impl.auth.";

Credentials read(const std::string& name, const std::string& parameters) {
  auto credentials = read_plugin(kPackage + name, parameters);
  EXPECT_TRUE(credentials) << credentials.error().text();
  return credentials.value_or(Credentials());
}

TEST(Credentials, ATokenIsGivenAsTextJsonOrFile) {
  EXPECT_EQ(authorization_of(read("AuthenticationToken", "token:abc")), "Bearer abc");
  EXPECT_EQ(authorization_of(read("AuthenticationToken", "abc\n")), "Bearer abc");
  EXPECT_EQ(authorization_of(read("AuthenticationToken", R"({"token":"abc"})")), "Bearer abc");
  EXPECT_EQ(authorization_of(*read_plugin("token\n", "abc")), "Bearer abc");
  for (const char* file : {"file:///etc/t/token", "file:/etc/t/token\n"}) {
    EXPECT_EQ(read("AuthenticationToken", file).secret, (TextOrFile{"", "/etc/t/token"})) << file;
  }
  EXPECT_FALSE(read_plugin("token", ""));
  EXPECT_FALSE(read_plugin("token", R"({"tokn":"abc"})"));
}

TEST(Credentials, APasswordIsJson) {
  EXPECT_EQ(authorization_of(read("AuthenticationBasic", R"({"userId":"u","password":"p"})")), "Basic dTpw");
  for (const char* parameters : {"", "u:p", R"({"userId":"u")", R"({"password":"secret"})"}) {
    const auto refused = read_plugin("basic", parameters);
    ASSERT_FALSE(refused) << parameters;
    EXPECT_THAT(refused.error().text(), Not(HasSubstr("secret")));
  }
}

TEST(Credentials, ACertificateIsTwoFiles) {
  for (const char* parameters :
       {"tlsCertFile:/c/tls.crt,tlsKeyFile:/c/tls.key", "tlsKeyFile:/c/tls.key,tlsCertFile:/c/tls.crt\n",
        R"({"tlsCertFile":"/c/tls.crt","tlsKeyFile":"/c/tls.key"})"}) {
    const Credentials found = read("AuthenticationTls", parameters);
    EXPECT_EQ(found.certificate.path, "/c/tls.crt") << parameters;
    EXPECT_EQ(found.secret.path, "/c/tls.key") << parameters;
    EXPECT_EQ(authorization_of(found), "");
  }
  EXPECT_FALSE(read_plugin("tls", "tlsCertFile:/c/tls.crt"));
  EXPECT_FALSE(read_plugin("tls", ""));
}

TEST(Credentials, AnOauth2KeyIsAFileOrDataOfTheParameters) {
  const Credentials file =
      read("oauth2.AuthenticationOAuth2",
           R"({"issuerUrl":"https://i","audience":"a","scope":"s","privateKey":"file:///k/key.json"})");
  EXPECT_EQ(file.kind, Credentials::Kind::kOauth2);
  EXPECT_EQ(file.issuer_url, "https://i");
  EXPECT_EQ(file.audience, "a");
  EXPECT_EQ(file.scope, "s");
  EXPECT_EQ(file.secret.path, "/k/key.json");
  const Credentials data = read("oauth2.AuthenticationOAuth2",
                                R"({"issuer_url":"https://i","privateKey":"data:application/json;base64,e30="})");
  EXPECT_EQ(data.secret, (TextOrFile{"{}", ""}));
  for (const char* parameters : {"", "{}", R"({"issuerUrl":"https://i"})", R"({"privateKey":"file:///k"})",
                                 R"({"issuerUrl":"https://i","privateKey":"data:application/json;base64,!"})"}) {
    EXPECT_FALSE(read_plugin("oauth2", parameters)) << parameters;
  }
}

TEST(Credentials, NoPluginIsNobodyAndAnUnknownOneIsNamed) {
  EXPECT_EQ(read_plugin("", "")->kind, Credentials::Kind::kNone);
  const auto refused = read_plugin("org.apache.pulsar.client.impl.auth.AuthenticationSasl", "secret");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("AuthenticationSasl is not supported"));
  EXPECT_THAT(refused.error().text(), Not(HasSubstr("secret")));
}

}  // namespace
}  // namespace fmesh::stream::pulsar
