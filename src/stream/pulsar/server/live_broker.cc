#include <future>

#include "stream/pulsar/server/connection_private.h"
#include "stream/pulsar/server/live_broker_private.h"

namespace fmesh::stream::pulsar::server {
namespace {

LiveProducer live_producer(const ProducerLink& link) {
  LiveProducer live;
  live.id = link.id;
  live.name = link.name;
  live.access_mode = proto::ProducerAccessMode_Name(link.mode);
  live.address = link.connection->peer();
  live.client_version = link.connection->client_version();
  live.metadata = link.metadata;
  live.connected_ms = link.connected_ms;
  live.records_in = link.records_in;
  live.bytes_in = link.bytes_in;
  return live;
}

LiveConsumer live_consumer(const ConsumerLink& link) {
  LiveConsumer live;
  live.name = link.name;
  live.address = link.connection->peer();
  live.client_version = link.connection->client_version();
  live.metadata = link.metadata;
  live.connected_ms = link.connected_ms;
  live.records_out = link.records_out;
  live.bytes_out = link.bytes_out;
  live.redelivered = link.redelivered;
  live.permits = link.permits;
  live.unacked_records = link.unacked_records;
  live.last_acked_ms = link.last_acked_ms;
  live.last_sent_ms = link.last_sent_ms;
  live.blocked = !link.ordered() && link.unacked_records >= kUnackedMax;
  live.active = link.active.value_or(link.type == SubscriptionType::kExclusive);
  return live;
}

LiveTopic live_topic(const TopicState& state) {
  LiveTopic live;
  live.epoch = state.epoch;
  for (const auto& link : state.producers) live.producers.push_back(live_producer(*link));
  for (const auto& [name, group] : state.consumers) {
    auto& subscription = live.subscriptions[name];
    subscription.type = type_name(group.front()->type);
    subscription.durable = group.front()->durable;
    for (const auto& link : group) subscription.consumers.push_back(live_consumer(*link));
  }
  return live;
}

}  // namespace

std::map<std::string, LiveTopic> LiveBroker::live_topics(const std::string& topic_prefix) {
  std::promise<std::map<std::string, LiveTopic>> answer;
  broker_.loop().post([&] {
    std::map<std::string, LiveTopic> live;
    for (const auto& [name, state] : broker_.all_live())
      if (name.starts_with(topic_prefix)) live[name] = live_topic(*state);
    answer.set_value(std::move(live));
  });
  return answer.get_future().get();
}

void LiveBroker::disconnect(const std::string& topic, const std::string& subscription) {
  std::promise<void> done;
  broker_.loop().post([&] {
    if (const auto state = broker_.find_live(topic)) {
      const auto producers = state->producers;
      const auto waiting = state->waiting;
      const auto consumers = state->consumers;
      for (const auto& [name, group] : consumers) {
        if (!subscription.empty() && name != subscription) continue;
        for (const auto& link : group)
          if (link->connection != nullptr) link->connection->consumers().disconnect(link);
      }
      if (subscription.empty()) {
        for (const auto& link : waiting)
          if (link->connection != nullptr) link->connection->producers().disconnect(link);
        for (const auto& link : producers)
          if (link->connection != nullptr) link->connection->producers().disconnect(link);
      }
    }
    done.set_value();
  });
  done.get_future().wait();
}

}  // namespace fmesh::stream::pulsar::server
