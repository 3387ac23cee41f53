// The consumer behind a PulsarConsumer: its partitions, what is unacknowledged, what is away for a while, and the
// streams that join later.
//
// Belongs to the client's loop; its inbox, and the counts, are read by the user's thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "stream/client.h"
#include "stream/pulsar/client/inbox.h"
#include "stream/pulsar/client/partition_consumer.h"
#include "stream/pulsar/client/topic_pattern.h"
#include "stream/pulsar/client/unacked.h"

namespace fmesh::stream::pulsar {

class ConsumerCore final : public PartitionConsumer::Owner, public std::enable_shared_from_this<ConsumerCore> {
 public:
  ConsumerCore(std::shared_ptr<Parts> parts, ConsumerOptions options);
  ~ConsumerCore() override;

  // `opened` is called once. Errors: kFixInput for a pattern; as the broker says.
  void open(std::function<void(Status)> opened);
  void close();
  void acknowledge(const Ack& ack);
  // `done` is called once the broker has confirmed what was acknowledged. Not if this is closed before.
  void confirm(const std::function<void()>& done);
  void send_away(const MessageId& id, const AckSet& records);
  void seek(std::optional<MessageId> id, int64_t time_ms, std::function<void(Status)> done);
  // Permits what there is room for after a poll.
  void polled();
  // Finds out anew how much is left; one question at a time.
  void probe();

  // --- from any thread ---
  const ConsumerOptions& options() const { return options_; }
  Inbox& inbox() { return inbox_; }
  const std::shared_ptr<Parts>& parts() const { return parts_; }
  struct Counts {
    std::atomic<int64_t> unacked_records{0}, away_records{0}, backlog_entries{0};
    // As of the last look: nothing is left at the broker.
    std::atomic<bool> is_drained{false};
    std::atomic<int64_t> drained_as_of_ns{0};  // monotonic; when that look began
    std::atomic<bool> is_probing{false};
    std::atomic<int64_t> probed_ns{0};  // monotonic; when the last look was over, 0: never
    std::atomic<int64_t> arrivals{0};
    std::atomic<bool> is_refilling{false};  // a look at the permits is on its way
  };
  Counts& counts() { return counts_; }

  bool arrived(PartitionConsumer& from, Incoming incoming) override;
  void damaged(PartitionConsumer& from, const MessageId& id, const Error& damage) override;
  int64_t queued_records(const PartitionConsumer& from) override;
  void detached(PartitionConsumer& from) override;
  void gave_up(PartitionConsumer& from, const Error& why) override;

 private:
  struct Source {
    std::shared_ptr<PartitionConsumer> consumer;  // null: its stream is gone
    std::shared_ptr<const std::string> topic;     // without partition suffix
    int32_t partition = -1;
    bool is_persistent = true;
    int64_t last_ledger = -1;
  };
  struct Probe;
  void find_topics(std::function<void(Status)> done);
  void look_up_next(size_t index, const std::function<void(Status)>& done);
  void look_up_pattern(const std::function<void(Status)>& done);
  // Opens what is not there yet.
  void add_partitions(const std::string& topic, uint32_t count);
  void add_source(const std::string& topic, int32_t partition);
  void opened_one(const std::shared_ptr<PartitionConsumer>& consumer, const Status& status);
  void finish_open(const Status& status);
  void share_room();
  void watch_growth();
  bool keeps_order() const {
    return options_.type == SubscriptionType::kExclusive || options_.type == SubscriptionType::kFailover;
  }
  Source* source_of(const MessageId& id);
  void acknowledge_up_to(const Ack& ack, Source& source);
  void keep_away(const EntryKey& key, uint32_t source, int64_t delay_ms);
  void call_back();
  void schedule_call_back();
  void rewind_source(uint32_t source, const EntryKey& from, int64_t delay_ms);
  void end_what_takes_too_long();
  void note_polled();
  void let_go_of(PartitionConsumer& from);
  void update_counts();
  void end_chunks(const EntryKey& key, PartitionConsumer& consumer);
  void drop_queued(uint32_t source);

  const std::shared_ptr<Parts> parts_;
  const ConsumerOptions options_;
  std::optional<TopicPattern> pattern_;
  Inbox inbox_;
  Counts counts_;
  std::vector<Source> sources_;          // never shrinks: others know them by index
  std::map<int64_t, uint32_t> ledgers_;  // which source each is of
  Unacked unacked_;
  // By the last entry of a message that came in several: the others. Those that are not held any more go now and then.
  std::map<EntryKey, std::vector<EntryKey>> chunks_;
  std::multimap<int64_t, std::pair<EntryKey, uint32_t>> away_;  // by when they are due, monotonic ns
  std::map<uint32_t, int64_t> rewinds_;                         // by source, when
  std::deque<std::pair<int64_t, EntryKey>> timeouts_;           // by when, if there is an ack timeout
  std::function<void(Status)> opened_;
  size_t opening_ = 0;
  uint64_t away_timer_ = 0, growth_timer_ = 0, timeout_timer_ = 0;
  bool closed_ = false, is_open_ = false;
};

}  // namespace fmesh::stream::pulsar
