#include "runtime/counter.h"

namespace fmesh::runtime {

std::string encode_counter(int64_t value) {
  std::string bytes(8, '\0');
  for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(static_cast<uint64_t>(value) >> (56 - 8 * i));
  return bytes;
}

Result<int64_t> decode_counter(std::string_view key, const std::optional<std::string>& stored) {
  if (!stored) return 0;
  if (stored->size() != 8) {
    return fail(ErrorKind::kFixInput, "the state of key \"" + std::string(key) + "\" is not a counter: it holds " +
                                          std::to_string(stored->size()) + " bytes, expected 8");
  }
  uint64_t value = 0;
  for (const char c : *stored) value = value << 8 | static_cast<unsigned char>(c);
  return static_cast<int64_t>(value);
}

}  // namespace fmesh::runtime
