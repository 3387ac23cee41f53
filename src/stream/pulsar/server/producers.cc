#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "stream/pulsar/server/connection_private.h"
#include "stream/pulsar/server/producers_private.h"
#include "stream/pulsar/server/schemas_private.h"

namespace fmesh::stream::pulsar::server {
namespace {
// Of which sends are dropped in silence: a client may have sent before it heard that its producer is gone.
constexpr size_t kClosedRememberedMax = 1'000;
constexpr uint64_t kNoRequest = std::numeric_limits<uint64_t>::max();

bool is_exclusive(proto::ProducerAccessMode mode) { return mode != proto::Shared; }

Refusal store_refusal(const Error& error) {
  // Whatever it is, the client keeps the message and comes again; what can never succeed was refused before.
  return {proto::PersistenceError, error.text()};
}

}  // namespace

// ------------------------------------------------------------------------------------------------------------- opening

void Producers::open(const proto::CommandProducer& command) {
  const uint64_t request_id = command.request_id();
  if (const auto found = links_.find(command.producer_id()); found != links_.end())
    return welcome(*found->second, request_id, found->second->waiting_request == 0);
  if (links_.size() >= kProducersMax)
    return connection_.refuse(
        request_id, {proto::NotAllowedError, fmt::format("a connection has at most {} producers", kProducersMax)});
  if (const auto refused = refusal_of_name("the producer's name", command.producer_name()))
    return connection_.refuse(request_id, *refused);
  if (const auto refused = refusal_of_name("the subscription's name", command.initial_subscription_name()))
    return connection_.refuse(request_id, *refused);
  auto place = connection_.broker().topics().find(command.topic(), true);
  if (!place) return connection_.refuse(request_id, place.error());
  if (!command.has_schema()) {
    auto version = latest_schema_version(connection_.broker().store(), place->stream);
    if (!version) return connection_.refuse(request_id, version.error());
    return open_with_schema(command, *place, std::move(*version));
  }
  register_schema(connection_.broker(), place->stream, command.schema(),
                  [weak = connection_.weak_from_this(), command, place = *place](Answer<std::string> version) {
                    const auto connection = weak.lock();
                    if (!connection || !connection->open()) return;
                    if (!version) return connection->refuse(command.request_id(), version.error());
                    connection->producers().open_with_schema(command, place, std::move(*version));
                  });
}

Answer<bool> Producers::admit(const proto::CommandProducer& command, TopicState& topic, const std::string& name) {
  const auto mode = command.producer_access_mode();
  const auto same = std::ranges::find(topic.producers, name, &ProducerLink::name);
  if (same != topic.producers.end()) {
    // A copy, as remove() takes it out of the list. NOLINTNEXTLINE(performance-unnecessary-copy-initialization)
    const auto link = *same;
    const bool same_connection = link->connection == &connection_;
    // A client that comes again after it lost its connection, before this side noticed.
    const bool is_newer = command.epoch() > link->epoch || !command.user_provided_producer_name();
    if (same_connection || !is_newer)
      return refuse(proto::ProducerBusy, fmt::format("producer {} of {} is connected already", name, topic.name));
    link->connection->producers().remove(link);
  }
  if (command.has_topic_epoch() && topic.epoch && command.topic_epoch() < *topic.epoch)
    return refuse(proto::ProducerFenced,
                  fmt::format("topic {} has a newer exclusive producer than {}", topic.name, name));
  const bool has_exclusive =
      std::ranges::any_of(topic.producers, [](const auto& link) { return is_exclusive(link->mode); });
  switch (mode) {
    case proto::Shared:
      if (has_exclusive || !topic.waiting.empty())
        return refuse(proto::ProducerBusy, fmt::format("topic {} has an exclusive producer", topic.name));
      return true;
    case proto::Exclusive:
      if (!topic.producers.empty() || !topic.waiting.empty())
        return refuse(proto::ProducerFenced,
                      fmt::format("topic {} has producers, so that none can be exclusive", topic.name));
      return true;
    case proto::WaitForExclusive:
      return topic.producers.empty();
    case proto::ExclusiveWithFencing: {
      const auto others = topic.producers;
      for (const auto& link : others) link->connection->producers().disconnect(link);
      return true;
    }
  }
  return refuse(proto::NotAllowedError, "a way of access that is not known here");
}

void Producers::open_with_schema(const proto::CommandProducer& command, const TopicPlace& place,
                                 std::string schema_version) {
  Broker& broker = connection_.broker();
  // The schema took a while: the client may have asked again.
  if (const auto found = links_.find(command.producer_id()); found != links_.end())
    return welcome(*found->second, command.request_id(), found->second->waiting_request == 0);
  const auto refused = [&](const Refusal& refusal) {
    connection_.refuse(command.request_id(), refusal);
    broker.tidy(place.topic());
  };
  const bool names_itself = command.has_producer_name() && !command.producer_name().empty();
  const std::string name = names_itself ? command.producer_name() : broker.next_name("producer");
  const auto topic = broker.live(place);
  const auto info = broker.store().find_stream(place.stream);
  if (!info) return refused(refusal_of(info.error()));
  if (*info && (*info)->over_backlog)
    return refused({proto::ProducerBlockedQuotaExceededError,
                    fmt::format("topic {} has more unacknowledged bytes than it may keep ({}); consume or remove a "
                                "subscription",
                                topic->name, (*info)->options.backlog_size_max_bytes)});
  auto properties = read_properties(command.metadata());
  if (!properties) return refused(properties.error());
  auto ready = admit(command, *topic, name);
  if (!ready) return refused(ready.error());
  if (command.has_initial_subscription_name() && !command.initial_subscription_name().empty()) {
    const auto opened = broker.store().open_consumer({.topics = {place.stream},
                                                      .topic_pattern = {},
                                                      .subscription = command.initial_subscription_name(),
                                                      .name = {},
                                                      .partition = place.partition});
    // Taken by others: then it is there, which is all that is asked for.
    if (opened) (*opened)->close();
  }
  const bool deduplicates = names_itself && deduplicates_stream(broker, place.stream);
  auto producer = broker.store().open_producer({.topic = place.stream, .name = name, .deduplicate = deduplicates});
  if (!producer) return refused(refusal_of(producer.error()));

  const auto link = std::make_shared<ProducerLink>();
  link->connection = &connection_;
  link->id = command.producer_id();
  link->name = name;
  link->epoch = command.epoch();
  link->mode = command.producer_access_mode();
  link->topic = topic;
  link->producer = std::move(*producer);
  link->schema_version = std::move(schema_version);
  link->connected_ms = broker.clock().wall_ms();
  link->metadata = std::move(*properties);
  if (is_exclusive(link->mode) && *ready)
    topic->epoch = command.has_topic_epoch() ? command.topic_epoch() : topic->epoch.value_or(UINT64_MAX) + 1;
  links_[link->id] = link;
  if (*ready) {
    topic->producers.push_back(link);
  } else {
    topic->waiting.push_back(link);
    link->waiting_request = command.request_id();
  }
  welcome(*link, command.request_id(), *ready);
}

void Producers::welcome(ProducerLink& link, uint64_t request_id, bool ready) {
  proto::BaseCommand answer;
  answer.set_type(proto::BaseCommand::PRODUCER_SUCCESS);
  auto& success = *answer.mutable_producer_success();
  success.set_request_id(request_id);
  success.set_producer_name(link.name);
  success.set_last_sequence_id(link.producer->last_sequence_id(link.topic->place.append_partition()));
  success.set_schema_version(link.schema_version);
  if (is_exclusive(link.mode) && link.topic->epoch) success.set_topic_epoch(*link.topic->epoch);
  success.set_producer_ready(ready);
  connection_.send(answer);
}

void Producers::promote_waiting(TopicState& topic) {
  if (!topic.producers.empty() || topic.waiting.empty()) return;
  const auto link = topic.waiting.front();
  topic.waiting.pop_front();
  topic.producers.push_back(link);
  topic.epoch = topic.epoch.value_or(UINT64_MAX) + 1;
  const uint64_t request_id = std::exchange(link->waiting_request, 0);
  link->connection->producers().welcome(*link, request_id, true);
}

// ------------------------------------------------------------------------------------------------------------- sending

std::optional<Refusal> Producers::refusal_of_entry(const proto::CommandSend& command, const SharedBytes& entry,
                                                   bool intact, EntryInfo& info) const {
  if (!intact) return Refusal{proto::ChecksumError, "the checksum does not fit the message"};
  if (command.has_txnid_most_bits() || command.has_txnid_least_bits())
    return Refusal{proto::NotAllowedError, "transactions are not offered here"};
  if (entry.size() > kEntrySizeMaxBytes)
    return Refusal{proto::NotAllowedError,
                   fmt::format("a message has at most {} bytes, this one has {}", kEntrySizeMaxBytes, entry.size())};
  auto read = read_entry_info(entry.view());
  if (!read) return Refusal{proto::NotAllowedError, read.error().text()};
  info = *read;
  return std::nullopt;
}

void Producers::send(const proto::CommandSend& command, const SharedBytes& entry, bool intact) {
  const auto found = links_.find(command.producer_id());
  if (found == links_.end()) {
    if (std::ranges::find(closed_, command.producer_id()) == closed_.end()) connection_.end();
    return;
  }
  const auto& link = found->second;
  if (link->leaving || link->waiting_request != 0) return;
  if (!link->open_turn) {
    link->open_turn = std::make_shared<ProducerLink::Turn>();
    touched_.push_back(link);
  }
  EntryInfo info;
  ProducerLink::Sent sent{command.sequence_id(), command.highest_sequence_id(), entry.size(),
                          refusal_of_entry(command, entry, intact, info)};
  ++entries_in_flight_;
  bytes_in_flight_ += sent.size_bytes;
  if (!sent.refused) {
    const uint64_t last = std::max(command.sequence_id(), command.highest_sequence_id());
    link->records_in += info.record_count;
    link->bytes_in += entry.size();
    link->appends.push_back({link->producer, link->topic->place.append_partition(), entry, info.record_count, last});
  }
  link->open_turn->sent.push_back(std::move(sent));
}

void Producers::flush() {
  if (touched_.empty()) return;
  for (const auto& link : std::exchange(touched_, {}))
    if (link->connection != nullptr) commit_turn(link);
}

void Producers::commit_turn(const std::shared_ptr<ProducerLink>& link) {
  const auto turn = std::exchange(link->open_turn, nullptr);
  if (!turn) return;
  link->turns.push_back(turn);
  Commit commit;
  commit.appends = std::exchange(link->appends, {});
  if (commit.appends.empty()) {
    turn->result = Receipt{};
    return answer(link);
  }
  connection_.broker().store().commit(
      std::move(commit),
      [post = connection_.broker().poster(), weak = connection_.weak_from_this(), link, turn](Result<Receipt> receipt) {
        post([weak, link, turn, receipt = std::move(receipt)]() mutable {
          turn->result = std::move(receipt);
          const auto connection = weak.lock();
          if (connection && connection->open()) connection->producers().answer(link);
        });
      });
  wait_until_writable(link);
}

void Producers::wait_until_writable(const std::shared_ptr<ProducerLink>& shared) {
  ProducerLink& link = *shared;
  if (link.waits_for_store || link.producer->writable()) return;
  const auto info = connection_.broker().store().find_stream(link.topic->place.stream);
  if (info && *info && (*info)->over_backlog) {
    // It lasts until somebody consumes, perhaps over this very connection: so reading goes on, and the client is to
    // come again, when it is told about the backlog.
    link.leaving = true;
    return;
  }
  ++waiting_for_store_;
  link.waits_for_store = true;
  link.producer->notify_writable(
      [post = connection_.broker().poster(), weak = connection_.weak_from_this(), waiting = std::weak_ptr(shared)] {
        post([weak, waiting] {
          const auto connection = weak.lock();
          const auto link = waiting.lock();
          if (!connection || !connection->open() || !link || !link->waits_for_store) return;
          link->waits_for_store = false;
          --connection->producers().waiting_for_store_;
          connection->check_reading();
        });
      });
}

void Producers::answer(const std::shared_ptr<ProducerLink>& link) {
  while (!link->turns.empty() && link->turns.front()->result) {
    const auto turn = link->turns.front();
    link->turns.pop_front();
    for (const auto& sent : turn->sent) {
      --entries_in_flight_;
      bytes_in_flight_ -= sent.size_bytes;
    }
    if (link->connection != nullptr) answer_turn(*link, *turn);
  }
  if (link->connection == nullptr) return connection_.check_reading();
  // What has become durable may have filled the backlog.
  wait_until_writable(link);
  if (link->leaving && link->turns.empty() && !link->open_turn) disconnect(link);
  connection_.check_reading();
}

void Producers::answer_turn(ProducerLink& link, const ProducerLink::Turn& turn) {
  size_t next = 0;
  proto::BaseCommand receipt;
  receipt.set_type(proto::BaseCommand::SEND_RECEIPT);
  auto& told = *receipt.mutable_send_receipt();
  told.set_producer_id(link.id);
  for (const auto& sent : turn.sent) {
    std::optional<Refusal> refused = sent.refused;
    if (!refused && !*turn.result) refused = store_refusal(turn.result->error());
    if (refused) {
      proto::BaseCommand command;
      command.set_type(proto::BaseCommand::SEND_ERROR);
      auto& error = *command.mutable_send_error();
      error.set_producer_id(link.id);
      error.set_sequence_id(std::max(sent.sequence_id, sent.highest_sequence_id));
      error.set_error(refused->code);
      error.set_message(refused->text);
      connection_.send(command);
      continue;
    }
    const MessageId& id = (*turn.result)->ids[next++];
    told.set_sequence_id(sent.sequence_id);
    told.set_highest_sequence_id(sent.highest_sequence_id);
    told.mutable_message_id()->set_ledgerid(static_cast<uint64_t>(id.ledger));
    told.mutable_message_id()->set_entryid(static_cast<uint64_t>(id.entry));
    connection_.send(receipt);
  }
}

bool Producers::takes_more() const {
  return waiting_for_store_ == 0 && entries_in_flight_ < kEntriesInFlightMax && bytes_in_flight_ < kBytesInFlightMax;
}

// ------------------------------------------------------------------------------------------------------------- closing

void Producers::remove(const std::shared_ptr<ProducerLink>& link) {
  // What came before the close was sent for good.
  commit_turn(link);
  if (std::exchange(link->waits_for_store, false)) --waiting_for_store_;
  link->connection = nullptr;
  links_.erase(link->id);
  closed_.push_back(link->id);
  if (closed_.size() > kClosedRememberedMax) closed_.pop_front();
  const auto topic = link->topic;
  std::erase(topic->producers, link);
  std::erase(topic->waiting, link);
  promote_waiting(*topic);
  connection_.broker().tidy(topic->name);
}

void Producers::close(const proto::CommandCloseProducer& command) {
  if (const auto found = links_.find(command.producer_id()); found != links_.end()) {
    const auto link = found->second;
    commit_turn(link);
    remove(link);
  }
  connection_.succeed(command.request_id());
}

void Producers::disconnect(const std::shared_ptr<ProducerLink>& link) {
  remove(link);
  proto::BaseCommand command;
  command.set_type(proto::BaseCommand::CLOSE_PRODUCER);
  command.mutable_close_producer()->set_producer_id(link->id);
  command.mutable_close_producer()->set_request_id(kNoRequest);
  connection_.send(command);
}

void Producers::end() {
  while (!links_.empty()) {
    const auto link = links_.begin()->second;  // held here: remove() takes it out of the list
    remove(link);
  }
}

}  // namespace fmesh::stream::pulsar::server
