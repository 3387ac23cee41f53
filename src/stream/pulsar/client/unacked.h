// What one consumer was handed and has not acknowledged: it tells which records of an entry that comes again are really
// to be handed out, and which an acknowledgement still leaves (facts: pulsar.md 1.9, 3.5, 3.6). Without it every
// reconnect would bring again what is being worked on.
//
// Pure. What it holds is bounded by what the broker hands out without acknowledgement.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "stream/ack_set.h"
#include "stream/message_id.h"

namespace fmesh::stream::pulsar {

struct EntryKey {
  int64_t ledger = 0, entry = 0;
  bool operator==(const EntryKey&) const = default;
  auto operator<=>(const EntryKey&) const = default;
};

struct EntryKeyHash {
  size_t operator()(const EntryKey& key) const {
    return static_cast<size_t>(static_cast<uint64_t>(key.ledger) * 0x9e3779b97f4a7c15ULL +
                               static_cast<uint64_t>(key.entry));
  }
};

class Unacked {
 public:
  struct Left {
    uint32_t source = 0;
    bool is_known = false;  // false: nothing is known of the entry, the acknowledgement goes out as it is
    bool is_over = false;   // the whole entry is acknowledged
    uint32_t record_count = 0;
    std::vector<uint64_t> words{};  // else: what is left of it
    uint32_t acked = 0;             // records that were not acknowledged before
  };
  struct Away {
    uint32_t source = 0;
    uint32_t redelivery_count = 0;
    uint32_t records = 0;  // that went
  };

  // An entry came from the broker, with `remaining` of it. Which records are to be handed out; none: no record is.
  std::optional<AckSet> came(uint32_t source, const EntryKey& key, uint32_t record_count, uint32_t redelivery_count,
                             const AckSet& remaining);
  // It was not handed out after all.
  void not_handed_out(const EntryKey& key);
  Left acknowledge(const EntryKey& key, const AckSet& records);
  // These records are not wanted now. None if nothing of them is out.
  std::optional<Away> send_away(const EntryKey& key, const AckSet& records);
  // What is away may come again. Returns how many records; 0: nothing is away.
  uint32_t call_back(const EntryKey& key);
  // The connection of `source` is lost: what is not with the user is forgotten, as the broker brings it again.
  void forget_away(uint32_t source);
  // All of `source` from `from` on, or all of it.
  void forget(uint32_t source, std::optional<EntryKey> from);

  size_t entries() const { return held_.size(); }
  bool holds(const EntryKey& key) const { return held_.contains(key); }
  // Known entries of `source` up to and including `to`.
  std::vector<EntryKey> up_to(uint32_t source, const EntryKey& to) const;
  int64_t out_records() const { return out_records_; }
  int64_t away_records() const { return away_records_; }

 private:
  // Of an entry of which not all records share one fate.
  struct Parted {
    std::vector<uint64_t> unacked, away, asked;  // the latter two are parts of the first
  };
  struct Held {
    uint32_t source = 0, record_count = 1, redelivery_count = 0;
    bool is_away = false;  // as a whole
    std::unique_ptr<Parted> parted;
  };
  using Map = std::unordered_map<EntryKey, Held, EntryKeyHash>;
  static Parted& part(Held& held);
  static uint32_t out_of(const Held& held);
  static uint32_t away_of(const Held& held);
  void count(const Held& held, int sign);
  Map::iterator erase(Map::iterator at);

  Map held_;
  int64_t out_records_ = 0, away_records_ = 0;
};

// Bits [0, record_count) set.
std::vector<uint64_t> all_words(uint32_t record_count);
// The words of `records`, cut or filled to `record_count`.
std::vector<uint64_t> words_of(const AckSet& records, uint32_t record_count);
uint32_t count_bits(const std::vector<uint64_t>& words);

}  // namespace fmesh::stream::pulsar
