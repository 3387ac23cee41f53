#include "stream/log/record_sets.h"

#include <algorithm>
#include <vector>

namespace fmesh::stream::log {
namespace {

uint64_t last_word_mask(uint32_t record_count) {
  const uint32_t rest = record_count % 64;
  return rest == 0 ? ~uint64_t{0} : (uint64_t{1} << rest) - 1;
}

template <class Combine>
AckSet combine(const AckSet& left, const AckSet& right, uint32_t record_count, Combine combine_words) {
  const size_t word_count = (size_t{record_count} + 63) / 64;
  std::vector<uint64_t> words(word_count);
  bool whole = true;
  for (size_t i = 0; i < word_count; ++i) {
    const uint64_t mask = i + 1 == word_count ? last_word_mask(record_count) : ~uint64_t{0};
    const auto word_of = [&](const AckSet& set) {
      return set.is_all() ? mask : (i < set.words().size() ? set.words()[i] & mask : 0);
    };
    words[i] = combine_words(word_of(left), word_of(right)) & mask;
    whole = whole && words[i] == mask;
  }
  return whole ? AckSet::all() : AckSet::from_words(std::move(words));
}

}  // namespace

AckSet records_in_both(const AckSet& left, const AckSet& right, uint32_t record_count) {
  if (left.is_all() && right.is_all()) return AckSet::all();
  return combine(left, right, record_count, [](uint64_t a, uint64_t b) { return a & b; });
}

AckSet records_without(const AckSet& left, const AckSet& right, uint32_t record_count) {
  return combine(left, right, record_count, [](uint64_t a, uint64_t b) { return a & ~b; });
}

AckSet records_in_either(const AckSet& left, const AckSet& right, uint32_t record_count) {
  if (left.is_all() || right.is_all()) return AckSet::all();
  return combine(left, right, record_count, [](uint64_t a, uint64_t b) { return a | b; });
}

bool no_records(const AckSet& set) {
  return !set.is_all() && std::ranges::all_of(set.words(), [](uint64_t word) { return word == 0; });
}

AckSet records_between(uint32_t first, uint32_t last, uint32_t record_count) {
  if (first == 0 && last + 1 >= record_count) return AckSet::all();
  AckSet set = AckSet::none(record_count);
  for (uint32_t i = first; i <= last && i < record_count; ++i) set.add(i);
  return set;
}

uint32_t first_record(const AckSet& set, uint32_t record_count) {
  if (set.is_all()) return 0;
  for (size_t i = 0; i < set.words().size(); ++i)
    if (set.words()[i] != 0)
      return static_cast<uint32_t>(i * 64 + static_cast<size_t>(__builtin_ctzll(set.words()[i])));
  return record_count;
}

}  // namespace fmesh::stream::log
