// A client that has said who it is sends whatever it likes: the server ends the connection or answers, it does not
// crash, and another client is served as before. The input is a list of commands, each with a length byte pair before
// it; with the top bit of the first set, the next bytes are an entry that belongs to it.
//
// The server runs as it is, over loopback: the loop, the worker and the log have their threads.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stream/pulsar/wire/commands.pb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "sim/memory_disk.h"
#include "stream/log/log.h"
#include "stream/pulsar/server/server.h"
#include "stream/pulsar/wire/frame.h"

namespace {

using namespace fmesh;
namespace wire = stream::pulsar::wire;
using wire::proto::BaseCommand;

constexpr int kWaitMs = 5'000;
// What one input may make of topics and subscriptions is dropped with the log after so many.
constexpr int kInputsPerLog = 500;

struct World {
  SystemClock clock;
  sim::MemoryDisk disk;
  std::unique_ptr<stream::log::Log> log;
  std::unique_ptr<stream::pulsar::server::Server> server;

  World() {
    stream::log::LogOptions options;
    options.directory = "/data";
    options.state_directory = "/tmp";
    auto opened = stream::log::Log::open(disk, clock, std::move(options));
    if (!opened) __builtin_trap();
    log = std::move(*opened);
    stream::pulsar::server::ServerOptions serve;
    serve.address = "127.0.0.1:0";
    auto started = stream::pulsar::server::Server::start(clock, *log, serve);
    if (!started) __builtin_trap();
    server = std::move(*started);
  }
};

int connect_to(uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) __builtin_trap();
  return fd;
}

std::string hello() {
  BaseCommand connect;
  connect.set_type(BaseCommand::CONNECT);
  connect.mutable_connect()->set_client_version("fuzz");
  connect.mutable_connect()->set_protocol_version(21);
  std::string bytes;
  wire::append_frame(bytes, connect);
  return bytes;
}

std::string frames_of(std::string_view input) {
  std::string bytes;
  const auto take = [&](size_t count) {
    const std::string_view part = input.substr(0, std::min(count, input.size()));
    input.remove_prefix(part.size());
    return part;
  };
  while (input.size() >= 2) {
    const auto high = static_cast<uint8_t>(input[0]);
    const size_t size = (high & 0x0fU) << 8 | static_cast<uint8_t>(input[1]);
    input.remove_prefix(2);
    BaseCommand command;
    const std::string_view part = take(size);
    if (!command.ParsePartialFromArray(part.data(), static_cast<int>(part.size())) || !command.IsInitialized())
      continue;
    if ((high & 0x80U) == 0) {
      wire::append_frame(bytes, command);
      continue;
    }
    const std::string_view entry = take(64);
    bytes += wire::frame_head(command, entry);
    bytes += entry;
  }
  return bytes;
}

// Whether a ping is answered after all that; false if the connection was ended.
bool answers(int fd) {
  BaseCommand ping;
  ping.set_type(BaseCommand::PING);
  ping.mutable_ping();
  std::string bytes;
  wire::append_frame(bytes, ping);
  ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  wire::FrameReader reader;
  wire::Frame frame;
  while (true) {
    const auto next = reader.next(frame);
    if (!next) __builtin_trap();  // the server itself speaks the protocol
    if (*next) {
      if (frame.command != nullptr && frame.command->type() == BaseCommand::PONG) return true;
      continue;
    }
    pollfd waiting{fd, POLLIN, 0};
    if (::poll(&waiting, 1, kWaitMs) <= 0) __builtin_trap();  // it hangs
    const auto room = reader.room();
    const ssize_t count = ::recv(fd, room.data(), room.size(), 0);
    if (count <= 0) return false;
    reader.received(static_cast<size_t>(count));
  }
}

void send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static std::unique_ptr<World> world;
  static int inputs = 0;
  if (inputs++ % kInputsPerLog == 0) {
    world.reset();
    world = std::make_unique<World>();
  }
  const int fd = connect_to(world->server->port());
  send_all(fd, hello() + frames_of({reinterpret_cast<const char*>(data), size}));
  answers(fd);
  ::close(fd);
  const int other = connect_to(world->server->port());
  send_all(other, hello());
  if (!answers(other)) __builtin_trap();
  ::close(other);
  return 0;
}
