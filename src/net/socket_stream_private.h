// A connected socket, TCP or Unix, with or without TLS on it, as the HTTP server and the waiting client use it. Private
// to the room.
#pragma once

#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast.hpp>
#include <functional>
#include <memory>
#include <optional>

#include "net/erased_stream_private.h"

namespace fmesh::net {

class SocketStream : public ErasedStream {
 public:
  using Plain = boost::beast::basic_stream<boost::asio::generic::stream_protocol>;
  using Secure = boost::asio::ssl::stream<Plain&>;
  using Trust = std::shared_ptr<boost::asio::ssl::context>;
  using Over = std::move_only_function<void(boost::system::error_code)>;

  // `trust` null: without TLS.
  SocketStream(Plain plain, Trust trust);

  executor_type get_executor() override { return plain_.get_executor(); }
  // The socket below, and the time limits on what is under way.
  Plain& lowest() { return plain_; }
  bool secure() const { return secure_.has_value(); }
  // REQUIRES: secure(), as do the next two.
  Secure& tls() { return *secure_; }
  void handshake(boost::asio::ssl::stream_base::handshake_type side, Over over);
  void shutdown(Over over);

 protected:
  void read_some(Room room, Done done) override;
  void write_some(Bytes bytes, Done done) override;

 private:
  Plain plain_;
  Trust trust_;  // outlives secure_
  std::optional<Secure> secure_;
};

}  // namespace fmesh::net
