#include "net/certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/http.h"

namespace fmesh::net {
namespace {

constexpr int64_t kNowMs = 1'800'000'000'000;
constexpr int64_t kDayMs = 24 * 3600 * 1000;

KeyPair authority() { return make_authority({"test CA", {}, kNowMs, kNowMs + 10 * kDayMs}).value(); }

KeyPair serving(const KeyPair& ca, std::vector<std::string> names = {"localhost"}) {
  return make_serving({"server", std::move(names), 0, 4'000'000'000'000}, ca).value();
}

TEST(Certificate, SaysItsNamesAndTimes) {
  const KeyPair pair = make_serving({"s", {"a.ns.svc", "b"}, kNowMs, kNowMs + kDayMs}, authority()).value();
  const CertificateInfo info = read_certificate(pair.certificate).value();
  EXPECT_THAT(info.dns_names, testing::ElementsAre("a.ns.svc", "b"));
  EXPECT_EQ(info.not_before_ms, kNowMs);
  EXPECT_EQ(info.not_after_ms, kNowMs + kDayMs);
}

TEST(Certificate, IsSignedByItsAuthorityAndNoOther) {
  const KeyPair ca = authority(), other = authority();
  EXPECT_TRUE(signed_by(serving(ca).certificate, ca.certificate));
  EXPECT_FALSE(signed_by(serving(ca).certificate, other.certificate));
  EXPECT_TRUE(signed_by(ca.certificate, ca.certificate));
}

TEST(Certificate, FitsItsOwnKeyOnly) {
  const KeyPair ca = authority();
  const KeyPair one = serving(ca), two = serving(ca);
  EXPECT_TRUE(key_fits(one));
  EXPECT_FALSE(key_fits({one.certificate, two.key}));
}

TEST(Certificate, WhatIsNoneIsTold) {
  for (const char* text : {"", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}) {
    EXPECT_FALSE(read_certificate(text)) << text;
    EXPECT_FALSE(key_fits({text, text}));
    EXPECT_FALSE(signed_by(text, text));
    EXPECT_FALSE(make_serving({"s", {}, 0, kDayMs}, {text, text}));
  }
}

// --- a server that gets its certificate as text, and another one while it runs ---

std::unique_ptr<HttpServer> start_server(const KeyPair& pair) {
  auto server = HttpServer::start({.address = "127.0.0.1:0", .tls_pair = pair},
                                  [](const HttpRequest&, const Respond& respond) { respond({200, {}, "hello", {}}); });
  EXPECT_TRUE(server) << server.error().text();
  return std::move(*server);
}

bool trusts(const HttpServer& server, const std::string& ca_file) {
  auto client = HttpClient::make({.url = "https://localhost:" + std::to_string(server.port()),
                                  .timeout_ms = 5'000,
                                  .tls = {.certificate = "", .key = "", .ca = ca_file}});
  EXPECT_TRUE(client);
  HttpRequest request;
  request.headers["host"] = "localhost";
  return (*client)->send(request).has_value();
}

std::string write_file(const std::string& name, const std::string& text) {
  const std::string path = testing::TempDir() + name;
  FILE* file = fopen(path.c_str(), "w");
  fwrite(text.data(), 1, text.size(), file);
  fclose(file);
  return path;
}

KeyPair lasting_authority() { return make_authority({"test CA", {}, 0, 4'000'000'000'000}).value(); }

TEST(ServerCertificate, IsReplacedWhileTheServerRuns) {
  const KeyPair first = lasting_authority(), second = lasting_authority();
  const std::string first_file = write_file("first.pem", first.certificate);
  const std::string second_file = write_file("second.pem", second.certificate);
  const auto server = start_server(serving(first));
  EXPECT_TRUE(trusts(*server, first_file));
  EXPECT_FALSE(trusts(*server, second_file));
  ASSERT_TRUE(server->set_certificate(serving(second)));
  EXPECT_TRUE(trusts(*server, second_file));
  EXPECT_FALSE(trusts(*server, first_file));
}

TEST(ServerCertificate, ABadOneIsToldAndTheOldOneStays) {
  const KeyPair ca = lasting_authority();
  const std::string file = write_file("ca.pem", ca.certificate);
  const KeyPair good = serving(ca);
  const auto server = start_server(good);
  EXPECT_FALSE(server->set_certificate({"nonsense", good.key}));
  EXPECT_FALSE(server->set_certificate({good.certificate, serving(ca).key}));
  EXPECT_TRUE(trusts(*server, file));
}

TEST(ServerCertificate, APlainServerTakesNone) {
  auto server = HttpServer::start({.address = "127.0.0.1:0"},
                                  [](const HttpRequest&, const Respond& respond) { respond({200, {}, "", {}}); });
  ASSERT_TRUE(server);
  EXPECT_FALSE((*server)->set_certificate(serving(authority())));
}

}  // namespace
}  // namespace fmesh::net
