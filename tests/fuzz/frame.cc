// Whatever a peer sends, cut as it likes: the reader of frames ends with an error or wants more, it never reads beyond
// what came, and the same bytes in one piece give the same frames. The first byte says how the rest is cut.
#include "stream/pulsar/wire/frame.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace fmesh;
using namespace fmesh::stream::pulsar::wire;

struct Seen {
  bool known, intact;
  std::string entry;
  bool operator==(const Seen&) const = default;
};

struct Outcome {
  std::vector<Seen> frames;
  bool failed = false;
  bool operator==(const Outcome&) const = default;
};

Outcome read_all(std::string_view bytes, size_t piece) {
  FrameReader reader;
  Outcome outcome;
  while (!bytes.empty() && !outcome.failed) {
    const std::span<char> room = reader.room();
    const size_t count = std::min({room.size(), bytes.size(), piece});
    if (count == 0) __builtin_trap();
    std::memcpy(room.data(), bytes.data(), count);
    reader.received(count);
    bytes.remove_prefix(count);
    Frame frame;
    while (true) {
      const Result<bool> next = reader.next(frame);
      if (!next) outcome.failed = true;
      if (!next || !*next) break;
      outcome.frames.push_back({frame.command != nullptr, frame.intact, std::string(frame.entry.view())});
    }
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t piece = size_t{data[0]} % 64 + 1;
  if (!(read_all(bytes, piece) == read_all(bytes, bytes.size() + 1))) __builtin_trap();
  return 0;
}
