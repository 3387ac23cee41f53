#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/http_async_testing.h"
#include "net/test_proxy_private.h"

namespace fmesh::net {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// A server with a certificate of `authority` for `localhost`, or a plain one.
class AsyncTls : public AsyncTest {
 protected:
  void serve(bool secure = true) {
    HttpServerOptions options{.address = "127.0.0.1:0"};
    if (secure) options.tls_pair = authority.serving();
    auto started = HttpServer::start(std::move(options), [this](const HttpRequest& request, const Respond& respond) {
      ++requests;
      HttpResponse response;
      const auto passed = request.headers.find("proxy-authorization");
      response.body = request.path + (passed == request.headers.end() ? "" : " " + passed->second);
      respond(std::move(response));
    });
    ASSERT_TRUE(started) << started.error().text();
    server = std::move(*started);
    url = (secure ? "https://localhost:" : "http://localhost:") + std::to_string(server->port());
  }
  TestProxy& through(TestProxy::Options options) {
    options.target_port = server->port();
    proxy = std::make_unique<TestProxy>(std::move(options));
    return *proxy;
  }
  TlsIdentity trusting(const TestAuthority& whom) const { return {.ca = whom.own.certificate}; }

  TestAuthority authority, other;
  std::atomic<int> requests{0};
  std::unique_ptr<HttpServer> server;
  std::unique_ptr<TestProxy> proxy;
  std::string url;
};

TEST_F(AsyncTls, TheServerIsVerified) {
  serve();
  make({.url = url, .tls = trusting(authority)});
  const auto answer = get("/");
  EXPECT_TRUE(answer) << answer.error().text();
}

TEST_F(AsyncTls, AnotherAuthoritySendsNothing) {
  serve();
  for (const TlsIdentity& tls : {trusting(other), TlsIdentity{}}) {
    make({.url = url, .tls = tls});
    const auto answer = get("/");
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind(), ErrorKind::kFixInput);
    EXPECT_THAT(answer.error().text(), HasSubstr("TLS: the certificate for localhost is not trusted: "));
  }
  EXPECT_EQ(requests, 0);
}

TEST_F(AsyncTls, AnotherNameSendsNothing) {
  serve();
  const std::string by_address = "https://127.0.0.1:" + std::to_string(server->port());
  make({.url = by_address, .tls = trusting(authority)});
  const auto answer = get("/");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind(), ErrorKind::kFixInput);
  EXPECT_THAT(answer.error().text(), HasSubstr("mismatch"));
  EXPECT_EQ(requests, 0);
  // A name that is given replaces the URL's, in both directions.
  TlsIdentity named = trusting(authority);
  named.server_name = "localhost";
  make({.url = by_address, .tls = named});
  EXPECT_TRUE(get("/"));
  named.server_name = "elsewhere";
  make({.url = url, .tls = named});
  EXPECT_FALSE(get("/"));
  TlsIdentity any_name = trusting(authority);
  any_name.any_name = true;
  make({.url = by_address, .tls = any_name});
  EXPECT_TRUE(get("/"));
}

TEST_F(AsyncTls, InsecureVerifiesNothing) {
  serve();
  make({.url = "https://127.0.0.1:" + std::to_string(server->port()), .tls = {.insecure = true}});
  EXPECT_TRUE(get("/"));
}

