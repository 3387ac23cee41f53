#include "runtime/child/channel.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace fmesh::runtime {
namespace {

constexpr size_t kReadBytes = 256 * 1024;
// A larger buffer is let go once it is empty.
constexpr size_t kBufferKeptMaxBytes = 4 * 1024 * 1024;

}  // namespace

bool send_frame(int fd, FrameKind kind, std::string_view body) {
  char head[kFrameHeadBytes];
  const auto size = static_cast<uint32_t>(body.size());
  std::memcpy(head, &size, sizeof size);
  head[4] = static_cast<char>(kind);
  std::array<iovec, 2> parts = {iovec{head, sizeof head}, iovec{const_cast<char*>(body.data()), body.size()}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  size_t left = sizeof head + body.size();
  while (left > 0) {
    const ssize_t sent = ::sendmsg(fd, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    left -= static_cast<size_t>(sent);
    auto passed = static_cast<size_t>(sent);
    while (message.msg_iovlen > 0 && passed >= message.msg_iov->iov_len) {
      passed -= message.msg_iov->iov_len;
      ++message.msg_iov;
      --message.msg_iovlen;
    }
    if (message.msg_iovlen > 0) {
      message.msg_iov->iov_base = static_cast<char*>(message.msg_iov->iov_base) + passed;
      message.msg_iov->iov_len -= passed;
    }
  }
  return true;
}

std::optional<Frame> Channel::next() {
  const size_t here = end_ - begin_;
  wanted_ = kFrameHeadBytes;
  if (here < wanted_) return std::nullopt;
  uint32_t size = 0;
  std::memcpy(&size, buffer_.get() + begin_, sizeof size);
  if (size > kFrameSizeMaxBytes) {
    broken_ = true;
    return std::nullopt;
  }
  wanted_ += size;
  if (here < wanted_) return std::nullopt;
  const Frame frame{static_cast<FrameKind>(buffer_[begin_ + 4]), {buffer_.get() + begin_ + kFrameHeadBytes, size}};
  begin_ += wanted_;
  return frame;
}

void Channel::make_room(size_t size) {
  if (begin_ == end_) begin_ = end_ = 0;
  if (begin_ == 0 && end_ == 0 && capacity_ > kBufferKeptMaxBytes && size <= kReadBytes) {
    buffer_.reset();
    capacity_ = 0;
  }
  const size_t needed = end_ - begin_ + size;
  if (capacity_ - end_ >= size) return;
  if (needed <= capacity_) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
  } else {
    capacity_ = std::max(needed, 2 * kReadBytes);
    auto larger = std::make_unique_for_overwrite<char[]>(capacity_);
    if (end_ > begin_) std::memcpy(larger.get(), buffer_.get() + begin_, end_ - begin_);
    buffer_ = std::move(larger);
  }
  end_ -= begin_;
  begin_ = 0;
}

bool Channel::fill() {
  if (broken_) return false;
  const size_t here = end_ - begin_;
  make_room(std::max(kReadBytes, wanted_ > here ? wanted_ - here : 0));
  while (true) {
    const ssize_t got = ::recv(fd_, buffer_.get() + end_, capacity_ - end_, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    end_ += static_cast<size_t>(got);
    return true;
  }
}

std::optional<Frame> Channel::receive() {
  while (true) {
    if (auto frame = next()) return frame;
    if (!fill()) return std::nullopt;
  }
}

}  // namespace fmesh::runtime
