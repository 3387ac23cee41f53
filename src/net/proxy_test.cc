#include "net/proxy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace fmesh::net {
namespace {

using testing::HasSubstr;
using testing::Not;
using namespace std::string_literals;

std::string proxy_for(const std::string& url, std::map<std::string, std::string> variables) {
  return proxy_of_environment(url, [&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional<std::string>(found->second);
  });
}

TEST(Proxy, IsReadFromItsUrl) {
  const auto proxy = parse_proxy("http://me:s%40fe@[fd00::1]:3128");
  ASSERT_TRUE(proxy) << proxy.error().text();
  EXPECT_EQ(proxy->kind, Proxy::Kind::kHttp);
  EXPECT_EQ(proxy->host, "fd00::1");
  EXPECT_EQ(proxy->port, "3128");
  EXPECT_EQ(proxy->user, "me");
  EXPECT_EQ(proxy->password, "s@fe");
  EXPECT_EQ(proxy->shown, "http://[fd00::1]:3128");
  EXPECT_EQ(parse_proxy("http://proxy")->port, "80");
  EXPECT_EQ(parse_proxy("https://proxy")->port, "443");
  EXPECT_EQ(parse_proxy("socks5://proxy")->port, "1080");
}

TEST(Proxy, RefusesOthersWithoutShowingThePassword) {
  for (const char* text : {"ftp://me:secret@proxy", "proxy:3128", "http://", "http://proxy:0", "socks4://proxy", ""}) {
    const auto proxy = parse_proxy(text);
    ASSERT_FALSE(proxy) << text;
    EXPECT_EQ(proxy.error().kind(), ErrorKind::kFixInput);
    EXPECT_THAT(proxy.error().text(), HasSubstr("expected http://, https:// or socks5://"));
    EXPECT_THAT(proxy.error().text(), Not(HasSubstr("secret")));
  }
}

TEST(Proxy, OfTheEnvironmentIsGosChoice) {
  EXPECT_EQ(proxy_for("https://api:6443", {{"HTTPS_PROXY", "http://proxy:3128"}}), "http://proxy:3128");
  EXPECT_EQ(proxy_for("https://api:6443", {{"https_proxy", "proxy:3128"}}), "http://proxy:3128");
  EXPECT_EQ(proxy_for("https://api:6443", {{"HTTPS_PROXY", "http://a"}, {"https_proxy", "http://b"}}), "http://a");
  EXPECT_EQ(proxy_for("https://api:6443", {{"HTTP_PROXY", "http://proxy"}}), "");
  EXPECT_EQ(proxy_for("http://api", {{"HTTP_PROXY", "http://proxy"}, {"HTTPS_PROXY", "http://b"}}), "http://proxy");
  for (const char* self : {"https://localhost:6443", "https://127.0.0.1:6443", "https://127.8.9.1", "https://[::1]"}) {
    EXPECT_EQ(proxy_for(self, {{"HTTPS_PROXY", "http://proxy"}}), "") << self;
  }
}

TEST(Proxy, NoProxyListsNamesAddressesAndNetworks) {
  struct Case {
    const char *url, *list;
    bool passed_by;
  };
  const Case cases[] = {
      {"https://api.example.com", "example.com", true},
      {"https://example.com", "example.com", true},
      {"https://badexample.com", "example.com", false},
      {"https://api.example.com", ".example.com", true},
      {"https://example.com", ".example.com", false},
      {"https://api.example.com", "*.example.com", true},
      {"https://API.Example.COM", " other , Example.com ", true},
      {"https://api.example.com:6443", "example.com:6443", true},
      {"https://api.example.com:6443", "example.com:443", false},
      {"https://api.example.com", "example.com:443", true},
      {"https://10.1.2.3:6443", "10.0.0.0/8", true},
      {"https://11.1.2.3:6443", "10.0.0.0/8", false},
      {"https://10.1.2.3:6443", "10.1.2.3", true},
      {"https://10.1.2.3:6443", "10.1.2.3:6443", true},
      {"https://10.1.2.3:6443", "10.1.2.3:443", false},
      {"https://10.1.2.3", "1.2.3", false},
      {"https://[fd00::7]:6443", "fd00::/8", true},
      {"https://[fd00::7]:6443", "fd00::7", true},
      {"https://[fd00::7]:6443", "[fd00::7]:6443", true},
      {"https://[fd00::7]:6443", "[fd00::7]:443", false},
      {"https://anything", "*", true},
      {"https://anything", ",,", false},
  };
  for (const Case& one : cases) {
    EXPECT_EQ(proxy_for(one.url, {{"HTTPS_PROXY", "http://proxy"}, {"NO_PROXY", one.list}}).empty(), one.passed_by)
        << one.url << " with NO_PROXY=" << one.list;
  }
}

TEST(Proxy, IsAskedForATunnel) {
  EXPECT_EQ(connect_request(*parse_proxy("http://proxy"), "fd00::1", "443"),
            "CONNECT [fd00::1]:443 HTTP/1.1\r\nHost: [fd00::1]:443\r\n\r\n");
  EXPECT_EQ(connect_request(*parse_proxy("http://Aladdin:open%20sesame@proxy"), "api", "443"),
            "CONNECT api:443 HTTP/1.1\r\nHost: api:443\r\n"
            "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n");
}

// Sends and feeds until it is done or refused; what was sent.
Result<std::string> play(SocksHandshake handshake, std::string answers) {
  std::string sent;
  while (!handshake.done()) {
    sent += handshake.to_send();
    const size_t wanted = handshake.wanted_bytes();
    if (answers.size() < wanted) return fail(ErrorKind::kBug, "it wants more than there is");
    FMESH_CHECK(handshake.feed(std::string_view(answers).substr(0, wanted)));
    answers.erase(0, wanted);
  }
  if (!answers.empty()) return fail(ErrorKind::kBug, "it leaves something");
  return sent;
}

TEST(Socks, GivesNamesToTheProxy) {
  const auto sent = play(SocksHandshake(*parse_proxy("socks5://proxy"), "api", 6443),
                         "\x05\x00"
                         "\x05\x00\x00\x01\x7f\x00\x00\x01\x10\x92"s);
  ASSERT_TRUE(sent) << sent.error().text();
  EXPECT_EQ(*sent,
            "\x05\x01\x00"
            "\x05\x01\x00\x03\x03"
            "api\x19\x2b"s);
}

TEST(Socks, LogsInAndTakesAddressesOfEachKind) {
  const auto sent = play(SocksHandshake(*parse_proxy("socks5://me:pw@proxy"), "fd00::1", 443),
                         "\x05\x02"
                         "\x01\x00"
                         "\x05\x00\x00\x03\x04host\x00\x00"s);
  ASSERT_TRUE(sent) << sent.error().text();
  EXPECT_EQ(*sent,
            "\x05\x02\x00\x02"
            "\x01\x02me\x02pw"
            "\x05\x01\x00\x04\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01\xbb"s);
  const auto six = play(SocksHandshake(*parse_proxy("socks5://proxy"), "10.0.0.7", 443),
                        "\x05\x00"
                        "\x05\x00\x00\x04"s +
                            std::string(18, '\0'));
  ASSERT_TRUE(six) << six.error().text();
  EXPECT_EQ(*six, "\x05\x01\x00\x05\x01\x00\x01\x0a\x00\x00\x07\x01\xbb"s);
}

TEST(Socks, TellsWhyTheProxyRefuses) {
  const Proxy proxy = *parse_proxy("socks5://me:secret@proxy");
  const auto login = play(SocksHandshake(proxy, "api", 443), "\x05\x02\x01\x01"s);
  ASSERT_FALSE(login);
  EXPECT_EQ(login.error().kind(), ErrorKind::kFixInput);
  EXPECT_EQ(login.error().text(), "the proxy socks5://proxy:1080 refuses: wrong user or password");
  const auto closed = play(SocksHandshake(proxy, "api", 443), "\x05\x00\x05\x05\x00\x01\x00"s);
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error().kind(), ErrorKind::kRetryLater);
  EXPECT_THAT(closed.error().text(), HasSubstr("connection refused"));
  EXPECT_FALSE(play(SocksHandshake(proxy, "api", 443), "HT"));
  EXPECT_FALSE(play(SocksHandshake(proxy, "api", 443), "\x05\xff"s));
  EXPECT_FALSE(play(SocksHandshake(proxy, "api", 443), "\x05\x00HTTP/"s));
}

}  // namespace
}  // namespace fmesh::net
