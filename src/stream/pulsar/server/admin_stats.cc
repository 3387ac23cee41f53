// Statistics of the admin API: what the store knows of a topic, joined with who is connected.
#include <fmt/format.h>

#include <algorithm>

#include "stream/pulsar/server/admin_answer_private.h"
#include "stream/pulsar/server/topics_private.h"

namespace fmesh::stream::pulsar::server {
namespace {

json::object strings(const std::map<std::string, std::string>& pairs) {
  json::object object;
  for (const auto& [key, value] : pairs) object[key] = value;
  return object;
}

// Rates are not kept and so not told, which admin clients show as 0: counters are exact, and two looks make a rate.
json::object producer_stats(const LiveProducer& producer) {
  return {{"accessMode", producer.access_mode},
          {"averageMsgSize", producer.records_in == 0
                                 ? 0.0
                                 : static_cast<double>(producer.bytes_in) / static_cast<double>(producer.records_in)},
          {"producerId", producer.id},
          {"supportsPartialProducer", false},
          {"producerName", producer.name},
          {"address", producer.address},
          {"connectedSince", time_text(producer.connected_ms)},
          {"clientVersion", producer.client_version},
          {"metadata", strings(producer.metadata)}};
}

json::object consumer_stats(const LiveConsumer& consumer) {
  return {{"bytesOutCounter", consumer.bytes_out},
          {"msgOutCounter", consumer.records_out},
          {"consumerName", consumer.name},
          {"availablePermits", consumer.permits},
          {"unackedMessages", consumer.unacked_records},
          {"blockedConsumerOnUnackedMsgs", consumer.blocked},
          {"address", consumer.address},
          {"connectedSince", time_text(consumer.connected_ms)},
          {"clientVersion", consumer.client_version},
          {"lastAckedTimestamp", consumer.last_acked_ms},
          {"lastConsumedTimestamp", consumer.last_sent_ms},
          {"metadata", strings(consumer.metadata)}};
}

json::object empty_subscription(const std::string& type, bool durable) {
  return {{"bytesOutCounter", 0},       {"msgOutCounter", 0},   {"msgBacklog", 0},
          {"backlogSize", 0},           {"unackedMessages", 0}, {"type", type},
          {"consumers", json::array()}, {"durable", durable},   {"isDurable", durable}};
}

void add_live(json::object& subscription, const LiveSubscription& live) {
  int64_t unacked = 0;
  for (const LiveConsumer& consumer : live.consumers) {
    subscription["consumers"].as_array().push_back(consumer_stats(consumer));
    unacked += consumer.unacked_records;
    if (consumer.active) subscription["activeConsumerName"] = consumer.name;
    subscription["bytesOutCounter"] =
        subscription["bytesOutCounter"].to_number<int64_t>() + static_cast<int64_t>(consumer.bytes_out);
  }
  subscription["type"] = live.type;
  subscription["unackedMessages"] = subscription["unackedMessages"].to_number<int64_t>() + unacked;
}

}  // namespace

json::object topic_stats(const StreamInfo& info, const std::vector<size_t>& lanes,
                         const std::vector<const LiveTopic*>& live, const AdminOptions& options) {
  int64_t bytes = 0;
  int64_t backlog_bytes = 0;
  json::object subscriptions;
  for (const auto& subscription : info.subscriptions) {
    json::object stats = empty_subscription(subscription.consumers == 0 ? "None" : type_name(subscription.type), true);
    int64_t entries = 0;
    int64_t size = 0;
    for (const size_t lane : lanes) {
      entries += subscription.places[lane].backlog_entries;
      size += subscription.places[lane].backlog_bytes;
    }
    stats["msgBacklog"] = entries;
    stats["backlogSize"] = size;
    // Since the server was started, of the whole topic.
    stats["msgOutCounter"] = subscription.records_out_total;
    backlog_bytes = std::max(backlog_bytes, size);
    subscriptions[subscription.name] = std::move(stats);
  }
  json::array publishers;
  for (const LiveTopic* topic : live) {
    for (const LiveProducer& producer : topic->producers) publishers.push_back(producer_stats(producer));
    for (const auto& [name, subscription] : topic->subscriptions) {
      if (!subscriptions.contains(name))
        subscriptions[name] = empty_subscription(subscription.type, subscription.durable);
      add_live(subscriptions[name].as_object(), subscription);
    }
  }
  for (const size_t lane : lanes) bytes += info.partitions[lane].bytes;
  const double average = info.records_in_total == 0
                             ? 0.0
                             : static_cast<double>(info.bytes_in_total) / static_cast<double>(info.records_in_total);
  return {{"bytesInCounter", info.bytes_in_total},
          {"msgInCounter", info.records_in_total},
          {"averageMsgSize", average},
          {"storageSize", bytes},
          {"backlogSize", backlog_bytes},
          {"backlogQuotaLimitSize", info.options.backlog_size_max_bytes},
          {"publishers", std::move(publishers)},
          {"subscriptions", std::move(subscriptions)},
          {"ownerBroker", options.http_url.substr(options.http_url.find("://") + 3)}};
}

net::HttpResponse AdminApi::stats(const Topic& topic) {
  if (topic.is_partitioned()) return problem(404, topic.name + " has partitions; ask for its partitioned-stats");
  const auto live = live_.live_topics(topic.name);
  std::vector<const LiveTopic*> connected;
  if (const auto found = live.find(topic.name); found != live.end()) connected.push_back(&found->second);
  return json_answer(topic_stats(topic.info, {topic.lane()}, connected, options_));
}

net::HttpResponse AdminApi::partitioned_stats(const net::HttpRequest& request, const Topic& topic) {
  if (!topic.is_partitioned()) return problem(404, topic.name + " has no partitions; ask for its stats");
  const auto live = live_.live_topics(topic.name);
  std::vector<const LiveTopic*> all;
  std::vector<size_t> lanes;
  json::object parts;
  for (size_t lane = 0; lane < topic.info.partitions.size(); ++lane) {
    lanes.push_back(lane);
    const std::string name = TopicPlace{topic.info.topic, static_cast<int32_t>(lane)}.topic();
    std::vector<const LiveTopic*> connected;
    if (const auto found = live.find(name); found != live.end()) connected.push_back(&found->second);
    all.insert(all.end(), connected.begin(), connected.end());
    parts[name] = topic_stats(topic.info, {lane}, connected, options_);
  }
  json::object stats = topic_stats(topic.info, lanes, all, options_);
  stats["metadata"] = json::object{{"partitions", topic.info.options.partitions}, {"deleted", false}};
  const auto wanted = request.query.find("perPartition");
  stats["partitions"] = wanted != request.query.end() && wanted->second == "false" ? json::object() : std::move(parts);
  return json_answer(stats);
}

net::HttpResponse AdminApi::internal_stats(const Topic& topic) {
  if (topic.is_partitioned()) return problem(405, "name one partition of " + topic.name);
  const auto& partition = topic.info.partitions[topic.lane()];
  json::object cursors;
  for (const auto& subscription : topic.info.subscriptions) {
    MessageId done = subscription.places[topic.lane()].next;
    const std::string next = place_text(done);
    --done.entry;
    cursors[subscription.name] =
        json::object{{"markDeletePosition", place_text(done)},
                     {"readPosition", next},
                     {"state", "Open"},
                     {"active", subscription.consumers > 0},
                     {"numberOfEntriesSinceFirstNotAckedMessage", subscription.places[topic.lane()].backlog_entries},
                     {"properties", json::object()}};
  }
  return json_answer(json::object{
      {"entriesAddedCounter", partition.last.entry + 1},
      {"numberOfEntries", partition.entries},
      {"totalSize", partition.bytes},
      {"lastConfirmedEntry", place_text(partition.last)},
      {"state", "LedgerOpened"},
      {"ledgers",
       {json::object{{"ledgerId", partition.first.ledger}, {"entries", partition.entries}, {"size", partition.bytes}}}},
      {"cursors", std::move(cursors)},
      {"schemaLedgers", json::array()}});
}

}  // namespace fmesh::stream::pulsar::server
