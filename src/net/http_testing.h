// What the tests of the room share: a client and a server that send any bytes they like.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace fmesh::net {

// A TCP connection to a port of 127.0.0.1 without any idea of HTTP.
class RawPeer {
 public:
  explicit RawPeer(uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~RawPeer() { ::close(fd_); }
  RawPeer(const RawPeer&) = delete;

  bool connected() const { return connected_; }
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  void half_close() { ::shutdown(fd_, SHUT_WR); }

  // Reads until `end` was seen or, if it is empty, until the peer closes; gives up after `limit_ms`.
  std::string read_until(std::string_view end, int64_t limit_ms = 5'000) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(limit_ms);
    while (end.empty() || !got_.contains(end)) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
      pollfd readable{fd_, POLLIN, 0};
      if (left <= 0 || ::poll(&readable, 1, static_cast<int>(left)) <= 0) break;
      char bytes[4096];
      const ssize_t n = ::recv(fd_, bytes, sizeof bytes, 0);
      reset_ = n < 0;
      closed_ = n <= 0;
      if (n <= 0) break;
      got_.append(bytes, static_cast<size_t>(n));
    }
    return std::exchange(got_, {});
  }
  // What read_until() ended with.
  bool closed() const { return closed_; }
  bool reset() const { return reset_; }

 private:
  int fd_;
  bool connected_ = false, closed_ = false, reset_ = false;
  std::string got_;
};

// Accepts connections one after the other and plays a script on each: reads a request, sends the bytes, closes.
class ScriptedServer {
 public:
  struct Turn {
    std::string answer;
    bool keep = false;  // the next turn is on the same connection
    int64_t wait_ms = 0;
    bool read = true;
  };

  explicit ScriptedServer(std::vector<Turn> turns)
      : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), turns_(std::move(turns)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ::bind(listener_, reinterpret_cast<sockaddr*>(&address), size);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    ::listen(listener_, 16);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { play(); });
  }
  ~ScriptedServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  // REQUIRES: all turns are over.
  const std::string& received() const { return received_; }
  int turns_played() const { return played_; }

 private:
  void play() {
    int fd = -1;
    for (const Turn& turn : turns_) {
      if (fd < 0) fd = ::accept(listener_, nullptr, nullptr);
      if (fd < 0) return;
      char bytes[65536];
      std::string request;
      while (turn.read && !request.contains("\r\n\r\n")) {
        const ssize_t n = ::recv(fd, bytes, sizeof bytes, 0);
        if (n <= 0) break;
        request.append(bytes, static_cast<size_t>(n));
      }
      received_ += request;
      std::this_thread::sleep_for(std::chrono::milliseconds(turn.wait_ms));
      ::send(fd, turn.answer.data(), turn.answer.size(), MSG_NOSIGNAL);
      ++played_;
      if (turn.keep) continue;
      ::close(fd);
      fd = -1;
    }
    if (fd >= 0) ::close(fd);
  }

  int listener_;
  std::vector<Turn> turns_;
  uint16_t port_ = 0;
  std::string received_;
  std::atomic<int> played_{0};
  std::thread thread_;
};

}  // namespace fmesh::net
