#include "stream/pulsar/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fmesh::stream::pulsar {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(AdminUrl, IsReadWithItsDefaults) {
  EXPECT_EQ(*AdminUrl::parse("http://Broker.Example:8080"), (AdminUrl{false, "broker.example", 8080, ""}));
  EXPECT_EQ(*AdminUrl::parse(" https://broker/\n"), (AdminUrl{true, "broker", 443, ""}));
  EXPECT_EQ(*AdminUrl::parse("HTTP://[FD00::1]/pulsar/"), (AdminUrl{false, "fd00::1", 80, "/pulsar"}));
  EXPECT_EQ(*AdminUrl::parse("http://a:8080,b:8080"), (AdminUrl{false, "a", 8080, ""}));
  EXPECT_EQ(AdminUrl::parse("https://broker.")->host, "broker");
  EXPECT_EQ(AdminUrl::parse("https://[::1]:8443/x")->origin(), "https://[::1]:8443");
}

TEST(AdminUrl, RefusesWhatIsNoPlainHttpUrl) {
  for (const char* text : {"", "broker:8080", "ftp://broker", "file:///etc/passwd", "unix:/run/x.sock", "http://",
                           "http:///path", "http://broker:0", "http://broker:99999", "http://broker:x",
                           "http://broker/?a=b", "http://broker/#x", "http://bro ker", "//broker", "gopher://broker"}) {
    const auto url = AdminUrl::parse(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().kind(), ErrorKind::kFixInput);
    EXPECT_THAT(url.error().text(), HasSubstr("expected http://HOST")) << text;
  }
  EXPECT_FALSE(AdminUrl::parse("http://broker/" + std::string(3000, 'a')));
}

TEST(AdminUrl, DoesNotRepeatAPassword) {
  for (const char* text :
       {"http://user:secret@broker:8080", "http://user:secret@broker:x", "nope://user:secret@broker"}) {
    const auto url = AdminUrl::parse(text);
    ASSERT_FALSE(url) << text;
    EXPECT_THAT(url.error().text(), Not(HasSubstr("secret")));
  }
}

TEST(Redirect, StaysWithSchemeHostAndPort) {
  const AdminUrl from{false, "broker", 8080, ""};
  EXPECT_EQ(*same_host_target(from, "http://Broker:8080/admin/v2/a%2Fb?force=true"), "/admin/v2/a%2Fb?force=true");
  EXPECT_EQ(*same_host_target(from, "/admin/v2/x"), "/admin/v2/x");
  EXPECT_EQ(*same_host_target(from, "//broker:8080/x"), "/x");
  EXPECT_EQ(*same_host_target({true, "broker", 443, ""}, "https://broker/x"), "/x");
  for (const char* location :
       {"http://other:8080/x", "http://broker:8081/x", "http://broker/x", "https://broker:8080/x", "//other/x",
        "//other:8080/x", "http://broker.evil:8080/x", "http://broker:8080@other/x", "http://user:secret@broker:8080/x",
        "file:///etc/passwd", "x/y", ""}) {
    const auto target = same_host_target(from, location);
    ASSERT_FALSE(target) << location << " leads to " << *target;
    EXPECT_THAT(target.error().text(), Not(HasSubstr("secret")));
  }
  EXPECT_FALSE(same_host_target({true, "broker", 8443, ""}, "http://broker:8443/x"))
      << "the token would go in the clear";
}

TEST(AllowedHosts, WithoutAListAllButSpecialAddresses) {
  const AllowedHosts hosts;
  for (const char* ip :
       {"127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.170.2", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "febf::1", "ff02::1", "100.100.100.200",
        "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254",
        // IPv4 in IPv6's clothes.
        "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::", "2002:a9fe:a9fe::1", "::127.0.0.1", "::169.254.169.254"}) {
    EXPECT_FALSE(hosts.check("broker", ip)) << ip;
  }
  for (const char* ip :
       {"10.0.0.7", "172.16.3.4", "192.168.1.1", "8.8.8.8", "100.64.0.1", "126.255.255.255", "128.0.0.1", "169.253.0.1",
        "fd00::1", "fec0::1", "2001:db8::1", "::ffff:10.0.0.1", "64:ff9b::a00:1"}) {
    EXPECT_TRUE(hosts.check("broker", ip)) << ip;
  }
  EXPECT_FALSE(hosts.check("broker", "not-an-address"));
}

