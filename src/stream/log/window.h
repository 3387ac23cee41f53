// A window is what a subscription has read of one partition and not yet durably acknowledged: for each entry the
// records that are ready to be handed out, out with a consumer, waiting for a retry, or in a commit under way. Most
// entries are one part; an entry splits into more only if it is acknowledged, refused or (key_shared) handed out in
// pieces.
//
// Pure bookkeeping in memory, without IO or clock, used under the lock of the log. It is rebuilt from the cursor after
// a restart, which is why redelivery counts do not survive one.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "stream/ack_set.h"
#include "stream/log/cursor.h"

namespace fmesh::stream::log {

// How far a subscription reads ahead of the oldest entry that is not acknowledged. Bounds the window, the ranges of a
// cursor and so a checkpoint; about 100 bytes each.
inline constexpr size_t kWindowEntriesMax = 65'536;
// Records that wait for a key_shared consumer other than the one that read them: bounds how far reading goes on behind
// a slow key.
inline constexpr int64_t kKeyedReadyRecordsMax = 100'000;

using ConsumerNumber = uint32_t;  // within the log, never used again; 0: nobody
using KeyHash = uint16_t;         // of a record's key: which consumer of a key_shared subscription it goes to

// Records of one entry for one consumer.
struct Handout {
  uint64_t entry = 0;
  uint32_t record_count = 1;
  uint32_t size_bytes = 0;
  uint32_t redeliveries = 0;
  AckSet records;
};

class Window {
 public:
  explicit Window(uint64_t next = 0) : first_(next) {}

  uint64_t first() const { return first_; }
  // The next entry to read.
  uint64_t read_position() const { return first_ + entries_.size(); }
  bool full() const { return entries_.size() >= kWindowEntriesMax; }

  // Adds the entry at read_position(). `records` are out with `consumer`, or ready if that is nobody. `key_hashes` is
  // empty, or has one hash per record.
  void add(const AckItem& item, ConsumerNumber consumer, std::vector<KeyHash> key_hashes);
  // Adds the entry at read_position() as not to be delivered before `due_ns`.
  void add_delayed(const AckItem& item, int64_t due_ns, std::vector<KeyHash> key_hashes);
  // Goes on behind `end`: what lies before it needs no delivery.
  void skip_to(uint64_t end);

  bool has_ready() const { return !ready_.empty(); }
  int64_t ready_records() const { return ready_records_; }
  // Ready parts in order, now out with `consumer`. At least one if any is ready.
  std::vector<Handout> take(ConsumerNumber consumer, uint32_t records_max, size_t size_max_bytes, size_t entries_max);
  // The same for key_shared: records whose key belongs to `consumer` now, as `owner_of` says, unless an earlier record
  // of that key waits or is out with somebody else.
  std::vector<Handout> take_keyed(ConsumerNumber consumer, uint32_t records_max, size_t size_max_bytes,
                                  const std::function<ConsumerNumber(KeyHash)>& owner_of);

  // Records of `entry` among `records` that are not acknowledged yet, now in a commit. Nothing if there are none.
  std::optional<AckItem> begin_ack(uint64_t entry, const AckSet& records, ConsumerNumber consumer);
  // All that is not acknowledged up to and including `last` of `entry`; a negative `last` means the whole of it.
  std::vector<AckItem> begin_ack_through(uint64_t entry, int32_t last, ConsumerNumber consumer);
  // The commit is durable, or failed: then the records go back to their consumer, or are ready if it left (`is_open`).
  void end_ack(const AckItem& item, bool durable, const std::function<bool(ConsumerNumber)>& is_open);

  // Records that are out with `consumer` come again at `due_ns`, their redelivery count raised.
  void refuse(uint64_t entry, const AckSet& records, ConsumerNumber consumer, int64_t due_ns);
  // Everything from the first of `records` on that is out with `consumer` is ready again; the count is raised for
  // `records`.
  void rewind(uint64_t entry, const AckSet& records, ConsumerNumber consumer);
  // What is out of `entry` with `consumer` times out at `due_ns`.
  void watch(uint64_t entry, ConsumerNumber consumer, int64_t due_ns);
  // What is out of `entry` and past its time is ready again, its count raised; with `in_order` all that lies behind it
  // too.
  void time_out(uint64_t entry, int64_t now_ns, bool in_order);
  // All that is out with a consumer that left is ready again, its count as it was.
  void release(ConsumerNumber consumer);
  // Whoever reads next: parts that wait for a retry and are due become ready. Returns how many did.
  size_t wake_delayed(int64_t now_ns);
  // When the next waiting part is due; nothing if none waits.
  std::optional<int64_t> next_due_ns() const;
  // How often `records` of `entry` were refused, the highest of their parts.
  uint32_t redeliveries(uint64_t entry, const AckSet& records) const;
  // How many records an entry of the window has; 0 if it is not in it.
  uint32_t record_count(uint64_t entry) const;

  int64_t out_records(ConsumerNumber consumer) const;
  int64_t delayed_records() const { return delayed_records_; }

 private:
  enum class State : uint8_t { kReady, kOut, kDelayed, kInCommit };
  struct Part {
    AckSet records;
    int64_t due_ns = 0;  // waiting: when it comes again; out: when it times out
    ConsumerNumber consumer = 0;
    uint32_t redeliveries = 0;
    State state = State::kReady;
  };
  struct Tracked {
    std::vector<Part> parts;  // what is not acknowledged; empty: nothing is left
    std::unique_ptr<std::vector<KeyHash>> key_hashes;
    uint32_t record_count = 1;
    uint32_t size_bytes = 0;
  };
  struct Held {
    ConsumerNumber consumer = 0;
    uint32_t records = 0;
  };

  Tracked* find(uint64_t entry);
  const Tracked* find(uint64_t entry) const;
  void push(const AckItem& item, Part part, std::vector<KeyHash> key_hashes);
  void count(const Tracked& tracked, const Part& part, int sign);
  void move(const Tracked& tracked, Part& part, State state, ConsumerNumber consumer);
  // Cuts `part` so that one part has exactly those of its records that are in `records`; returns that part's index, or
  // nothing if there are none.
  std::optional<size_t> split(Tracked& tracked, size_t part, const AckSet& records);
  void sort_parts(Tracked& tracked);
  void note_ready(uint64_t entry, const Tracked& tracked);
  void trim();

  uint64_t first_;
  std::deque<Tracked> entries_;
  std::set<uint64_t> ready_;                  // entries with a ready part
  std::multimap<int64_t, uint64_t> delayed_;  // due -> entry with a waiting part
  std::unordered_map<ConsumerNumber, int64_t> out_;
  std::unordered_map<KeyHash, Held> held_;  // keys that are out with a consumer
  int64_t delayed_records_ = 0;
  int64_t ready_records_ = 0;
};

}  // namespace fmesh::stream::log
