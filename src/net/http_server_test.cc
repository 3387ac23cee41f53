#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <mutex>
#include <thread>

#include "net/http.h"
#include "net/http_testing.h"

namespace fmesh::net {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class ServerTest : public testing::Test {
 protected:
  void SetUp() override {
    options.address = "127.0.0.1:0";
    options.body_size_max_bytes = 100'000;
    options.header_timeout_ms = 300;
    options.idle_timeout_ms = 300;
    options.request_timeout_ms = 1'000;
  }

  // Answers with what it got; /late later, /never not at all, /stream as a stream, /big with 8 MB.
  void answer(HttpRequest request, Respond respond) {
    HttpResponse response;
    if (request.path == "/never") {
      const std::lock_guard lock(mutex);
      held.push_back(std::move(respond));
      return;
    }
    if (request.path == "/drop") return;
    if (request.path == "/stream") {
      response.stream = [this](const std::shared_ptr<BodyStream>& body) {
        body->write("one\n");
        const std::lock_guard lock(mutex);
        streams.push_back(body);
      };
      return respond(std::move(response));
    }
    response.body =
        request.path == "/big" ? std::string(8'000'000, 'x') : request.method + " " + request.path + " " + request.body;
    if (request.path == "/host") response.body = request.headers["host"];
    if (request.path == "/headers") response.body = request.headers["x-two"];
    if (request.path == "/query") response.body = request.query["a"] + "|" + request.query["b"];
    respond(std::move(response));
  }

  void start() {
    auto started = HttpServer::start(options, [this](HttpRequest request, Respond respond) {
      ++requests;
      answer(std::move(request), std::move(respond));
    });
    ASSERT_TRUE(started) << started.error().text();
    server = std::move(*started);
  }

  // Sends `bytes` on a connection of its own and reads until the server closes it.
  std::string exchange(std::string_view bytes) {
    RawPeer peer(server->port());
    peer.send(bytes);
    return peer.read_until("");
  }

