// The bytes of table changes and checkpoints: LEB128 numbers and length-prefixed strings, nothing else. Table bytes are
// inside the journal's checksummed transactions, so a reader that runs out of bytes has met a newer or broken writer;
// it turns !ok() and gives zeros from then on, so that decoding needs one check at its end. Value types, for one
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fmesh::stream::log {

class TableWriter {
 public:
  void u8(uint8_t value) { out_.push_back(static_cast<char>(value)); }
  void number(uint64_t value) {
    while (value >= 0x80) {
      out_.push_back(static_cast<char>(value | 0x80));
      value >>= 7;
    }
    out_.push_back(static_cast<char>(value));
  }
  // Small negative numbers stay small (zigzag).
  void signed_number(int64_t value) {
    number((static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63));
  }
  void text(std::string_view value) {
    number(value.size());
    out_.append(value);
  }
  std::string take() { return std::move(out_); }
  size_t size() const { return out_.size(); }

 private:
  std::string out_;
};

class TableReader {
 public:
  explicit TableReader(std::string_view bytes) : rest_(bytes) {}
  uint8_t u8() {
    if (rest_.empty()) return fail();
    const auto value = static_cast<uint8_t>(rest_[0]);
    rest_.remove_prefix(1);
    return value;
  }
  uint64_t number() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) return fail();
      const auto byte = static_cast<uint8_t>(rest_[0]);
      rest_.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    return fail();
  }
  int64_t signed_number() {
    const uint64_t value = number();
    return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
  }
  std::string_view text() {
    const uint64_t size = number();
    if (size > rest_.size()) {
      fail();
      return {};
    }
    const std::string_view value = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return value;
  }
  // A count of things that take at least one byte each: what can't be true is refused before memory is reserved for it.
  uint64_t count() {
    const uint64_t value = number();
    return value <= rest_.size() ? value : fail();
  }
  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }

 private:
  uint8_t fail() {
    ok_ = false;
    rest_ = {};
    return 0;
  }

  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace fmesh::stream::log
