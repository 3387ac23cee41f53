#include "stream/log/producer_table.h"

#include <algorithm>

namespace fmesh::stream::log {

std::string ProducerTable::key_of(PartitionId partition, std::string_view name) {
  std::string key(reinterpret_cast<const char*>(&partition), sizeof partition);
  key.append(name);
  return key;
}

ProducerTable::Entry& ProducerTable::touch(PartitionId partition, std::string_view name) {
  std::string key = key_of(partition, name);
  if (const auto found = index_.find(key); found != index_.end()) {
    entries_.splice(entries_.end(), entries_, found->second);
    return *found->second;
  }
  if (entries_.size() >= kProducerNamesMax) {
    const auto idle = std::ranges::find_if(entries_, [](const Entry& entry) { return entry.in_flight == 0; });
    if (idle != entries_.end()) {
      index_.erase(key_of(idle->partition, idle->name));
      entries_.erase(idle);
    }
  }
  Entry entry;
  entry.partition = partition;
  entry.name = name;
  entries_.push_back(std::move(entry));
  index_[std::move(key)] = std::prev(entries_.end());
  return entries_.back();
}

ProducerTable::Verdict ProducerTable::push(PartitionId partition, const std::string& name, int64_t sequence_id) {
  Entry& entry = touch(partition, name);
  if (sequence_id <= entry.persisted) return Verdict::kDuplicate;
  if (sequence_id <= entry.pushed) return Verdict::kUnknown;
  entry.pushed = sequence_id;
  ++entry.in_flight;
  return Verdict::kNew;
}

void ProducerTable::settle(PartitionId partition, const std::string& name) {
  const auto found = index_.find(key_of(partition, name));
  if (found == index_.end()) return;
  Entry& entry = *found->second;
  if (entry.in_flight > 0) --entry.in_flight;
  // What was pushed and is not durable by now has failed.
  if (entry.in_flight == 0) entry.pushed = entry.persisted;
}

void ProducerTable::persist(PartitionId partition, std::string_view name, int64_t sequence_id) {
  Entry& entry = touch(partition, name);
  entry.persisted = std::max(entry.persisted, sequence_id);
  entry.pushed = std::max(entry.pushed, entry.persisted);
}

int64_t ProducerTable::last(PartitionId partition, const std::string& name) const {
  const auto found = index_.find(key_of(partition, name));
  return found == index_.end() ? -1 : found->second->persisted;
}

void ProducerTable::forget_partition(PartitionId partition) {
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    if (entry->partition == partition) {
      index_.erase(key_of(entry->partition, entry->name));
      entry = entries_.erase(entry);
    } else {
      ++entry;
    }
  }
}

void ProducerTable::write(TableWriter& out) const {
  const auto durable = std::ranges::count_if(entries_, [](const Entry& entry) { return entry.persisted >= 0; });
  out.number(static_cast<uint64_t>(durable));
  for (const Entry& entry : entries_) {
    if (entry.persisted < 0) continue;
    out.number(entry.partition);
    out.text(entry.name);
    out.signed_number(entry.persisted);
  }
}

void ProducerTable::read(TableReader& in) {
  for (uint64_t left = in.count(); left > 0; --left) {
    const auto partition = static_cast<PartitionId>(in.number());
    const std::string_view name = in.text();
    persist(partition, name, in.signed_number());
  }
}

}  // namespace fmesh::stream::log
