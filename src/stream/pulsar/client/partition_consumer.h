// The consumer of one partition: subscribes, permits the broker to send, checks what comes, and hands it up (facts:
// pulsar.md 1.8, 3.4). What it has permitted is never counted by hand: after each change the window minus what is still
// to come and what is queued is what it may permit, so that no dropped message can leak a permit.
//
// Belongs to the client's loop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "stream/client.h"
#include "stream/pulsar/client/ack_group.h"
#include "stream/pulsar/client/attachment.h"
#include "stream/pulsar/client/chunks.h"

namespace fmesh::stream::pulsar {

// Until the size of records is known, so many are permitted.
inline constexpr int64_t kFirstWindowRecords = 1'000;

struct PartitionConsumerOptions {
  std::string topic;  // full name, of the partition
  std::string subscription, consumer_name;
  SubscriptionType type = SubscriptionType::kShared;
  InitialPosition position = InitialPosition::kEarliest;
  int32_t partition = -1;
  bool durable = true;      // false: a cursor of its own that is never stored
  bool makes_topic = true;  // if it is not there
  bool compacted = false;   // of what is compacted, only the last record of each key
};

// What came, checked.
struct Incoming {
  MessageId id;
  SharedBytes bytes;
  uint32_t record_count = 1;
  uint32_t redelivery_count = 0;
  AckSet remaining;                // what the broker knows as unacknowledged
  std::vector<EntryKey> chunks{};  // further entries that share its fate: of a message that came in several
};

class PartitionConsumer final : public ConsumerEnd, public std::enable_shared_from_this<PartitionConsumer> {
 public:
  // The consumer that it is a part of.
  class Owner {
   public:
    virtual ~Owner() = default;
    // False if nothing of it was queued.
    virtual bool arrived(PartitionConsumer& from, Incoming incoming) = 0;
    virtual void damaged(PartitionConsumer& from, const MessageId& id, const Error& damage) = 0;
    // Of this partition.
    virtual int64_t queued_records(const PartitionConsumer& from) = 0;
    virtual void detached(PartitionConsumer& from) = 0;
    virtual void gave_up(PartitionConsumer& from, const Error& why) = 0;
  };

  PartitionConsumer(Parts& parts, Owner& owner, uint32_t source, PartitionConsumerOptions options);
  ~PartitionConsumer() override;

  void open(std::function<void(Status)> opened);
  void close();

  uint32_t source() const { return source_; }
  int32_t partition() const { return options_.partition; }
  const std::string& topic() const { return options_.topic; }
  AckGroup& acks() { return acks_; }
  // Not durable: the last entry that came.
  EntryKey received_to() const { return {start_.ledger, start_.entry}; }

  // How many records and bytes may be fetched ahead.
  void set_share(int64_t records_max, int64_t size_max_bytes);
  // Permits what there is room for, if it is worth a command.
  void refill();
  // These entries are to come again; the broker counts it. Shared and Key_Shared.
  void redeliver(const std::vector<EntryKey>& keys);
  // Back to the first that is not acknowledged. Exclusive and Failover.
  void rewind();
  // Drops what comes until rewind().
  void hold_back() { held_back_ = true; }

  // Moves the subscription. `id` or, if it is none, `time_ms`. `done` is called once.
  void seek(std::optional<MessageId> id, int64_t time_ms, std::function<void(Status)> done);
  struct Ends {
    MessageId last;          // -1:-1 if the topic is empty
    MessageId mark_deleted;  // everything up to here is acknowledged
    bool has_mark = false;
  };
  void ask_ends(std::function<void(Result<Ends>)> done);
  void ask_backlog(std::function<void(Result<int64_t>)> done);  // entries

  void message(const wire::proto::CommandMessage& message, wire::Frame& frame) override;
  void lost(const Error& why) override;

 private:
  void attach(const std::shared_ptr<Connection>& connection, const Attachment::Done& done);
  void attached();
  void gave_up(const Refusal& why);
  bool was_before(Incoming& incoming);
  bool put_together(Incoming& incoming);
  void finish_seek();
  void damaged(const MessageId& id, const Error& damage);
  int64_t window() const;

  Parts& parts_;
  Owner& owner_;
  const uint32_t source_;
  const PartitionConsumerOptions options_;
  const uint64_t id_;
  uint64_t epoch_ = 0;
  bool held_back_ = false;
  int64_t outstanding_ = 0;  // permitted and not come; less than nothing if the last batch was larger than its permits
  int64_t share_records_ = kFirstWindowRecords, share_bytes_ = 0;
  int64_t seen_records_ = 0, seen_bytes_ = 0;  // lately
  MessageId start_;                            // not durable: it goes on behind this one
  std::optional<MessageId> seek_to_;           // records of its entry before its batch index are passed over
  MessageId damaged_once_{.ledger = -2};
  std::function<void(Status)> opened_;
  std::function<void(Status)> sought_;
  bool seek_answered_ = false;
  bool closed_ = false;
  ChunkAssembler chunks_;
  AckGroup acks_;
  Attachment attachment_;
};

}  // namespace fmesh::stream::pulsar
