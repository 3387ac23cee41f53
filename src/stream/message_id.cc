#include "stream/message_id.h"

#include <array>
#include <charconv>

namespace fmesh::stream {

std::string to_string(const MessageId& id) {
  std::string text = std::to_string(id.ledger) + ":" + std::to_string(id.entry) + ":" + std::to_string(id.partition);
  if (id.batch_index >= 0) text += ":" + std::to_string(id.batch_index);
  return text;
}

std::optional<MessageId> parse_message_id(std::string_view text) {
  if (text == "earliest") return MessageId::earliest();
  if (text == "latest") return MessageId::latest();
  std::array<int64_t, 4> parts{-1, -1, -1, -1};
  size_t count = 0;
  for (const char* at = text.data(); count < parts.size(); ++count) {
    const auto [end, code] = std::from_chars(at, text.data() + text.size(), parts[count]);
    if (code != std::errc() || parts[count] < -1) return std::nullopt;
    if (count >= 2 && parts[count] > std::numeric_limits<int32_t>::max()) return std::nullopt;
    if (end == text.data() + text.size()) {
      if (count < 2) return std::nullopt;
      return MessageId{parts[0], parts[1], static_cast<int32_t>(parts[2]), static_cast<int32_t>(parts[3])};
    }
    if (*end != ':') return std::nullopt;
    at = end + 1;
  }
  return std::nullopt;
}

}  // namespace fmesh::stream
