#include "stream/pulsar/client/partition_consumer.h"

#include <stream/pulsar/wire/commands.pb.h>

#include <algorithm>
#include <utility>

#include "stream/pulsar/client/schema.h"

namespace fmesh::stream::pulsar {
namespace {

namespace proto = wire::proto;
using proto::BaseCommand;

// How far back the size of records is looked at.
constexpr int64_t kSeenRecordsMax = 100'000;
constexpr size_t kRedeliverPerCommandMax = 1'000;

MessageId to_id(const proto::MessageIdData& data, int32_t partition) {
  return {static_cast<int64_t>(data.ledgerid()), static_cast<int64_t>(data.entryid()), partition, -1};
}

void set_id(proto::MessageIdData& data, const MessageId& id) {
  data.set_ledgerid(static_cast<uint64_t>(id.ledger));
  data.set_entryid(static_cast<uint64_t>(id.entry));
  if (id.partition >= 0) data.set_partition(id.partition);
}

proto::CommandSubscribe::SubType to_wire(SubscriptionType type) {
  switch (type) {
    case SubscriptionType::kExclusive:
      return proto::CommandSubscribe::Exclusive;
    case SubscriptionType::kShared:
      return proto::CommandSubscribe::Shared;
    case SubscriptionType::kFailover:
      return proto::CommandSubscribe::Failover;
    case SubscriptionType::kKeyShared:
      return proto::CommandSubscribe::Key_Shared;
  }
  return proto::CommandSubscribe::Exclusive;
}

}  // namespace

PartitionConsumer::PartitionConsumer(Parts& parts, Owner& owner, uint32_t source, PartitionConsumerOptions options)
    : parts_(parts),
      owner_(owner),
      source_(source),
      options_(std::move(options)),
      id_(parts.ids.next()),
      start_(options_.position == InitialPosition::kLatest ? MessageId::latest() : MessageId::earliest()),
      acks_(parts, id_),
      attachment_(parts, options_.topic,
                  {.attach = [this](const std::shared_ptr<Connection>& connection,
                                    const Attachment::Done& done) { attach(connection, done); },
                   .attached = [this] { attached(); },
                   .gave_up = [this](const Refusal& why) { gave_up(why); }}) {}

PartitionConsumer::~PartitionConsumer() { close(); }

void PartitionConsumer::open(std::function<void(Status)> opened) {
  opened_ = std::move(opened);
  attachment_.start();
}

void PartitionConsumer::attach(const std::shared_ptr<Connection>& connection, const Attachment::Done& done) {
  const uint64_t request_id = parts_.ids.next();
  BaseCommand command;
  command.set_type(BaseCommand::SUBSCRIBE);
  proto::CommandSubscribe& subscribe = *command.mutable_subscribe();
  subscribe.set_topic(options_.topic);
  subscribe.set_subscription(options_.subscription);
  subscribe.set_subtype(to_wire(options_.type));
  subscribe.set_consumer_id(id_);
  subscribe.set_request_id(request_id);
  subscribe.set_consumer_name(options_.consumer_name);
  subscribe.set_consumer_epoch(epoch_);
  subscribe.set_force_topic_creation(options_.makes_topic);
  if (options_.compacted) subscribe.set_read_compacted(true);
  subscribe.set_initialposition(options_.position == InitialPosition::kLatest ? proto::CommandSubscribe::Latest
                                                                              : proto::CommandSubscribe::Earliest);
  if (!options_.durable) {
    subscribe.set_durable(false);
    set_id(*subscribe.mutable_start_message_id(), start_);
  }
  if (options_.type == SubscriptionType::kKeyShared) {
    subscribe.mutable_keysharedmeta()->set_keysharedmode(proto::AUTO_SPLIT);  // brokers insist on it
  }
  if (!set_schema(parts_.options, *subscribe.mutable_schema())) subscribe.clear_schema();
  connection->add_consumer(id_, this);
  connection->request(
      request_id, command, parts_.options.operation_timeout_ms,
      [this, weak = weak_from_this(), connection, done, attempt = attachment_.attempts()](Answer answer) {
        if (weak.expired() || attempt != attachment_.attempts()) return;
        if (answer) return done(std::nullopt);
        connection->remove_consumer(id_);
        done(answer.error());
      });
}

void PartitionConsumer::attached() {
  outstanding_ = 0;
  held_back_ = false;
  // Before anything is permitted, so that the broker sends none of it again.
  acks_.attached(attachment_.connection());
  if (opened_) std::exchange(opened_, nullptr)({});
  if (sought_ && seek_answered_) finish_seek();
  refill();
}

void PartitionConsumer::gave_up(const Refusal& why) {
  const Error error = why.error.within("consume from " + options_.topic);
  const auto self = shared_from_this();
  if (sought_) std::exchange(sought_, nullptr)(fail(error));
  if (opened_) return std::exchange(opened_, nullptr)(fail(error));
  owner_.gave_up(*this, error);
}

void PartitionConsumer::set_share(int64_t records_max, int64_t size_max_bytes) {
  share_records_ = std::max<int64_t>(records_max, 1);
  share_bytes_ = size_max_bytes;
}

int64_t PartitionConsumer::window() const {
  if (seen_records_ == 0) return std::min(kFirstWindowRecords, share_records_);
  const int64_t average_bytes = std::max<int64_t>(seen_bytes_ / seen_records_, 1);
  return std::clamp<int64_t>(share_bytes_ / average_bytes, 1, share_records_);
}

void PartitionConsumer::refill() {
  const std::shared_ptr<Connection>& connection = attachment_.connection();
  if (!connection || sought_ || held_back_ || closed_) return;
  const int64_t window_records = window();
  const int64_t grant = window_records - outstanding_ - owner_.queued_records(*this);
  if (grant < std::max<int64_t>(window_records / 2, 1)) return;
  outstanding_ += grant;
  // A cursor that is not stored still has to move, or the broker keeps what lies behind it.
  if (!options_.durable && start_.entry >= 0 && start_ != MessageId::latest()) {
    acks_.add_cumulative({start_.ledger, start_.entry}, {});
  }
  BaseCommand command;
  command.set_type(BaseCommand::FLOW);
  command.mutable_flow()->set_consumer_id(id_);
  command.mutable_flow()->set_messagepermits(static_cast<uint32_t>(grant));
  connection->send(command);
}

void PartitionConsumer::message(const proto::CommandMessage& message, wire::Frame& frame) {
  Incoming incoming;
  incoming.id = to_id(message.message_id(), options_.partition);
  incoming.redelivery_count = message.redelivery_count();
  if (message.ack_set_size() > 0) {
    incoming.remaining = AckSet::from_words({message.ack_set().begin(), message.ack_set().end()});
  }
  const Result<EntryInfo> info = read_entry_info(frame.entry.view());
  incoming.record_count = info ? std::max(info->record_count, 1U) : 1;
  outstanding_ -= incoming.remaining.is_all() ? incoming.record_count : incoming.remaining.count(incoming.record_count);
  if (sought_ || held_back_) return;
  if (message.has_consumer_epoch() && message.consumer_epoch() < epoch_) return refill();
  if (!frame.intact) return damaged(incoming.id, Error(ErrorKind::kCorrupt, "its checksum does not fit"));
  if (!info) return damaged(incoming.id, info.error());
  if (was_before(incoming)) return refill();
  seen_records_ += incoming.record_count;
  seen_bytes_ += static_cast<int64_t>(frame.entry.size());
  if (seen_records_ > kSeenRecordsMax) {
    seen_records_ /= 2;
    seen_bytes_ /= 2;
  }
  incoming.bytes = std::move(frame.entry);
  if (!options_.durable) start_ = incoming.id;
  if (!info->batched && !put_together(incoming)) return refill();
  if (!owner_.arrived(*this, std::move(incoming))) refill();
}

// True if a reader has had it. Of the entry that was sought, records before the one that was meant go.
bool PartitionConsumer::was_before(Incoming& incoming) {
  const auto key = [](const MessageId& id) { return EntryKey{id.ledger, id.entry}; };
  if (!options_.durable && start_ != MessageId::latest() && !(key(start_) < key(incoming.id))) return true;
  if (!seek_to_ || key(*seek_to_) != key(incoming.id)) return false;
  AckSet rest = AckSet::none(incoming.record_count);
  for (auto index = static_cast<uint32_t>(seek_to_->batch_index); index < incoming.record_count; ++index) {
    if (incoming.remaining.has(index)) rest.add(index);
  }
  incoming.remaining = std::move(rest);
  return incoming.remaining.count(incoming.record_count) == 0;
}

// False if it is a part of a message that is not whole yet. If it is the last one, the whole takes its place.
bool PartitionConsumer::put_together(Incoming& incoming) {
  const auto info = chunk_of(incoming.bytes.view());
  if (!info) return true;
  ChunkAssembler::Outcome outcome =
      chunks_.add(incoming.id, incoming.bytes.view(), *info, parts_.loop.clock().monotonic_ns());
  if (options_.durable) {
    for (const MessageId& id : outcome.acknowledge) acks_.add({id.ledger, id.entry}, {});
  }
  if (outcome.whole.empty()) return false;
  incoming.bytes = std::move(outcome.whole);
  outcome.ids.pop_back();  // its own
  for (const MessageId& id : outcome.ids) incoming.chunks.push_back({id.ledger, id.entry});
  return true;
}

// The bytes may have changed on their way, so they are fetched again once.
void PartitionConsumer::damaged(const MessageId& id, const Error& damage) {
  if (damaged_once_ != id) {
    damaged_once_ = id;
    const std::shared_ptr<Connection> connection = attachment_.connection();
    if (connection) connection->close({damage.within(options_.topic + ", entry " + to_string(id)), {}});
    return;
  }
  if (!options_.durable) start_ = id;
  owner_.damaged(*this, id, damage.within(options_.topic + ", entry " + to_string(id)));
}

void PartitionConsumer::redeliver(const std::vector<EntryKey>& keys) {
  const std::shared_ptr<Connection>& connection = attachment_.connection();
  if (!connection) return;  // all of it comes again anyway
  for (size_t begin = 0; begin < keys.size(); begin += kRedeliverPerCommandMax) {
    BaseCommand command;
    command.set_type(BaseCommand::REDELIVER_UNACKNOWLEDGED_MESSAGES);
    proto::CommandRedeliverUnacknowledgedMessages& redeliver = *command.mutable_redeliverunacknowledgedmessages();
    redeliver.set_consumer_id(id_);
    for (size_t i = begin; i < std::min(begin + kRedeliverPerCommandMax, keys.size()); ++i) {
      set_id(*redeliver.add_message_ids(), {keys[i].ledger, keys[i].entry, options_.partition, -1});
    }
    connection->send(command);
  }
}

void PartitionConsumer::rewind() {
  held_back_ = false;
  chunks_.clear();
  const std::shared_ptr<Connection>& connection = attachment_.connection();
  if (!connection) return;  // all of it comes again anyway
  BaseCommand command;
  command.set_type(BaseCommand::REDELIVER_UNACKNOWLEDGED_MESSAGES);
  command.mutable_redeliverunacknowledgedmessages()->set_consumer_id(id_);
  command.mutable_redeliverunacknowledgedmessages()->set_consumer_epoch(++epoch_);
  // What is acknowledged counts first.
  acks_.flush();
  connection->send(command);
  refill();
}

void PartitionConsumer::seek(std::optional<MessageId> id, int64_t time_ms, std::function<void(Status)> done) {
  const std::shared_ptr<Connection> connection = attachment_.connection();
  if (!connection || sought_) {
    return done(fail(ErrorKind::kRetryLater, "seek in " + options_.topic + ": " +
                                                 (sought_ ? "another seek is under way" : "the broker is away")));
  }
  sought_ = std::move(done);
  seek_answered_ = false;
  seek_to_.reset();
  start_ = MessageId::earliest();
  const uint64_t request_id = parts_.ids.next();
  BaseCommand command;
  command.set_type(BaseCommand::SEEK);
  command.mutable_seek()->set_consumer_id(id_);
  command.mutable_seek()->set_request_id(request_id);
  if (id) {
    set_id(*command.mutable_seek()->mutable_message_id(), *id);
    if (*id == MessageId::latest()) start_ = *id;
    if (id->ledger >= 0 && *id != MessageId::latest()) start_ = {id->ledger, id->entry - 1, -1, -1};
    if (id->batch_index > 0) seek_to_ = id;
  } else {
    command.mutable_seek()->set_message_publish_time(static_cast<uint64_t>(std::max<int64_t>(time_ms, 0)));
  }
  acks_.clear();
  chunks_.clear();
  connection->request(request_id, command, parts_.options.operation_timeout_ms,
                      [this, weak = weak_from_this(), connection](Answer answer) {
                        if (weak.expired() || !sought_) return;
                        seek_answered_ = true;
                        if (answer) {
                          if (attachment_.connection()) finish_seek();
                          return;
                        }
                        // What was queued is gone from here, so the broker has to bring it again.
                        const Error why = answer.error().error.within("seek in " + options_.topic);
                        const auto failed = std::exchange(sought_, nullptr);
                        failed(fail(why));
                        if (attachment_.connection()) connection->close({why, {}});
                      });
}

// The broker has moved, and it is attached there. It may be that the broker does not detach who it moves; then it is as
// it was.
void PartitionConsumer::finish_seek() {
  const auto done = std::exchange(sought_, nullptr);
  refill();
  done({});
}

void PartitionConsumer::ask_ends(std::function<void(Result<Ends>)> done) {
  const std::shared_ptr<Connection>& connection = attachment_.connection();
  if (!connection) return done(fail(ErrorKind::kRetryLater, options_.topic + ": the broker is away"));
  const uint64_t request_id = parts_.ids.next();
  BaseCommand command;
  command.set_type(BaseCommand::GET_LAST_MESSAGE_ID);
  command.mutable_getlastmessageid()->set_consumer_id(id_);
  command.mutable_getlastmessageid()->set_request_id(request_id);
  connection->request(request_id, command, parts_.options.operation_timeout_ms,
                      [done = std::move(done), partition = options_.partition](Answer answer) {
                        if (!answer) return done(fail(answer.error().error));
                        const auto& told = (*answer)->getlastmessageidresponse();
                        Ends ends;
                        ends.last = to_id(told.last_message_id(), partition);
                        ends.has_mark = told.has_consumer_mark_delete_position();
                        if (ends.has_mark) ends.mark_deleted = to_id(told.consumer_mark_delete_position(), partition);
                        done(ends);
                      });
}

void PartitionConsumer::ask_backlog(std::function<void(Result<int64_t>)> done) {
  const std::shared_ptr<Connection>& connection = attachment_.connection();
  if (!connection) return done(fail(ErrorKind::kRetryLater, options_.topic + ": the broker is away"));
  const uint64_t request_id = parts_.ids.next();
  BaseCommand command;
  command.set_type(BaseCommand::CONSUMER_STATS);
  command.mutable_consumerstats()->set_consumer_id(id_);
  command.mutable_consumerstats()->set_request_id(request_id);
  connection->request(request_id, command, parts_.options.operation_timeout_ms,
                      [done = std::move(done)](Answer answer) {
                        if (!answer) return done(fail(answer.error().error));
                        done(static_cast<int64_t>((*answer)->consumerstatsresponse().msgbacklog()));
                      });
}

void PartitionConsumer::lost(const Error& why) {
  if (closed_) return;
  outstanding_ = 0;
  if (options_.durable) chunks_.clear();
  acks_.lost();
  owner_.detached(*this);
  attachment_.lost(why);
}

void PartitionConsumer::close() {
  if (std::exchange(closed_, true)) return;
  acks_.flush();
  if (const std::shared_ptr<Connection> connection = attachment_.reached()) {
    connection->remove_consumer(id_);
    BaseCommand command;
    command.set_type(BaseCommand::CLOSE_CONSUMER);
    command.mutable_close_consumer()->set_consumer_id(id_);
    command.mutable_close_consumer()->set_request_id(parts_.ids.next());
    connection->send(command);  // nobody waits for the answer
  }
  attachment_.stop();
  acks_.lost();
  const Error why(ErrorKind::kClosed, "the consumer of " + options_.topic + " is closed");
  if (sought_) std::exchange(sought_, nullptr)(fail(why));
  if (opened_) std::exchange(opened_, nullptr)(fail(why));
}

}  // namespace fmesh::stream::pulsar
