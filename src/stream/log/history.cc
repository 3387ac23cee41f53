#include "stream/log/history.h"

#include <algorithm>

namespace fmesh::stream::log {

void History::append(uint64_t entry, Volume before, int64_t written_ms) {
  if (!samples_.empty() && entry < samples_.back().entry + stride_) return;
  samples_.push_back({entry, before, written_ms});
  if (samples_.size() <= kHistorySamplesMax) return;
  stride_ *= 2;
  size_t kept = 0;
  for (size_t i = 0; i < samples_.size(); i += 2) samples_[kept++] = samples_[i];
  samples_.resize(kept);
}

void History::forget_before(uint64_t entry) {
  auto first = std::ranges::upper_bound(samples_, entry, {}, &Sample::entry);
  if (first == samples_.begin()) return;
  samples_.erase(samples_.begin(), std::prev(first));
  // What is kept shrank, so what comes may be sampled more closely again.
  if (samples_.size() < kHistorySamplesMax / 4 && stride_ > kStrideMin) stride_ /= 2;
}

History::Sample History::at_or_before(uint64_t entry) const {
  const auto after = std::ranges::upper_bound(samples_, entry, {}, &Sample::entry);
  return after == samples_.begin() ? Sample{} : *std::prev(after);
}

const History::Sample* History::at_or_after(uint64_t entry) const {
  const auto sample = std::ranges::lower_bound(samples_, entry, {}, &Sample::entry);
  return sample == samples_.end() ? nullptr : &*sample;
}

uint64_t History::first_within(uint64_t bytes, uint64_t end_bytes) const {
  const uint64_t from = end_bytes > bytes ? end_bytes - bytes : 0;
  const auto after =
      std::ranges::upper_bound(samples_, from, {}, [](const Sample& sample) { return sample.before.bytes; });
  return after == samples_.begin() ? 0 : std::prev(after)->entry;
}

uint64_t History::first_since(int64_t time_ms) const {
  // Wall time may jump back, so this is a walk from the newest on and not a binary search.
  for (size_t i = samples_.size(); i > 0; --i)
    if (samples_[i - 1].written_ms < time_ms) return samples_[i - 1].entry;
  return 0;
}

void History::write(TableWriter& out) const {
  out.number(stride_);
  out.number(samples_.size());
  Sample last;
  for (const Sample& sample : samples_) {
    out.number(sample.entry - last.entry);
    out.number(sample.before.records - last.before.records);
    out.number(sample.before.bytes - last.before.bytes);
    out.signed_number(sample.written_ms - last.written_ms);
    last = sample;
  }
}

History History::read(TableReader& in) {
  History history;
  history.stride_ = in.number();
  Sample last;
  for (uint64_t left = in.count(); left > 0; --left) {
    last.entry += in.number();
    last.before.records += in.number();
    last.before.bytes += in.number();
    last.written_ms += in.signed_number();
    history.samples_.push_back(last);
  }
  return history;
}

}  // namespace fmesh::stream::log
