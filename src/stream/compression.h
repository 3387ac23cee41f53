// The payload compressions of Pulsar (facts: pulsar.md 2.3): raw LZ4 and Snappy blocks, one zstd frame, a zlib stream.
// Pure; used from any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "stream/entry.h"

namespace fmesh::stream {

// The compressed bytes, or nothing useful (empty) if compression failed; the caller then stores `bytes` as they are.
// REQUIRES: compression != kNone and bytes.size() <= kEntrySizeMaxBytes. The result reuses the memory of `reuse`.
std::string compress(Compression compression, std::string_view bytes, std::string reuse);

// Exactly `size_bytes` bytes. Errors: kCorrupt if the stream is malformed or holds another number of bytes; a zlib
// stream may lack its trailer, as Pulsar's Java client leaves it out. REQUIRES: size_bytes <= kEntrySizeMaxBytes.
Result<SharedBytes> decompress(Compression compression, std::string_view bytes, size_t size_bytes);

const char* to_string(Compression compression);

}  // namespace fmesh::stream
