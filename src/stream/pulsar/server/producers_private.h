// The producers of one connection: opening and closing them, taking entries to the store as they are, and answering
// each in the order in which it came (facts: pulsar.md 1.7, 4.6). What arrives in one turn of the loop becomes one
// commit per producer.
//
// On the loop.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "stream/pulsar/server/broker_private.h"

namespace fmesh::stream::pulsar::server {

class Connection;

// Not durable yet, of one connection. Beyond it nothing is read from it.
inline constexpr size_t kEntriesInFlightMax = 10'000;
inline constexpr size_t kBytesInFlightMax = 16 * 1024 * 1024;
// Per connection; a client with more is told so.
inline constexpr size_t kProducersMax = 10'000;

struct ProducerLink {
  // What a SEND is answered with.
  struct Sent {
    uint64_t sequence_id = 0;
    uint64_t highest_sequence_id = 0;
    size_t size_bytes = 0;
    std::optional<Refusal> refused;  // else it is the next append of its turn
  };
  struct Turn {
    std::vector<Sent> sent;
    std::optional<Result<Receipt>> result;
  };

  Connection* connection = nullptr;  // null: closed
  uint64_t id = 0;
  std::string name;
  uint64_t epoch = 0;  // of the client's attempts
  proto::ProducerAccessMode mode = proto::Shared;
  std::shared_ptr<TopicState> topic;
  std::shared_ptr<Producer> producer;
  std::deque<std::shared_ptr<Turn>> turns;  // in the order of the commits
  std::shared_ptr<Turn> open_turn;
  std::vector<Append> appends;  // of the open turn
  bool leaving = false;         // takes nothing more and is closed once everything is answered
  bool waits_for_store = false;
  std::string schema_version;
  uint64_t waiting_request = 0;  // for exclusive access
  // Figures.
  std::map<std::string, std::string> metadata;
  int64_t connected_ms = 0;
  uint64_t records_in = 0, bytes_in = 0;
};

class Producers {
 public:
  explicit Producers(Connection& connection) : connection_(connection) {}

  void open(const proto::CommandProducer& command);
  void send(const proto::CommandSend& command, const SharedBytes& entry, bool intact);
  void close(const proto::CommandCloseProducer& command);
  // Commits what came in this turn of the loop.
  void flush();
  void end();
  // Tells the client that it has to connect anew, and forgets the producer.
  void disconnect(const std::shared_ptr<ProducerLink>& link);
  // False: what is under way is at its bound, or the store takes no more.
  bool takes_more() const;

 private:
  void open_with_schema(const proto::CommandProducer& command, const TopicPlace& place, std::string schema_version);
  Answer<bool> admit(const proto::CommandProducer& command, TopicState& topic, const std::string& name);
  void welcome(ProducerLink& link, uint64_t request_id, bool ready);
  void promote_waiting(TopicState& topic);
  std::optional<Refusal> refusal_of_entry(const proto::CommandSend& command, const SharedBytes& entry, bool intact,
                                          EntryInfo& info) const;
  void commit_turn(const std::shared_ptr<ProducerLink>& link);
  void answer(const std::shared_ptr<ProducerLink>& link);
  void answer_turn(ProducerLink& link, const ProducerLink::Turn& turn);
  void remove(const std::shared_ptr<ProducerLink>& link);
  void wait_until_writable(const std::shared_ptr<ProducerLink>& shared);

  Connection& connection_;
  std::unordered_map<uint64_t, std::shared_ptr<ProducerLink>> links_;
  std::vector<std::shared_ptr<ProducerLink>> touched_;  // in this turn
  std::deque<uint64_t> closed_;                         // recently; what is still sent to them is dropped
  size_t entries_in_flight_ = 0;
  size_t bytes_in_flight_ = 0;
  size_t waiting_for_store_ = 0;
};

}  // namespace fmesh::stream::pulsar::server
