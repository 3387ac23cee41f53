#include "kube/http_api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <mutex>
#include <sstream>

#include "kube/credentials.h"
#include "net/http_async_testing.h"
#include "net/http_testing.h"

namespace fmesh::kube {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::chrono_literals;

// An API server that takes the tokens in `good` (all, if none is given) and notes what it was sent.
class HttpApiTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(std::filesystem::create_directories(folder)); }
  ~HttpApiTest() override {
    on_loop([this] { stream.reset(), api.reset(); });
    loop->stop();
    server.reset();
    std::filesystem::remove_all(folder);
  }

  void serve(const net::KeyPair& tls = {}) {
    net::HttpServerOptions options{.address = "127.0.0.1:0", .idle_timeout_ms = 300, .tls_pair = tls};
    auto started = net::HttpServer::start(options, [this](net::HttpRequest request, const net::Respond& respond) {
      const std::lock_guard lock(mutex);
      seen.push_back(request.headers["authorization"]);
      net::HttpResponse response;
      response.body = request.method + " " + request.path;
      if (!good.empty() && request.headers["authorization"] != "Bearer " + good) {
        response.status = 401;
        response.body = "no";
      }
      respond(std::move(response));
    });
    ASSERT_TRUE(started) << started.error().text();
    server = std::move(*started);
    config.context = "here";
    config.server = (tls.key.empty() ? "http://127.0.0.1:" : "https://localhost:") + std::to_string(server->port());
  }
  void make() {
    auto made = make_http_api(*loop, config, {.user_agent = "test"});
    ASSERT_TRUE(made) << made.error().text();
    on_loop([&] { api = std::move(*made); });
  }
  template <class Work>
  void on_loop(Work work) {
    std::promise<void> done;
    loop->post([&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }

  std::future<Result<Response>> send(const std::string& method = "GET") {
    auto answer = std::make_shared<std::promise<Result<Response>>>();
    auto future = answer->get_future();
    loop->post([this, answer, method] {
      api->send(Request{method, "/x", {}, {}, 0}, [answer](Result<Response> r) { answer->set_value(std::move(r)); });
    });
    return future;
  }
  // The status, or the error.
  std::string ask(const std::string& method = "GET") {
    const auto answer = send(method).get();
    return answer ? std::to_string(answer->status) : answer.error().text();
  }
  // Opens a stream and waits for its end: "status body", or the error.
  std::string follow() {
    auto told = std::make_shared<std::string>();
    auto ended = std::make_shared<std::promise<std::string>>();
    auto future = ended->get_future();
    StreamHandler handler;
    handler.on_head = [told](const Response& head) { *told += std::to_string(head.status) + " " + head.body; };
    handler.on_data = [told](std::string_view data) { *told += data; };
    handler.on_end = [told, ended](const Status& s) { ended->set_value(s ? *told : s.error().text()); };
    on_loop([&] { stream = api->open(Request{"GET", "/w", {}, {}, 0}, std::move(handler)); });
    return future.get();
  }

  std::string path(const std::string& name) const { return folder + "/" + name; }
  void write(const std::string& name, const std::string& text) const { std::ofstream(path(name)) << text; }
  // A plugin that notes its run, takes so long, and answers with what the file `token` says.
  void use_plugin(const std::string& before = "") {
    ExecPlugin plugin{.api_version = "client.authentication.k8s.io/v1", .command = "sh"};
    plugin.input = ExecPlugin::Input::kNever;
    plugin.arguments = {"-c",
                        "echo run >> runs; " + before +
                            "; . ./answer; printf '{\"apiVersion\":\"%s\",\"kind\":\"ExecCredential\","
                            "\"status\":{\"token\":\"%s\"%s}}' client.authentication.k8s.io/v1 \"$token\" \"$more\""};
    plugin.arguments[1].insert(0, "cd " + folder + "; ");
    config.exec = plugin;
  }
  void plugin_gives(const std::string& token, const std::string& expires = "") const {
    const std::string more = expires.empty() ? "" : R"(,"expirationTimestamp":")" + expires + "\"";
    write("answer", "token='" + token + "'\nmore='" + more + "'\n");
  }
  size_t runs() const {
    std::ifstream file(path("runs"));
    size_t count = 0;
    for (std::string line; std::getline(file, line);) ++count;
    return count;
  }
  std::vector<std::string> take_seen() {
    const std::lock_guard lock(mutex);
    return std::exchange(seen, {});
  }

  const std::string folder = testing::TempDir() + "fmesh-http-api-" + std::to_string(::getpid());
  ManualClock clock{1'700'000'000'000};  // 2023-11-14T22:13:20Z
  std::unique_ptr<net::IoLoop> loop = net::IoLoop::start(clock, "test");
  std::mutex mutex;
  std::vector<std::string> seen;
  std::string good;
  std::unique_ptr<net::HttpServer> server;
  ClusterConfig config;
  std::unique_ptr<Api> api;
  std::unique_ptr<ApiStream> stream;
};

