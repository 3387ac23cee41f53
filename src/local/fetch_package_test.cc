#include "local/fetch_package.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <mutex>

#include "local/unpack_testing.h"
#include "net/certificate.h"
#include "net/digest.h"
#include "net/http.h"
#include "net/http_testing.h"

namespace fmesh::local {
namespace {

namespace files = std::filesystem;
using testing::HasSubstr;

constexpr int64_t kLateMs = 4'000'000'000'000;
constexpr const char* kElf =
    "\x7f"
    "ELF and more";

std::string sha256_of(std::string_view bytes) {
  net::Sha256 digest;
  digest.add(bytes);
  return digest.finish();
}

class FetchPackage : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = files::temp_directory_path() / ("fmesh-fetch-" + std::to_string(::getpid()) + "-" + test->name());
    files::remove_all(folder_);
    files::create_directories(folder_);
    server_ = start({.address = "127.0.0.1:0"});
    url_ = "http://127.0.0.1:" + std::to_string(server_->port());
  }
  void TearDown() override {
    server_.reset();
    files::remove_all(folder_);
  }

  std::unique_ptr<net::HttpServer> start(net::HttpServerOptions options) {
    auto server = net::HttpServer::start(std::move(options),
                                         [this](const net::HttpRequest& request, const net::Respond& respond) {
                                           const std::lock_guard lock(mutex_);
                                           requests_.push_back(request);
                                           const auto found = answers_.find(request.path);
                                           net::HttpResponse response;
                                           response.status = 404;
                                           respond(found == answers_.end() ? response : found->second);
                                         });
    EXPECT_TRUE(server) << server.error().to_string();
    return std::move(*server);
  }
  void serve(const std::string& path, std::string body, int status = 200,
             std::map<std::string, std::string> headers = {}) {
    net::HttpResponse response;
    response.status = status;
    response.headers = std::move(headers);
    response.body = std::move(body);
    answers_[path] = std::move(response);
  }

  FetchOptions options(const std::string& location, const std::string& file) const {
    FetchOptions out;
    out.location = model::parse_package_location(location).value();
    out.folder = folder_ / "to";
    out.file = file;
    out.retry_delay_ms = 1;
    out.stall_timeout_ms = 5'000;
    return out;
  }
  Result<FetchedPackage> fetch(const FetchOptions& how) {
    return fetch_package(how, [this](const std::string& line) { lines_.push_back(line); });
  }
  std::string refusal(const FetchOptions& how) {
    const auto done = fetch(how);
    return done ? "it was fetched" : done.error().to_string();
  }
  std::string there(const std::string& file) const { return read_file(folder_ / "to" / file); }
  size_t count_there() const {
    size_t count = 0;
    std::error_code code;
    for ([[maybe_unused]] const auto& entry : files::directory_iterator(folder_ / "to", code)) ++count;
    return count;
  }

  files::path folder_;
  std::mutex mutex_;
  std::map<std::string, net::HttpResponse> answers_;
  std::vector<net::HttpRequest> requests_;
  std::vector<std::string> lines_;
  std::unique_ptr<net::HttpServer> server_;
  std::string url_;
};

TEST_F(FetchPackage, ALibraryIsPutInPlaceAsAWhole) {
  serve("/a.so", kElf);
  const auto done = fetch(options(url_ + "/a.so?v=1#sha256=" + sha256_of(kElf), "lib/enrich.so"));
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(there("lib/enrich.so"), kElf);
  EXPECT_EQ(count_there(), 1) << "nothing of the work stays";
  EXPECT_EQ(done->sha256, sha256_of(kElf));
  EXPECT_EQ(requests_.at(0).query.at("v"), "1");
}

