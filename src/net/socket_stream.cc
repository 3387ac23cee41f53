#include "net/socket_stream_private.h"

namespace fmesh::net {

SocketStream::SocketStream(Plain plain, Trust trust) : plain_(std::move(plain)), trust_(std::move(trust)) {
  if (trust_) secure_.emplace(plain_, *trust_);
}

void SocketStream::handshake(boost::asio::ssl::stream_base::handshake_type side, Over over) {
  secure_->async_handshake(side, std::move(over));
}

void SocketStream::shutdown(Over over) { secure_->async_shutdown(std::move(over)); }

void SocketStream::read_some(Room room, Done done) {
  if (secure_) return secure_->async_read_some(room, std::move(done));
  plain_.async_read_some(room, std::move(done));
}

void SocketStream::write_some(Bytes bytes, Done done) {
  if (secure_) return secure_->async_write_some(bytes, std::move(done));
  plain_.async_write_some(bytes, std::move(done));
}

}  // namespace fmesh::net
