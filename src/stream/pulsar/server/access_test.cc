#include "stream/pulsar/server/access.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

namespace fmesh::stream::pulsar::server {
namespace {

using ::testing::HasSubstr;

class AccessTest : public testing::Test {
 protected:
  void SetUp() override { write("secret"); }
  void TearDown() override { std::filesystem::remove(path_); }
  void write(const std::string& token) { std::ofstream(path_) << token << "\n"; }
  static net::HttpRequest request(std::map<std::string, std::string> headers) {
    net::HttpRequest request;
    request.headers = std::move(headers);
    return request;
  }
  const std::string path_ = testing::TempDir() + "/fmesh-access-token";
};

TEST_F(AccessTest, TakesTheTokenOfTheFileAsItIsNow) {
  const Access access({.token_file = path_});
  EXPECT_TRUE(access.check("token", "secret"));
  EXPECT_FALSE(access.check("token", "secre"));
  EXPECT_FALSE(access.check("token", "secret2"));
  EXPECT_FALSE(access.check("token", ""));
  EXPECT_TRUE(access.check("token", "secret\r\n")) << "as the C++ client reads it from a file";
  EXPECT_FALSE(access.check("token", "sec\nret"));
  EXPECT_THAT(access.check("basic", "secret").error().text(), HasSubstr("offers basic"));
  EXPECT_THAT(access.check("none", "").error().text(), HasSubstr("use token authentication"));
  write("other");
  EXPECT_FALSE(access.check("token", "secret"));
  EXPECT_TRUE(access.check("token", "other"));
  std::filesystem::remove(path_);
  EXPECT_FALSE(access.check("token", "other"));
}

TEST_F(AccessTest, WithoutATokenEverybodyMayCome) {
  const Access access({});
  EXPECT_TRUE(access.check("token", "anything"));
  EXPECT_TRUE(access.check("", ""));
}

TEST_F(AccessTest, AnAddressThatOthersReachTakesATokenAndTls) {
  EXPECT_TRUE(check_exposure("--listen", "127.0.0.1:6650", false, false));
  EXPECT_TRUE(check_exposure("--listen", "[::1]:6650", false, false));
  EXPECT_TRUE(check_exposure("--listen", "0.0.0.0:6650", true, true));
  EXPECT_THAT(check_exposure("--listen", "0.0.0.0:6650", false, false).error().text(),
              HasSubstr("--token-file, --tls-cert and --tls-key"));
  EXPECT_THAT(check_exposure("--http", "10.0.0.7:80", true, false).error().text(), HasSubstr("--tls-cert"));
  EXPECT_THAT(check_exposure("--http", "10.0.0.7:80", false, true).error().text(), HasSubstr("--token-file"));
}

TEST_F(AccessTest, TheAdminApiRefusesWebPagesAndNamesThatAreNotItsOwn) {
  const Access access({});
  const auto refusal = [&](const std::map<std::string, std::string>& headers) {
    return http_refusal(request(headers), access, "broker.example:6650");
  };
  EXPECT_FALSE(refusal({{"host", "127.0.0.1:8080"}}));
  EXPECT_FALSE(refusal({{"host", "localhost:8080"}}));
  EXPECT_FALSE(refusal({{"host", "[::1]:8080"}}));
  EXPECT_FALSE(refusal({{"host", "broker.example"}}));
  EXPECT_EQ(refusal({{"host", "evil.example:8080"}})->status, 403);
  EXPECT_EQ(refusal({{"host", "127.0.0.1:8080"}, {"origin", "http://evil.example"}})->status, 403);
}

TEST_F(AccessTest, TheAdminApiAsksForTheTokenToo) {
  const Access access({.token_file = path_});
  const auto refusal = [&](const std::map<std::string, std::string>& headers) {
    return http_refusal(request(headers), access, "127.0.0.1:6650");
  };
  EXPECT_EQ(refusal({{"host", "127.0.0.1"}})->status, 401);
  EXPECT_EQ(refusal({{"host", "127.0.0.1"}, {"authorization", "Bearer wrong"}})->status, 401);
  EXPECT_FALSE(refusal({{"host", "127.0.0.1"}, {"authorization", "Bearer secret"}}));
}

}  // namespace
}  // namespace fmesh::stream::pulsar::server
