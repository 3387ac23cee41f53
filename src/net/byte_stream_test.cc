#include "net/byte_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <condition_variable>
#include <mutex>

#include "base/clock.h"

namespace fmesh::net {
namespace {

constexpr auto kLimit = std::chrono::seconds(10);

// One end of a connection that keeps what it received. Its fields are guarded; its stream is used on the loop.
class End {
 public:
  void adopt(std::unique_ptr<ByteStream> stream, bool echo) {
    stream_ = std::move(stream);
    stream_->start({.room = [this] { return std::span<char>(room_); },
                    .received =
                        [this, echo](size_t count) {
                          const std::string piece(room_.data(), count);
                          if (echo) stream_->write(std::array{SharedBytes(piece)});
                          change([&] { received_ += piece; });
                        },
                    .drained = {},
                    .ended = [this](const Error& error) { change([&] { ended_ = error.text(); }); }});
    change([&] { open_ = true; });
  }
  void refuse(const Error& error) {
    change([&] { ended_ = error.text(); });
  }
  std::string wait_for(size_t size) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kLimit, [&] { return received_.size() >= size; });
    return received_;
  }
  std::string wait_for_end() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kLimit, [&] { return ended_.has_value(); });
    return ended_.value_or("not ended");
  }
  bool wait_open() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kLimit, [&] { return open_ || ended_; }) && open_;
  }
  std::unique_ptr<ByteStream> stream_;  // on the loop

 private:
  template <class Change>
  void change(Change change) {
    {
      const std::lock_guard lock(mutex_);
      change();
    }
    changed_.notify_all();
  }
  std::array<char, 1000> room_{};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string received_;
  std::optional<std::string> ended_;
  bool open_ = false;
};

struct ByteStreamTest : testing::Test {
  void on_loop(const std::function<void()>& task) {
    std::mutex mutex;
    std::condition_variable done;
    bool ran = false;
    loop->post([&] {
      task();
      const std::lock_guard lock(mutex);
      ran = true;
      done.notify_all();
    });
    std::unique_lock lock(mutex);
    ASSERT_TRUE(done.wait_for(lock, kLimit, [&] { return ran; }));
  }
  void listen(std::optional<KeyPair> tls = {}, size_t connections_max = 100) {
    on_loop([&] {
      auto made = listen_streams(*loop, {.address = "127.0.0.1:0", .tls = tls, .connections_max = connections_max},
                                 [this](std::unique_ptr<ByteStream> stream) { server.adopt(std::move(stream), true); });
      ASSERT_TRUE(made.has_value()) << made.error().text();
      listener = std::move(*made);
    });
  }
  void connect(std::optional<TlsIdentity> tls = {}, const std::string& host = "127.0.0.1") {
    connect_stream(*loop, {.host = host, .port = listener->port(), .tls = tls},
                   [this](Result<std::unique_ptr<ByteStream>> stream) {
                     if (!stream) return client.refuse(stream.error());
                     client.adopt(std::move(*stream), false);
                   });
  }
  void write(const std::string& text) {
    on_loop([&] { client.stream_->write(std::array{SharedBytes(text)}); });
  }
  void TearDown() override {
    on_loop([&] {
      client.stream_ = nullptr;
      server.stream_ = nullptr;
      listener = nullptr;
    });
    loop->stop();
  }

  SystemClock clock;
  std::unique_ptr<IoLoop> loop = IoLoop::start(clock, "test");
  std::unique_ptr<StreamListener> listener;
  End client, server;
};

struct Certificates {
  KeyPair authority = make_authority({.common_name = "a", .not_after_ms = kLateMs}).value();
  KeyPair serving =
      make_serving({.common_name = "s", .dns_names = {"localhost"}, .not_after_ms = kLateMs}, authority).value();
  static constexpr int64_t kLateMs = 4'000'000'000'000;
};

TEST_F(ByteStreamTest, CarriesBytesBothWaysInOrder) {
  listen();
  connect();
  ASSERT_TRUE(client.wait_open());
  std::string all;
  for (int i = 0; i < 3'000; ++i) {
    const std::string piece(static_cast<size_t>(i), static_cast<char>('a' + i % 26));
    all += piece;
    write(piece);
  }
  EXPECT_EQ(client.wait_for(all.size()), all);
  on_loop([&] { EXPECT_EQ(client.stream_->queued_bytes(), 0U); });
}

