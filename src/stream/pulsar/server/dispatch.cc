// What goes out to consumers, and what is to go out again.
#include <algorithm>

#include "stream/pulsar/server/connection_private.h"
#include "stream/pulsar/server/consumers_private.h"

namespace fmesh::stream::pulsar::server {
namespace {
// Asked of the store at a time.
constexpr size_t kPollSizeMaxBytes = 1024 * 1024;
constexpr uint32_t kPollRecordsMax = 10'000;
}  // namespace

void Consumers::flow(const proto::CommandFlow& command) {
  // A client that grants nothing, or more than anybody can, has lost count.
  if (command.messagepermits() == 0 || command.messagepermits() > INT32_MAX) return connection_.end();
  const auto link = find(command.consumer_id());
  if (!link) return;
  link->permits = std::min<int64_t>(link->permits + command.messagepermits(), INT32_MAX);
  dispatch(link);
}

void Consumers::drained() {
  const auto links = links_;  // dispatch may end one
  for (const auto& [id, link] : links) dispatch(link);
}

void Consumers::dispatch(const std::shared_ptr<ConsumerLink>& link) {
  while (link->connection == &connection_ && connection_.open() && !link->moving && link->permits > 0 &&
         connection_.takes_messages()) {
    if (!link->ordered() && link->unacked_records >= kUnackedMax) return;
    const auto records_max = static_cast<uint32_t>(std::min<int64_t>(link->permits, kPollRecordsMax));
    auto polled = link->consumer->poll({records_max, kPollSizeMaxBytes});
    if (!polled) {
      if (polled.error().kind() == ErrorKind::kClosed) return disconnect(link);
      continue;  // a damaged entry, which the store has passed over
    }
    if (polled->empty()) return wait_for_more(link);
    for (const ReceivedEntry& entry : *polled) send_entry(*link, entry);
  }
}

void Consumers::wait_for_more(const std::shared_ptr<ConsumerLink>& link) {
  link->consumer->notify([post = connection_.broker().poster(), weak = std::weak_ptr(link)] {
    post([weak] {
      const auto waiting = weak.lock();
      if (waiting && waiting->connection != nullptr) waiting->connection->consumers().dispatch(waiting);
    });
  });
}

void Consumers::send_entry(ConsumerLink& link, const ReceivedEntry& entry) {
  message_.set_type(proto::BaseCommand::MESSAGE);
  auto& message = *message_.mutable_message();
  message.set_consumer_id(link.id);
  message.mutable_message_id()->set_ledgerid(static_cast<uint64_t>(entry.id.ledger));
  message.mutable_message_id()->set_entryid(static_cast<uint64_t>(entry.id.entry));
  message.mutable_message_id()->set_partition(entry.id.partition);
  message.set_redelivery_count(link.ordered() ? 0 : entry.redelivery_count);
  message.clear_ack_set();
  if (!entry.records.is_all())
    for (const uint64_t word : entry.records.words()) message.add_ack_set(static_cast<int64_t>(word));
  message.clear_consumer_epoch();
  if (link.ordered() && link.epoch > 0) message.set_consumer_epoch(link.epoch);
  connection_.send(message_, entry.bytes);

  const auto records = static_cast<int64_t>(entry.records.count(entry.record_count));
  link.permits -= records;
  link.records_out += static_cast<uint64_t>(records);
  link.bytes_out += entry.bytes.size();
  if (entry.redelivery_count > 0) link.redelivered += static_cast<uint64_t>(records);
  link.last_sent_ms = connection_.broker().clock().wall_ms();
  if (!link.durable) {
    if (!link.sent_any) link.acked_entry = entry.id.entry - 1;
    link.sent_any = true;
    return;
  }
  link.unacked_records += records;
  auto& pending = link.pending[entry.id.entry];
  pending.record_count = entry.record_count;
  pending.records = entry.records;
}

void send_again(ConsumerLink& link) {
  const auto& place = link.topic->place;
  const auto id_of = [&](int64_t entry) { return MessageId{link.ledger, entry, place.partition, -1}; };
  if (!link.durable) {
    if (!link.sent_any) return;
    if (const Status moved = link.consumer->seek(id_of(link.acked_entry + 1)); !moved) return;
  } else if (link.ordered() && !link.pending.empty()) {
    // The store goes back to the first of them.
    link.consumer->negative_ack(id_of(link.pending.begin()->first), link.pending.begin()->second.records);
  } else {
    for (const auto& [entry, pending] : link.pending) link.consumer->negative_ack(id_of(entry), pending.records);
  }
  link.pending.clear();
  link.unacked_records = 0;
}

void Consumers::redeliver(const proto::CommandRedeliverUnacknowledgedMessages& command) {
  const auto link = find(command.consumer_id());
  if (!link || link->moving) return;
  // Acknowledgements that came before it count.
  commit_acks(link);
  if (link->ordered() || command.message_ids().empty()) {
    if (command.has_consumer_epoch()) link->epoch = std::max(link->epoch, command.consumer_epoch());
    send_again(*link);
    return dispatch(link);
  }
  for (const auto& id : command.message_ids()) {
    const auto found = link->pending.find(static_cast<int64_t>(id.entryid()));
    if (found == link->pending.end()) continue;
    link->consumer->negative_ack({link->ledger, found->first, link->topic->place.partition, -1}, found->second.records);
    link->unacked_records -= found->second.records.count(found->second.record_count);
    link->pending.erase(found);
  }
  dispatch(link);
}

}  // namespace fmesh::stream::pulsar::server