TEST_F(FetchPackage, ArchivesAreUnpackedAndPythonPackagesStayPacked) {
  serve("/a.tgz",
        gzip_of(tar_of({{.name = "lib/enrich.so", .content = "1"}, {.name = "lib/more.so", .content = "2"}})));
  ASSERT_TRUE(fetch(options(url_ + "/a.tgz", "lib/enrich.so")));
  EXPECT_EQ(there("lib/more.so"), "2");
  const std::string zip = zip_of({{.name = "enrich.py", .content = "pass"}});
  serve("/a.whl", zip);
  ASSERT_TRUE(fetch(options(url_ + "/a.whl", "enrich.whl")));
  EXPECT_EQ(there("enrich.whl"), zip);
  ASSERT_TRUE(fetch(options(url_ + "/a.whl", "enrich.py")));
  EXPECT_EQ(there("enrich.py"), "pass");
  // Once more: what was there is replaced.
  serve("/a.tgz", tar_of({{.name = "lib/enrich.so", .content = "3"}}));
  ASSERT_TRUE(fetch(options(url_ + "/a.tgz", "lib/enrich.so")));
  EXPECT_EQ(there("lib/enrich.so"), "3");
  EXPECT_EQ(there("lib/more.so"), "");
}

TEST_F(FetchPackage, WhatIsNotWhatItHasToBeIsNotUsed) {
  serve("/a.so", kElf);
  serve("/page", "<html>please log in</html>");
  serve("/a.zip", zip_of({{.name = "other.so", .content = "1"}}));
  serve("/evil.tar", tar_of({{.name = "../../enrich.so", .content = "1"}}));
  EXPECT_THAT(refusal(options(url_ + "/a.so#sha256=" + std::string(64, '0'), "a.so")),
              testing::AllOf(HasSubstr("has the SHA-256 " + sha256_of(kElf)), HasSubstr("it is not used")));
  EXPECT_THAT(refusal(options(url_ + "/page", "a.so")), HasSubstr("is neither a library nor an archive"));
  EXPECT_THAT(refusal(options(url_ + "/page", "a.whl")), HasSubstr("is no zip, which a.whl has to be"));
  EXPECT_THAT(refusal(options(url_ + "/a.zip", "a.so")), HasSubstr("has no file a.so; there are other.so"));
  EXPECT_THAT(refusal(options(url_ + "/evil.tar", "enrich.so")),
              HasSubstr("/evil.tar: ../../enrich.so: is no path below the folder"));
  EXPECT_EQ(count_there(), 0);
  for (const char* file : {"../a.so", "/a.so", "a/../b.so", "", "."}) {
    EXPECT_THAT(refusal(options(url_ + "/a.so", file)), HasSubstr("is no name in a package")) << file;
  }
}

