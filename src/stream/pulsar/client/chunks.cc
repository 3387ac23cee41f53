#include "stream/pulsar/client/chunks.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/proto_wire.h"

namespace fmesh::stream::pulsar {
namespace {

// Fields of MessageMetadata (facts: pulsar.md 2.1).
enum : uint32_t { kUuid = 26, kChunkCount = 27, kTotalBytes = 28, kChunkIndex = 29 };
constexpr size_t kSizeBytes = 4;

uint32_t load_big_endian(const char* at) {
  uint32_t value = 0;
  std::memcpy(&value, at, sizeof value);
  return std::endian::native == std::endian::little ? std::byteswap(value) : value;
}

std::string_view metadata_of(std::string_view entry) {
  if (entry.size() < kSizeBytes) return {};
  const size_t size = load_big_endian(entry.data());
  return size > entry.size() - kSizeBytes ? std::string_view() : entry.substr(kSizeBytes, size);
}

// The entry with the metadata of one chunk, of which the last word on the number of chunks is "one".
SharedBytes join(std::string_view metadata, std::string_view payload) {
  std::string tail;
  fmesh::proto::put_uint(tail, kChunkCount, 1);
  auto size = static_cast<uint32_t>(metadata.size() + tail.size());
  if (std::endian::native == std::endian::little) size = std::byteswap(size);
  std::string entry(reinterpret_cast<const char*>(&size), sizeof size);
  entry.reserve(kSizeBytes + metadata.size() + tail.size() + payload.size());
  entry.append(metadata).append(tail).append(payload);
  return SharedBytes(std::move(entry));
}

}  // namespace

std::optional<ChunkInfo> chunk_of(std::string_view entry) {
  ChunkInfo info;
  fmesh::proto::Reader reader(metadata_of(entry));
  while (reader.next()) {
    switch (reader.field()) {
      case kUuid:
        info.uuid = reader.bytes();
        break;
      case kChunkCount:
        info.count = reader.varint();
        break;
      case kTotalBytes:
        info.total_bytes = reader.varint();
        break;
      case kChunkIndex:
        info.index = reader.varint();
        break;
      default:
        reader.skip();
    }
  }
  const bool is_chunk = reader.ok() && info.count > 1 && !info.uuid.empty() && info.index < info.count &&
                        info.total_bytes <= kChunkedSizeMaxBytes;
  return is_chunk ? std::optional(info) : std::nullopt;
}

ChunkAssembler::Outcome ChunkAssembler::add(const MessageId& id, std::string_view entry, const ChunkInfo& info,
                                            int64_t now_ns) {
  Outcome outcome;
  end_what_is_late(now_ns, outcome.acknowledge);
  auto found = begun_.find(info.uuid);
  if (info.index == 0) {
    // The producer began anew: what came before belongs to nothing.
    if (found != begun_.end()) end(found, found->second.ids.front() == id ? nullptr : &outcome.acknowledge);
    found = begun_.emplace(std::string(info.uuid), Begun{{}, {}, now_ns}).first;
  } else if (found == begun_.end()) {
    return outcome;  // its beginning was missed; it comes again with the rest
  } else if (info.index < found->second.ids.size()) {
    if (found->second.ids[info.index] != id) outcome.acknowledge.push_back(id);  // sent twice
    return outcome;
  } else if (info.index > found->second.ids.size()) {
    end(found, nullptr);  // a gap: from the first chunk on it comes again
    return outcome;
  }
  Begun& begun = found->second;
  const std::string_view metadata = metadata_of(entry);
  const std::string_view payload = entry.substr(kSizeBytes + metadata.size());
  if (begun.payload.size() + payload.size() > info.total_bytes) {
    end(found, nullptr);
    return outcome;
  }
  begun.payload += payload;
  begun.ids.push_back(id);
  size_bytes_ += payload.size();
  if (info.index + 1 == info.count) {
    outcome.whole = join(metadata, begun.payload);
    outcome.ids = std::move(begun.ids);
    end(found, nullptr);
    return outcome;
  }
  while (begun_.size() > kChunkedMessagesMax || (size_bytes_ > kChunkedSizeMaxBytes && begun_.size() > 1)) {
    end(std::ranges::min_element(begun_, {}, [](const auto& one) { return one.second.since_ns; }), nullptr);
  }
  return outcome;
}

void ChunkAssembler::end(Map::iterator at, std::vector<MessageId>* acknowledge) {
  size_bytes_ -= at->second.payload.size();
  if (acknowledge != nullptr) acknowledge->insert(acknowledge->end(), at->second.ids.begin(), at->second.ids.end());
  begun_.erase(at);
}

void ChunkAssembler::end_what_is_late(int64_t now_ns, std::vector<MessageId>& acknowledge) {
  for (auto at = begun_.begin(); at != begun_.end();) {
    const auto here = at++;
    if (now_ns - here->second.since_ns > kChunkedWaitMs * 1'000'000) end(here, &acknowledge);
  }
}

void ChunkAssembler::clear() {
  begun_.clear();
  size_bytes_ = 0;
}

}  // namespace fmesh::stream::pulsar
