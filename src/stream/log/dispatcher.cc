#include "stream/log/dispatcher.h"

#include <algorithm>
#include <limits>

namespace fmesh::stream::log {
namespace {
constexpr int64_t kNsPerMs = 1'000'000;
// Entries that one consumer of several takes at a time, as Pulsar's dispatcherMaxRoundRobinBatchSize.
constexpr size_t kTurnEntriesMax = 20;

void insert_in_order(std::vector<Member*>& members, Member* member) {
  const auto place =
      std::ranges::lower_bound(members, std::pair(member->member_name(), member->number()), {},
                               [](const Member* other) { return std::pair(other->member_name(), other->number()); });
  members.insert(place, member);
}

bool is_among(const std::vector<Member*>& members, ConsumerNumber number) {
  return std::ranges::any_of(members, [&](const Member* member) { return member->number() == number; });
}
}  // namespace

Dispatcher::Dispatcher(SubscriptionType type, const std::vector<Cursor>& cursors) : type_(type) {
  for (const Cursor& cursor : cursors) lanes_.emplace_back().window = Window(cursor.next());
}

void Dispatcher::change_type(SubscriptionType type, bool by_ranges, const std::vector<Cursor>& cursors) {
  if (type == type_ && by_ranges == by_ranges_) return;
  type_ = type;
  by_ranges_ = by_ranges;
  for (size_t i = 0; i < lanes_.size(); ++i) reset(i, cursors[i].next());
}

void Dispatcher::join(Member* member) {
  insert_in_order(members_, member);
  for (size_t i = 0; i < lanes_.size(); ++i)
    if (member->only_lane().value_or(i) == i) insert_in_order(lanes_[i].members, member);
  if (!keyed()) return;
  if (by_ranges_) {
    ring_.add_ranges(member->number(), member->key_ranges());
  } else {
    ring_.add(member->number(), member->member_name());
  }
  for (Lane& lane : lanes_) ++lane.keyed_change;
}

void Dispatcher::leave(Member* member) {
  std::erase(members_, member);
  if (keyed()) ring_.remove(member->number());
  for (Lane& lane : lanes_) {
    std::erase(lane.members, member);
    lane.window.release(member->number());
    if (lane.owner == member->number()) lane.owner = 0;
    ++lane.keyed_change;
    std::erase_if(lane.keyed_seen, [&](const auto& seen) { return seen.first == member->number(); });
  }
}

void Dispatcher::reset(size_t index, uint64_t next) {
  Lane& lane = lanes_[index];
  lane.window = Window(next);
  ++lane.epoch;
  lane.reading = false;
  lane.blocked_until_ns = 0;
  ++lane.keyed_change;
  lane.ack_deadlines.clear();
}

ConsumerNumber Dispatcher::current_owner(Lane& lane, size_t index) {
  if (lane.members.empty()) return 0;
  // Partitions are spread over the consumers; what has no partitions goes to the first by name.
  const ConsumerNumber wanted = lane.members[index % lane.members.size()]->number();
  if (lane.owner == wanted) return wanted;
  if (lane.owner == 0 || !is_among(lane.members, lane.owner) || lane.window.out_records(lane.owner) == 0)
    lane.owner = wanted;
  // The former owner gets nothing new, the next one waits until it is done with what it has.
  return lane.owner == wanted ? wanted : 0;
}

ConsumerNumber Dispatcher::key_owner(const Lane& lane, KeyHash hash) const {
  if (lane.members.size() == members_.size()) return ring_.owner(hash);
  return ring_.owner_among(hash, [&](ConsumerNumber number) { return is_among(lane.members, number); });
}

bool Dispatcher::ready(size_t index, const Member& member, uint64_t end, int64_t now_ns) {
  Lane& lane = lanes_[index];
  if (lane.reading) return false;
  if (lane.window.wake_delayed(now_ns) > 0) ++lane.keyed_change;
  const bool has_new = lane.window.read_position() < end && !lane.window.full();
  if (ordered()) {
    if (lane.blocked_until_ns > now_ns || current_owner(lane, index) != member.number()) return false;
    return lane.window.has_ready() || has_new;
  }
  if (!keyed()) return lane.window.has_ready() || has_new;
  if (has_new && lane.window.ready_records() < kKeyedReadyRecordsMax) return true;
  if (!lane.window.has_ready()) return false;
  const auto seen = std::ranges::find(lane.keyed_seen, member.number(), &std::pair<ConsumerNumber, uint64_t>::first);
  return seen == lane.keyed_seen.end() || seen->second != lane.keyed_change;
}

void Dispatcher::saw_nothing(size_t index, const Member& member) {
  Lane& lane = lanes_[index];
  const auto seen = std::ranges::find(lane.keyed_seen, member.number(), &std::pair<ConsumerNumber, uint64_t>::first);
  if (seen == lane.keyed_seen.end()) {
    lane.keyed_seen.emplace_back(member.number(), lane.keyed_change);
  } else {
    seen->second = lane.keyed_change;
  }
}

std::vector<Handout> Dispatcher::take(size_t index, Member& member, PollLimits limits, int64_t now_ns) {
  Lane& lane = lanes_[index];
  if (!lane.window.has_ready()) return {};
  auto taken = keyed() ? lane.window.take_keyed(member.number(), limits.records_max, limits.size_max_bytes,
                                                [&](KeyHash hash) { return key_owner(lane, hash); })
                       : lane.window.take(member.number(), limits.records_max, limits.size_max_bytes,
                                          lane.members.size() > 1 && !ordered() ? kTurnEntriesMax
                                                                                : std::numeric_limits<size_t>::max());
  for (const Handout& handout : taken) watch(index, member, handout.entry, now_ns);
  return taken;
}

size_t Dispatcher::fair_share(size_t index, uint64_t available) const {
  const auto& members = lanes_[index].members;
  if (members.size() < 2 || type_ != SubscriptionType::kShared) return std::numeric_limits<size_t>::max();
  const uint64_t share = (available + members.size() - 1) / members.size();
  return static_cast<size_t>(std::clamp<uint64_t>(share, 1, kTurnEntriesMax));
}

void Dispatcher::watch(size_t index, const Member& member, uint64_t entry, int64_t now_ns) {
  if (member.ack_timeout_ms() <= 0) return;
  const int64_t due_ns = now_ns + member.ack_timeout_ms() * kNsPerMs;
  lanes_[index].window.watch(entry, member.number(), due_ns);
  lanes_[index].ack_deadlines.emplace(due_ns, entry);
}

int64_t Dispatcher::refuse(size_t index, const Member& member, uint64_t entry, const AckSet& records, int64_t delay_ms,
                           int64_t now_ns) {
  Lane& lane = lanes_[index];
  const int64_t due_ns = now_ns + delay_ms * kNsPerMs;
  if (!ordered()) {
    lane.window.refuse(entry, records, member.number(), due_ns);
    ++lane.keyed_change;
    return due_ns;
  }
  lane.window.rewind(entry, records, member.number());
  lane.blocked_until_ns = std::max(lane.blocked_until_ns, due_ns);
  return due_ns;
}

void Dispatcher::ended_ack(size_t index, const AckItem& item, bool durable) {
  Lane& lane = lanes_[index];
  lane.window.end_ack(item, durable, [&](ConsumerNumber number) { return is_among(lane.members, number); });
  ++lane.keyed_change;
}

std::optional<int64_t> Dispatcher::on_time(int64_t now_ns) {
  int64_t next_ns = std::numeric_limits<int64_t>::max();
  for (Lane& lane : lanes_) {
    if (lane.window.wake_delayed(now_ns) > 0) ++lane.keyed_change;
    while (!lane.ack_deadlines.empty() && lane.ack_deadlines.begin()->first <= now_ns) {
      const uint64_t entry = lane.ack_deadlines.begin()->second;
      lane.ack_deadlines.erase(lane.ack_deadlines.begin());
      lane.window.time_out(entry, now_ns, ordered());
      ++lane.keyed_change;
    }
    if (!lane.ack_deadlines.empty()) next_ns = std::min(next_ns, lane.ack_deadlines.begin()->first);
    if (const auto due_ns = lane.window.next_due_ns()) next_ns = std::min(next_ns, *due_ns);
    if (lane.blocked_until_ns <= now_ns) lane.blocked_until_ns = 0;
    if (lane.blocked_until_ns > now_ns) next_ns = std::min(next_ns, lane.blocked_until_ns);
  }
  if (next_ns == std::numeric_limits<int64_t>::max()) return std::nullopt;
  return next_ns;
}

int64_t Dispatcher::unacked_records(ConsumerNumber number) const {
  int64_t records = 0;
  for (const Lane& lane : lanes_) records += lane.window.out_records(number);
  return records;
}

int64_t Dispatcher::delayed_records() const {
  int64_t records = 0;
  for (const Lane& lane : lanes_) {
    records += lane.window.delayed_records();
    if (lane.blocked_until_ns > 0) records += lane.window.ready_records();
  }
  return records;
}

}  // namespace fmesh::stream::log
