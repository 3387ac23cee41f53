// The consumers of one connection: subscribing, permits and dispatch, redelivery, and what moves or ends a subscription
// (facts: pulsar.md 1.8, 1.10, 4.3-4.5). The store decides who is handed what; here it is asked as long as the client
// has permits, reads what it is sent, and acknowledges.
//
// On the loop. acks.cc has the acknowledgements, dispatch.cc what goes out.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "stream/pulsar/server/broker_private.h"

namespace fmesh::stream::pulsar::server {

class Connection;

// Records of a shared subscription that one consumer may have without acknowledging them, as Pulsar's
// maxUnackedMessagesPerConsumer.
inline constexpr int64_t kUnackedMax = 50'000;
// Per connection; a client with more is told so.
inline constexpr size_t kConsumersMax = 10'000;

// Of hashes, that one consumer names.
inline constexpr size_t kKeyRangesMax = 1'000;

struct ConsumerLink {
  // What was sent of an entry and is not acknowledged.
  struct Pending {
    uint32_t record_count = 1;
    AckSet records;
  };

  Connection* connection = nullptr;  // null: closed
  uint64_t id = 0;
  std::string name;
  std::string subscription;
  SubscriptionType type = SubscriptionType::kExclusive;
  bool durable = true;
  std::shared_ptr<TopicState> topic;
  std::shared_ptr<Consumer> consumer;
  int64_t permits = 0;                 // in records; a batch may take it below 0
  uint64_t epoch = 0;                  // of an exclusive or failover consumer's redeliveries
  std::optional<bool> active;          // failover: what its client was told
  int64_t ledger = -1;                 // of every entry it is sent
  bool moving = false;                 // its subscription is being moved: nothing goes out
  std::map<int64_t, Pending> pending;  // by entry; durable only
  int64_t unacked_records = 0;
  int64_t acked_entry = -1;  // not durable: what its client has acknowledged, or the place before the first
  bool sent_any = false;
  // Of this turn of the loop.
  std::vector<Ack> acks;
  std::vector<uint64_t> ack_requests;
  // Figures.
  std::map<std::string, std::string> metadata;
  int64_t connected_ms = 0;
  uint64_t records_out = 0, bytes_out = 0, redelivered = 0;
  int64_t last_acked_ms = 0, last_sent_ms = 0;

  bool ordered() const { return type == SubscriptionType::kExclusive || type == SubscriptionType::kFailover; }
};

class Consumers {
 public:
  explicit Consumers(Connection& connection) : connection_(connection) {}

  void subscribe(const proto::CommandSubscribe& command);
  void flow(const proto::CommandFlow& command);
  void ack(const proto::CommandAck& command);
  void redeliver(const proto::CommandRedeliverUnacknowledgedMessages& command);
  void seek(const proto::CommandSeek& command);
  void unsubscribe(const proto::CommandUnsubscribe& command);
  void close(const proto::CommandCloseConsumer& command);
  void last_message_id(const proto::CommandGetLastMessageId& command);
  void stats(const proto::CommandConsumerStats& command);
  // Commits what was acknowledged in this turn of the loop.
  void flush();
  // The client has read what was sent: more may follow.
  void drained();
  void end();
  // Tells the client that it has to connect anew, and forgets the consumer.
  void disconnect(const std::shared_ptr<ConsumerLink>& link);

 private:
  std::shared_ptr<ConsumerLink> find(uint64_t id) const;
  void subscribe_with_schema(const proto::CommandSubscribe& command, const TopicPlace& place);
  void place_reader(const proto::CommandSubscribe& command, ConsumerLink& link);
  void tell_active(TopicState& topic, const std::string& subscription);
  void dispatch(const std::shared_ptr<ConsumerLink>& link);
  void wait_for_more(const std::shared_ptr<ConsumerLink>& link);
  void send_entry(ConsumerLink& link, const ReceivedEntry& entry);
  void ack_individual(ConsumerLink& link, const proto::MessageIdData& id);
  void ack_cumulative(ConsumerLink& link, const proto::MessageIdData& id);
  void commit_acks(const std::shared_ptr<ConsumerLink>& link);
  void answer_acks(const ConsumerLink& link, const std::vector<uint64_t>& requests, const Refusal* refusal);
  void seek_reader(const std::shared_ptr<ConsumerLink>& link, const proto::CommandSeek& command);
  void remove(const std::shared_ptr<ConsumerLink>& link);

  Connection& connection_;
  std::unordered_map<uint64_t, std::shared_ptr<ConsumerLink>> links_;
  std::vector<std::shared_ptr<ConsumerLink>> touched_;  // with acks of this turn
  proto::BaseCommand message_;                          // used again for each
};

// Everything that was sent and is not acknowledged is to be sent again, to whoever is entitled to it by then.
void send_again(ConsumerLink& link);

}  // namespace fmesh::stream::pulsar::server
