// Connections that carry bytes both ways over TCP, with TLS if asked: what binary protocols stand on. Writes are queued
// and gathered; reads go straight into the memory that the protocol's reader gives, so nothing is copied in between.
//
// Everything, callbacks included, happens on the IoLoop. A stream has one owner; letting go of it closes it, and none
// of its callbacks runs afterwards, so it may be let go of within one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "net/certificate.h"
#include "net/io_loop.h"
#include "net/tls_identity.h"

namespace fmesh::net {

struct ByteStreamHandler {
  // Where the next bytes shall lie; at least one byte, valid until `received` or the end.
  std::function<std::span<char>()> room;
  // So many bytes lie there now.
  std::function<void(size_t)> received;
  // Everything queued was handed to the system. May be empty.
  std::function<void()> drained;
  // Once, as the last: the peer closed, or something failed. kRetryLater.
  std::function<void(Error)> ended;
};

class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // Begins to read. Once, before anything else.
  virtual void start(ByteStreamHandler handler) = 0;
  // Queues `pieces`; they leave together with what else is queued in this turn of the loop. The caller bounds what it
  // queues by queued_bytes().
  virtual void write(std::span<const SharedBytes> pieces) = 0;
  virtual size_t queued_bytes() const = 0;
  // While paused nothing is read, so that the peer is slowed down by TCP. What was read before is not affected.
  virtual void pause_reading(bool paused) = 0;
  // Takes no more writes, hands over what is queued, tells the peer, and closes with it or after 2 s; `ended` follows.
  virtual void close_after_writes() = 0;
  // "10.0.0.7:6650"
  virtual const std::string& peer() const = 0;
};

struct ConnectOptions {
  std::string host;
  uint16_t port = 0;
  std::optional<TlsIdentity> tls{};  // none: plain
  int64_t timeout_ms = 10'000;       // for finding the address, connecting and TLS together
};

// Calls `done` once, later. Errors: kRetryLater if the peer can't be reached in time; kFixInput for trust.
void connect_stream(IoLoop& loop, ConnectOptions options,
                    std::function<void(Result<std::unique_ptr<ByteStream>>)> done);

struct ListenOptions {
  std::string address;              // "127.0.0.1:6650", "[::1]:0"
  std::optional<KeyPair> tls{};     // none: plain
  size_t connections_max = 10'000;  // further ones are closed at once
  int64_t handshake_timeout_ms = 10'000;
};

class StreamListener {
 public:
  virtual ~StreamListener() = default;  // stops; accepted streams live on
  virtual uint16_t port() const = 0;
  // Errors: kFixInput. For connections from now on.
  virtual Status set_certificate(const KeyPair& pair) = 0;
};

// Errors: kFixInput with the address and the cause. On the loop's thread, or before others use the loop.
Result<std::unique_ptr<StreamListener>> listen_streams(IoLoop& loop, ListenOptions options,
                                                       std::function<void(std::unique_ptr<ByteStream>)> accepted);

}  // namespace fmesh::net
