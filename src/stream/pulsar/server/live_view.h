// Who is connected to a topic, as figures: what the admin API adds to what the store knows. Values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace fmesh::stream::pulsar::server {

struct LiveProducer {
  uint64_t id = 0;
  std::string name, access_mode, address, client_version;
  std::map<std::string, std::string> metadata;
  int64_t connected_ms = 0;
  uint64_t records_in = 0, bytes_in = 0;
};

struct LiveConsumer {
  std::string name, address, client_version;
  std::map<std::string, std::string> metadata;
  int64_t connected_ms = 0;
  uint64_t records_out = 0, bytes_out = 0, redelivered = 0;
  int64_t permits = 0, unacked_records = 0;
  int64_t last_acked_ms = 0, last_sent_ms = 0;
  bool blocked = false;  // has too much unacknowledged
  bool active = false;   // failover: is handed messages
};

struct LiveSubscription {
  std::string type;  // "Shared"
  bool durable = true;
  std::vector<LiveConsumer> consumers;
};

struct LiveTopic {
  std::vector<LiveProducer> producers;
  std::map<std::string, LiveSubscription> subscriptions;
  std::optional<uint64_t> epoch;
};

// Asked from the thread on which the admin API answers; each call waits for the server's loop.
class LiveView {
 public:
  virtual ~LiveView() = default;
  // By topic, partitions one by one; only those that somebody is connected to.
  virtual std::map<std::string, LiveTopic> live_topics(const std::string& topic_prefix) = 0;
  // Clients are told to connect anew: of one subscription, or with an empty name everybody, producers too.
  virtual void disconnect(const std::string& topic, const std::string& subscription) = 0;
};

}  // namespace fmesh::stream::pulsar::server