  // The last answer that /never holds back.
  Respond held_back() {
    for (int i = 0; i < 500; ++i) {
      {
        const std::lock_guard lock(mutex);
        if (!held.empty()) return held.back();
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return [](const HttpResponse&) {};
  }

  std::shared_ptr<BodyStream> wait_for_stream() {
    for (int i = 0; i < 500; ++i) {
      {
        const std::lock_guard lock(mutex);
        if (!streams.empty()) return streams.back();
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return nullptr;
  }

  HttpServerOptions options;
  std::atomic<int> requests{0};
  std::mutex mutex;
  std::vector<Respond> held;
  std::vector<std::shared_ptr<BodyStream>> streams;
  std::unique_ptr<HttpServer> server;
};

constexpr std::string_view kGet = "GET /a HTTP/1.1\r\nHost: here\r\n\r\n";
constexpr std::string_view kGetAndClose = "GET /a HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n";

TEST_F(ServerTest, AnswersPipelinedRequestsInOrder) {
  start();
  const std::string got = exchange(
      "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nabGET /2 HTTP/1.1\r\nHost: h\r\n\r\n"
      "GET /3 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /4 HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_LT(got.find("POST /1 ab"), got.find("GET /2 "));
  EXPECT_LT(got.find("GET /2 "), got.find("GET /3 "));
  EXPECT_EQ(got.find("/4"), std::string::npos);
  EXPECT_EQ(requests, 3);
}

TEST_F(ServerTest, KeepsAConnectionForTheNextRequestAndClosesItWhenIdle) {
  start();
  RawPeer peer(server->port());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(peer.send(kGet));
    EXPECT_THAT(peer.read_until("GET /a "), StartsWith("HTTP/1.1 200"));
  }
  EXPECT_EQ(peer.read_until(""), "");
  EXPECT_TRUE(peer.closed());
}

TEST_F(ServerTest, ClosesAfterAnswerToHttp10) {
  start();
  EXPECT_THAT(exchange("GET /a HTTP/1.0\r\n\r\n"), HasSubstr("GET /a "));
}

TEST_F(ServerTest, AnswersAPeerThatHasHalfClosed) {
  start();
  RawPeer peer(server->port());
  peer.send(kGet);
  peer.half_close();
  EXPECT_THAT(peer.read_until(""), HasSubstr("GET /a "));
}

TEST_F(ServerTest, AsksForTheBodyThatAPeerHoldsBack) {
  start();
  RawPeer peer(server->port());
  peer.send("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(peer.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  peer.send("hello");
  EXPECT_THAT(peer.read_until(""), HasSubstr("POST /p hello"));
}

TEST_F(ServerTest, RefusesABodyBeforeItIsSent) {
  start();
  EXPECT_THAT(exchange("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100001\r\nExpect: 100-continue\r\n\r\n"),
              StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(exchange("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: miracles\r\n\r\n"),
              StartsWith("HTTP/1.1 417 "));
  EXPECT_EQ(requests, 0);
}

TEST_F(ServerTest, ThePeerReadsTheRefusalOfABodyItGoesOnSending) {
  start();
  RawPeer peer(server->port());
  peer.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n");
  EXPECT_TRUE(peer.send(std::string(3'000'000, 'b')));
  EXPECT_THAT(peer.read_until(""), StartsWith("HTTP/1.1 413 "));
  EXPECT_FALSE(peer.reset());
}

TEST_F(ServerTest, RefusesWhatIsTooLarge) {
  start();
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\n";
  const std::string chunk = "10000\r\n" + std::string(0x10000, 'c') + "\r\n";
  EXPECT_THAT(exchange(head + "Transfer-Encoding: chunked\r\n\r\n" + chunk + chunk), StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(exchange(head + "X: " + std::string(kHeaderSizeMaxBytes, 'x') + "\r\n\r\n"), StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(exchange("GET /" + std::string(2 * kHeaderSizeMaxBytes, 'x')), StartsWith("HTTP/1.1 431 "));
  EXPECT_EQ(requests, 0);
}

TEST_F(ServerTest, AChunkHeaderWithoutEndDoesNotGrow) {
  start();
  const std::string got = exchange("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;" +
                                   std::string(4 * kHeaderSizeMaxBytes, 'e'));
  EXPECT_THAT(got, StartsWith("HTTP/1.1 400 "));
  EXPECT_EQ(requests, 0);
}

TEST_F(ServerTest, RefusesWhatIsNotHttp) {
  start();
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\n";
  for (const std::string& bytes : {
           std::string("hello\r\n\r\n"),
           std::string("\x16\x03\x01\x02", 4) + std::string(512, '\1'),  // TLS
           std::string("GET /a b HTTP/1.1\r\nHost: h\r\n\r\n"),
           std::string("GET / HTTP/1.1\r\nHost: h\r\nNo colon\r\n\r\n"),
           std::string("GET / HTTP/1.1\r\nHost : h\r\n\r\n"),
           std::string("GET / HTTP/1.1\r\n\r\n"),  // no Host
           std::string("GET / HTTP/1.1\r\nHost: a\r\nHost: localhost\r\n\r\n"),
           std::string("GET http://a\x01/ HTTP/1.1\r\nHost: a\r\n\r\n"),
           std::string("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
           std::string("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n"),
           std::string("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n"),
           head + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
           head + "Transfer-Encoding: chunked\r\n\r\n-1\r\n",
           head + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
           head + "Transfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n",
           head + "Content-Length: -1\r\n\r\n",
           head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
           head + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
           head + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
       }) {
    EXPECT_THAT(exchange(bytes), StartsWith("HTTP/1.1 400 ")) << bytes;
  }
  EXPECT_EQ(requests, 0);
  EXPECT_THAT(exchange(kGetAndClose), StartsWith("HTTP/1.1 200 "));
}

TEST_F(ServerTest, TheAuthorityOfTheTargetReplacesTheHost) {
  start();
  EXPECT_THAT(exchange("GET http://evil.example:1/host HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
              HasSubstr("\r\n\r\nevil.example:1"));
}

TEST_F(ServerTest, GivesTheHandlerDecodedQueriesAndJoinedHeaders) {
  start();
  EXPECT_THAT(exchange("GET /query?a=%C3%A4+1&b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
              HasSubstr("\r\n\r\n\xC3\xA4 1|"));
  EXPECT_THAT(exchange("GET /headers HTTP/1.1\r\nHost: h\r\nX-Two: 1\r\nx-two: 2\r\nConnection: close\r\n\r\n"),
              HasSubstr("\r\n\r\n1, 2"));
}

TEST_F(ServerTest, AHeadHasNoBody) {
  start();
  const std::string got = exchange("HEAD /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(got, HasSubstr("Content-Length: 8\r\n"));
  EXPECT_TRUE(got.ends_with("\r\n\r\n")) << got;
  EXPECT_TRUE(exchange("HEAD /stream HTTP/1.1\r\nHost: h\r\n\r\n").ends_with("\r\n\r\n"));
}

TEST_F(ServerTest, SlowHeadersAndBodiesEndInTime) {
  start();
  const auto begin = std::chrono::steady_clock::now();
  RawPeer header(server->port());
  std::thread slowly([&] {
    for (int i = 0; i < 20 && header.send(i == 0 ? "GET / HTTP/1.1\r\n" : "x: y\r\n"); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
  });
  RawPeer body(server->port());
  body.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab");
  EXPECT_EQ(body.read_until(""), "");
  EXPECT_EQ(header.read_until(""), "");
  EXPECT_TRUE(body.closed() && header.closed());
  slowly.join();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(4));
  EXPECT_EQ(requests, 0);
}

TEST_F(ServerTest, ABodyThatTricklesEndsAtTheLimitOfTheWholeRequest) {
  start();
  RawPeer peer(server->port());
  peer.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 500\r\n\r\n");
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 50 && !peer.closed(); ++i) {
    peer.send("x");
    peer.read_until("", 100);
  }
  EXPECT_TRUE(peer.closed());
  EXPECT_GT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(options.request_timeout_ms - 200));
}

TEST_F(ServerTest, APeerThatNeverReadsLosesItsConnection) {
  start();
  RawPeer peer(server->port());
  peer.send("GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
  std::this_thread::sleep_for(std::chrono::milliseconds(1'000));
  const std::string got = peer.read_until("");
  EXPECT_TRUE(peer.closed());
  EXPECT_LT(got.size(), 8'000'000U);
}

TEST_F(ServerTest, AStreamThatIsNotReadRefusesMoreAndEnds) {
  start();
  RawPeer peer(server->port());
  peer.send("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
  const std::shared_ptr<BodyStream> stream = wait_for_stream();
  ASSERT_TRUE(stream);
  size_t taken = 0;
  // The kernel takes some megabytes too, bit by bit.
  for (int i = 0; i < 20; ++i) {
    while (taken < 100 * kStreamBufferMaxBytes && stream->write(std::string(100'000, 's'))) taken += 100'000;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_LT(taken, 100 * kStreamBufferMaxBytes);
  std::this_thread::sleep_for(std::chrono::milliseconds(600));
  EXPECT_FALSE(stream->write("x"));
}

TEST_F(ServerTest, StreamsInChunksAndToHttp10WithoutThem) {
  start();
  RawPeer peer(server->port());
  peer.send("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(peer.read_until("one\n\r\n"), HasSubstr("\r\n\r\n4\r\none\n\r\n"));
  wait_for_stream()->write("two\n");
  wait_for_stream()->close();
  EXPECT_EQ(peer.read_until(""), "4\r\ntwo\n\r\n0\r\n\r\n");

  RawPeer old(server->port());
  old.send("GET /stream HTTP/1.0\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(old.read_until("one\n").ends_with("\r\n\r\none\n"));
  wait_for_stream()->write("two\n");
  wait_for_stream()->close();
  EXPECT_EQ(old.read_until(""), "two\n");
}

TEST_F(ServerTest, AStreamNoticesThatItsPeerWentAway) {
  start();
  {
    RawPeer peer(server->port());
    peer.send("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    peer.read_until("one\n");
  }
  bool open = true;
  for (int i = 0; i < 300 && open; ++i) {
    open = wait_for_stream()->write("x");
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_FALSE(open);
}

TEST_F(ServerTest, ConnectionsBeyondTheBoundAreToldSo) {
  options.connections_max = 4;
  options.idle_timeout_ms = 10'000;
  start();
  std::vector<std::unique_ptr<RawPeer>> peers;
  for (size_t i = 0; i < 4; ++i) {
    peers.push_back(std::make_unique<RawPeer>(server->port()));
    peers.back()->send(kGet);
    EXPECT_THAT(peers.back()->read_until("GET /a "), StartsWith("HTTP/1.1 200 "));
  }
  EXPECT_THAT(exchange(kGet), StartsWith("HTTP/1.1 503 "));
  for (size_t i = 0; i < 3 * kTurnedAwayMax; ++i) peers.push_back(std::make_unique<RawPeer>(server->port()));
  peers.clear();
  std::string got;
  for (int i = 0; i < 100 && !got.starts_with("HTTP/1.1 200 "); ++i) got = exchange(kGetAndClose);
  EXPECT_THAT(got, StartsWith("HTTP/1.1 200 "));
}

TEST_F(ServerTest, LargeBodiesOfManyAtOnceAreBounded) {
  options.body_size_max_bytes = kRequestBodiesMaxBytes;
  options.idle_timeout_ms = options.request_timeout_ms = 10'000;
  start();
  const std::string head =
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(kRequestBodiesMaxBytes) + "\r\n\r\n";
  RawPeer first(server->port()), second(server->port());
  const std::string part(kRequestBodiesMaxBytes - 1'000'000, 'b');
  EXPECT_TRUE(first.send(head) && first.send(part));
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_TRUE(second.send(head) && second.send(std::string(4'000'000, 'b')));
  EXPECT_THAT(second.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 503 "));
  first.send(std::string(1'000'000, 'b'));
  EXPECT_THAT(first.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(ServerTest, ARequestThatTheHandlerDropsIsAnswered500) {
  start();
  EXPECT_THAT(exchange("GET /drop HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"), StartsWith("HTTP/1.1 500 "));
}

TEST_F(ServerTest, StopsAtOnceWhenConnectionsAreIdle) {
  options.idle_timeout_ms = 10'000;
  start();
  RawPeer peer(server->port());
  peer.send(kGet);
  peer.read_until("GET /a ");
  const auto begin = std::chrono::steady_clock::now();
  server->stop(5'000);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
  EXPECT_EQ(peer.read_until(""), "");
  EXPECT_TRUE(peer.closed());
}

TEST_F(ServerTest, StopEndsStreamsProperlyAndLetsGoOfAnswersThatNeverCome) {
  start();
  RawPeer stream(server->port()), waiting(server->port());
  stream.send("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
  waiting.send("GET /never HTTP/1.1\r\nHost: h\r\n\r\n");
  stream.read_until("one\n\r\n");
  held_back();
  server->stop(100);
  EXPECT_EQ(stream.read_until(""), "0\r\n\r\n");
  EXPECT_EQ(waiting.read_until(""), "");
  EXPECT_TRUE(waiting.closed());
  server.reset();
  EXPECT_FALSE(wait_for_stream()->write("late"));
  for (const Respond& respond : held) respond({});  // nobody is there any more; nothing happens
}

TEST_F(ServerTest, AnAnswerUnderWayIsFinishedBeforeStopEnds) {
  start();
  RawPeer peer(server->port());
  peer.send("GET /never HTTP/1.1\r\nHost: h\r\n\r\n");
  const Respond respond = held_back();
  auto stopped = std::async(std::launch::async, [&] { server->stop(5'000); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  HttpResponse response;
  response.body = "late";
  respond(std::move(response));
  EXPECT_THAT(peer.read_until("late"), HasSubstr("Connection: close\r\n"));
}

TEST(Listen, SaysWhyAndWhatToDo) {
  const auto nothing = [](const HttpRequest&, const Respond&) {};
  const auto error_of = [&](const std::string& address) {
    auto server = HttpServer::start({.address = address, .tls = {}}, nothing);
    return server ? std::string("listens") : server.error().text();
  };
  auto first = HttpServer::start({.address = "127.0.0.1:0", .tls = {}}, nothing);
  ASSERT_TRUE(first);
  const std::string taken = "127.0.0.1:" + std::to_string((*first)->port());
  EXPECT_EQ(
      error_of(taken),
      "listen on " + taken + ": Address already in use; stop the program that listens there or choose another port");
  EXPECT_THAT(error_of("192.0.2.1:0"), HasSubstr("no network interface here has this address"));
  EXPECT_THAT(error_of("example.org:80"), HasSubstr("is not an IP address"));
  EXPECT_THAT(error_of("::1:80"), HasSubstr("expected HOST:PORT, [IPV6]:PORT or unix:PATH"));
  EXPECT_THAT(error_of("127.0.0.1:65536"), HasSubstr("is not an address"));
}

class UnixSocketTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "fmesh-net-XXXXXX";
    folder = ::mkdtemp(name.data());
    path = folder + "/s.sock";
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  Result<std::unique_ptr<HttpServer>> listen(const std::string& where) {
    return HttpServer::start({.address = "unix:" + where, .tls = {}},
                             [](const HttpRequest& request, const Respond& respond) {
                               HttpResponse response;
                               response.body = request.from_unix_socket ? "unix" : "other";
                               respond(std::move(response));
                             });
  }
  std::string ask() {
    auto client = HttpClient::make({.url = "unix:" + path, .tls = {}});
    auto response = (*client)->send({});
    return response ? response->body : response.error().text();
  }
  std::string folder, path;
};

TEST_F(UnixSocketTest, OnlyItsOwnerMayOpenIt) {
  auto server = listen(path);
  ASSERT_TRUE(server) << server.error().text();
  struct stat found{};
  ASSERT_EQ(::lstat(path.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0600U);
  EXPECT_EQ(ask(), "unix");
  server->reset();
  EXPECT_NE(::lstat(path.c_str(), &found), 0) << "the socket is left behind";
}

TEST_F(UnixSocketTest, ReplacesTheSocketOfADeadProcessOnly) {
  const int left = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(left, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::close(left);
  auto server = listen(path);
  ASSERT_TRUE(server) << server.error().text();
  EXPECT_EQ(ask(), "unix");
  auto second = listen(path);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().text(), HasSubstr("another process listens there"));
  EXPECT_EQ(ask(), "unix");
}

TEST_F(UnixSocketTest, DoesNotDeleteAFileOfSomebodyElse) {
  std::ofstream(path) << "precious";
  auto server = listen(path);
  ASSERT_FALSE(server);
  EXPECT_THAT(server.error().text(), HasSubstr("a file that is not a socket lies there"));
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST_F(UnixSocketTest, SaysThatAPathIsTooLong) {
  const std::string deep = folder + "/" + std::string(120, 'd');
  auto server = listen(deep);
  ASSERT_FALSE(server);
  EXPECT_THAT(server.error().text(), HasSubstr("at most 107 bytes"));
  auto client = HttpClient::make({.url = "unix:" + deep, .tls = {}});
  ASSERT_FALSE(client);
  EXPECT_THAT(client.error().text(), HasSubstr("too long"));
}

}  // namespace
}  // namespace fmesh::net
