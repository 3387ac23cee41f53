#include "base/base64.h"

#include <cstdint>

namespace fmesh {
namespace {

int digit_of(char byte) {
  if (byte >= 'A' && byte <= 'Z') return byte - 'A';
  if (byte >= 'a' && byte <= 'z') return byte - 'a' + 26;
  if (byte >= '0' && byte <= '9') return byte - '0' + 52;
  if (byte == '+') return 62;
  return byte == '/' ? 63 : -1;
}

}  // namespace

std::optional<std::string> decode_base64(std::string_view text) {
  std::string out;
  uint32_t bits = 0;
  int held = 0;
  size_t digits = 0, padding = 0;
  for (const char byte : text) {
    if (byte == '\n' || byte == '\r') continue;
    if (byte == '=') {
      ++padding;
      continue;
    }
    const int digit = digit_of(byte);
    if (digit < 0 || padding > 0) return std::nullopt;
    ++digits;
    bits = (bits << 6 | static_cast<uint32_t>(digit)) & 0xFFFFFF;
    held += 6;
    if (held >= 8) {
      held -= 8;
      out += static_cast<char>(bits >> held & 0xFF);
    }
  }
  const bool whole = (digits + padding) % 4 == 0 && padding <= 2;
  const bool clean = (bits & ((1U << held) - 1)) == 0;
  return whole && clean ? std::optional(out) : std::nullopt;
}

std::string encode_base64(std::string_view bytes) {
  static constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t at = 0; at < bytes.size(); at += 3) {
    uint32_t group = 0;
    for (size_t index = at; index < at + 3; ++index) {
      group = group << 8 | (index < bytes.size() ? static_cast<uint8_t>(bytes[index]) : 0U);
    }
    for (size_t index = 0; index < 4; ++index) {
      out += at + index > bytes.size() ? '=' : kAlphabet[group >> (18 - 6 * index) & 63];
    }
  }
  return out;
}

}  // namespace fmesh
