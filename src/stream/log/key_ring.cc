#include "stream/log/key_ring.h"

#include <algorithm>

#include "base/hash.h"

namespace fmesh::stream::log {
namespace {
constexpr int kPointsPerConsumer = 100;
constexpr uint32_t kRingSize = 65'535;  // places 1 .. 65535
}  // namespace

KeyHash key_hash(std::string_view key) { return static_cast<KeyHash>(murmur3_32(key) % kRingSize + 1); }

KeyHash key_hash(const RecordView& record, std::string_view producer_name) {
  if (!record.ordering_key.empty()) return key_hash(record.ordering_key);
  if (record.has_key) return key_hash(record.key);
  return key_hash(std::string(producer_name) + "-" + std::to_string(record.sequence_id));
}

KeyHash key_hash(const EntryInfo& info) { return key_hash(sticky_key(info)); }

// 0 is no place, as with Pulsar.
KeyHash range_hash(std::string_view key) {
  return static_cast<KeyHash>(std::max<uint32_t>(murmur3_32(key) % (kRingSize + 1), 1));
}

KeyHash range_hash(const EntryInfo& info) { return range_hash(sticky_key(info)); }

void KeyRing::add_ranges(ConsumerNumber consumer, const std::vector<KeyRange>& ranges) {
  for (const KeyRange& range : ranges) ranges_.emplace(range.last, Owned{range.first, consumer});
}

void KeyRing::add(ConsumerNumber consumer, const std::string& name) {
  const int name_index = names_[name]++;
  for (int point = 0; point < kPointsPerConsumer; ++point) {
    std::string text = name;
    text.push_back('\0');
    text += std::to_string(name_index);
    text.push_back('\0');
    text += std::to_string(point);
    points_[key_hash(text)].push_back(consumer);
  }
}

void KeyRing::remove(ConsumerNumber consumer) {
  for (auto point = points_.begin(); point != points_.end();) {
    std::erase(point->second, consumer);
    point = point->second.empty() ? points_.erase(point) : std::next(point);
  }
  if (points_.empty()) names_.clear();
  std::erase_if(ranges_, [&](const auto& range) { return range.second.consumer == consumer; });
}

ConsumerNumber KeyRing::owner(KeyHash hash) const {
  if (!ranges_.empty()) return owner_among(hash, [](ConsumerNumber) { return true; });
  if (points_.empty()) return 0;
  auto point = points_.lower_bound(hash);
  if (point == points_.end()) point = points_.begin();
  return point->second.front();
}

ConsumerNumber KeyRing::owner_among(KeyHash hash, const std::function<bool(ConsumerNumber)>& takes_part) const {
  // As theirs do not overlap, the first that ends there or behind has it, or nobody.
  for (auto range = ranges_.lower_bound(hash); range != ranges_.end(); ++range)
    if (takes_part(range->second.consumer)) return range->second.first <= hash ? range->second.consumer : 0;
  auto point = points_.lower_bound(hash);
  for (size_t left = points_.size(); left > 0; --left) {
    if (point == points_.end()) point = points_.begin();
    const auto found = std::ranges::find_if(point->second, takes_part);
    if (found != point->second.end()) return *found;
    ++point;
  }
  return 0;
}

}  // namespace fmesh::stream::log
