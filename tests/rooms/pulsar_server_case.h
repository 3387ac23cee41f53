// A server in front of a real log in a folder of its own, for tests that drive it by commands.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/disk.h"
#include "pulsar_wire_client.h"
#include "stream/log/log.h"
#include "stream/pulsar/server/server.h"

namespace fmesh::stream::pulsar::server {

namespace proto = wire::proto;
using test::Got;
using test::texts_of;
using test::WireClient;

inline constexpr const char* kTopic = "persistent://public/default/orders";

class PulsarServer : public testing::Test {
 protected:
  void SetUp() override {
    std::string directory = testing::TempDir() + "/pulsar-server-XXXXXX";
    ASSERT_NE(::mkdtemp(directory.data()), nullptr);
    directory_ = directory;
    open();
  }
  void TearDown() override {
    server_.reset();
    log_.reset();
    std::filesystem::remove_all(directory_);
  }
  void open(ServerOptions options = {}, StreamOptions streams = {}) {
    server_.reset();
    log_.reset();
    log::LogOptions log_options;
    log_options.directory = directory_;
    log_options.stream_defaults = streams;
    auto log = log::Log::open(*disk_, clock_, std::move(log_options));
    ASSERT_TRUE(log) << log.error().text();
    log_ = std::move(*log);
    options.address = "127.0.0.1:0";
    auto server = Server::start(clock_, *log_, options);
    ASSERT_TRUE(server) << server.error().text();
    server_ = std::move(*server);
  }
  std::unique_ptr<WireClient> client() {
    auto client = std::make_unique<WireClient>(server_->port());
    EXPECT_EQ(client->connect().command.type(), proto::BaseCommand::CONNECTED);
    return client;
  }
  // Sends one record per text and waits for the receipts.
  static void fill(WireClient& client, int first, int count, uint64_t producer_id = 1) {
    for (int i = first; i < first + count; ++i)
      client.send_records({std::to_string(i)}, static_cast<uint64_t>(i), producer_id);
    for (int i = first; i < first + count; ++i) {
      const auto receipt = client.next(proto::BaseCommand::SEND_RECEIPT);
      ASSERT_TRUE(receipt);
      EXPECT_EQ(receipt->command.send_receipt().sequence_id(), static_cast<uint64_t>(i));
    }
  }

  SystemClock clock_;
  std::unique_ptr<Disk> disk_ = make_posix_disk();
  std::string directory_;
  std::unique_ptr<log::Log> log_;
  std::unique_ptr<Server> server_;
};

}  // namespace fmesh::stream::pulsar::server
