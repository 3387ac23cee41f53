// The producer of one partition: what is sent waits here, in order, until its receipt is there, and is sent again when
// the broker has changed (facts: pulsar.md 1.7, 3.3).
//
// Belongs to the client's loop, save what says otherwise.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "stream/client.h"
#include "stream/pulsar/client/attachment.h"

namespace fmesh::stream::pulsar {

// Entries that wait for receipts in one partition, on top of the bound in bytes: small ones have a cost of their own.
inline constexpr size_t kPendingEntriesMax = 100'000;

struct PartitionProducerOptions {
  std::string topic;       // full name, of the partition
  std::string name;        // empty: the broker makes one up
  bool name_given = true;  // false: `name` was made up by a broker
  int32_t partition = -1;
  // The broker drops what is not above the highest sequence id of `name`: what was sent is then sent until there is a
  // receipt, however long that takes, and nothing overtakes it.
  bool deduplicate = false;
};

// An append, ready to be sent.
struct Sending {
  SharedBytes head, entry;
  uint64_t sequence_id = 0, highest_sequence_id = 0;
  std::function<void(Result<MessageId>)> done;  // null: whoever waited was told that it took too long
  int64_t since_ns = 0;
  size_t size_bytes() const { return head.size() + entry.size(); }
};

class PartitionProducer final : public ProducerEnd, public std::enable_shared_from_this<PartitionProducer> {
 public:
  PartitionProducer(Parts& parts, PartitionProducerOptions options);
  ~PartitionProducer() override;

  // `opened` is called once, later.
  void open(std::function<void(Status)> opened);
  // Nobody waits any more: what is pending ends with kClosed.
  void close();

  // From any thread. Errors: kCorrupt if these are not an entry's bytes.
  Result<Sending> prepare(const SharedBytes& entry, uint32_t record_count) const;
  // Its `done` is called once, perhaps from within. Errors told to it: kFixInput if the broker will never take it;
  // kRetryLater if there was no receipt in time (it may have been stored all the same); kClosed.
  void send(Sending sending);

  const std::string& name() const { return name_; }
  int64_t last_sequence_id() const { return last_sequence_id_; }
  // The broker holds producers back, since subscriptions lag behind too far.
  bool is_held_back() const;

  void receipt(const wire::proto::CommandSendReceipt& receipt) override;
  void send_error(const wire::proto::CommandSendError& error) override;
  void lost(const Error& why) override;

 private:
  void attach(const std::shared_ptr<Connection>& connection, const Attachment::Done& done);
  void attached();
  void gave_up(const Refusal& why);
  bool transmit(const Sending& sending);
  void end_head(Result<MessageId> result);
  void fail_all(const Error& why);
  void watch_time();
  void end_what_is_late();

  Parts& parts_;
  const PartitionProducerOptions options_;
  const uint64_t id_;
  std::string name_;
  int64_t last_sequence_id_ = -1;  // at the first attachment
  int64_t known_stored_ = -1;      // as of the last one
  uint64_t epoch_ = 0;
  std::deque<Sending> pending_;
  std::function<void(Status)> opened_;
  std::optional<Error> failed_;  // for good
  bool closed_ = false;
  uint64_t timer_ = 0;
  Attachment attachment_;
};

}  // namespace fmesh::stream::pulsar
