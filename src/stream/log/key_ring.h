// Which consumer of a key_shared subscription a key goes to: consistent hashing with a fixed number of points per
// consumer on a ring of 65,535 places, as Pulsar's AUTO_SPLIT default (facts: pulsar.md 4.4), so that a consumer that
// comes or goes moves only a share of the keys. Or each consumer names its ranges, as in Pulsar's STICKY mode. Under
// the lock of the log.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "stream/client.h"
#include "stream/entry.h"
#include "stream/log/window.h"
#include "stream/record.h"

namespace fmesh::stream::log {

class KeyRing {
 public:
  void add(ConsumerNumber consumer, const std::string& name);
  // REQUIRES: not mixed with the other; ranges of consumers that owner_among() is asked for together do not overlap.
  void add_ranges(ConsumerNumber consumer, const std::vector<KeyRange>& ranges);
  void remove(ConsumerNumber consumer);
  // 0 if there is no consumer, or none that takes this place.
  ConsumerNumber owner(KeyHash hash) const;
  // The owner as if the ring had only the consumers that `takes_part`. 0 if there is none.
  ConsumerNumber owner_among(KeyHash hash, const std::function<bool(ConsumerNumber)>& takes_part) const;

 private:
  // The first consumer of a point has it, others queue behind.
  std::map<KeyHash, std::vector<ConsumerNumber>> points_;
  std::map<std::string, int> names_;
  struct Owned {
    KeyHash first = 0;
    ConsumerNumber consumer = 0;
  };
  std::multimap<KeyHash, Owned> ranges_;  // by their last place
};

// The place of a key on the ring.
KeyHash key_hash(std::string_view key);
// The place of a record: by its ordering key, else its key, else spread by who sent it.
KeyHash key_hash(const RecordView& record, std::string_view producer_name);
// The place of a whole entry, by what its metadata says.
KeyHash key_hash(const EntryInfo& info);
// The place of a key where consumers name ranges, which are counted from 0.
KeyHash range_hash(std::string_view key);
KeyHash range_hash(const EntryInfo& info);

}  // namespace fmesh::stream::log
