#include "stream/log/cursor.h"

#include "stream/log/record_sets.h"

namespace fmesh::stream::log {

bool Cursor::acknowledged(uint64_t entry) const { return end_of_acknowledged(entry) != entry; }

uint64_t Cursor::end_of_acknowledged(uint64_t entry) const {
  if (entry < next_) return next_;
  auto range = ranges_.upper_bound(entry);
  if (range == ranges_.begin()) return entry;
  --range;
  return range->second > entry ? range->second : entry;
}

const AckSet* Cursor::partly_acknowledged(uint64_t entry) const {
  const auto partial = partials_.find(entry);
  return partial == partials_.end() ? nullptr : &partial->second.records;
}

void Cursor::acknowledge(const AckItem& item) {
  if (acknowledged(item.entry)) return;
  const auto partial = partials_.find(item.entry);
  const uint32_t before = partial == partials_.end() ? 0 : partial->second.records.count(item.record_count);
  const AckSet records = partial == partials_.end()
                             ? records_in_both(item.records, AckSet::all(), item.record_count)
                             : records_in_either(item.records, partial->second.records, item.record_count);
  done_.records += records.count(item.record_count) - before;
  if (!records.is_all()) {
    partials_[item.entry] = Partial{records, item.record_count};
    return;
  }
  if (partial != partials_.end()) partials_.erase(partial);
  done_.bytes += item.size_bytes;
  finish_entry(item.entry);
}

void Cursor::finish_entry(uint64_t entry) {
  if (entry == next_) {
    ++next_;
    if (const auto range = ranges_.begin(); range != ranges_.end() && range->first == next_) {
      entries_ahead_ -= range->second - range->first;
      next_ = range->second;
      ranges_.erase(range);
    }
    return;
  }
  ++entries_ahead_;
  auto after = ranges_.upper_bound(entry);
  const bool joins_after = after != ranges_.end() && after->first == entry + 1;
  auto before = after == ranges_.begin() ? ranges_.end() : std::prev(after);
  if (before != ranges_.end() && before->second == entry) {
    before->second = joins_after ? after->second : entry + 1;
    if (joins_after) ranges_.erase(after);
    return;
  }
  const uint64_t end = joins_after ? after->second : entry + 1;
  if (joins_after) ranges_.erase(after);
  ranges_[entry] = end;
}

void Cursor::write(TableWriter& out) const {
  out.number(next_);
  out.number(done_.records);
  out.number(done_.bytes);
  out.number(ranges_.size());
  uint64_t last = next_;
  for (const auto& [first, end] : ranges_) {
    out.number(first - last);
    out.number(end - first);
    last = end;
  }
  out.number(partials_.size());
  for (const auto& [entry, partial] : partials_) {
    out.number(entry);
    out.number(partial.record_count);
    write_set(out, partial.records);
  }
}

Cursor Cursor::read(TableReader& in) {
  Cursor cursor;
  cursor.next_ = in.number();
  cursor.done_.records = in.number();
  cursor.done_.bytes = in.number();
  uint64_t last = cursor.next_;
  for (uint64_t left = in.count(); left > 0; --left) {
    const uint64_t first = last + in.number();
    last = first + in.number();
    cursor.ranges_[first] = last;
    cursor.entries_ahead_ += last - first;
  }
  for (uint64_t left = in.count(); left > 0; --left) {
    const uint64_t entry = in.number();
    const auto record_count = static_cast<uint32_t>(in.number());
    cursor.partials_[entry] = Partial{read_set(in), record_count};
  }
  return cursor;
}

void write_set(TableWriter& out, const AckSet& set) {
  // 0: all records; otherwise the number of words and the words.
  out.number(set.is_all() ? 0 : set.words().size());
  if (set.is_all()) return;
  for (const uint64_t word : set.words()) out.number(word);
}

AckSet read_set(TableReader& in) {
  std::vector<uint64_t> words(in.count());
  for (uint64_t& word : words) word = in.number();
  return words.empty() ? AckSet::all() : AckSet::from_words(std::move(words));
}

}  // namespace fmesh::stream::log
