#include "net/http_async.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "net/http_async_testing.h"
#include "net/http_testing.h"

namespace fmesh::net {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;

const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

// A real server that answers "METHOD path body"; /hold waits for release(), /stream is held open.
class AsyncClient : public AsyncTest {
 protected:
  void serve(HttpServerOptions options = {.address = "127.0.0.1:0"}) {
    auto started = HttpServer::start(std::move(options), [this](HttpRequest request, Respond respond) {
      answer(std::move(request), std::move(respond));
    });
    ASSERT_TRUE(started) << started.error().text();
    server = std::move(*started);
  }
  void answer(HttpRequest request, Respond respond) {
    const std::lock_guard lock(mutex);
    paths.push_back(request.path);
    HttpResponse response;
    response.body = request.method + " " + request.path + " " + request.body;
    if (request.path == "/big") response.body.assign(100'000, 'x');
    if (request.path == "/stream") {
      response.stream = [this](const std::shared_ptr<BodyStream>& body) {
        body->write("one ");
        const std::lock_guard lock_again(mutex);
        streams.push_back(body);
      };
    }
    if (request.path == "/hold") {
      held.push_back([respond, response] { respond(response); });
    } else {
      respond(std::move(response));
    }
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(server->port()); }
  bool wait_for(const std::function<bool()>& condition) {
    for (int tries = 0; tries < 500; ++tries) {
      {
        const std::lock_guard lock(mutex);
        if (condition()) return true;
      }
      std::this_thread::sleep_for(10ms);
    }
    return false;
  }
  void release_one() {
    std::function<void()> one;
    {
      const std::lock_guard lock(mutex);
      one = std::move(held.front());
      held.erase(held.begin());
    }
    one();
  }

  std::mutex mutex;
  std::vector<std::string> paths;
  std::vector<std::function<void()>> held;
  std::vector<std::shared_ptr<BodyStream>> streams;
  std::unique_ptr<HttpServer> server;
};

TEST_F(AsyncClient, AnswersComeBack) {
  serve();
  make({.url = url() + "/prefix/"});
  const auto answer = ask({.method = "POST", .target = "/a?b=c", .body = "body"});
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "POST /prefix/a body");
}

TEST_F(AsyncClient, UrlsThatAreNoneAreRefused) {
  for (const char* url : {"", "localhost:80", "ftp://host", "http://", "http://host:0"}) {
    const auto made = AsyncHttpClient::make(*loop, {.url = url});
    ASSERT_FALSE(made) << url;
    EXPECT_EQ(made.error().kind(), ErrorKind::kFixInput);
  }
  EXPECT_FALSE(AsyncHttpClient::make(*loop, {.url = "http://" + std::string(300, 'a')}));
}

TEST_F(AsyncClient, HeadersMayComeSeveralTimes) {
  ScriptedServer scripted({{.answer = kOk}});
  make({.url = scripted.url()});
  ASSERT_TRUE(ask({.headers = {{"impersonate-group", "b"}, {"impersonate-group", "a"}}}));
  while (scripted.turns_played() < 1) std::this_thread::sleep_for(1ms);
  EXPECT_THAT(scripted.received(), HasSubstr("impersonate-group: b\r\nimpersonate-group: a\r\n"));
}

TEST_F(AsyncClient, NoAnswerInTimeIsAnError) {
  serve();
  make({.url = url(), .timeout_ms = 200});
  const auto begin = std::chrono::steady_clock::now();
  const auto answer = get("/hold");
  const auto took = std::chrono::steady_clock::now() - begin;
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind(), ErrorKind::kRetryLater);
  EXPECT_THAT(answer.error().text(), HasSubstr("no answer in time (the request had been sent"));
  EXPECT_GE(took, 200ms);
  EXPECT_LT(took, 5s);
  // A request may bring its own limit.
  const auto other = ask({.target = "/hold", .timeout_ms = 50});
  EXPECT_FALSE(other);
}

