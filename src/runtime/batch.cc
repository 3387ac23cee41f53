#include "runtime/batch.h"

#include <algorithm>
#include <utility>

namespace fmesh::runtime {

Batch::Batch(std::vector<stream::ReceivedEntry> entries) : entries_(std::move(entries)) {
  size_t expected = 0;
  for (const stream::ReceivedEntry& entry : entries_) expected += entry.record_count;
  records_.reserve(expected);
  entry_of_.reserve(expected);
  first_of_entry_.reserve(entries_.size());
  for (uint32_t i = 0; i < entries_.size(); ++i) {
    const stream::ReceivedEntry& entry = entries_[i];
    size_bytes_ += entry.bytes.size();
    first_of_entry_.push_back(static_cast<uint32_t>(records_.size()));
    Result<stream::EntryReader> opened = stream::EntryReader::open(entry.bytes);
    if (!opened) {
      unreadable_.push_back({entry.id, opened.error()});
      continue;
    }
    stream::EntryReader& reader = readers_.emplace_back(std::move(*opened));
    LogicRecord record;
    record.topic = *entry.topic;
    record.redelivery_count = entry.redelivery_count;
    record.id = entry.id;
    while (reader.next(record.record)) {
      const int32_t index = record.record.batch_index;
      if (!entry.records.has(index < 0 ? 0 : static_cast<uint32_t>(index))) continue;
      record.id.batch_index = index;
      records_.push_back(record);
      entry_of_.push_back(i);
    }
    if (const Status status = reader.status(); !status) unreadable_.push_back({entry.id, status.error()});
  }
}

stream::AckSet Batch::only(size_t index) const {
  const stream::ReceivedEntry& entry = entry_of(index);
  const int32_t position = records_[index].id.batch_index;
  if (position < 0) return stream::AckSet::all();
  stream::AckSet set = stream::AckSet::none(entry.record_count);
  set.add(static_cast<uint32_t>(position));
  return set;
}

std::vector<stream::Ack> Batch::acks(const std::shared_ptr<stream::Consumer>& consumer, size_t begin, size_t end,
                                     std::span<const size_t> except) const {
  std::vector<stream::Ack> acks;
  if (begin >= end) return acks;
  for (uint32_t e = entry_of_[begin]; e <= entry_of_[end - 1]; ++e) {
    const size_t first = first_of_entry_[e];
    const size_t last = e + 1 < first_of_entry_.size() ? first_of_entry_[e + 1] : records_.size();
    if (first == last) continue;
    const size_t from = std::max(first, begin), to = std::min(last, end);
    const auto excluded = std::lower_bound(except.begin(), except.end(), from);
    const bool none_excluded = excluded == except.end() || *excluded >= to;
    stream::Ack ack;
    ack.consumer = consumer;
    ack.id = entries_[e].id;
    if (from == first && to == last && none_excluded) {
      ack.records = entries_[e].records;
    } else {
      ack.records = stream::AckSet::none(entries_[e].record_count);
      bool any = false;
      for (size_t i = from; i < to; ++i) {
        if (std::binary_search(except.begin(), except.end(), i)) continue;
        const int32_t position = records_[i].id.batch_index;
        ack.records.add(position < 0 ? 0 : static_cast<uint32_t>(position));
        any = true;
      }
      if (!any) continue;
    }
    acks.push_back(std::move(ack));
  }
  return acks;
}

}  // namespace fmesh::runtime
