#include "stream/log/window.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "stream/log/record_sets.h"

namespace fmesh::stream::log {
namespace {
constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
}  // namespace

Window::Tracked* Window::find(uint64_t entry) {
  return entry < first_ || entry >= read_position() ? nullptr : &entries_[entry - first_];
}

const Window::Tracked* Window::find(uint64_t entry) const {
  return entry < first_ || entry >= read_position() ? nullptr : &entries_[entry - first_];
}

// Keeps the sums true: called with -1 before a part changes and with 1 after it.
void Window::count(const Tracked& tracked, const Part& part, int sign) {
  const int64_t records = part.records.count(tracked.record_count);
  switch (part.state) {
    case State::kReady:
      ready_records_ += sign * records;
      return;
    case State::kDelayed:
      delayed_records_ += sign * records;
      return;
    case State::kOut:
    case State::kInCommit:
      break;
  }
  int64_t& out = out_[part.consumer];
  out += sign * records;
  if (out == 0) out_.erase(part.consumer);
  if (!tracked.key_hashes) return;
  for (uint32_t i = 0; i < tracked.record_count; ++i) {
    if (!part.records.has(i)) continue;
    const KeyHash hash = (*tracked.key_hashes)[i];
    Held& held = held_[hash];
    held.consumer = part.consumer;
    held.records += static_cast<uint32_t>(sign);
    if (held.records == 0) held_.erase(hash);
  }
}

void Window::move(const Tracked& tracked, Part& part, State state, ConsumerNumber consumer) {
  count(tracked, part, -1);
  part.state = state;
  part.consumer = consumer;
  part.due_ns = kNever;
  count(tracked, part, 1);
}

std::optional<size_t> Window::split(Tracked& tracked, size_t index, const AckSet& records) {
  Part& part = tracked.parts[index];
  if (part.records.is_all() && records.is_all()) return index;
  AckSet common = records_in_both(part.records, records, tracked.record_count);
  if (no_records(common)) return std::nullopt;
  if (common == part.records) return index;
  part.records = records_without(part.records, common, tracked.record_count);
  Part cut = part;
  cut.records = std::move(common);
  tracked.parts.push_back(std::move(cut));
  return tracked.parts.size() - 1;
}

void Window::sort_parts(Tracked& tracked) {
  if (tracked.parts.size() < 2) return;
  std::ranges::stable_sort(tracked.parts, {},
                           [&](const Part& part) { return first_record(part.records, tracked.record_count); });
}

void Window::note_ready(uint64_t entry, const Tracked& tracked) {
  const bool ready = std::ranges::any_of(tracked.parts, [](const Part& part) { return part.state == State::kReady; });
  if (ready) {
    ready_.insert(entry);
  } else {
    ready_.erase(entry);
  }
}

void Window::trim() {
  while (!entries_.empty() && entries_.front().parts.empty()) {
    entries_.pop_front();
    ++first_;
  }
}

void Window::push(const AckItem& item, Part part, std::vector<KeyHash> key_hashes) {
  Tracked tracked;
  tracked.record_count = item.record_count;
  tracked.size_bytes = item.size_bytes;
  if (!key_hashes.empty()) tracked.key_hashes = std::make_unique<std::vector<KeyHash>>(std::move(key_hashes));
  tracked.parts.push_back(std::move(part));
  entries_.push_back(std::move(tracked));
  count(entries_.back(), entries_.back().parts[0], 1);
  if (entries_.back().parts[0].state == State::kReady) ready_.insert(read_position() - 1);
}

void Window::add(const AckItem& item, ConsumerNumber consumer, std::vector<KeyHash> key_hashes) {
  Part part;
  part.records = item.records;
  part.consumer = consumer;
  part.state = consumer == 0 ? State::kReady : State::kOut;
  part.due_ns = kNever;
  push(item, std::move(part), std::move(key_hashes));
}

void Window::add_delayed(const AckItem& item, int64_t due_ns, std::vector<KeyHash> key_hashes) {
  Part part;
  part.records = item.records;
  part.due_ns = due_ns;
  part.state = State::kDelayed;
  push(item, std::move(part), std::move(key_hashes));
  delayed_.emplace(due_ns, read_position() - 1);
}

void Window::skip_to(uint64_t end) {
  if (end <= read_position()) return;
  if (entries_.empty()) {
    first_ = end;
    return;
  }
  entries_.resize(end - first_);
}

std::vector<Handout> Window::take(ConsumerNumber consumer, uint32_t records_max, size_t size_max_bytes,
                                  size_t entries_max) {
  std::vector<Handout> taken;
  uint64_t records = 0;
  uint64_t size_bytes = 0;
  while (!ready_.empty() && taken.size() < entries_max) {
    const uint64_t entry = *ready_.begin();
    Tracked& tracked = *find(entry);
    if (!taken.empty() && size_bytes + tracked.size_bytes > size_max_bytes) break;
    for (Part& part : tracked.parts) {
      if (part.state != State::kReady) continue;
      const uint32_t part_records = part.records.count(tracked.record_count);
      if (!taken.empty() && records + part_records > records_max) break;
      move(tracked, part, State::kOut, consumer);
      records += part_records;
      taken.push_back({entry, tracked.record_count, tracked.size_bytes, part.redeliveries, part.records});
    }
    size_bytes += tracked.size_bytes;
    note_ready(entry, tracked);
    if (ready_.contains(entry)) break;
  }
  return taken;
}

std::vector<Handout> Window::take_keyed(ConsumerNumber consumer, uint32_t records_max, size_t size_max_bytes,
                                        const std::function<ConsumerNumber(KeyHash)>& owner_of) {
  std::vector<Handout> taken;
  std::set<uint64_t> open(ready_);
  for (const auto& [due_ns, entry] : delayed_) open.insert(entry);
  std::vector<bool> waiting(size_t{1} << 16);  // keys of which an earlier record waits for a retry
  uint64_t records = 0;
  uint64_t size_bytes = 0;
  for (const uint64_t entry : open) {
    if (find(entry) == nullptr) continue;  // acknowledged while it waited for its retry
    Tracked& tracked = *find(entry);
    const bool full = !taken.empty() && (records >= records_max || size_bytes + tracked.size_bytes > size_max_bytes);
    if (full) break;
    std::vector<const Part*> part_of(tracked.record_count, nullptr);
    for (const Part& part : tracked.parts)
      for (uint32_t i = 0; i < tracked.record_count; ++i)
        if (part.records.has(i)) part_of[i] = &part;
    AckSet wanted = AckSet::none(tracked.record_count);
    bool any = false;
    for (uint32_t i = 0; i < tracked.record_count; ++i) {
      const KeyHash hash = tracked.key_hashes ? (*tracked.key_hashes)[i] : KeyHash{0};
      if (part_of[i] == nullptr || waiting[hash]) continue;
      if (part_of[i]->state == State::kDelayed) waiting[hash] = true;
      if (part_of[i]->state != State::kReady || owner_of(hash) != consumer) continue;
      const auto held = held_.find(hash);
      if (held != held_.end() && held->second.consumer != consumer) continue;
      wanted.add(i);
      any = true;
    }
    if (!any) continue;
    size_bytes += tracked.size_bytes;
    for (size_t index = 0, last = tracked.parts.size(); index < last; ++index) {
      if (tracked.parts[index].state != State::kReady) continue;
      const auto cut = split(tracked, index, wanted);
      if (!cut) continue;
      Part& part = tracked.parts[*cut];
      move(tracked, part, State::kOut, consumer);
      records += part.records.count(tracked.record_count);
      taken.push_back({entry, tracked.record_count, tracked.size_bytes, part.redeliveries, part.records});
    }
    sort_parts(tracked);
    note_ready(entry, tracked);
  }
  return taken;
}

std::optional<AckItem> Window::begin_ack(uint64_t entry, const AckSet& records, ConsumerNumber consumer) {
  Tracked* tracked = find(entry);
  if (tracked == nullptr) return std::nullopt;
  std::optional<AckItem> item;
  for (size_t index = 0, last = tracked->parts.size(); index < last; ++index) {
    if (tracked->parts[index].state == State::kInCommit) continue;
    const auto cut = split(*tracked, index, records);
    if (!cut) continue;
    Part& part = tracked->parts[*cut];
    move(*tracked, part, State::kInCommit, consumer);
    if (!item) {
      item = AckItem{entry, tracked->record_count, tracked->size_bytes, part.records};
    } else {
      item->records = records_in_either(item->records, part.records, tracked->record_count);
    }
  }
  if (item && !ready_.empty()) note_ready(entry, *tracked);
  return item;
}

std::vector<AckItem> Window::begin_ack_through(uint64_t entry, int32_t last, ConsumerNumber consumer) {
  std::vector<AckItem> items;
  const uint64_t end = std::min(entry + 1, read_position());
  for (uint64_t number = first_; number < end; ++number) {
    const uint32_t record_count = find(number)->record_count;
    const bool whole = number < entry || last < 0;
    auto item = begin_ack(number, whole ? AckSet::all() : records_between(0, static_cast<uint32_t>(last), record_count),
                          consumer);
    if (item) items.push_back(std::move(*item));
  }
  return items;
}

void Window::end_ack(const AckItem& item, bool durable, const std::function<bool(ConsumerNumber)>& is_open) {
  Tracked* tracked = find(item.entry);
  if (tracked == nullptr) return;
  for (size_t index = tracked->parts.size(); index > 0; --index) {
    Part& part = tracked->parts[index - 1];
    if (part.state != State::kInCommit) continue;
    if (no_records(records_in_both(part.records, item.records, tracked->record_count))) continue;
    if (!durable) {
      const bool open = is_open(part.consumer);
      move(*tracked, part, open ? State::kOut : State::kReady, open ? part.consumer : 0);
      continue;
    }
    count(*tracked, part, -1);
    tracked->parts.erase(tracked->parts.begin() + static_cast<ptrdiff_t>(index - 1));
  }
  if (!durable) {
    sort_parts(*tracked);
    note_ready(item.entry, *tracked);
  }
  if (tracked->parts.empty()) tracked->key_hashes.reset();
  trim();
}

void Window::refuse(uint64_t entry, const AckSet& records, ConsumerNumber consumer, int64_t due_ns) {
  Tracked* tracked = find(entry);
  if (tracked == nullptr) return;
  bool any = false;
  for (size_t index = 0, last = tracked->parts.size(); index < last; ++index) {
    const Part& part = tracked->parts[index];
    if (part.state != State::kOut || part.consumer != consumer) continue;
    const auto cut = split(*tracked, index, records);
    if (!cut) continue;
    Part& refused = tracked->parts[*cut];
    move(*tracked, refused, State::kDelayed, 0);
    refused.due_ns = due_ns;
    ++refused.redeliveries;
    any = true;
  }
  if (any) delayed_.emplace(due_ns, entry);
  sort_parts(*tracked);
}

void Window::rewind(uint64_t entry, const AckSet& records, ConsumerNumber consumer) {
  Tracked* refused = find(entry);
  if (refused == nullptr) return;
  const uint32_t first = first_record(records, refused->record_count);
  if (first >= refused->record_count) return;
  const AckSet from_first = records_between(first, refused->record_count - 1, refused->record_count);
  // Runs of refused and other records become parts of their own, so that they come again in the order of the entry.
  std::vector<AckSet> runs;
  for (uint32_t begin = first; begin < refused->record_count;) {
    uint32_t end = begin + 1;
    if (records.is_all()) {
      end = refused->record_count;
    } else {
      while (end < refused->record_count && records.has(end) == records.has(begin)) ++end;
    }
    runs.push_back(records_between(begin, end - 1, refused->record_count));
    begin = end;
  }
  for (const AckSet& run : runs) {
    for (size_t index = 0, last = refused->parts.size(); index < last; ++index) {
      const Part& part = refused->parts[index];
      if (part.state != State::kOut || part.consumer != consumer) continue;
      const auto cut = split(*refused, index, run);
      if (!cut) continue;
      Part& again = refused->parts[*cut];
      move(*refused, again, State::kReady, 0);
      if (records.has(first_record(run, refused->record_count))) ++again.redeliveries;
    }
  }
  sort_parts(*refused);
  note_ready(entry, *refused);
  for (uint64_t later = entry + 1; later < read_position(); ++later) {
    Tracked& tracked = *find(later);
    bool any = false;
    for (Part& part : tracked.parts) {
      if (part.state != State::kOut || part.consumer != consumer) continue;
      move(tracked, part, State::kReady, 0);
      any = true;
    }
    if (any) note_ready(later, tracked);
  }
}

void Window::watch(uint64_t entry, ConsumerNumber consumer, int64_t due_ns) {
  Tracked* tracked = find(entry);
  if (tracked == nullptr) return;
  for (Part& part : tracked->parts)
    if (part.state == State::kOut && part.consumer == consumer) part.due_ns = due_ns;
}

void Window::time_out(uint64_t entry, int64_t now_ns, bool in_order) {
  Tracked* tracked = find(entry);
  if (tracked == nullptr) return;
  for (size_t index = 0; index < tracked->parts.size(); ++index) {
    Part& part = tracked->parts[index];
    if (part.state != State::kOut || part.due_ns > now_ns) continue;
    if (in_order) return rewind(entry, AckSet(part.records), part.consumer);
    move(*tracked, part, State::kReady, 0);
    ++part.redeliveries;
  }
  note_ready(entry, *tracked);
}

void Window::release(ConsumerNumber consumer) {
  if (!out_.contains(consumer)) return;
  for (uint64_t entry = first_; entry < read_position(); ++entry) {
    Tracked& tracked = *find(entry);
    bool any = false;
    for (Part& part : tracked.parts) {
      if (part.state != State::kOut || part.consumer != consumer) continue;
      move(tracked, part, State::kReady, 0);
      any = true;
    }
    if (any) note_ready(entry, tracked);
  }
}

size_t Window::wake_delayed(int64_t now_ns) {
  size_t woken = 0;
  while (!delayed_.empty() && delayed_.begin()->first <= now_ns) {
    const uint64_t entry = delayed_.begin()->second;
    delayed_.erase(delayed_.begin());
    Tracked* tracked = find(entry);
    if (tracked == nullptr) continue;
    for (Part& part : tracked->parts) {
      if (part.state != State::kDelayed || part.due_ns > now_ns) continue;
      move(*tracked, part, State::kReady, 0);
      ++woken;
    }
    note_ready(entry, *tracked);
  }
  return woken;
}

std::optional<int64_t> Window::next_due_ns() const {
  if (delayed_.empty()) return std::nullopt;
  return delayed_.begin()->first;
}

uint32_t Window::redeliveries(uint64_t entry, const AckSet& records) const {
  const Tracked* tracked = find(entry);
  uint32_t highest = 0;
  if (tracked == nullptr) return 0;
  for (const Part& part : tracked->parts)
    if (!no_records(records_in_both(part.records, records, tracked->record_count)))
      highest = std::max(highest, part.redeliveries);
  return highest;
}

uint32_t Window::record_count(uint64_t entry) const {
  const Tracked* tracked = find(entry);
  return tracked == nullptr ? 0 : tracked->record_count;
}

int64_t Window::out_records(ConsumerNumber consumer) const {
  const auto out = out_.find(consumer);
  return out == out_.end() ? 0 : out->second;
}

}  // namespace fmesh::stream::log