TEST_F(HttpApiTest, SendsTokensAndPasswords) {
  serve();
  config.token = "of-config";
  make();
  EXPECT_EQ(ask(), "200");
  config.token = "";
  config.username = "Aladdin";
  config.password = "open sesame";
  make();
  EXPECT_EQ(ask(), "200");
  EXPECT_THAT(take_seen(), ElementsAre("Bearer of-config", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
}

TEST_F(HttpApiTest, SendsImpersonationAsHeaders) {
  net::ScriptedServer scripted({{.answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}});
  config.server = scripted.url();
  config.impersonate = {.user = "jane", .uid = "7", .groups = {"ops", "dev"}, .extra = {{"a/b%c", {"1", "2"}}}};
  make();
  EXPECT_EQ(ask(), "200");
  while (scripted.turns_played() < 1) std::this_thread::sleep_for(1ms);
  EXPECT_THAT(scripted.received(),
              AllOf(HasSubstr("impersonate-user: jane\r\n"), HasSubstr("impersonate-uid: 7\r\n"),
                    HasSubstr("impersonate-group: ops\r\nimpersonate-group: dev\r\n"),
                    HasSubstr("impersonate-extra-a%2Fb%25c: 1\r\nimpersonate-extra-a%2Fb%25c: 2\r\n")));
}

TEST_F(HttpApiTest, ATokenInAFileIsReadAnewOnceAMinute) {
  serve();
  write("token", "first\n");
  config.token = "not this one";  // the file goes before it
  config.token_file = path("token");
  make();
  EXPECT_EQ(ask(), "200");
  write("token", "second\n");
  clock.advance_ms(kFilesReadEveryMs - 1);
  EXPECT_EQ(ask(), "200");
  clock.advance_ms(1);
  EXPECT_EQ(ask(), "200");
  // What can't be used leaves the last.
  for (const char* bad : {"", "\n", "a\nb"}) {
    write("token", bad);
    clock.advance_ms(kFilesReadEveryMs);
    EXPECT_EQ(ask(), "200");
  }
  EXPECT_THAT(take_seen(), ElementsAre("Bearer first", "Bearer first", "Bearer second", "Bearer second",
                                       "Bearer second", "Bearer second"));
}

TEST_F(HttpApiTest, ARefusedTokenIsReadAnewAtOnceAndTheRequestSentOnceMore) {
  serve();
  good = "second";
  write("token", "first");
  config.token_file = path("token");
  make();
  EXPECT_EQ(ask("POST"), "401");  // it is still the first
  EXPECT_EQ(take_seen().size(), 1u);
  write("token", "second");
  EXPECT_EQ(ask("POST"), "200");
  EXPECT_THAT(take_seen(), ElementsAre("Bearer first", "Bearer second"));
  write("token", "third");
  good = "fourth";
  EXPECT_EQ(ask("POST"), "401");  // not more than once
  EXPECT_THAT(take_seen(), ElementsAre("Bearer second", "Bearer third"));
}

TEST_F(HttpApiTest, FilesThatAreMissingAtTheStartAreTold) {
  serve();
  config.token_file = path("token");
  const auto none = make_http_api(*loop, config, {});
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().text(), HasSubstr("token can't be read"));
  write("token", "\n");
  EXPECT_FALSE(make_http_api(*loop, config, {}));
}

TEST_F(HttpApiTest, APluginRunsOnceForAllAndAgainWhenItExpires) {
  serve();
  use_plugin("sleep 0.2");
  plugin_gives("first", "2023-11-14T22:14:20Z");  // in a minute
  make();
  std::vector<std::future<Result<Response>>> answers;
  for (int i = 0; i < 20; ++i) answers.push_back(send());
  for (auto& answer : answers) EXPECT_TRUE(answer.get());
  EXPECT_EQ(runs(), 1u);
  clock.advance_ms(59'999);
  EXPECT_EQ(ask(), "200");
  EXPECT_EQ(runs(), 1u);
  plugin_gives("second");
  clock.advance_ms(1);
  take_seen();
  EXPECT_EQ(ask(), "200");
  EXPECT_THAT(take_seen(), ElementsAre("Bearer second"));
  EXPECT_EQ(runs(), 2u);
  clock.advance_ms(1'000'000'000);  // one without an end lasts
  EXPECT_EQ(ask(), "200");
  EXPECT_EQ(runs(), 2u);
}

TEST_F(HttpApiTest, APluginDoesNotHoldUpTheLoop) {
  serve();
  use_plugin("sleep 1");
  plugin_gives("t");
  make();
  auto answer = send();
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 10; ++i) on_loop([] {});
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 500ms);
  EXPECT_EQ(answer.wait_for(0ms), std::future_status::timeout);
  EXPECT_TRUE(answer.get());
}

TEST_F(HttpApiTest, ARefusedTokenIsAskedForAnew) {
  serve();
  good = "second";
  use_plugin("echo \"token=second\" > ./next; test -f used && . ./next && cp next answer; touch used");
  plugin_gives("first");
  make();
  EXPECT_EQ(ask("POST"), "200");
  EXPECT_THAT(take_seen(), ElementsAre("Bearer first", "Bearer second"));
  EXPECT_EQ(runs(), 2u);
  // A plugin that stays with a token that is refused is not asked again and again.
  good = "third";
  for (int i = 0; i < 5; ++i) EXPECT_EQ(ask(), "401");
  EXPECT_EQ(runs(), 2u);
  clock.advance_ms(kRefusedEveryMs);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(ask(), "401");
  EXPECT_EQ(runs(), 3u);
}

TEST_F(HttpApiTest, APluginThatFailsIsLeftAloneForAWhile) {
  serve();
  use_plugin("echo sorry >&2; exit 1");
  make();
  for (int i = 0; i < 3; ++i) EXPECT_THAT(ask(), HasSubstr("here: exec plugin sh ended with code 1: sorry"));
  EXPECT_EQ(runs(), 1u);
  clock.advance_ms(kPluginPauseMs);
  EXPECT_THAT(ask(), HasSubstr("sorry"));
  clock.advance_ms(kPluginPauseMs);  // twice as long the second time
  EXPECT_THAT(ask(), HasSubstr("sorry"));
  EXPECT_EQ(runs(), 2u);
  clock.advance_ms(kPluginPauseMs);
  EXPECT_THAT(follow(), HasSubstr("sorry"));
  EXPECT_EQ(runs(), 3u);
  EXPECT_TRUE(take_seen().empty());
}

TEST_F(HttpApiTest, StreamsWaitForThePluginAndAreOpenedOnceMoreAfter401) {
  serve();
  good = "second";
  use_plugin("test -f used && echo \"token=second\" > answer; touch used");
  plugin_gives("first");
  make();
  EXPECT_EQ(follow(), "200 GET /w");
  EXPECT_THAT(take_seen(), ElementsAre("Bearer first", "Bearer second"));
  good = "third";
  EXPECT_EQ(follow(), "401 no");
}

TEST_F(HttpApiTest, EndsWhileAPluginRuns) {
  serve();
  use_plugin("sleep 30");
  plugin_gives("t");
  make();
  std::atomic<int> heard{0};
  on_loop([&] { api->send(Request{}, [&](const Result<Response>&) { ++heard; }); });
  const auto begin = std::chrono::steady_clock::now();
  on_loop([this] { api.reset(); });
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
  EXPECT_EQ(heard, 0);
}

TEST_F(HttpApiTest, AnAuthorityInAFileIsReadAnew) {
  const net::TestAuthority first, second;
  serve(first.serving());
  write("ca", first.own.certificate);
  config.ca_file = path("ca");
  make();
  EXPECT_EQ(ask(), "200");
  // The server goes over to another: its certificate is not trusted, the file says why, the request is sent.
  write("ca", second.own.certificate);
  ASSERT_TRUE(server->set_certificate(second.serving()));
  std::this_thread::sleep_for(500ms);  // until the server closes the connection
  EXPECT_EQ(ask("POST"), "200");
  // Also without an error, once a minute.
  write("ca", first.own.certificate);
  clock.advance_ms(kFilesReadEveryMs);
  EXPECT_THAT(ask(), HasSubstr("is not trusted"));
  write("ca", "half of a fi");
  EXPECT_THAT(ask(), HasSubstr("is not trusted"));
  write("ca", second.own.certificate);
  EXPECT_EQ(ask(), "200");
}

TEST_F(HttpApiTest, AClientCertificateInFilesIsReadAnewOnceTheKeyFits) {
  const net::TestAuthority authority;
  const net::KeyPair first = authority.serving({"first"}), second = authority.serving({"second"});
  write("crt", first.certificate);
  write("key", first.key);
  config = {.certificate_file = path("crt"), .key_file = path("key")};
  auto made = Credentials::make(*loop, config);
  ASSERT_TRUE(made) << made.error().text();
  Credentials& credentials = **made;
  const auto look = [&] {
    clock.advance_ms(kFilesReadEveryMs);
    credentials.use([](const Result<Credentials::Use>& use) { EXPECT_TRUE(use); });
    return credentials.identity().certificate;
  };
  EXPECT_EQ(look(), first.certificate);
  const uint64_t version = credentials.identity_version();
  write("crt", second.certificate);
  EXPECT_EQ(look(), first.certificate);
  write("key", second.key);
  EXPECT_EQ(look(), second.certificate);
  EXPECT_EQ(credentials.identity().key, second.key);
  EXPECT_EQ(credentials.identity_version(), version + 1);
}

}  // namespace
}  // namespace fmesh::kube
