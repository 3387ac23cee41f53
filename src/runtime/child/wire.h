// The bytes between a host and its child processes: frames of a size, a kind and a body, and the two ends that put
// values into a body and take them out. Both ends are of one build on one machine, so numbers lie as they do in memory.
//
// A child runs user code, which may write anywhere: a reader never goes beyond the body, and says afterwards whether it
// was whole.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

namespace fmesh::runtime {

// A frame on the wire: 4 bytes size of the body, 1 byte kind, the body.
inline constexpr size_t kFrameHeadBytes = 5;
// Larger ones are taken for damage. A batch of the largest records and what comes of it fit.
inline constexpr uint32_t kFrameSizeMaxBytes = 1024 * 1024 * 1024;

enum class FrameKind : uint8_t {
  // host to child
  kOpen = 1,
  kBatch = 2,
  kWindow = 3,
  kState = 4,  // the answer to kStateGet
  kClose = 5,
  // child to host
  kHello = 16,
  kOpened = 17,
  kStateGet = 18,
  kDone = 19,  // what a batch caused
  // child to host, beside the others and from any thread
  kLog = 32,
};

class Writer {
 public:
  template <class Number>
  void number(Number value) {
    static_assert(std::is_trivially_copyable_v<Number>);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void text(std::string_view text) {
    number(static_cast<uint32_t>(text.size()));
    bytes_.append(text);
  }
  void raw(std::string_view bytes) { bytes_.append(bytes); }
  std::string& bytes() { return bytes_; }
  const std::string& bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  void clear() { bytes_.clear(); }

 private:
  std::string bytes_;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  template <class Number>
  Number number() {
    static_assert(std::is_trivially_copyable_v<Number>);
    Number value{};
    const std::string_view bytes = raw(sizeof value);
    if (bytes.size() == sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  std::string_view text() { return raw(number<uint32_t>()); }
  std::string_view raw(size_t size) {
    if (size > rest_.size()) {
      whole_ = false;
      rest_ = {};
      return {};
    }
    const std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }
  bool empty() const { return rest_.empty(); }
  size_t left() const { return rest_.size(); }
  bool whole() const { return whole_; }  // false: something was read that was not there

 private:
  std::string_view rest_;
  bool whole_ = true;
};

}  // namespace fmesh::runtime
