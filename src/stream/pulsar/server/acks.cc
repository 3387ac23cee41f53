// Acknowledgements (facts: pulsar.md 1.9): of entries, of records of an entry, and of everything up to a place. What
// one turn of the loop brings is one commit per consumer.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "stream/pulsar/server/connection_private.h"
#include "stream/pulsar/server/consumers_private.h"

namespace fmesh::stream::pulsar::server {
namespace {

// The records of an acknowledgement: an ack_set has a bit for each that is still unacknowledged, the highest words left
// out if they are zero.
AckSet acked_of(const proto::MessageIdData& id, uint32_t record_count) {
  if (id.ack_set().empty()) return AckSet::all();
  AckSet acked = AckSet::none(record_count);
  for (uint32_t index = 0; index < record_count; ++index) {
    const auto word = static_cast<int>(index / 64);
    const uint64_t bits = word < id.ack_set_size() ? static_cast<uint64_t>(id.ack_set(word)) : 0;
    if ((bits >> (index % 64) & 1) == 0) acked.add(index);
  }
  return acked;
}

AckSet without(const AckSet& set, const AckSet& taken, uint32_t record_count) {
  AckSet rest = AckSet::none(record_count);
  for (uint32_t index = 0; index < record_count; ++index)
    if (set.has(index) && !taken.has(index)) rest.add(index);
  return rest;
}

// The consumer of the subscription that has the entry; in shared subscriptions another one may acknowledge it.
ConsumerLink* holder_of(ConsumerLink& link, int64_t entry) {
  if (link.pending.contains(entry)) return &link;
  const auto group = link.topic->consumers.find(link.subscription);
  if (group == link.topic->consumers.end()) return nullptr;
  for (const auto& other : group->second)
    if (other->pending.contains(entry)) return other.get();
  return nullptr;
}

void settle(ConsumerLink& holder, int64_t entry, const AckSet& acked) {
  const auto found = holder.pending.find(entry);
  const uint32_t record_count = found->second.record_count;
  holder.unacked_records -= found->second.records.count(record_count);
  if (!acked.is_all()) {
    found->second.records = without(found->second.records, acked, record_count);
    const uint32_t left = found->second.records.count(record_count);
    holder.unacked_records += left;
    if (left > 0) return;
  }
  holder.pending.erase(found);
}

}  // namespace

void Consumers::ack(const proto::CommandAck& command) {
  const auto link = find(command.consumer_id());
  if (!link) return;  // closed meanwhile: its client has closed its side too
  const auto refused = [&](const std::string& text) {
    if (!command.has_request_id()) return;
    const Refusal refusal{proto::NotAllowedError, text};
    answer_acks(*link, {command.request_id()}, &refusal);
  };
  if (command.has_txnid_least_bits() || command.has_txnid_most_bits())
    return refused("transactions are not offered here");
  const bool cumulative = command.ack_type() == proto::CommandAck::Cumulative;
  if (cumulative && !link->ordered()) return refused("shared subscriptions are acknowledged one by one");
  if (cumulative && command.message_id_size() != 1) return refused("one message is acknowledged with all before it");
  // What it was sent is void: it comes again from the place that its subscription is being moved to.
  if (link->moving) {
    if (command.has_request_id()) answer_acks(*link, {command.request_id()}, nullptr);
    return;
  }
  if (link->acks.empty() && link->ack_requests.empty()) touched_.push_back(link);
  for (const auto& id : command.message_id()) {
    if (cumulative) {
      ack_cumulative(*link, id);
    } else {
      ack_individual(*link, id);
    }
  }
  if (command.has_request_id()) link->ack_requests.push_back(command.request_id());
  link->last_acked_ms = connection_.broker().clock().wall_ms();
}

void Consumers::ack_individual(ConsumerLink& link, const proto::MessageIdData& id) {
  const auto entry = static_cast<int64_t>(id.entryid());
  if (!link.durable) {
    link.acked_entry = std::max(link.acked_entry, entry);
    return;
  }
  const MessageId whole{static_cast<int64_t>(id.ledgerid()), entry, link.topic->place.partition, -1};
  ConsumerLink* const holder = holder_of(link, entry);
  if (id.ack_set().empty()) {
    if (holder != nullptr) settle(*holder, entry, AckSet::all());
    link.acks.push_back({link.consumer, whole, AckSet::all(), false});
    return;
  }
  // Nobody has it out: it is acknowledged already, or will come again whole.
  if (holder == nullptr) return;
  const AckSet acked = acked_of(id, holder->pending.at(entry).record_count);
  settle(*holder, entry, acked);
  link.acks.push_back({link.consumer, whole, acked, false});
}

void Consumers::ack_cumulative(ConsumerLink& link, const proto::MessageIdData& id) {
  const auto entry = static_cast<int64_t>(id.entryid());
  if (!link.durable) {
    link.acked_entry = std::max(link.acked_entry, id.ack_set().empty() ? entry : entry - 1);
    return;
  }
  while (!link.pending.empty() && link.pending.begin()->first < entry)
    settle(link, link.pending.begin()->first, AckSet::all());
  MessageId last{static_cast<int64_t>(id.ledgerid()), entry, link.topic->place.partition, -1};
  const auto found = link.pending.find(entry);
  if (!id.ack_set().empty()) {
    // Everything before the first record that is still unacknowledged.
    uint32_t first = 0;
    for (const int64_t word : id.ack_set()) {
      if (word != 0) {
        first += static_cast<uint32_t>(__builtin_ctzll(static_cast<uint64_t>(word)));
        break;
      }
      first += 64;
    }
    if (first == 0) {
      if (entry == 0) return;
      --last.entry;
    } else {
      last.batch_index = static_cast<int32_t>(std::min<uint32_t>(first, INT32_MAX)) - 1;
      if (found != link.pending.end()) settle(link, entry, acked_of(id, found->second.record_count));
    }
  } else if (found != link.pending.end()) {
    settle(link, entry, AckSet::all());
  }
  link.acks.push_back({link.consumer, last, AckSet::all(), true});
}

void Consumers::flush() {
  if (touched_.empty()) return;
  for (const auto& link : std::exchange(touched_, {})) {
    if (link->connection == nullptr) continue;
    commit_acks(link);
    // There may be room again for what was held back.
    dispatch(link);
  }
}

void Consumers::commit_acks(const std::shared_ptr<ConsumerLink>& link) {
  auto requests = std::exchange(link->ack_requests, {});
  if (link->acks.empty()) return answer_acks(*link, requests, nullptr);
  Commit commit;
  commit.acks = std::exchange(link->acks, {});
  connection_.broker().store().commit(std::move(commit),
                                      [post = connection_.broker().poster(), weak = connection_.weak_from_this(), link,
                                       requests = std::move(requests)](Result<Receipt> receipt) {
                                        if (receipt && requests.empty()) return;
                                        post([weak, link, requests, receipt = std::move(receipt)] {
                                          const auto connection = weak.lock();
                                          if (!connection || !connection->open()) return;
                                          if (receipt)
                                            return connection->consumers().answer_acks(*link, requests, nullptr);
                                          const Refusal refusal{proto::PersistenceError, receipt.error().text()};
                                          connection->consumers().answer_acks(*link, requests, &refusal);
                                          // What could not be acknowledged comes again when the client comes again.
                                          if (link->connection != nullptr) connection->consumers().disconnect(link);
                                        });
                                      });
}

void Consumers::answer_acks(const ConsumerLink& link, const std::vector<uint64_t>& requests, const Refusal* refusal) {
  for (const uint64_t request_id : requests) {
    proto::BaseCommand command;
    command.set_type(proto::BaseCommand::ACK_RESPONSE);
    auto& answer = *command.mutable_ackresponse();
    answer.set_consumer_id(link.id);
    answer.set_request_id(request_id);
    if (refusal != nullptr) {
      answer.set_error(refusal->code);
      answer.set_message(refusal->text);
    }
    connection_.send(command);
  }
}

}  // namespace fmesh::stream::pulsar::server
