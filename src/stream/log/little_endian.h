// Fixed-size little-endian numbers in stored bytes. Pure.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace fmesh::stream::log {

static_assert(std::endian::native == std::endian::little, "the journal's numbers are copied as they are");

template <class T>
void put(std::string& out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

// REQUIRES: offset + sizeof(T) <= bytes.size().
template <class T>
T get(std::string_view bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

// Takes numbers and strings off the front of stored bytes; ok() turns false at the first that is not there.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}
  bool ok() const { return ok_; }
  size_t left() const { return rest_.size(); }
  template <class T>
  T take() {
    if (!ok_ || rest_.size() < sizeof(T)) {
      ok_ = false;
      return T{};
    }
    const T value = get<T>(rest_, 0);
    rest_.remove_prefix(sizeof(T));
    return value;
  }
  std::string_view take_bytes(uint64_t size) {
    if (!ok_ || rest_.size() < size) {
      ok_ = false;
      return {};
    }
    const std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace fmesh::stream::log
