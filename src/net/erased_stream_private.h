// A stream of bytes that hides what is below it (TCP, TLS, TLS in TLS) and who waits. Beast and Asio make each of their
// operations anew for every type of stream and every type of handler, which cost most of this room's compile time.
// An operation costs two allocations for it. Private to the room.
#pragma once

#include <boost/asio.hpp>
#include <functional>
#include <utility>
#include <vector>

namespace fmesh::net {

// An AsyncStream as Asio names it. One thread; what is given to Done comes from the loop, never from within the call.
class ErasedStream {
 public:
  using executor_type = boost::asio::any_io_executor;
  using Done = std::move_only_function<void(boost::system::error_code, size_t)>;
  using Room = std::vector<boost::asio::mutable_buffer>;
  using Bytes = std::vector<boost::asio::const_buffer>;

  virtual ~ErasedStream() = default;
  virtual executor_type get_executor() = 0;

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return boost::asio::async_initiate<Token, void(boost::system::error_code, size_t)>(
        [this](auto handler, Room room) { read_some(std::move(room), Done(std::move(handler))); }, token,
        Room(boost::asio::buffer_sequence_begin(buffers), boost::asio::buffer_sequence_end(buffers)));
  }
  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    return boost::asio::async_initiate<Token, void(boost::system::error_code, size_t)>(
        [this](auto handler, Bytes bytes) { write_some(std::move(bytes), Done(std::move(handler))); }, token,
        Bytes(boost::asio::buffer_sequence_begin(buffers), boost::asio::buffer_sequence_end(buffers)));
  }

 protected:
  virtual void read_some(Room room, Done done) = 0;
  virtual void write_some(Bytes bytes, Done done) = 0;
};

}  // namespace fmesh::net
