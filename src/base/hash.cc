#include "base/hash.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace fmesh {
namespace {

constexpr uint32_t kCastagnoli = 0x82f63b78;

using Tables = std::array<std::array<uint32_t, 256>, 8>;

constexpr Tables make_tables() {
  Tables tables{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? kCastagnoli : 0);
    tables[0][i] = crc;
  }
  for (uint32_t i = 0; i < 256; ++i)
    for (size_t t = 1; t < 8; ++t) tables[t][i] = (tables[t - 1][i] >> 8) ^ tables[0][tables[t - 1][i] & 0xff];
  return tables;
}
constexpr Tables kTables = make_tables();

uint32_t crc32c_tables(const char* data, size_t size, uint32_t crc) {
  while (size >= 8) {
    uint64_t word;
    std::memcpy(&word, data, 8);
    word ^= crc;
    crc = kTables[7][word & 0xff] ^ kTables[6][(word >> 8) & 0xff] ^ kTables[5][(word >> 16) & 0xff] ^
          kTables[4][(word >> 24) & 0xff] ^ kTables[3][(word >> 32) & 0xff] ^ kTables[2][(word >> 40) & 0xff] ^
          kTables[1][(word >> 48) & 0xff] ^ kTables[0][word >> 56];
    data += 8;
    size -= 8;
  }
  while (size-- > 0) crc = (crc >> 8) ^ kTables[0][(crc ^ static_cast<unsigned char>(*data++)) & 0xff];
  return crc;
}

#if defined(__x86_64__)
// Bytes of zeros that each lane of the three-lane loop is shifted over.
constexpr size_t kLane = 1024;

constexpr uint32_t shift_over_zeros(uint32_t crc, size_t zeros) {
  for (size_t i = 0; i < zeros; ++i)
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? kCastagnoli : 0);
  return crc;
}

// shift[k][b]: the effect of byte b at position k of a crc on the crc after kLane zero bytes.
constexpr std::array<std::array<uint32_t, 256>, 4> make_shift() {
  std::array<std::array<uint32_t, 256>, 4> shift{};
  std::array<uint32_t, 32> of_bit{};
  for (size_t bit = 0; bit < 32; ++bit) of_bit[bit] = shift_over_zeros(uint32_t{1} << bit, kLane);
  for (size_t k = 0; k < 4; ++k)
    for (uint32_t b = 0; b < 256; ++b)
      for (size_t bit = 0; bit < 8; ++bit)
        if (b >> bit & 1) shift[k][b] ^= of_bit[8 * k + bit];
  return shift;
}

uint32_t shifted(uint32_t crc) {
  static const auto shift = make_shift();
  return shift[0][crc & 0xff] ^ shift[1][(crc >> 8) & 0xff] ^ shift[2][(crc >> 16) & 0xff] ^ shift[3][crc >> 24];
}

uint64_t load(const char* data) {
  uint64_t word;
  std::memcpy(&word, data, 8);
  return word;
}

__attribute__((target("sse4.2"))) uint32_t crc32c_sse42(const char* data, size_t size, uint32_t crc) {
  // Three independent lanes hide the latency of the instruction; worthwhile from three lanes' worth of bytes on.
  while (size >= 3 * kLane) {
    uint64_t a = crc, b = 0, c = 0;
    for (size_t i = 0; i < kLane; i += 8) {
      a = _mm_crc32_u64(a, load(data + i));
      b = _mm_crc32_u64(b, load(data + kLane + i));
      c = _mm_crc32_u64(c, load(data + 2 * kLane + i));
    }
    crc = shifted(shifted(static_cast<uint32_t>(a)) ^ static_cast<uint32_t>(b)) ^ static_cast<uint32_t>(c);
    data += 3 * kLane;
    size -= 3 * kLane;
  }
  uint64_t wide = crc;
  for (; size >= 8; data += 8, size -= 8) wide = _mm_crc32_u64(wide, load(data));
  crc = static_cast<uint32_t>(wide);
  while (size-- > 0) crc = _mm_crc32_u8(crc, static_cast<unsigned char>(*data++));
  return crc;
}
#endif

}  // namespace

uint32_t crc32c(std::string_view bytes, uint32_t crc) {
#if defined(__x86_64__)
  static const bool has_sse42 = __builtin_cpu_supports("sse4.2");
  if (has_sse42) return ~crc32c_sse42(bytes.data(), bytes.size(), ~crc);
#endif
  return ~crc32c_tables(bytes.data(), bytes.size(), ~crc);
}

uint32_t murmur3_32(std::string_view bytes) {
  constexpr uint32_t c1 = 0xcc9e2d51, c2 = 0x1b873593;
  auto rotl = [](uint32_t x, int r) { return (x << r) | (x >> (32 - r)); };
  uint32_t hash = 0;
  size_t i = 0;
  for (; i + 4 <= bytes.size(); i += 4) {
    uint32_t k;
    std::memcpy(&k, bytes.data() + i, 4);
    hash ^= rotl(k * c1, 15) * c2;
    hash = rotl(hash, 13) * 5 + 0xe6546b64;
  }
  uint32_t tail = 0;
  for (size_t j = bytes.size(); j > i; --j) tail = (tail << 8) | static_cast<unsigned char>(bytes[j - 1]);
  if (i < bytes.size()) hash ^= rotl(tail * c1, 15) * c2;
  hash ^= static_cast<uint32_t>(bytes.size());
  hash = (hash ^ (hash >> 16)) * 0x85ebca6b;
  hash = (hash ^ (hash >> 13)) * 0xc2b2ae35;
  hash ^= hash >> 16;
  return hash & 0x7fffffff;
}

uint32_t java_string_hash(std::string_view text) {
  uint32_t hash = 0;
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (i + length > text.size()) length = 1;
    uint32_t code = length == 1 ? lead : lead & (0xff >> (length + 1));
    for (size_t k = 1; k < length; ++k) code = (code << 6) | (static_cast<unsigned char>(text[i + k]) & 0x3f);
    i += length;
    if (code >= 0x10000) {
      hash = 31 * hash + (0xd800 + ((code - 0x10000) >> 10));
      hash = 31 * hash + (0xdc00 + ((code - 0x10000) & 0x3ff));
    } else {
      hash = 31 * hash + code;
    }
  }
  return hash & 0x7fffffff;
}

}  // namespace fmesh