TEST_F(AsyncClient, AServerThatIsNotThereIsAnError) {
  serve();
  const std::string gone = url();
  server.reset();
  make({.url = gone});
  const auto answer = get("/");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind(), ErrorKind::kRetryLater);
  EXPECT_THAT(answer.error().text(), HasSubstr("connect: Connection refused"));
  EXPECT_THAT(answer.error().text(), Not(HasSubstr("had been sent")));
}

TEST_F(AsyncClient, RequestsWaitInABoundedLine) {
  serve();
  make({.url = url(), .connections_max = 2, .waiting_max = 3});
  std::vector<std::future<Result<HttpResponse>>> answers;
  for (int i = 0; i < 5; ++i) answers.push_back(send({.target = "/hold"}));
  ASSERT_TRUE(wait_for([&] { return held.size() == 2; }));
  const auto turned_away = get("/hold");
  ASSERT_FALSE(turned_away);
  EXPECT_EQ(turned_away.error().kind(), ErrorKind::kRetryLater);
  EXPECT_THAT(turned_away.error().text(), HasSubstr("3 requests wait already; nothing was sent"));
  // One at a time moves up; more than two are never there at once.
  for (int left = 5; left > 0; --left) {
    const size_t now = std::min(left, 2);
    ASSERT_TRUE(wait_for([&] { return held.size() == now; })) << left;
    release_one();
  }
  for (auto& answer : answers) EXPECT_TRUE(answer.get());
  EXPECT_EQ(paths.size(), 5u);
}

