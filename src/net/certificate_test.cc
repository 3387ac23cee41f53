#include "net/certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/clock.h"
#include "net/http.h"
#include "net/http_testing.h"

namespace fmesh::net {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

constexpr int64_t kNow = 1'800'000'000'000;
constexpr int64_t kDay = 24 * 3600 * 1000LL;

ServingCertificate make(const std::vector<std::string>& names, int64_t now_ms = kNow) {
  auto made = make_serving_certificate({names, now_ms, 90 * kDay});
  EXPECT_TRUE(made) << (made ? "" : made.error().text());
  return made ? *made : ServingCertificate();
}

std::string why(const Status& status) { return status ? "" : status.error().text(); }

TEST(Certificate, HasTheNamesAndTimesThatWereWished) {
  const ServingCertificate made = make({"a.ns.svc", "a.ns.svc.cluster.local"});
  const auto facts = read_certificate(made.certificate);
  ASSERT_TRUE(facts);
  EXPECT_THAT(facts->dns_names, ElementsAre("a.ns.svc", "a.ns.svc.cluster.local"));
  EXPECT_EQ(facts->not_before_ms, kNow - kCertificateBackdateMs);
  EXPECT_EQ(facts->not_after_ms, kNow + 90 * kDay);
  EXPECT_EQ(why(check_serving(made, {"a.ns.svc"}, kNow)), "");
}

TEST(Certificate, MayHaveANameLongerThanACommonName) {
  const std::string name = std::string(60, 'a') + "." + std::string(60, 'b') + ".svc";
  EXPECT_EQ(why(check_serving(make({name}), {name}, kNow)), "");
}

TEST(Certificate, ACommaInANameMakesNoSecondName) {
  const auto facts = read_certificate(make({"a,DNS:evil.example"}).certificate);
  ASSERT_TRUE(facts);
  EXPECT_THAT(facts->dns_names, ElementsAre("a,DNS:evil.example"));
}

TEST(Certificate, IsRefusedForWhatDoesNotFit) {
  const ServingCertificate made = make({"a.ns.svc"}), other = make({"a.ns.svc"});
  EXPECT_THAT(why(check_serving(made, {"b.ns.svc"}, kNow)), HasSubstr("not made for b.ns.svc"));
  EXPECT_THAT(why(check_serving(made, {}, kNow + 91 * kDay)), HasSubstr("expired"));
  EXPECT_THAT(why(check_serving(made, {}, kNow - kDay)), HasSubstr("not valid yet"));
  EXPECT_THAT(why(check_serving({made.certificate, other.key, made.ca}, {}, kNow)), HasSubstr("does not belong"));
  EXPECT_THAT(why(check_serving({made.certificate, made.key, other.ca}, {}, kNow)), HasSubstr("not signed by its CA"));
  EXPECT_THAT(why(check_serving({"nonsense", made.key, made.ca}, {}, kNow)), HasSubstr("expected a certificate"));
  EXPECT_THAT(why(check_serving({made.certificate, "nonsense", made.ca}, {}, kNow)), HasSubstr("expected a key"));
  EXPECT_FALSE(make_serving_certificate({{}, kNow, kDay}));
}

TEST(Certificate, IsTrustedThroughABundleOfOldAndNew) {
  const ServingCertificate old = make({"a.ns.svc"}), fresh = make({"a.ns.svc"});
  const std::string bundle = fresh.ca + "between\n" + old.ca + fresh.ca;
  EXPECT_EQ(why(check_serving({old.certificate, old.key, bundle}, {}, kNow)), "");
  EXPECT_EQ(why(check_serving({fresh.certificate, fresh.key, bundle}, {}, kNow)), "");
  EXPECT_THAT(split_certificates(bundle, 10), ElementsAre(fresh.ca, old.ca));
  EXPECT_THAT(split_certificates(bundle, 1), SizeIs(1));
}

// A server with TLS on a port of its own.
class TlsServer : public testing::Test {
 protected:
  void start(const ServingCertificate& serving) {
    HttpServerOptions options;
    options.address = "127.0.0.1:0";
    options.tls_texts = TlsTexts{serving.certificate, serving.key};
    auto started = HttpServer::start(options, [](const HttpRequest&, const Respond& respond) {
      HttpResponse response;
      response.body = "here";
      respond(std::move(response));
    });
    ASSERT_TRUE(started) << started.error().text();
    server = std::move(*started);
  }

  // Connects anew, trusting `ca` only; the body, or why there is none.
  std::string get(const std::string& ca) {
    const std::string file = testing::TempDir() + "ca.pem";
    FILE* out = std::fopen(file.c_str(), "w");
    std::fputs(ca.c_str(), out);
    std::fclose(out);
    HttpClientOptions options;
    options.url = "https://localhost:" + std::to_string(server->port());
    options.tls.ca = file;
    auto client = HttpClient::make(options);
    if (!client) return client.error().text();
    const auto answer = (*client)->send({});
    return answer ? answer->body : "failed: " + answer.error().text();
  }

  std::unique_ptr<HttpServer> server;
};

TEST_F(TlsServer, ServesWithACertificateOfItsOwnMaking) {
  const ServingCertificate made = make({"localhost"}, SystemClock().wall_ms());
  start(made);
  EXPECT_EQ(get(made.ca), "here");
  EXPECT_THAT(get(make({"localhost"}, SystemClock().wall_ms()).ca), HasSubstr("failed: "));
}

TEST_F(TlsServer, TakesANewCertificateWithoutARestart) {
  const ServingCertificate old = make({"localhost"}, SystemClock().wall_ms()),
                           fresh = make({"localhost"}, SystemClock().wall_ms());
  start(old);
  ASSERT_TRUE(server->set_tls({fresh.certificate, fresh.key}));
  EXPECT_EQ(get(fresh.ca), "here");
  EXPECT_THAT(get(old.ca), HasSubstr("failed: "));
}

TEST_F(TlsServer, KeepsTheOldCertificateIfTheNewOneIsNone) {
  const ServingCertificate old = make({"localhost"}, SystemClock().wall_ms()),
                           fresh = make({"localhost"}, SystemClock().wall_ms());
  start(old);
  EXPECT_FALSE(server->set_tls({"nonsense", fresh.key}));
  EXPECT_FALSE(server->set_tls({fresh.certificate, old.key}));
  EXPECT_EQ(get(old.ca), "here");
}

TEST_F(TlsServer, WithoutACertificateYetAnswersNobodyAndLaterSome) {
  start({});
  const ServingCertificate made = make({"localhost"}, SystemClock().wall_ms());
  EXPECT_THAT(get(made.ca), HasSubstr("failed: "));
  RawPeer plain(server->port());
  ASSERT_TRUE(plain.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
  EXPECT_THAT(plain.read_until(""), testing::Not(HasSubstr("here")));
  ASSERT_TRUE(server->set_tls({made.certificate, made.key}));
  EXPECT_EQ(get(made.ca), "here");
}

}  // namespace
}  // namespace fmesh::net
