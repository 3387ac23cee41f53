#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/address.h"
#include "net/http.h"
#include "net/http_testing.h"

namespace fmesh::net {
namespace {

using testing::HasSubstr;

const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

std::unique_ptr<HttpClient> client_of(std::string url, int64_t timeout_ms = 2'000, size_t body_max_bytes = 1'000) {
  auto client = HttpClient::make(
      {.url = std::move(url), .timeout_ms = timeout_ms, .body_size_max_bytes = body_max_bytes, .tls = {}});
  EXPECT_TRUE(client) << client.error().text();
  return client ? std::move(*client) : nullptr;
}

HttpRequest request_of(std::string method, std::string path = "/") {
  HttpRequest request;
  request.method = std::move(method);
  request.path = std::move(path);
  return request;
}

std::string text_of(const Result<HttpResponse>& response) {
  return response ? std::to_string(response->status) + " " + response->body
                  : std::string(to_string(response.error().kind())) + " " + response.error().text();
}

TEST(Client, PutsThePathAndQueryOfTheUrlBeforeThoseOfTheRequest) {
  ScriptedServer server({{kOk, true}, {kOk, true}});
  auto client = client_of(server.url() + "/base/?k=v%20w");
  HttpRequest request = request_of("GET", "/a b");
  request.query["x"] = "1&2";
  EXPECT_EQ(text_of(client->send(request)), "200 ok");
  request = request_of("GET", "");
  EXPECT_EQ(text_of(client->send(request)), "200 ok");
  while (server.turns_played() < 2) std::this_thread::yield();
  EXPECT_THAT(server.received(), HasSubstr("GET /base/a%20b?k=v%20w&x=1%262 HTTP/1.1\r\n"));
  EXPECT_THAT(server.received(), HasSubstr("GET /base?k=v%20w HTTP/1.1\r\n"));
}

TEST(Client, TakesTheAnswerAfterInterimOnes) {
  ScriptedServer server({{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + kOk}});
  EXPECT_EQ(text_of(client_of(server.url())->send(request_of("GET"))), "200 ok");
}

TEST(Client, DoesNotReadInterimAnswersForEver) {
  std::string interim;
  for (int i = 0; i < 50; ++i) interim += "HTTP/1.1 102 Processing\r\n\r\n";
  ScriptedServer server({{interim + kOk}});
  EXPECT_THAT(text_of(client_of(server.url())->send(request_of("GET"))), HasSubstr("only interim answers"));
}

TEST(Client, SendsAgainOnAClosedConnectionOnlyWhatMayBeRepeated) {
  {
    ScriptedServer server({{kOk, true}, {""}, {kOk}});
    auto client = client_of(server.url());
    EXPECT_EQ(text_of(client->send(request_of("GET"))), "200 ok");
    EXPECT_EQ(text_of(client->send(request_of("GET", "/again"))), "200 ok");
  }
  ScriptedServer server({{kOk, true}, {""}, {kOk}});
  auto client = client_of(server.url());
  EXPECT_EQ(text_of(client->send(request_of("GET"))), "200 ok");
  EXPECT_THAT(text_of(client->send(request_of("POST"))), HasSubstr("the connection was closed"));
  EXPECT_EQ(text_of(client->send(request_of("POST"))), "200 ok");
}

TEST(Client, NoticesAnIdleConnectionThatWasClosed) {
  ScriptedServer server({{kOk}, {kOk}});
  auto client = client_of(server.url());
  EXPECT_EQ(text_of(client->send(request_of("POST"))), "200 ok");
  while (server.turns_played() < 1) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(text_of(client->send(request_of("POST"))), "200 ok");
}

TEST(Client, WaitsNoLongerThanItsTimeForTheWholeRequest) {
  ScriptedServer server(
      {{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", true, 300}, {"o", true, 300, false}, {"k", true, 600, false}});
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THAT(text_of(client_of(server.url(), 800)->send(request_of("GET"))), HasSubstr("not done within 800 ms"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(1'100));
}

TEST(Client, SaysWhatIsWrongWithAnAnswer) {
  const auto answer_to = [](std::string bytes) {
    ScriptedServer server({{std::move(bytes)}});
    return text_of(client_of(server.url())->send(request_of("GET")));
  };
  EXPECT_THAT(answer_to("220 mail.example ESMTP\r\n"), HasSubstr("read the answer: "));
  EXPECT_THAT(answer_to("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n"), HasSubstr("larger than 1000 bytes"));
  EXPECT_THAT(answer_to("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab"), HasSubstr("the connection was closed"));
  EXPECT_THAT(answer_to("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
              HasSubstr("the connection was closed"));
  EXPECT_THAT(answer_to("HTTP/1.1 200 OK\r\nX: " + std::string(200'000, 'x')), HasSubstr("read the answer: "));
  EXPECT_EQ(answer_to("HTTP/1.1 200 OK\r\n\r\nuntil the end"), "200 until the end");
  EXPECT_EQ(answer_to("HTTP/1.0 404 Nothing\r\n\r\nno"), "404 no");
}

TEST(Client, ReadsTheRefusalOfABodyThatItCouldNotSend) {
  auto server = HttpServer::start({.address = "127.0.0.1:0", .body_size_max_bytes = 1'000, .tls = {}},
                                  [](const HttpRequest&, const Respond& respond) { respond({}); });
  ASSERT_TRUE(server);
  auto client = client_of("http://127.0.0.1:" + std::to_string((*server)->port()));
  HttpRequest request = request_of("POST");
  request.body = std::string(5'000'000, 'b');
  EXPECT_THAT(text_of(client->send(request)), HasSubstr("413 {\"error\":\"the body is larger"));
}

TEST(Client, SaysThatNobodyListens) {
  std::string url;
  {
    url = ScriptedServer({}).url();
  }
  EXPECT_EQ(text_of(client_of(url)->send(request_of("GET"))),
            std::string(to_string(ErrorKind::kRetryLater)) + " " + url + ": connect: Connection refused");
  EXPECT_THAT(text_of(client_of("unix:/nowhere/s.sock")->send(request_of("GET"))), HasSubstr("No such file"));
}

TEST(Client, RefusesWhatIsNoUrl) {
  for (const char* url : {"", "host:80", "ftp://h/", "http://", "http://h:80:80", "http://h:70000", "unix:"}) {
    EXPECT_FALSE(HttpClient::make({.url = url, .tls = {}})) << url;
  }
}

TEST(Client, StreamsPiecesAndSaysWhenTheyBreakOff) {
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const auto stream_of = [&](const std::string& bytes, bool more = true) {
    ScriptedServer server({{bytes}});
    std::string text;
    const auto response = client_of(server.url())->stream(request_of("GET"), [&](std::string_view piece) {
      text += piece;
      return more;
    });
    return text + "|" + text_of(response);
  };
  EXPECT_EQ(stream_of(head + "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"), "abc|200 ");
  EXPECT_THAT(stream_of(head + "2\r\nab\r\n1\r\n"), HasSubstr("the connection was closed"));
  EXPECT_EQ(stream_of("HTTP/1.1 200 OK\r\n\r\nabc"), "abc|200 ");
  EXPECT_EQ(stream_of("HTTP/1.1 200 OK\r\n\r\nabc", false), "abc|200 ");
  EXPECT_EQ(stream_of("HTTP/1.1 404 No\r\nContent-Length: 3\r\n\r\nabc"), "|404 abc");
}

TEST(Both, SpeakOverIpv6) {
  auto server =
      HttpServer::start({.address = "[::1]:0", .tls = {}}, [](const HttpRequest& request, const Respond& respond) {
        HttpResponse response;
        response.body = request.headers.at("host") + (request.from_loopback ? " loopback" : " far");
        respond(std::move(response));
      });
  if (!server) GTEST_SKIP() << "no IPv6 here: " << server.error().text();
  const std::string authority = "[::1]:" + std::to_string((*server)->port());
  EXPECT_EQ(text_of(client_of("http://" + authority)->send(request_of("GET"))), "200 " + authority + " loopback");
}

TEST(Both, TakeManyRequestsFromManyThreads) {
  auto server =
      HttpServer::start({.address = "127.0.0.1:0", .tls = {}}, [](const HttpRequest& request, const Respond& respond) {
        std::thread([respond, body = request.body] {
          HttpResponse response;
          response.body = body;
          respond(std::move(response));
        }).detach();
      });
  ASSERT_TRUE(server);
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      auto client = client_of("http://127.0.0.1:" + std::to_string((*server)->port()), 10'000, 1'000'000);
      for (int i = 0; i < 50; ++i) {
        HttpRequest request = request_of("POST");
        request.body = std::to_string(t) + std::string(static_cast<size_t>(i) * 1'000, 'x');
        const auto response = client->send(request);
        right += response && response->body == request.body ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 400);
}

TEST(Address, KnowsWhatIsThisMachine) {
  const auto loopback = [](const char* text) { return is_loopback(*parse_address(text)); };
  EXPECT_TRUE(loopback("127.0.0.1:1"));
  EXPECT_TRUE(loopback("127.9.9.9:1"));
  EXPECT_TRUE(loopback("[::1]:1"));
  EXPECT_TRUE(loopback("localhost:1"));
  EXPECT_TRUE(loopback("unix:/s"));
  EXPECT_FALSE(loopback("127.evil.example:1"));
  EXPECT_FALSE(loopback("0.0.0.0:1"));
  EXPECT_FALSE(loopback("[::]:1"));
  EXPECT_FALSE(loopback("10.0.0.1:1"));
}

TEST(Address, RefusesWhatIsNoAddress) {
  for (const char* text : {"", "80", "host", "host:", "host:x", "host:70000", "host:-1", ":80", "unix:", "a:b:80"}) {
    EXPECT_FALSE(parse_address(text)) << text;
  }
}

}  // namespace
}  // namespace fmesh::net
