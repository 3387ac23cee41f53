#include "stream/pulsar/client/inbox.h"

#include <algorithm>
#include <utility>

namespace fmesh::stream::pulsar {

void Inbox::push(uint32_t source, ReceivedEntry entry, uint32_t records) {
  push({source, records, std::move(entry), std::nullopt});
}

void Inbox::push_damage(uint32_t source, Error damage) { push({source, 0, {}, std::move(damage)}); }

void Inbox::push(Item item) {
  std::function<void()> wake;
  {
    const std::lock_guard lock(mutex_);
    if (queued_records_.size() <= item.source) queued_records_.resize(item.source + 1);
    queued_records_[item.source] += item.records;
    items_.push_back(std::move(item));
    wake = std::exchange(wake_, nullptr);
  }
  if (wake) wake();
}

std::vector<MessageId> Inbox::drop(uint32_t source) {
  std::vector<MessageId> ids;
  std::deque<Item> dropped;  // let go of outside the lock
  const std::lock_guard lock(mutex_);
  std::deque<Item> kept;
  for (Item& item : items_) (item.source == source ? dropped : kept).push_back(std::move(item));
  items_ = std::move(kept);
  if (source < queued_records_.size()) queued_records_[source] = 0;
  for (const Item& item : dropped) {
    if (!item.damage) ids.push_back(item.entry.id);
  }
  return ids;
}

int64_t Inbox::queued_records(uint32_t source) const {
  const std::lock_guard lock(mutex_);
  return source < queued_records_.size() ? queued_records_[source] : 0;
}

std::vector<MessageId> Inbox::take_notes() {
  const std::lock_guard lock(mutex_);
  return std::exchange(polled_, {});
}

void Inbox::end(Error why) {
  std::function<void()> wake;
  {
    const std::lock_guard lock(mutex_);
    if (!ended_) ended_ = std::move(why);
    wake = std::exchange(wake_, nullptr);
  }
  if (wake) wake();
}

Result<std::vector<ReceivedEntry>> Inbox::poll(PollLimits limits) {
  std::vector<ReceivedEntry> received;
  {
    const std::lock_guard lock(mutex_);
    uint64_t records = 0;
    size_t bytes = 0;
    while (!items_.empty()) {
      Item& item = items_.front();
      if (item.damage) {
        if (!received.empty()) break;
        const Error damage = *std::move(item.damage);
        items_.pop_front();
        return fail(damage);
      }
      const bool full = records + item.records > limits.records_max || bytes >= limits.size_max_bytes;
      if (!received.empty() && full) break;
      records += item.records;
      bytes += item.entry.bytes.size();
      queued_records_[item.source] -= item.records;
      if (notes_) polled_.push_back(item.entry.id);
      received.push_back(std::move(item.entry));
      items_.pop_front();
    }
    if (received.empty() && ended_) return fail(*ended_);
  }
  if (!received.empty()) refill_();
  return received;
}

void Inbox::notify(std::function<void()> wake) {
  {
    const std::lock_guard lock(mutex_);
    if (items_.empty() && !ended_) {
      wake_ = std::move(wake);
      return;
    }
    wake_ = nullptr;
  }
  if (wake) wake();
}

bool Inbox::empty() const {
  const std::lock_guard lock(mutex_);
  return items_.empty();
}

void Inbox::close() {
  std::deque<Item> dropped;  // let go of outside the lock
  const std::lock_guard lock(mutex_);
  dropped.swap(items_);
  queued_records_.clear();
  wake_ = nullptr;
  if (!ended_) ended_ = Error(ErrorKind::kClosed, "the consumer is closed");
}

}  // namespace fmesh::stream::pulsar
