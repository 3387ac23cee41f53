// One end of the socket between a host and a child process: sends frames and gives those that came. It does not own the
// socket. Sending and receiving may be done by two threads, each by one.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

#include "runtime/child/wire.h"

namespace fmesh::runtime {

struct Frame {
  FrameKind kind;
  std::string_view body;  // until the next call of next() or fill()
};

// False: the other end is gone.
bool send_frame(int fd, FrameKind kind, std::string_view body);

class Channel {
 public:
  explicit Channel(int fd) : fd_(fd) {}

  // A frame that is here as a whole. Nothing: fill() first.
  std::optional<Frame> next();
  // Takes what the socket has, waiting for something. False: the other end is gone, or sent what is no frame.
  bool fill();
  // True: what came is no frame, and nothing more will come.
  bool broken() const { return broken_; }
  // Waits for a frame. Nothing: the other end is gone.
  std::optional<Frame> receive();

 private:
  void make_room(size_t size);

  int fd_;
  std::unique_ptr<char[]> buffer_;
  size_t capacity_ = 0, begin_ = 0, end_ = 0;
  size_t wanted_ = 0;  // of the frame that is partly here
  bool broken_ = false;
};

}  // namespace fmesh::runtime
