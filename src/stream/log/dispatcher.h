// The dispatcher of a subscription decides which of its consumers is handed which entry: one window per partition (a
// lane), the consumers in name order, and for key_shared the ring of keys. Consumers ask (poll); nothing is pushed, so
// a slow consumer holds back only what it was given. Rules per type are those of facts: pulsar.md 4.3-4.5.
//
// Made when the first consumer comes, kept as long as the subscription. Pure bookkeeping under the lock of the log.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "stream/client.h"
#include "stream/log/key_ring.h"
#include "stream/log/window.h"

namespace fmesh::stream::log {

// A consumer as its dispatchers see it.
class Member {
 public:
  virtual ~Member() = default;
  virtual ConsumerNumber number() const = 0;
  virtual const std::string& member_name() const = 0;
  virtual int64_t ack_timeout_ms() const = 0;
  // The wake that notify() left, if one is set; it is taken out.
  virtual std::function<void()> take_wake() = 0;
  virtual bool has_wake() const = 0;
  // The lane it reads; nothing: all of them.
  virtual std::optional<size_t> only_lane() const = 0;
  // key_shared: the keys it takes; empty: they are shared out.
  virtual const std::vector<KeyRange>& key_ranges() const = 0;
};

class Dispatcher {
 public:
  struct Lane {
    Window window;
    uint64_t epoch = 0;            // raised by reset(): what was read before is void
    bool reading = false;          // somebody reads behind the window, without the lock
    ConsumerNumber owner = 0;      // exclusive and failover: who is handed entries
    int64_t blocked_until_ns = 0;  // exclusive and failover: a refused entry holds back what lies behind it
    uint64_t keyed_change = 1;     // key_shared: raised whenever a waiting record may have become deliverable
    std::vector<std::pair<ConsumerNumber, uint64_t>> keyed_seen;  // change at which a consumer found nothing
    std::multimap<int64_t, uint64_t> ack_deadlines;               // due -> entry; empty without ack timeouts
    std::vector<Member*> members;                                 // who reads it; by name, then by number
  };

  Dispatcher(SubscriptionType type, const std::vector<Cursor>& cursors);

  SubscriptionType type() const { return type_; }
  bool ordered() const { return type_ == SubscriptionType::kExclusive || type_ == SubscriptionType::kFailover; }
  bool keyed() const { return type_ == SubscriptionType::kKeyShared; }
  // Changes the type, and whether consumers name the ranges of their keys. REQUIRES: no members. Windows are kept if
  // their entries can be handed out under the new type.
  void change_type(SubscriptionType type, bool by_ranges, const std::vector<Cursor>& cursors);

  const std::vector<Member*>& members() const { return members_; }
  const std::vector<Member*>& members(size_t lane) const { return lanes_[lane].members; }
  void join(Member* member);
  // What is out with `member` is ready for the others.
  void leave(Member* member);

  Lane& lane(size_t index) { return lanes_[index]; }
  const Lane& lane(size_t index) const { return lanes_[index]; }
  size_t lane_count() const { return lanes_.size(); }
  // Begins anew at `next`.
  void reset(size_t lane, uint64_t next);

  // Whether `member` may find something in a lane whose partition ends at `end`.
  bool ready(size_t lane, const Member& member, uint64_t end, int64_t now_ns);
  // Ready records of the window for `member`.
  std::vector<Handout> take(size_t lane, Member& member, PollLimits limits, int64_t now_ns);
  // How many new entries `member` may take at once when `available` wait, so that the others get theirs.
  size_t fair_share(size_t lane, uint64_t available) const;
  // Marks that `member` found nothing in a key_shared lane as it is now.
  void saw_nothing(size_t lane, const Member& member);
  // Starts the ack timeout of what was handed out.
  void watch(size_t lane, const Member& member, uint64_t entry, int64_t now_ns);

  // Returns when the records come again, for the timer.
  int64_t refuse(size_t lane, const Member& member, uint64_t entry, const AckSet& records, int64_t delay_ms,
                 int64_t now_ns);
  void ended_ack(size_t lane, const AckItem& item, bool durable);
  // Moves what is due: retries, ack timeouts. Returns the next time something is.
  std::optional<int64_t> on_time(int64_t now_ns);

  int64_t unacked_records(ConsumerNumber number) const;
  int64_t delayed_records() const;

 private:
  // Who is handed entries of an ordered lane now. A lane moves only when nothing is out with its former owner.
  ConsumerNumber current_owner(Lane& lane, size_t index);
  ConsumerNumber key_owner(const Lane& lane, KeyHash hash) const;

  SubscriptionType type_;
  bool by_ranges_ = false;
  std::deque<Lane> lanes_;
  std::vector<Member*> members_;  // by name, then by number
  KeyRing ring_;
};

}  // namespace fmesh::stream::log
