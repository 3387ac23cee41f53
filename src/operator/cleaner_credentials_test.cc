#include "operator/cleaner_credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace fmesh::op {
namespace {

namespace json = boost::json;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kPackage = "org.apache.pulsar.client.impl.auth.";

Credentials read(const std::string& name, const std::string& parameters) {
  auto credentials = read_plugin(kPackage + name, parameters);
  EXPECT_TRUE(credentials) << credentials.error().text();
  return credentials.value_or(Credentials());
}

TEST(CleanerCredentials, ATokenIsGivenAsTextJsonOrFile) {
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

TEST(CleanerCredentials, APasswordIsJson) {
  EXPECT_EQ(authorization_of(read("AuthenticationBasic", R"({"userId":"u","password":"p"})")), "Basic dTpw");
  for (const char* parameters : {"", "u:p", R"({"userId":"u")", R"({"password":"secret"})"}) {
    const auto refused = read_plugin("basic", parameters);
    ASSERT_FALSE(refused) << parameters;
    EXPECT_THAT(refused.error().text(), Not(HasSubstr("secret")));
  }
}

TEST(CleanerCredentials, ACertificateIsTwoFiles) {
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

TEST(CleanerCredentials, AnOauth2KeyIsAFileOrDataOfTheParameters) {
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

TEST(CleanerCredentials, NoPluginIsNobodyAndAnUnknownOneIsNamed) {
  EXPECT_EQ(read_plugin("", "")->kind, Credentials::Kind::kNone);
  const auto refused = read_plugin("org.apache.pulsar.client.impl.auth.AuthenticationSasl", "secret");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("AuthenticationSasl is not supported"));
  EXPECT_THAT(refused.error().text(), Not(HasSubstr("secret")));
}

class PodFileTest : public testing::Test {
 protected:
  void SetUp() override {
    spec_.volume_mounts = model::Json(json::parse(R"([
        {"name":"all","mountPath":"/etc/all/"},{"name":"some","mountPath":"/etc/all/some"},{"name":"config","mountPath":"/c"},
        {"name":"all","mountPath":"/one/file.pem","subPath":"ca.pem"},{"name":"all","mountPath":"/sub","subPath":"folder"},
        {"name":"empty","mountPath":"/empty"},{"name":"nowhere","mountPath":"/nowhere"}])"));
    spec_.pod.volumes = model::Json(json::parse(R"([
        {"name":"all","secret":{"secretName":"s"}},
        {"name":"some","secret":{"secretName":"t","items":[{"key":"k","path":"deep/p"}]}},
        {"name":"config","configMap":{"name":"m"}},{"name":"empty","emptyDir":{}}])"));
  }
  // "secret/name/key"; empty if it is refused.
  std::string find(const std::string& path) {
    const auto file = find_pod_file(spec_, path);
    if (!file) {
      EXPECT_THAT(file.error().text(), HasSubstr(path + " is a file of the pod"));
    }
    return file ? std::string(file->type->kind) + "/" + file->name + "/" + file->key : "";
  }
  model::ComponentSpec spec_;
};

TEST_F(PodFileTest, IsFoundInTheSecretOrConfigMapThatIsMountedThere) {
  EXPECT_EQ(find("/etc/all/ca.pem"), "Secret/s/ca.pem");
  EXPECT_EQ(find("/etc/all/some/deep/p"), "Secret/t/k");
  EXPECT_EQ(find("/c/ca.pem"), "ConfigMap/m/ca.pem");
  EXPECT_EQ(find("/one/file.pem"), "Secret/s/ca.pem");
  EXPECT_EQ(find("/sub/x"), "Secret/s/folder/x");
}

TEST_F(PodFileTest, FromNowhereElse) {
  for (const char* path : {"/etc/all", "/etc/all/some/k", "/etc/all/some/deep", "/empty/x", "/nowhere/x", "/cc/ca.pem",
                           "/etc", "x", "/", ""}) {
    EXPECT_EQ(find(path), "") << path;
  }
  spec_ = {};
  EXPECT_EQ(find("/etc/all/ca.pem"), "");
}

}  // namespace
}  // namespace fmesh::op