TEST_F(ByteStreamTest, CarriesBytesOverTls) {
  const Certificates certificates;
  listen(certificates.serving);
  connect(TlsIdentity{.ca = certificates.authority.certificate}, "localhost");
  ASSERT_TRUE(client.wait_open()) << client.wait_for_end();
  std::string all;
  for (int i = 0; i < 500; ++i) {
    const std::string piece(static_cast<size_t>(i), static_cast<char>('a' + i % 26));
    all += piece;
    write(piece);
  }
  EXPECT_EQ(client.wait_for(all.size()), all);
}

TEST_F(ByteStreamTest, AServerThatIsNotTrustedIsForAPersonToMend) {
  const Certificates certificates, others;
  listen(certificates.serving);
  connect(TlsIdentity{.ca = others.authority.certificate}, "localhost");
  EXPECT_THAT(client.wait_for_end(), testing::HasSubstr("TLS: certificate verify failed"));
}

TEST_F(ByteStreamTest, ACertificateForAnotherNameIsRefused) {
  const Certificates certificates;
  listen(certificates.serving);
  connect(TlsIdentity{.ca = certificates.authority.certificate, .server_name = "other.example"}, "localhost");
  EXPECT_THAT(client.wait_for_end(), testing::HasSubstr("TLS: certificate verify failed"));
}

TEST_F(ByteStreamTest, TheEndOfThePeerIsToldOnce) {
  listen();
  connect();
  ASSERT_TRUE(client.wait_open());
  write("x");
  ASSERT_EQ(client.wait_for(1), "x");
  on_loop([&] { server.stream_ = nullptr; });
  EXPECT_THAT(client.wait_for_end(), testing::HasSubstr("closed by the other side"));
}

TEST_F(ByteStreamTest, WhatIsQueuedLeavesBeforeAClose) {
  listen();
  connect();
  ASSERT_TRUE(client.wait_open());
  const std::string large(5'000'000, 'x');
  on_loop([&] {
    client.stream_->write(std::array{SharedBytes(large)});
    client.stream_->close_after_writes();
    client.stream_->write(std::array{SharedBytes(std::string("too late"))});
  });
  EXPECT_EQ(server.wait_for(large.size()).size(), large.size());
  EXPECT_THAT(server.wait_for_end(), testing::HasSubstr("closed by the other side"));
}

TEST_F(ByteStreamTest, APausedReaderSlowsThePeerDown) {
  listen();
  connect();
  ASSERT_TRUE(client.wait_open());
  ASSERT_TRUE(server.wait_open());
  write("x");
  ASSERT_EQ(client.wait_for(1), "x");
  on_loop([&] { server.stream_->pause_reading(true); });
  const std::string large(32 * 1024 * 1024, 'x');
  write(large);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  on_loop([&] { EXPECT_GT(client.stream_->queued_bytes(), 0U); });
  on_loop([&] { server.stream_->pause_reading(false); });
  EXPECT_EQ(client.wait_for(large.size() + 1).size(), large.size() + 1);
}

TEST_F(ByteStreamTest, AnAddressWhereNobodyListensIsToldAtOnce) {
  listen();
  const uint16_t port = listener->port();
  on_loop([&] { listener = nullptr; });
  connect_stream(*loop, {.host = "127.0.0.1", .port = port},
                 [this](Result<std::unique_ptr<ByteStream>> stream) { client.refuse(stream.error()); });
  EXPECT_THAT(client.wait_for_end(), testing::HasSubstr("Connection refused"));
}

TEST_F(ByteStreamTest, ConnectionsBeyondTheBoundAreClosed) {
  listen({}, 1);
  connect();
  ASSERT_TRUE(client.wait_open());
  End other;
  connect_stream(*loop, {.host = "127.0.0.1", .port = listener->port()},
                 [&other](Result<std::unique_ptr<ByteStream>> stream) {
                   if (!stream) return other.refuse(stream.error());
                   other.adopt(std::move(*stream), false);
                 });
  EXPECT_THAT(other.wait_for_end(), testing::HasSubstr("closed by the other side"));
  on_loop([&] { other.stream_ = nullptr; });
}

TEST_F(ByteStreamTest, AnAddressInUseIsExplained) {
  listen();
  const std::string address = "127.0.0.1:" + std::to_string(listener->port());
  on_loop([&] {
    const auto second = listen_streams(*loop, {.address = address}, [](std::unique_ptr<ByteStream>) {});
    ASSERT_FALSE(second.has_value());
    EXPECT_THAT(second.error().text(), testing::HasSubstr(address));
    EXPECT_THAT(second.error().text(), testing::HasSubstr("choose another port"));
  });
}

}  // namespace
}  // namespace fmesh::net
