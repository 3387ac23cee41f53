// Protocol Buffers' wire format (https://protobuf.dev/programming-guides/encoding/), just what hand-written codecs of
// hot messages need: varints, tags, length-delimited fields. Reading never goes past the end and never allocates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace fmesh::proto {

enum class WireType : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

inline constexpr size_t varint_size(uint64_t value) {
  size_t size = 1;
  for (; value >= 0x80; value >>= 7) ++size;
  return size;
}

inline void put_varint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out += static_cast<char>(value | 0x80);
    value >>= 7;
  }
  out += static_cast<char>(value);
}
inline void put_tag(std::string& out, uint32_t field, WireType type) {
  put_varint(out, static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(type));
}
inline void put_uint(std::string& out, uint32_t field, uint64_t value) {
  put_tag(out, field, WireType::kVarint);
  put_varint(out, value);
}
inline void put_bytes(std::string& out, uint32_t field, std::string_view value) {
  put_tag(out, field, WireType::kBytes);
  put_varint(out, value.size());
  out.append(value);
}

// The same without growth or checks, for writers that computed a bound first: each writes at `at` and returns the place
// behind. REQUIRES: room for kVarintSizeMax bytes per varint and for the bytes.
inline constexpr size_t kVarintSizeMax = 10;
inline char* write_varint(char* at, uint64_t value) {
  while (value >= 0x80) {
    *at++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *at++ = static_cast<char>(value);
  return at;
}
inline char* write_tag(char* at, uint32_t field, WireType type) {
  return write_varint(at, static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(type));
}
inline char* write_uint(char* at, uint32_t field, uint64_t value) {
  return write_varint(write_tag(at, field, WireType::kVarint), value);
}
inline char* write_raw(char* at, std::string_view value) {
  if (!value.empty()) std::memcpy(at, value.data(), value.size());
  return at + value.size();
}
inline char* write_bytes(char* at, uint32_t field, std::string_view value) {
  return write_raw(write_varint(write_tag(at, field, WireType::kBytes), value.size()), value);
}

// Walks the fields of one message. After next() returned true, `field` and `type` tell what is there and exactly one of
// varint(), bytes(), skip() takes it. `ok()` turns false at the first malformed byte and stays so.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool ok() const { return ok_; }
  uint32_t field() const { return field_; }
  WireType type() const { return type_; }

  bool next() {
    if (!ok_ || at_ == end_) return false;
    const uint64_t tag = raw_varint();
    field_ = static_cast<uint32_t>(tag >> 3);
    type_ = static_cast<WireType>(tag & 7);
    if (tag > UINT32_MAX || field_ == 0) ok_ = false;
    return ok_;
  }
  // A varint field; any other type is malformed.
  uint64_t varint() {
    if (type_ != WireType::kVarint) ok_ = false;
    return ok_ ? raw_varint() : 0;
  }
  std::string_view bytes() {
    if (type_ != WireType::kBytes) ok_ = false;
    const uint64_t size = ok_ ? raw_varint() : 0;
    if (!ok_ || size > static_cast<uint64_t>(end_ - at_)) {
      ok_ = false;
      return {};
    }
    const std::string_view value(at_, static_cast<size_t>(size));
    at_ += size;
    return value;
  }
  void skip() {
    switch (type_) {
      case WireType::kVarint:
        raw_varint();
        return;
      case WireType::kBytes:
        bytes();
        return;
      case WireType::kFixed64:
        advance(8);
        return;
      case WireType::kFixed32:
        advance(4);
        return;
    }
    ok_ = false;
  }

 private:
  uint64_t raw_varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && at_ != end_; shift += 7) {
      const auto byte = static_cast<unsigned char>(*at_++);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    ok_ = false;
    return 0;
  }
  void advance(size_t size) {
    if (size > static_cast<size_t>(end_ - at_)) {
      ok_ = false;
      return;
    }
    at_ += size;
  }

  const char* at_;
  const char* end_;
  uint32_t field_ = 0;
  WireType type_ = WireType::kVarint;
  bool ok_ = true;
};

}  // namespace fmesh::proto
