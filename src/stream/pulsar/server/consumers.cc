#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "stream/pulsar/server/connection_private.h"
#include "stream/pulsar/server/consumers_private.h"
#include "stream/pulsar/server/schemas_private.h"

namespace fmesh::stream::pulsar::server {
namespace {

constexpr uint64_t kNoRequest = std::numeric_limits<uint64_t>::max();

SubscriptionType type_of(proto::CommandSubscribe::SubType type) {
  switch (type) {
    case proto::CommandSubscribe::Exclusive:
      return SubscriptionType::kExclusive;
    case proto::CommandSubscribe::Shared:
      return SubscriptionType::kShared;
    case proto::CommandSubscribe::Failover:
      return SubscriptionType::kFailover;
    case proto::CommandSubscribe::Key_Shared:
      break;
  }
  return SubscriptionType::kKeyShared;
}

// None: keys are shared out.
Answer<std::vector<KeyRange>> key_ranges_of(const proto::CommandSubscribe& command) {
  std::vector<KeyRange> ranges;
  const proto::KeySharedMeta& keys = command.keysharedmeta();
  if (type_of(command.subtype()) != SubscriptionType::kKeyShared || keys.keysharedmode() != proto::STICKY)
    return ranges;
  if (keys.hashranges().empty()) return refuse(proto::ConsumerAssignError, "sticky: name at least one range of hashes");
  if (static_cast<size_t>(keys.hashranges_size()) > kKeyRangesMax)
    return refuse(proto::ConsumerAssignError, fmt::format("a consumer has at most {} ranges of hashes", kKeyRangesMax));
  for (const proto::IntRange& range : keys.hashranges()) {
    if (range.start() < 0 || range.end() > UINT16_MAX || range.start() > range.end())
      return refuse(proto::ConsumerAssignError,
                    fmt::format("[{}, {}] is no range of hashes; they go from 0 to 65535", range.start(), range.end()));
    ranges.push_back({static_cast<uint16_t>(range.start()), static_cast<uint16_t>(range.end())});
  }
  std::ranges::sort(ranges, {}, &KeyRange::first);
  const auto overlaps = [](const KeyRange& left, const KeyRange& right) { return right.first <= left.last; };
  if (const auto found = std::ranges::adjacent_find(ranges, overlaps); found != ranges.end())
    return refuse(proto::ConsumerAssignError, fmt::format("the ranges of hashes overlap at {}", (found + 1)->first));
  return ranges;
}

// As a client gives a place to read on from. The store's own words for the ends are used for them.
MessageId place_of(const proto::MessageIdData& id) {
  MessageId place{static_cast<int64_t>(id.ledgerid()), static_cast<int64_t>(id.entryid()), -1, -1};
  if (place.ledger < 0 || place.entry < 0) return MessageId::earliest();
  if (place.entry == MessageId::latest().entry) return MessageId::latest();
  return place;
}

// The next entry to read, as the store names places. An id of a batch means the whole of it: its client leaves out what
// it does not want.
Result<MessageId> seek_target(Store& store, const TopicPlace& place, const proto::CommandSeek& command) {
  if (!command.has_message_id())
    return store.find_time(place.stream, place.partition, static_cast<int64_t>(command.message_publish_time()));
  const MessageId wanted = place_of(command.message_id());
  if (wanted != MessageId::earliest() && wanted != MessageId::latest()) return wanted;
  FMESH_TRY(const auto info, store.find_stream(place.stream));
  if (!info) return fail(ErrorKind::kFixInput, "there is no topic " + place.topic());
  const auto& partition = info->partitions[static_cast<size_t>(place.append_partition())];
  MessageId end = partition.last;
  ++end.entry;
  return wanted == MessageId::earliest() ? partition.first : end;
}

Refusal not_found(uint64_t consumer_id) {
  return {proto::MetadataError, fmt::format("Consumer not found: {}", consumer_id)};
}

}  // namespace

std::shared_ptr<ConsumerLink> Consumers::find(uint64_t id) const {
  const auto found = links_.find(id);
  return found == links_.end() ? nullptr : found->second;
}

// --------------------------------------------------------------------------------------------------------- subscribing

void Consumers::subscribe(const proto::CommandSubscribe& command) {
  const uint64_t request_id = command.request_id();
  if (find(command.consumer_id())) return connection_.succeed(request_id);
  const auto refused = [&](proto::ServerError code, const std::string& text) {
    connection_.refuse(request_id, {code, text});
  };
  if (links_.size() >= kConsumersMax)
    return refused(proto::NotAllowedError, fmt::format("a connection has at most {} consumers", kConsumersMax));
  if (!command.has_subtype()) return refused(proto::NotAllowedError, "a type of subscription that is not known here");
  if (command.subscription().empty()) return refused(proto::NotAllowedError, "a subscription has a name");
  if (const auto too_long = refusal_of_name("the subscription's name", command.subscription()))
    return connection_.refuse(request_id, *too_long);
  if (const auto too_long = refusal_of_name("the consumer's name", command.consumer_name()))
    return connection_.refuse(request_id, *too_long);
  if (const auto ranges = key_ranges_of(command); !ranges) return connection_.refuse(request_id, ranges.error());
  // Nothing is compacted here, and what is not is read whole, as by a broker.
  if (command.read_compacted() && (type_of(command.subtype()) == SubscriptionType::kShared ||
                                   type_of(command.subtype()) == SubscriptionType::kKeyShared))
    return refused(proto::NotAllowedError, "compacted reading is for exclusive and failover subscriptions");
  const bool create = command.force_topic_creation();
  auto place = connection_.broker().topics().find(command.topic(), create);
  if (!place) return connection_.refuse(request_id, place.error());
  if (!command.has_schema()) return subscribe_with_schema(command, *place);
  if (const auto made = connection_.broker().store().create_stream(place->stream, {}); !made && place->partition < 0)
    return connection_.refuse(request_id, refusal_of(made.error()));
  register_schema(connection_.broker(), place->stream, command.schema(),
                  [weak = connection_.weak_from_this(), command, place = *place](const Answer<std::string>& version) {
                    const auto connection = weak.lock();
                    if (!connection || !connection->open()) return;
                    if (!version) return connection->refuse(command.request_id(), version.error());
                    connection->consumers().subscribe_with_schema(command, place);
                  });
}

void Consumers::subscribe_with_schema(const proto::CommandSubscribe& command, const TopicPlace& place) {
  Broker& broker = connection_.broker();
  if (find(command.consumer_id())) return connection_.succeed(command.request_id());
  const auto topic = broker.live(place);
  const auto refused = [&](const Refusal& refusal) {
    connection_.refuse(command.request_id(), refusal);
    broker.tidy(topic->name);
  };
  const auto type = type_of(command.subtype());
  const auto others = topic->consumers.find(command.subscription());
  if (command.durable() && others != topic->consumers.end()) {
    if (others->second.front()->type != type)
      return refused({proto::ConsumerBusy, "Subscription is of different type"});
    if (type == SubscriptionType::kExclusive)
      return refused({proto::ConsumerBusy, "Exclusive consumer is already connected"});
  }
  auto properties = read_properties(command.metadata());
  if (!properties) return refused(properties.error());
  const auto link = std::make_shared<ConsumerLink>();
  link->connection = &connection_;
  link->id = command.consumer_id();
  link->name = command.consumer_name().empty() ? broker.next_name("consumer") : command.consumer_name();
  link->subscription = command.subscription();
  link->type = type;
  link->durable = command.durable();
  link->topic = topic;
  link->epoch = command.consumer_epoch();
  link->connected_ms = broker.clock().wall_ms();
  link->metadata = std::move(*properties);
  ConsumerOptions options;
  options.topics = {place.stream};
  options.subscription = link->subscription;
  options.type = type;
  options.position = command.initialposition() == proto::CommandSubscribe::Earliest ? InitialPosition::kEarliest
                                                                                    : InitialPosition::kLatest;
  options.name = link->name;
  options.nack_delay_min_ms = 0;  // the client has waited
  options.nack_delay_max_ms = 0;
  options.read_only = !link->durable;
  options.partition = place.partition;
  options.whole_entries = true;
  if (auto ranges = key_ranges_of(command)) options.key_ranges = std::move(*ranges);
  auto consumer = broker.store().open_consumer(std::move(options));
  if (!consumer) {
    auto refusal = refusal_of(consumer.error());
    if (consumer.error().kind() == ErrorKind::kFixInput)
      refusal.code = command.has_keysharedmeta() ? proto::ConsumerAssignError : proto::ConsumerBusy;
    return refused(refusal);
  }
  link->consumer = std::move(*consumer);
  if (const auto info = broker.store().find_stream(place.stream); info && *info)
    link->ledger = (*info)->partitions[static_cast<size_t>(place.append_partition())].first.ledger;
  if (!link->durable) place_reader(command, *link);
  links_[link->id] = link;
  topic->consumers[link->subscription].push_back(link);
  connection_.succeed(command.request_id());
  tell_active(*topic, link->subscription);
}

void Consumers::place_reader(const proto::CommandSubscribe& command, ConsumerLink& link) {
  const auto kept = connection_.broker().take_reader_place(link.topic->name, link.subscription);
  Status placed;
  if (kept) {
    placed = link.consumer->seek(*kept);
  } else if (command.start_message_rollback_duration_sec() > 0) {
    const int64_t back_ms =
        static_cast<int64_t>(std::min<uint64_t>(command.start_message_rollback_duration_sec(), INT32_MAX)) * 1'000;
    placed = link.consumer->seek_time(connection_.broker().clock().wall_ms() - back_ms);
  } else if (command.has_start_message_id()) {
    // The entry itself is sent: the client leaves out what it does not want of it.
    placed = link.consumer->seek(place_of(command.start_message_id()));
  }
  // An id of a topic that was deleted and made again: what is there now is all new to the reader.
  if (!placed) placed = link.consumer->seek(MessageId::earliest());
}

// The store gives a partition of a failover subscription to a consumer by its place in the order of names; clients are
// told whose turn it is.
void Consumers::tell_active(TopicState& topic, const std::string& subscription) {
  const auto found = topic.consumers.find(subscription);
  if (found == topic.consumers.end() || found->second.front()->type != SubscriptionType::kFailover) return;
  auto links = found->second;
  std::ranges::stable_sort(links, {}, &ConsumerLink::name);
  const size_t active = static_cast<size_t>(topic.place.append_partition()) % links.size();
  for (size_t i = 0; i < links.size(); ++i) {
    const auto& link = links[i];
    const bool is_active = i == active;
    if (link->active == is_active) continue;
    // What the former one has not acknowledged goes to the next, as with a broker.
    if (link->active.value_or(false)) send_again(*link);
    link->active = is_active;
    proto::BaseCommand command;
    command.set_type(proto::BaseCommand::ACTIVE_CONSUMER_CHANGE);
    command.mutable_active_consumer_change()->set_consumer_id(link->id);
    command.mutable_active_consumer_change()->set_is_active(is_active);
    link->connection->send(command);
  }
  for (const auto& link : links) link->connection->consumers().dispatch(link);
}

// -------------------------------------------------------------------------------------------------------------- moving

void Consumers::seek(const proto::CommandSeek& command) {
  const auto link = find(command.consumer_id());
  if (!link) return connection_.refuse(command.request_id(), not_found(command.consumer_id()));
  if (!command.has_message_id() && !command.has_message_publish_time())
    return connection_.refuse(command.request_id(), {proto::MetadataError, "a seek names a message or a time"});
  if (link->moving)
    return connection_.refuse(command.request_id(), {proto::ServiceNotReady, "the subscription is being moved"});
  if (!link->durable) return seek_reader(link, command);
  const auto topic = link->topic;
  for (const auto& other : topic->consumers[link->subscription]) {
    // What was acknowledged before is so before the move, and nothing that comes later counts.
    other->connection->consumers().commit_acks(other);
    other->moving = true;
  }
  connection_.broker().run_blocking<Status>(
      [&store = connection_.broker().store(), place = topic->place, subscription = link->subscription,
       command]() -> Status {
        FMESH_TRY(const MessageId target, seek_target(store, place, command));
        return store.move_subscription(place.stream, subscription, target);
      },
      [weak = connection_.weak_from_this(), topic, subscription = link->subscription,
       request_id = command.request_id()](const Status& status) {
        const auto group = topic->consumers.contains(subscription) ? topic->consumers[subscription]
                                                                   : std::vector<std::shared_ptr<ConsumerLink>>();
        for (const auto& other : group) {
          other->moving = false;
          if (status) {
            other->connection->consumers().disconnect(other);
          } else {
            other->connection->consumers().dispatch(other);
          }
        }
        const auto connection = weak.lock();
        if (!connection || !connection->open()) return;
        if (status) return connection->succeed(request_id);
        connection->refuse(request_id, refusal_of(status.error()));
      });
}

void Consumers::seek_reader(const std::shared_ptr<ConsumerLink>& link, const proto::CommandSeek& command) {
  Broker& broker = connection_.broker();
  const TopicPlace& place = link->topic->place;
  const auto target = seek_target(broker.store(), place, command);
  if (!target) return connection_.refuse(command.request_id(), refusal_of(target.error()));
  broker.keep_reader_place(link->topic->name, link->subscription, *target);
  disconnect(link);
  connection_.succeed(command.request_id());
}

void Consumers::last_message_id(const proto::CommandGetLastMessageId& command) {
  const auto link = find(command.consumer_id());
  if (!link) return connection_.refuse(command.request_id(), not_found(command.consumer_id()));
  Store& store = connection_.broker().store();
  const TopicPlace& place = link->topic->place;
  const auto info = store.find_stream(place.stream);
  if (!info) return connection_.refuse(command.request_id(), refusal_of(info.error()));
  if (!*info) return connection_.refuse(command.request_id(), {proto::TopicNotFound, "the topic was deleted"});
  const auto lane = static_cast<size_t>(place.append_partition());
  const MessageId last = (*info)->partitions[lane].last;
  proto::BaseCommand answer;
  answer.set_type(proto::BaseCommand::GET_LAST_MESSAGE_ID_RESPONSE);
  auto& response = *answer.mutable_getlastmessageidresponse();
  response.set_request_id(command.request_id());
  auto& id = *response.mutable_last_message_id();
  id.set_ledgerid(static_cast<uint64_t>(last.entry < 0 ? -1 : last.ledger));
  id.set_entryid(static_cast<uint64_t>(last.entry));
  if (place.partition >= 0) id.set_partition(place.partition);
  if (const auto entry = store.read_entry(place.stream, last); entry && *entry) {
    const auto read = read_entry_info((*entry)->bytes.view());
    if (read && read->batched) id.set_batch_index(static_cast<int32_t>(read->record_count) - 1);
  }
  for (const auto& subscription : (*info)->subscriptions) {
    if (!link->durable || subscription.name != link->subscription) continue;
    const MessageId& next = subscription.places[lane].next;
    auto& done = *response.mutable_consumer_mark_delete_position();
    done.set_ledgerid(static_cast<uint64_t>(next.ledger));
    done.set_entryid(static_cast<uint64_t>(next.entry - 1));
  }
  connection_.send(answer);
}

void Consumers::stats(const proto::CommandConsumerStats& command) {
  proto::BaseCommand answer;
  answer.set_type(proto::BaseCommand::CONSUMER_STATS_RESPONSE);
  auto& response = *answer.mutable_consumerstatsresponse();
  response.set_request_id(command.request_id());
  const auto link = find(command.consumer_id());
  if (!link) {
    response.set_error_code(proto::ConsumerNotFound);
    response.set_error_message(not_found(command.consumer_id()).text);
    return connection_.send(answer);
  }
  response.set_consumername(link->name);
  response.set_availablepermits(static_cast<uint64_t>(std::max<int64_t>(link->permits, 0)));
  response.set_unackedmessages(static_cast<uint64_t>(link->unacked_records));
  response.set_blockedconsumeronunackedmsgs(!link->ordered() && link->unacked_records >= kUnackedMax);
  response.set_address(connection_.peer());
  response.set_type(type_name(link->type));
  response.set_msgbacklog(static_cast<uint64_t>(link->consumer->stats().backlog_entries));
  connection_.send(answer);
}

// -------------------------------------------------------------------------------------------------------------- ending

void Consumers::unsubscribe(const proto::CommandUnsubscribe& command) {
  Broker& broker = connection_.broker();
  const auto link = find(command.consumer_id());
  if (!link) return connection_.refuse(command.request_id(), not_found(command.consumer_id()));
  if (!link->durable) {
    remove(link);
    return connection_.succeed(command.request_id());
  }
  const auto topic = link->topic;
  const auto group = topic->consumers[link->subscription];
  if (group.size() > 1 && !command.force())
    return connection_.refuse(command.request_id(),
                              {proto::ConsumerBusy, "Subscription has active connected consumers; close them first"});
  for (const auto& other : group)
    if (other != link) other->connection->consumers().disconnect(other);
  remove(link);
  // A subscription spans all partitions, so it goes with the last that is unsubscribed.
  const std::string stream = topic->place.stream;
  if (broker.has_consumers(stream, link->subscription)) return connection_.succeed(command.request_id());
  broker.run_blocking<Status>(
      [&store = broker.store(), stream, subscription = link->subscription] {
        return store.delete_subscription(stream, subscription);
      },
      [weak = connection_.weak_from_this(), request_id = command.request_id()](const Status& status) {
        const auto connection = weak.lock();
        if (!connection || !connection->open()) return;
        if (status) return connection->succeed(request_id);
        connection->refuse(request_id, {proto::MetadataError, status.error().text()});
      });
}

void Consumers::close(const proto::CommandCloseConsumer& command) {
  if (const auto link = find(command.consumer_id())) {
    commit_acks(link);
    remove(link);
  }
  connection_.succeed(command.request_id());
}

void Consumers::remove(const std::shared_ptr<ConsumerLink>& link) {
  if (link->connection == nullptr) return;
  commit_acks(link);
  link->connection = nullptr;
  link->consumer->close();
  links_.erase(link->id);
  const auto topic = link->topic;
  auto& group = topic->consumers[link->subscription];
  std::erase(group, link);
  if (group.empty()) topic->consumers.erase(link->subscription);
  tell_active(*topic, link->subscription);
  connection_.broker().tidy(topic->name);
}

void Consumers::disconnect(const std::shared_ptr<ConsumerLink>& link) {
  remove(link);
  proto::BaseCommand command;
  command.set_type(proto::BaseCommand::CLOSE_CONSUMER);
  command.mutable_close_consumer()->set_consumer_id(link->id);
  command.mutable_close_consumer()->set_request_id(kNoRequest);
  connection_.send(command);
}

void Consumers::end() {
  while (!links_.empty()) {
    const auto link = links_.begin()->second;  // held here: remove() takes it out of the list
    remove(link);
  }
}

}  // namespace fmesh::stream::pulsar::server
