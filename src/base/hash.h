// The hashes that formats and protocols fix: CRC-32C (RFC 3720, Castagnoli) for stored bytes, Murmur3_32 and Java's
// string hash as Pulsar's clients use them to pick a partition. Pure; used from any thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace fmesh {

// CRC-32C of `bytes`, continuing from `crc` (0 for a new sum). crc32c("123456789") == 0xe3069283.
uint32_t crc32c(std::string_view bytes, uint32_t crc = 0);

// MurmurHash3 x86 32 bit, seed 0, with the sign bit cleared, as Pulsar's Murmur3_32Hash (facts: pulsar.md 3.2).
uint32_t murmur3_32(std::string_view bytes);

// java.lang.String.hashCode of UTF-8 `text`, with the sign bit cleared, as Pulsar's JavaStringHash.
uint32_t java_string_hash(std::string_view text);

}  // namespace fmesh
