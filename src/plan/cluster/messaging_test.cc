#include "plan/cluster/messaging.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace fmesh::plan {
namespace {

TEST(Messaging, NamesVolumesByUpstreamsRule) {
  EXPECT_EQ(secret_volume_name("oauth-secret", "auth.json"), "oauth-secret-auth-json");
  EXPECT_EQ(secret_volume_name("S_ecret", "a..b"), "s-ecret-a-b");
  EXPECT_EQ(secret_volume_name("-s", "k_"), "s-k");
  EXPECT_EQ(secret_volume_name(std::string(62, 'a'), "k"), std::string(62, 'a'))
      << "63 characters, then no dash at the end";
  EXPECT_EQ(secret_volume_name("", "_"), "");
}

TEST(Messaging, ReadsTheEnvironmentOfBothServices) {
  model::PulsarMessaging messaging;
  messaging.pulsar_config = "c";
  messaging.auth_secret = "a";
  messaging.tls_secret = "t";
  EXPECT_EQ(boost::json::serialize(env_from(messaging, main_place())),
            R"([{"configMapRef":{"name":"c"}},{"secretRef":{"name":"a"}},{"secretRef":{"name":"t"}}])");
  messaging.auth_secret.clear();
  EXPECT_EQ(boost::json::serialize(env_from(messaging, package_place())),
            R"([{"prefix":"PACKAGE_","configMapRef":{"name":"c"}},{"prefix":"PACKAGE_","secretRef":{"name":"t"}}])");
}

TEST(Messaging, MountsOneKeyOfASecret) {
  model::PulsarMessaging messaging;
  EXPECT_FALSE(oauth2_file(messaging, main_place()));
  EXPECT_FALSE(tls_file(messaging, main_place()));
  messaging.tls_config.emplace().cert_secret_name = "ca";
  EXPECT_FALSE(tls_file(messaging, main_place())) << "no key";
  messaging.tls_config->cert_secret_key = "ca.crt";
  const auto file = tls_file(messaging, main_place());
  ASSERT_TRUE(file);
  EXPECT_EQ(boost::json::serialize(file->volume()),
            R"({"name":"ca-ca-crt","secret":{"secretName":"ca","items":[{"key":"ca.crt","path":"ca.crt"}]}})");
  EXPECT_EQ(boost::json::serialize(file->volume_mount()),
            R"({"name":"ca-ca-crt","mountPath":"/etc/tls/pulsar-functions"})");
}

}  // namespace
}  // namespace fmesh::plan
