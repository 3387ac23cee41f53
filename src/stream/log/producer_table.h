// What deduplication knows: per partition and producer name the highest sequence id that is durable, and the highest
// that was handed to the journal. An entry is decided at the moment of submission, in the order of the journal (facts:
// pulsar.md 4.6). Only names that deduplicate are kept, the most recently used up to a bound. Under the lock of the
// log.
#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "stream/log/journal.h"
#include "stream/log/table_codec.h"

namespace fmesh::stream::log {

// Names remembered over all partitions, about 150 bytes each. A name that was pushed out starts anew.
inline constexpr size_t kProducerNamesMax = 100'000;

class ProducerTable {
 public:
  enum class Verdict {
    kNew,        // goes to the journal; settle() must follow
    kDuplicate,  // durable already
    kUnknown,    // an entry with this or a higher sequence id is under way; whether it becomes durable is open
  };
  Verdict push(PartitionId partition, const std::string& name, int64_t sequence_id);
  // One pushed entry became durable or failed.
  void settle(PartitionId partition, const std::string& name);
  // From the journal: everything up to `sequence_id` is durable.
  void persist(PartitionId partition, std::string_view name, int64_t sequence_id);
  // The highest durable sequence id; -1 if there is none.
  int64_t last(PartitionId partition, const std::string& name) const;
  void forget_partition(PartitionId partition);
  size_t size() const { return entries_.size(); }

  void write(TableWriter& out) const;
  void read(TableReader& in);

 private:
  struct Entry {
    PartitionId partition = 0;
    std::string name;
    int64_t persisted = -1;
    int64_t pushed = -1;
    uint32_t in_flight = 0;
  };
  using Entries = std::list<Entry>;  // the least recently used first
  static std::string key_of(PartitionId partition, std::string_view name);
  Entry& touch(PartitionId partition, std::string_view name);

  Entries entries_;
  std::unordered_map<std::string, Entries::iterator> index_;
};

}  // namespace fmesh::stream::log
