// What a consumer has received and its user has not polled yet: the place where the client's loop hands over to the
// user's thread. Its bound is what the broker was permitted to send.
#pragma once

#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "stream/client.h"

namespace fmesh::stream::pulsar {

class Inbox {
 public:
  // `refill` is called on the user's thread when it has polled something. `notes`: what was polled is noted.
  explicit Inbox(bool notes) : notes_(notes) {}
  void set_refill(std::function<void()> refill) { refill_ = std::move(refill); }

  // --- on the client's loop ---
  // `records`: of the entry that are handed out.
  void push(uint32_t source, ReceivedEntry entry, uint32_t records);
  // A damaged entry, told in its turn.
  void push_damage(uint32_t source, Error damage);
  // Takes back what came from `source`. Returns the ids.
  std::vector<MessageId> drop(uint32_t source);
  int64_t queued_records(uint32_t source) const;
  // Ids that were polled since the last call.
  std::vector<MessageId> take_notes();
  // Every poll fails from now on, when what is queued is gone.
  void end(Error why);

  // --- on the user's thread ---
  Result<std::vector<ReceivedEntry>> poll(PollLimits limits);
  void notify(std::function<void()> wake);
  bool empty() const;
  void close();

 private:
  struct Item {
    uint32_t source = 0;
    uint32_t records = 0;
    ReceivedEntry entry;
    std::optional<Error> damage;
  };
  void push(Item item);

  const bool notes_;
  std::function<void()> refill_;
  mutable std::mutex mutex_;
  std::deque<Item> items_;
  std::vector<int64_t> queued_records_;  // by source
  std::function<void()> wake_;
  std::vector<MessageId> polled_;
  std::optional<Error> ended_;
};

}  // namespace fmesh::stream::pulsar
