#include "cli/pulsar_client_flags.h"

#include <gtest/gtest.h>

#include <map>

namespace fmesh::cli {
namespace {

using Variables = std::map<std::string, std::string>;

PulsarClientFlags taken(PulsarClientFlags flags, const Variables& variables) {
  flags.take_environment([&](const std::string& name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
  return flags;
}

// As the ConfigMap and the Secrets of a resource have them.
const Variables kPod = {{"brokerServiceURL", "pulsar://broker:6651"},
                        {"webServiceURL", "https://broker:8443"},
                        {"clientAuthenticationPlugin", "token"},
                        {"clientAuthenticationParameters", "token:secret"},
                        {"tlsTrustCertsFilePath", "/tls/ca.pem"},
                        {"tlsHostnameVerificationEnable", "false"},
                        {"useTls", "true"}};

PulsarClientFlags from_environment(const std::string& prefix = "") {
  PulsarClientFlags flags;
  flags.from_environment = true;
  flags.environment_prefix = prefix;
  return flags;
}

TEST(PulsarClientFlags, TakeWhatAPodHasInItsEnvironment) {
  const PulsarClientFlags flags = taken(from_environment(), kPod);
  EXPECT_EQ(flags.url, "pulsar+ssl://broker:6651");
  EXPECT_EQ(flags.web_url, "https://broker:8443");
  EXPECT_EQ(flags.auth_plugin, "token");
  EXPECT_EQ(flags.auth_params, "token:secret");
  EXPECT_EQ(flags.trust_file, "/tls/ca.pem");
  EXPECT_TRUE(flags.any_name);
  EXPECT_FALSE(flags.insecure);
  EXPECT_FALSE(taken({}, kPod).given()) << "it was not asked for";
  EXPECT_FALSE(taken(from_environment(), {}).given());
}

TEST(PulsarClientFlags, WhatAFlagSaysStays) {
  PulsarClientFlags given;
  given.url = "pulsar+ssl://other:1";
  given.auth_plugin = "basic";
  given.from_environment = true;
  const PulsarClientFlags flags = taken(given, kPod);
  EXPECT_EQ(flags.url, "pulsar+ssl://other:1");
  EXPECT_EQ(flags.auth_plugin, "basic");
  EXPECT_EQ(flags.auth_params, "") << "no parameters of another plugin";
}

TEST(PulsarClientFlags, AnotherServiceHasAPrefix) {
  const PulsarClientFlags flags = taken(
      from_environment("PACKAGE_"), {{"brokerServiceURL", "pulsar://a:1"}, {"PACKAGE_webServiceURL", "http://b:8080"}});
  EXPECT_EQ(flags.web_url, "http://b:8080");
  EXPECT_EQ(flags.url, "");
}

}  // namespace
}  // namespace fmesh::cli
