// The acknowledgements of one partition on their way to the broker: gathered for a moment, sent together, and kept
// until the broker has confirmed them, so that a lost connection loses none (facts: pulsar.md 1.9, 3.5).
//
// Belongs to the client's loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "stream/pulsar/client/parts.h"
#include "stream/pulsar/client/unacked.h"

namespace fmesh::stream::pulsar {

// How long an acknowledgement waits for others. A crash within it brings the records again.
inline constexpr int64_t kAckDelayMs = 20;
// So many are sent at once.
inline constexpr size_t kAcksPerCommandMax = 1'000;

class AckGroup {
 public:
  AckGroup(Parts& parts, uint64_t consumer_id) : parts_(parts), consumer_id_(consumer_id) {}
  ~AckGroup();
  AckGroup(const AckGroup&) = delete;
  AckGroup& operator=(const AckGroup&) = delete;

  // `left`: the records that stay unacknowledged; empty: none does.
  void add(const EntryKey& key, const std::vector<uint64_t>& left);
  // Everything up to `key`; of its entry all but `left`.
  void add_cumulative(const EntryKey& key, const std::vector<uint64_t>& left);
  // Sends what waits, if there is a connection.
  void flush();
  // It is attached: what was not confirmed goes first of all.
  void attached(const std::shared_ptr<Connection>& connection);
  void lost();
  // After a seek nothing of it counts.
  void clear();
  // Sends what waits, and calls `done` once the broker has confirmed all of it.
  void confirm(std::function<void()> done);
  bool idle() const { return waiting_.empty() && !cumulative_ && sent_.empty(); }

 private:
  struct Sent {
    std::map<EntryKey, std::vector<uint64_t>> entries;
    std::optional<std::pair<EntryKey, std::vector<uint64_t>>> cumulative;
  };
  void send(Sent batch);
  void settle(uint64_t request_id, bool confirmed);
  void schedule();
  void tell_if_idle();

  Parts& parts_;
  const uint64_t consumer_id_;
  std::shared_ptr<Connection> connection_;
  std::map<EntryKey, std::vector<uint64_t>> waiting_;
  std::optional<std::pair<EntryKey, std::vector<uint64_t>>> cumulative_;
  std::map<uint64_t, Sent> sent_;                 // by request
  std::vector<std::function<void()>> confirmed_;  // called when it is idle
  uint64_t timer_ = 0;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);  // answers that come late look here
};

}  // namespace fmesh::stream::pulsar
