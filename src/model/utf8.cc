#include "model/utf8.h"

#include <cstdint>

namespace fmesh::model {
namespace {

// The length in bytes of the well-formed sequence at `offset`, 0 if there is none (Unicode, table 3-7).
size_t sequence_length(std::string_view text, size_t offset) {
  const auto byte = [&](size_t index) -> uint8_t {
    return offset + index < text.size() ? static_cast<uint8_t>(text[offset + index]) : 0;
  };
  const auto follows = [&](size_t index, uint8_t low, uint8_t high) {
    return byte(index) >= low && byte(index) <= high;
  };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return follows(1, 0x80, 0xBF) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const uint8_t low = lead == 0xE0 ? 0xA0 : 0x80;
    const uint8_t high = lead == 0xED ? 0x9F : 0xBF;
    return follows(1, low, high) && follows(2, 0x80, 0xBF) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const uint8_t low = lead == 0xF0 ? 0x90 : 0x80;
    const uint8_t high = lead == 0xF4 ? 0x8F : 0xBF;
    return follows(1, low, high) && follows(2, 0x80, 0xBF) && follows(3, 0x80, 0xBF) ? 4 : 0;
  }
  return 0;
}

}  // namespace

std::optional<size_t> first_bad_utf8(std::string_view text) {
  for (size_t offset = 0; offset < text.size();) {
    const size_t length = sequence_length(text, offset);
    if (length == 0) return offset;
    offset += length;
  }
  return std::nullopt;
}

size_t count_characters(std::string_view text) {
  size_t characters = 0;
  for (const char byte : text) characters += (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
  return characters;
}

}  // namespace fmesh::model
