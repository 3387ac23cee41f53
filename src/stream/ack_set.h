// Which records of a batch entry are meant: a set of batch indexes. Most entries are handled whole, so the whole is a
// flag and costs nothing; a part is a bit per record. A value type.
#pragma once

#include <cstdint>
#include <vector>

namespace fmesh::stream {

class AckSet {
 public:
  // Every record of the entry, however many there are.
  static AckSet all() { return AckSet(); }
  // No record of an entry of `record_count`.
  static AckSet none(uint32_t record_count) {
    AckSet set;
    set.whole_ = false;
    set.words_.assign((record_count + 63) / 64, 0);
    return set;
  }

  bool is_all() const { return whole_; }
  bool has(uint32_t index) const {
    return whole_ || (index / 64 < words_.size() && (words_[index / 64] >> (index % 64) & 1) != 0);
  }
  // REQUIRES: !is_all() and index below the record_count given to none().
  void add(uint32_t index) { words_[index / 64] |= uint64_t{1} << (index % 64); }
  uint32_t count(uint32_t record_count) const {
    if (whole_) return record_count;
    uint32_t count = 0;
    for (uint64_t word : words_) count += static_cast<uint32_t>(__builtin_popcountll(word));
    return count;
  }
  const std::vector<uint64_t>& words() const { return words_; }
  static AckSet from_words(std::vector<uint64_t> words) {
    AckSet set;
    set.whole_ = false;
    set.words_ = std::move(words);
    return set;
  }
  bool operator==(const AckSet&) const = default;

 private:
  bool whole_ = true;
  std::vector<uint64_t> words_;
};

}  // namespace fmesh::stream