TEST(AllowedHosts, ANameThatResolvesToLoopbackIsRefusedByItsAddress) {
  const Status refused = AllowedHosts().check("innocent.example", "127.0.0.1");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("innocent.example (127.0.0.1) is a loopback address"));
  // Also one that the list has: whoever owns the name says what it resolves to.
  EXPECT_FALSE(AllowedHosts::parse({"innocent.example"})->check("innocent.example", "127.0.0.1"));
  EXPECT_FALSE(AllowedHosts::parse({"localhost"})->check("localhost", "::1"));
}

TEST(AllowedHosts, AListNamesHostsDomainsAddressesAndNetworks) {
  const auto hosts = AllowedHosts::parse(
      {"Broker.example", "*.pulsar.svc", "192.0.2.7", "10.1.0.0/16", "10.2.3.128/25", "fd00:1::/32"});
  ASSERT_TRUE(hosts);
  for (const auto& [host, ip] : std::vector<std::pair<std::string, std::string>>{{"broker.example", "203.0.113.1"},
                                                                                 {"BROKER.example", "203.0.113.1"},
                                                                                 {"a.pulsar.svc", "203.0.113.1"},
                                                                                 {"a.b.pulsar.svc", "203.0.113.1"},
                                                                                 {"192.0.2.7", "192.0.2.7"},
                                                                                 {"any", "10.1.255.1"},
                                                                                 {"any", "10.2.3.200"},
                                                                                 {"any", "::ffff:10.1.0.1"},
                                                                                 {"any", "fd00:1:2::1"}}) {
    EXPECT_TRUE(hosts->check(host, ip)) << host << " " << ip;
  }
  for (const auto& [host, ip] : std::vector<std::pair<std::string, std::string>>{{"other.example", "203.0.113.1"},
                                                                                 {"x.broker.example", "203.0.113.1"},
                                                                                 {"pulsar.svc", "203.0.113.1"},
                                                                                 {"evilpulsar.svc", "203.0.113.1"},
                                                                                 {"192.0.2.8", "192.0.2.8"},
                                                                                 {"any", "10.3.0.1"},
                                                                                 {"any", "10.2.3.127"},
                                                                                 {"any", "fd00:2::1"}}) {
    const Status refused = hosts->check(host, ip);
    ASSERT_FALSE(refused) << host << " " << ip;
    EXPECT_THAT(refused.error().text(), HasSubstr("--cleanup-hosts"));
  }
}

TEST(AllowedHosts, OnlyLoopbackOfSpecialAddressesCanBeAllowed) {
  const auto hosts = AllowedHosts::parse({"127.0.0.1", "169.254.0.0/16", "::1", "0.0.0.0/0"});
  ASSERT_TRUE(hosts);
  EXPECT_TRUE(hosts->check("localhost", "127.0.0.1"));
  EXPECT_TRUE(hosts->check("localhost", "::1"));
  EXPECT_FALSE(hosts->check("metadata", "169.254.169.254"));
  EXPECT_FALSE(hosts->check("any", "0.0.0.0"));
  EXPECT_FALSE(hosts->check("any", "fd00:ec2::254"));
}

TEST(AllowedHosts, AnEntryThatIsNoneIsNamed) {
  for (const char* entry : {"", " ", "http://broker", "broker:8080", "*", "*broker", "*.*.svc", "10.0.0.0/33",
                            "10.0.0.0/", "10.0.0.0/x", "fd00::/129", "broker/8", "[::1]", ".svc", "a b"}) {
    const auto hosts = AllowedHosts::parse({"fine", entry});
    ASSERT_FALSE(hosts) << entry;
    EXPECT_THAT(hosts.error().text(), HasSubstr("\"" + std::string(entry) + "\""));
  }
  EXPECT_FALSE(AllowedHosts::parse(std::vector<std::string>(AllowedHosts::kEntriesMax + 1, "a")));
}

}  // namespace
}  // namespace fmesh::stream::pulsar
