#include "stream/pulsar/client/unacked.h"

#include <algorithm>
#include <bit>

namespace fmesh::stream::pulsar {
namespace {

using Words = std::vector<uint64_t>;

Words both(Words a, const Words& b) {
  for (size_t i = 0; i < a.size(); ++i) a[i] &= i < b.size() ? b[i] : 0;
  return a;
}
Words without(Words a, const Words& b) {
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) a[i] &= ~b[i];
  return a;
}
Words either(Words a, const Words& b) {
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) a[i] |= b[i];
  return a;
}
bool none(const Words& words) {
  return std::ranges::all_of(words, [](uint64_t word) { return word == 0; });
}
AckSet to_set(Words words, uint32_t record_count) {
  return words == all_words(record_count) ? AckSet::all() : AckSet::from_words(std::move(words));
}

}  // namespace

std::vector<uint64_t> all_words(uint32_t record_count) {
  Words words((record_count + 63) / 64, ~uint64_t{0});
  if (record_count % 64 != 0) words.back() = (uint64_t{1} << (record_count % 64)) - 1;
  return words;
}

std::vector<uint64_t> words_of(const AckSet& records, uint32_t record_count) {
  Words all = all_words(record_count);
  return records.is_all() ? all : both(std::move(all), records.words());
}

uint32_t count_bits(const std::vector<uint64_t>& words) {
  uint32_t count = 0;
  for (const uint64_t word : words) count += static_cast<uint32_t>(std::popcount(word));
  return count;
}

Unacked::Parted& Unacked::part(Held& held) {
  if (!held.parted) {
    held.parted = std::make_unique<Parted>();
    held.parted->unacked = all_words(held.record_count);
    held.parted->away = held.is_away ? held.parted->unacked : Words(held.parted->unacked.size());
    held.parted->asked = Words(held.parted->unacked.size());
    held.is_away = false;
  }
  return *held.parted;
}

uint32_t Unacked::out_of(const Held& held) {
  if (!held.parted) return held.is_away ? 0 : held.record_count;
  return count_bits(without(without(held.parted->unacked, held.parted->away), held.parted->asked));
}

uint32_t Unacked::away_of(const Held& held) {
  if (!held.parted) return held.is_away ? held.record_count : 0;
  return count_bits(held.parted->away) + count_bits(held.parted->asked);
}

void Unacked::count(const Held& held, int sign) {
  out_records_ += sign * static_cast<int64_t>(out_of(held));
  away_records_ += sign * static_cast<int64_t>(away_of(held));
}

Unacked::Map::iterator Unacked::erase(Map::iterator at) {
  count(at->second, -1);
  return held_.erase(at);
}

std::optional<AckSet> Unacked::came(uint32_t source, const EntryKey& key, uint32_t record_count,
                                    uint32_t redelivery_count, const AckSet& remaining) {
  const auto [at, fresh] = held_.try_emplace(key);
  Held& held = at->second;
  if (fresh) {
    held = {source, record_count, redelivery_count, false, nullptr};
    if (remaining.is_all()) {
      count(held, 1);
      return AckSet::all();
    }
    Parted& parted = part(held);
    parted.unacked = words_of(remaining, record_count);
    if (none(parted.unacked)) {
      held_.erase(at);
      return std::nullopt;
    }
    count(held, 1);
    return to_set(parted.unacked, record_count);
  }
  // With the user, or away for a while: what was asked for is all that may be handed out.
  if (!held.parted || none(held.parted->asked)) return std::nullopt;
  count(held, -1);
  Words wanted = both(held.parted->asked, words_of(remaining, held.record_count));
  // The broker knows some as acknowledged.
  held.parted->unacked = without(std::move(held.parted->unacked), without(held.parted->asked, wanted));
  held.parted->asked = Words(held.parted->asked.size());
  held.redelivery_count = redelivery_count;
  count(held, 1);
  if (none(wanted)) return std::nullopt;
  return to_set(std::move(wanted), held.record_count);
}

void Unacked::not_handed_out(const EntryKey& key) {
  const auto found = held_.find(key);
  if (found != held_.end()) erase(found);
}

Unacked::Left Unacked::acknowledge(const EntryKey& key, const AckSet& records) {
  const auto found = held_.find(key);
  if (found == held_.end()) return {};
  Held& held = found->second;
  Left left{.source = held.source, .is_known = true, .record_count = held.record_count};
  if (records.is_all()) {
    left.is_over = true;
    left.acked = held.parted ? count_bits(held.parted->unacked) : held.record_count;
    erase(found);
    return left;
  }
  count(held, -1);
  Parted& parted = part(held);
  const Words gone = both(parted.unacked, words_of(records, held.record_count));
  left.acked = count_bits(gone);
  parted.unacked = without(std::move(parted.unacked), gone);
  parted.away = both(std::move(parted.away), parted.unacked);
  parted.asked = both(std::move(parted.asked), parted.unacked);
  count(held, 1);
  left.is_over = none(parted.unacked);
  if (left.is_over) {
    erase(found);
  } else {
    left.words = parted.unacked;
  }
  return left;
}

std::optional<Unacked::Away> Unacked::send_away(const EntryKey& key, const AckSet& records) {
  const auto found = held_.find(key);
  if (found == held_.end()) return std::nullopt;
  Held& held = found->second;
  Away away{held.source, held.redelivery_count, 0};
  const uint32_t before = out_of(held);
  if (before == 0) return std::nullopt;
  count(held, -1);
  if (records.is_all() && !held.parted) {
    held.is_away = true;
  } else {
    Parted& parted = part(held);
    const Words out = without(without(parted.unacked, parted.away), parted.asked);
    parted.away = either(std::move(parted.away), both(words_of(records, held.record_count), out));
  }
  count(held, 1);
  away.records = before - out_of(held);
  if (away.records == 0) return std::nullopt;
  return away;
}

uint32_t Unacked::call_back(const EntryKey& key) {
  const auto found = held_.find(key);
  if (found == held_.end()) return 0;
  Held& held = found->second;
  if (!held.parted) {
    if (!held.is_away) return 0;
    // It comes as if for the first time, from here or to another consumer.
    const uint32_t records = held.record_count;
    erase(found);
    return records;
  }
  const uint32_t records = count_bits(held.parted->away);
  held.parted->asked = either(std::move(held.parted->asked), held.parted->away);
  held.parted->away = Words(held.parted->away.size());
  return records;
}

void Unacked::forget_away(uint32_t source) {
  for (auto at = held_.begin(); at != held_.end();) {
    Held& held = at->second;
    // What waits for its time stays, so that it is not handed out earlier; what was asked for is not awaited any more.
    if (held.source == source && held.parted && out_of(held) == 0 && none(held.parted->away)) {
      at = erase(at);
    } else {
      ++at;
    }
  }
}

void Unacked::forget(uint32_t source, std::optional<EntryKey> from) {
  for (auto at = held_.begin(); at != held_.end();) {
    const bool goes = at->second.source == source && (!from || !(at->first < *from));
    at = goes ? erase(at) : std::next(at);
  }
}

std::vector<EntryKey> Unacked::up_to(uint32_t source, const EntryKey& to) const {
  std::vector<EntryKey> keys;
  for (const auto& [key, held] : held_) {
    if (held.source == source && !(to < key)) keys.push_back(key);
  }
  std::ranges::sort(keys);
  return keys;
}

}  // namespace fmesh::stream::pulsar