TEST_F(AsyncTls, APlainServerIsNotSpokenTo) {
  serve(false);
  make({.url = "https://localhost:" + std::to_string(server->port()), .tls = trusting(authority), .timeout_ms = 3'000});
  EXPECT_FALSE(get("/"));
  EXPECT_EQ(requests, 0);
}

TEST_F(AsyncTls, TextsThatAreNoPemAreRefused) {
  const KeyPair pair = authority.serving();
  const std::vector<TlsIdentity> bad = {
      {.ca = "no PEM"},
      {.certificate = "no PEM", .key = pair.key},
      {.certificate = pair.certificate, .key = "no PEM"},
      {.certificate = pair.certificate, .key = other.own.key},
  };
  for (const TlsIdentity& tls : bad) {
    const auto made = AsyncHttpClient::make(*loop, {.url = "https://localhost", .tls = tls});
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().kind(), ErrorKind::kFixInput);
    EXPECT_THAT(made.error().text(), HasSubstr("can't be used"));
  }
}

TEST_F(AsyncTls, TrustIsReplacedWhileItRuns) {
  serve();
  make({.url = url, .tls = trusting(authority)});
  ASSERT_TRUE(get("/"));
  // The server goes over to another authority; the connection that is kept stays.
  ASSERT_TRUE(server->set_certificate(other.serving()));
  EXPECT_TRUE(get("/"));
  // What can't be used changes nothing.
  on_loop([&] { EXPECT_FALSE(client->set_tls({.ca = "no PEM"})); });
  EXPECT_TRUE(get("/"));
  // New trust means new connections.
  on_loop([&] { EXPECT_TRUE(client->set_tls(trusting(other))); });
  const auto answer = get("/");
  EXPECT_TRUE(answer) << answer.error().text();
  on_loop([&] { EXPECT_TRUE(client->set_tls(trusting(authority))); });
  EXPECT_FALSE(get("/"));
}

// --- proxies ---

TEST_F(AsyncTls, GoesThroughAnHttpProxy) {
  serve();
  TestProxy& via = through({});
  make({.url = "https://localhost:6443",
        .proxy = "http://127.0.0.1:" + std::to_string(via.port()),
        .tls = trusting(authority)});
  for (int i = 0; i < 2; ++i) {
    const auto answer = get("/x");
    ASSERT_TRUE(answer) << answer.error().text();
    EXPECT_EQ(answer->body, "/x");  // the proxy's password is not the server's business
  }
  EXPECT_THAT(via.asked(), ElementsAre("CONNECT localhost:6443 HTTP/1.1"));
}

TEST_F(AsyncTls, ThroughAProxyTheServerIsVerifiedAllTheSame) {
  serve();
  TestProxy& via = through({});
  const std::string proxy_url = "http://127.0.0.1:" + std::to_string(via.port());
  make({.url = "https://localhost:6443", .proxy = proxy_url, .tls = trusting(other)});
  EXPECT_FALSE(get("/"));
  make({.url = "https://elsewhere:6443", .proxy = proxy_url, .tls = trusting(authority)});
  EXPECT_FALSE(get("/"));
  EXPECT_EQ(requests, 0);
}

TEST_F(AsyncTls, LogsInAtTheProxy) {
  serve();
  TestProxy& via = through({.user = "me", .password = "secret"});
  const std::string at = "127.0.0.1:" + std::to_string(via.port());
  make({.url = url, .proxy = "http://me:secret@" + at, .tls = trusting(authority)});
  const auto answer = get("/x");
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->body, "/x");
  make({.url = url, .proxy = "http://me:wrong@" + at, .tls = trusting(authority)});
  const auto refused = get("/x");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kFixInput);
  EXPECT_THAT(refused.error().text(), HasSubstr("407 Proxy Authentication Required; nothing was sent"));
  EXPECT_THAT(refused.error().text(), Not(HasSubstr("wrong")));
}

TEST_F(AsyncTls, GoesThroughAnHttpsProxy) {
  serve();
  TestProxy& via = through({.kind = Proxy::Kind::kHttps, .tls = authority.serving()});
  make({.url = url, .proxy = "https://localhost:" + std::to_string(via.port()), .tls = trusting(authority)});
  for (int i = 0; i < 2; ++i) {
    const auto answer = get("/x");
    ASSERT_TRUE(answer) << answer.error().text();
  }
  EXPECT_EQ(via.asked().size(), 1u);
}

TEST_F(AsyncTls, AnHttpsProxyIsVerified) {
  serve();
  TestProxy& via = through({.kind = Proxy::Kind::kHttps, .tls = other.serving()});
  make({.url = url, .proxy = "https://localhost:" + std::to_string(via.port()), .tls = trusting(authority)});
  const auto answer = get("/");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind(), ErrorKind::kFixInput);
  EXPECT_THAT(answer.error().text(), HasSubstr("TLS to the proxy https://localhost:"));
  EXPECT_TRUE(via.asked().empty());
}

TEST_F(AsyncTls, GoesThroughASocksProxy) {
  serve();
  TestProxy& via = through({.kind = Proxy::Kind::kSocks5, .user = "me", .password = "secret"});
  const std::string at = "127.0.0.1:" + std::to_string(via.port());
  make({.url = "https://localhost:6443", .proxy = "socks5://me:secret@" + at, .tls = trusting(authority)});
  const auto answer = get("/x");
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_THAT(via.asked(), ElementsAre("SOCKS localhost:6443"));
  make({.url = url, .proxy = "socks5://me:wrong@" + at, .tls = trusting(authority)});
  const auto refused = get("/x");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("wrong user or password"));
}

TEST_F(AsyncTls, AsksAProxyForTheWholeUrlOfAPlainServer) {
  serve(false);
  TestProxy& via = through({.user = "me", .password = "secret"});
  make({.url = "http://api", .proxy = "http://me:secret@127.0.0.1:" + std::to_string(via.port())});
  const auto answer = get("/x?y");
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_THAT(answer->body, StartsWith("/x"));
  EXPECT_THAT(via.asked(), ElementsAre("GET http://api/x?y HTTP/1.1"));
}

TEST_F(AsyncTls, NamesTheProxyThatIsNotThere) {
  serve();
  const uint16_t gone = through({}).port();
  proxy.reset();
  make({.url = url, .proxy = "http://127.0.0.1:" + std::to_string(gone), .tls = trusting(authority)});
  const auto answer = get("/");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind(), ErrorKind::kRetryLater);
  EXPECT_THAT(answer.error().text(), HasSubstr("connect to the proxy http://127.0.0.1:" + std::to_string(gone)));
}

TEST_F(AsyncTls, AProxyThatIsNoneIsRefused) {
  const auto made = AsyncHttpClient::make(*loop, {.url = "https://localhost", .proxy = "ftp://proxy"});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind(), ErrorKind::kFixInput);
}

}  // namespace
}  // namespace fmesh::net