TEST_F(AsyncClient, ALargeAnswerIsAnError) {
  serve();
  make({.url = url(), .body_size_max_bytes = 99'999});
  const auto answer = get("/big");
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().text(), HasSubstr("the answer is larger than 99999 bytes"));
  make({.url = url(), .body_size_max_bytes = 100'000});
  EXPECT_TRUE(get("/big"));
}

TEST_F(AsyncClient, AConnectionClosedWhileIdleIsReplaced) {
  ScriptedServer scripted({{.answer = kOk}, {.answer = kOk}});  // closes after each
  make({.url = scripted.url()});
  ASSERT_TRUE(get("/"));
  while (scripted.turns_played() < 1) std::this_thread::sleep_for(1ms);
  std::this_thread::sleep_for(20ms);
  const auto again = ask({.method = "POST", .target = "/"});
  EXPECT_TRUE(again) << again.error().text();
}

TEST_F(AsyncClient, AConnectionClosedWithTheRequestIsTriedAgainOnlyToRead) {
  // The second request is read and answered by nothing, on a connection that was kept.
  const std::vector<ScriptedServer::Turn> turns = {{.answer = kOk, .keep = true}, {.answer = ""}, {.answer = kOk}};
  {
    ScriptedServer scripted(turns);
    make({.url = scripted.url()});
    ASSERT_TRUE(get("/"));
    const auto read = get("/");
    EXPECT_TRUE(read) << read.error().text();
    EXPECT_EQ(scripted.turns_played(), 3);
  }
  ScriptedServer scripted(turns);
  make({.url = scripted.url()});
  ASSERT_TRUE(get("/"));
  const auto written = ask({.method = "POST", .target = "/"});
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind(), ErrorKind::kRetryLater);
  EXPECT_THAT(written.error().text(), HasSubstr("its outcome is unknown"));
  EXPECT_EQ(scripted.turns_played(), 2);
}

TEST_F(AsyncClient, ConnectionsAreKept) {
  ScriptedServer scripted({{.answer = kOk, .keep = true}, {.answer = kOk, .keep = true}, {.answer = kOk}});
  make({.url = scripted.url()});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(get("/"));  // the script accepts one connection only
  EXPECT_EQ(scripted.turns_played(), 3);
}

TEST_F(AsyncClient, InterimAnswersAreSkipped) {
  ScriptedServer scripted({{.answer = "HTTP/1.1 103 Early Hints\r\n\r\n" + kOk}});
  make({.url = scripted.url()});
  const auto answer = get("/");
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->status, 200);
}

TEST_F(AsyncClient, ABodyThatBreaksOffIsAnError) {
  ScriptedServer scripted({{.answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok"}});
  make({.url = scripted.url()});
  const auto answer = get("/");
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().text(), HasSubstr("the connection was closed"));
}

TEST_F(AsyncClient, NothingIsHeardAfterItIsGone) {
  serve();
  make({.url = url()});
  std::atomic<int> heard{0};
  on_loop([&] { client->send({.target = "/hold"}, [&](const Result<HttpResponse>&) { ++heard; }); });
  ASSERT_TRUE(wait_for([&] { return held.size() == 1; }));
  on_loop([&] { client.reset(); });
  release_one();
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(heard, 0);
}

// --- streams ---

// What a stream told, in order; read under the lock.
struct Told {
  std::mutex mutex;
  std::condition_variable changed;
  std::string text;
  bool ended = false;

  void add(const std::string& what, bool last = false) {
    const std::lock_guard lock(mutex);
    text += what;
    ended = ended || last;
    changed.notify_all();
  }
  std::string wait_for(const std::string& end) {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, 5s, [&] { return text.ends_with(end) || ended; });
    return text;
  }
  std::string wait_for_end() {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, 5s, [&] { return ended; });
    return text;
  }
};

class AsyncStream : public AsyncClient {
 protected:
  ~AsyncStream() override {
    on_loop([this] { stream.reset(); });
  }
  void open(const std::string& target, int64_t idle_ms = 0) {
    HttpStreamHandler handler;
    handler.on_head = [this](const HttpResponse& head) {
      told.add("[" + std::to_string(head.status) + " " + head.body + "]");
    };
    handler.on_data = [this](std::string_view data) { told.add(std::string(data)); };
    handler.on_end = [this](const Status& status) {
      told.add(status ? "[end]" : "[" + status.error().text() + "]", true);
    };
    on_loop([&] { stream = client->open({.target = target, .timeout_ms = idle_ms}, std::move(handler)); });
  }
  std::shared_ptr<BodyStream> body() {
    EXPECT_TRUE(wait_for([&] { return !streams.empty(); }));
    return streams.at(0);
  }

  Told told;
  std::unique_ptr<HttpStream> stream;
};

TEST_F(AsyncStream, TellsPiecesAsTheyComeAndTheEnd) {
  serve();
  make({.url = url()});
  open("/stream");
  EXPECT_EQ(told.wait_for("one "), "[200 ]one ");
  body()->write("two ");
  EXPECT_EQ(told.wait_for("two "), "[200 ]one two ");
  body()->close();
  EXPECT_EQ(told.wait_for_end(), "[200 ]one two [end]");
}

TEST_F(AsyncStream, IsNotCountedAmongTheConnections) {
  serve();
  make({.url = url(), .connections_max = 1});
  open("/stream");
  told.wait_for("one ");
  EXPECT_TRUE(get("/"));
}

TEST_F(AsyncStream, EndsWhenNothingComes) {
  serve();
  make({.url = url()});
  open("/stream", 100);
  EXPECT_THAT(told.wait_for_end(), HasSubstr("[200 ]one ["));
  EXPECT_THAT(told.wait_for_end(), HasSubstr("no answer in time"));
}

TEST_F(AsyncStream, OneThatIsCutIsAnError) {
  ScriptedServer scripted({{.answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n5\r\ntw"}});
  make({.url = scripted.url()});
  open("/");
  EXPECT_THAT(told.wait_for_end(), HasSubstr("[200 ]onetw["));
  EXPECT_THAT(told.wait_for_end(), HasSubstr("the connection was closed"));
}

TEST_F(AsyncStream, AnotherAnswerComesWithItsBody) {
  ScriptedServer scripted({{.answer = "HTTP/1.1 410 Gone\r\nContent-Length: 3\r\n\r\nold"}});
  make({.url = scripted.url()});
  open("/");
  EXPECT_EQ(told.wait_for_end(), "[410 old][end]");
}

TEST_F(AsyncStream, TellsNothingOnceItIsLetGoOf) {
  serve();
  make({.url = url()});
  open("/stream");
  told.wait_for("one ");
  on_loop([this] { stream.reset(); });
  body()->write("two ");
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(told.wait_for("one "), "[200 ]one ");
}

}  // namespace
}  // namespace fmesh::net