TEST_F(FetchPackage, WhatComesIsBounded) {
  FetchOptions how = options(url_ + "/a.so", "a.so");
  how.size_max_bytes = 1'000;
  serve("/a.so", std::string(1'001, 'x'));
  EXPECT_THAT(refusal(how), HasSubstr("is larger than 1000 bytes"));
  // Without a length in its head.
  net::HttpResponse endless;
  endless.stream = [](const std::shared_ptr<net::BodyStream>& body) {
    while (body->write(std::string(100, 'x'))) {
    }
  };
  answers_["/a.so"] = endless;
  EXPECT_THAT(refusal(how), HasSubstr("is larger than 1000 bytes"));
  how.unpack.bytes_max = 10;
  serve("/a.so", gzip_of(tar_of({{.name = "a.so", .content = std::string(100'000, '\0')}})));
  EXPECT_THAT(refusal(how), HasSubstr("more than 10 bytes in all"));
  EXPECT_TRUE(lines_.empty()) << "none of it is tried again";
  EXPECT_EQ(count_there(), 0);
}

TEST_F(FetchPackage, WhatBreaksOffIsTriedAgainAFewTimes) {
  const std::string head =
      "HTTP/1.1 200 OK\r\ncontent-length: " + std::to_string(std::string_view(kElf).size()) + "\r\n\r\n";
  {
    net::ScriptedServer server({{.answer = head + "\x7f"
                                                  "EL"},
                                {.answer = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"},
                                {.answer = head + kElf}});
    const auto done = fetch(options(server.url() + "/a.so", "a.so"));
    ASSERT_TRUE(done) << done.error().to_string();
    EXPECT_EQ(there("a.so"), kElf) << "nothing of the first attempt";
    EXPECT_EQ(lines_.size(), 2);
  }
  lines_.clear();
  EXPECT_THAT(refusal(options("http://127.0.0.1:1/a.so", "a.so")), HasSubstr("127.0.0.1:1"));
  EXPECT_EQ(lines_.size(), 4) << "five attempts";
  lines_.clear();
  EXPECT_THAT(refusal(options(url_ + "/none.so", "a.so")), HasSubstr("the answer is 404"));
  EXPECT_TRUE(lines_.empty()) << "what is not there is not asked for again";
  EXPECT_THAT(refusal(options(url_ + "/none.so?signature=secret", "a.so")), testing::Not(HasSubstr("secret")));
}

TEST_F(FetchPackage, RedirectsAreFollowedButNeverOutOfTls) {
  serve("/old.so", "", 302, {{"location", "/new.so?x=1"}});
  serve("/new.so", kElf);
  ASSERT_TRUE(fetch(options(url_ + "/old.so", "a.so")));
  EXPECT_EQ(there("a.so"), kElf);
  serve("/loop", "", 307, {{"location", "/loop"}});
  EXPECT_THAT(refusal(options(url_ + "/loop", "a.so")), HasSubstr("more than 5 redirects"));
  serve("/file", "", 302, {{"location", "file:///etc/passwd"}});
  EXPECT_THAT(refusal(options(url_ + "/file", "a.so")), HasSubstr("is no address"));

  const net::KeyPair authority = net::make_authority({.common_name = "ca", .not_after_ms = kLateMs}).value();
  const auto secure =
      start({.address = "127.0.0.1:0",
             .tls_pair =
                 net::make_serving({.common_name = "s", .dns_names = {"localhost"}, .not_after_ms = kLateMs}, authority)
                     .value()});
  const std::string port = std::to_string(secure->port());
  serve("/plain", "", 302, {{"location", url_ + "/new.so"}});
  FetchOptions how = options("https://localhost:" + port + "/plain", "a.so");
  EXPECT_THAT(refusal(how), HasSubstr("certificate")) << "of an authority that nobody trusts";
  write_file(folder_ / "ca.pem", authority.certificate);
  how.ca_file = folder_ / "ca.pem";
  EXPECT_THAT(refusal(how), HasSubstr("would be without TLS"));
  how.location.address = "https://localhost:" + port + "/new.so";
  EXPECT_EQ(refusal(how), "it was fetched");
  how.location.address = "https://127.0.0.1:" + port + "/new.so";
  EXPECT_THAT(refusal(how), testing::Not("it was fetched")) << "the certificate is of another name";
}

TEST_F(FetchPackage, PulsarsPackagesAreAskedForAsWhoWeAre) {
  serve("/admin/v3/packages/function/public/default/en rich/v1", kElf);
  FetchOptions how = options("function://public/default/en rich@v1", "a.so");
  EXPECT_THAT(refusal(how), HasSubstr("webServiceURL"));
  how.pulsar.web_service_url = url_;
  how.pulsar.auth_plugin = "token";
  write_file(folder_ / "token", "secret\n");
  how.pulsar.auth_params = "file://" + (folder_ / "token").string();
  const auto done = fetch(how);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(requests_.back().headers.at("authorization"), "Bearer secret");
  // A token is for the one it was given for.
  serve("/admin/v3/packages/function/public/default/en rich/v1", "", 302, {{"location", "http://localhost:1/x"}});
  EXPECT_THAT(refusal(how), HasSubstr("is not told who we are"));
  // And for nobody on the web.
  serve("/a.so", kElf);
  how.location = model::parse_package_location(url_ + "/a.so").value();
  ASSERT_TRUE(fetch(how));
  EXPECT_FALSE(requests_.back().headers.contains("authorization"));
}

}  // namespace
}  // namespace fmesh::local
