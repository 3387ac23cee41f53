// The stream interface: what instances, connectors and commands see of a store of streams, be it the embedded log or a
// Pulsar cluster. Reading gives entries, so that cost is paid per batch and not per record; writing gives a Commit:
// outputs, acknowledgements and state changes that belong together. On the log a Commit is atomic; on Pulsar the
// outputs are sent, then the inputs acknowledged, and atomic() says so.
//
// Threads: a Client is used from any thread. A Consumer belongs to one loop. Callbacks come on a thread of the store;
// they must be short, as a rule one post() to the caller's loop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "stream/ack_set.h"
#include "stream/commit_order.h"
#include "stream/entry.h"
#include "stream/message_id.h"
#include "stream/state.h"
#include "stream/topic_name.h"

namespace fmesh::stream {

enum class SubscriptionType : uint8_t { kExclusive, kShared, kFailover, kKeyShared };
enum class InitialPosition : uint8_t { kLatest, kEarliest };

struct StreamOptions {
  int32_t partitions = 0;               // 0: not partitioned
  int64_t retention_size_bytes = -1;    // acknowledged bytes kept per partition; -1: the store's default
  int64_t retention_time_ms = -1;       // how long acknowledged entries are kept; -1: the store's default
  int64_t backlog_size_max_bytes = -1;  // unacknowledged bytes at which producers wait; -1: the store's default
};

struct ProducerOptions {
  std::string topic;  // full name
  std::string name;   // empty: the store makes one up
  Compression compression = Compression::kNone;
  // Entries whose highest sequence id is not above the last durable one of this producer's name are dropped, and their
  // commit reports `duplicate`. Needs a name. Errors of opening: kFixInput if the store can't be brought to do so.
  bool deduplicate = false;
};

// A way into one stream. Entries are made with EntryBuilder under this producer's name.
class Producer {
 public:
  virtual ~Producer() = default;
  virtual const std::string& topic() const = 0;
  virtual const std::string& name() const = 0;
  // At least 1: a stream without partitions has one place to append to. May grow while the producer is open.
  virtual int32_t partition_count() const = 0;
  // The highest durable sequence id of this producer's name in `partition`, -1 if there is none.
  virtual int64_t last_sequence_id(int32_t partition) const = 0;
  // True while the stream takes more: neither its backlog limit nor the store's pending bound is reached.
  virtual bool writable() const = 0;
  // Calls `wake` once, when writable() may have turned true. Replaces an earlier wake.
  virtual void notify_writable(std::function<void()> wake) = 0;
};

// Places of keys, both ends included, of the 65,536 that Pulsar's sticky ranges are given in.
struct KeyRange {
  uint16_t first = 0, last = 0;
};

struct ConsumerOptions {
  std::vector<std::string> topics;  // full names; all partitions of each
  std::string topic_pattern;        // instead of topics: a regular expression over full names; new streams join
  std::string subscription;
  SubscriptionType type = SubscriptionType::kShared;
  InitialPosition position = InitialPosition::kEarliest;
  std::string name;            // of this consumer; failover orders by it
  int64_t ack_timeout_ms = 0;  // 0: none. Unacknowledged records come again after it
  // How long a negatively acknowledged record stays away: min * 2^redeliveries, at most max.
  int64_t nack_delay_min_ms = 1'000;
  int64_t nack_delay_max_ms = 600'000;
  bool read_only = false;  // a cursor of its own that is never stored: peek, tap
  bool compacted = false;  // read_only: of what is compacted, only the last record of each key
  // This partition of the one topic only; -1: all. Others may read the other partitions under the same subscription.
  int32_t partition = -1;
  // key_shared: an entry goes to one consumer as a whole, by the key in its metadata, and is not split by record. All
  // consumers of a subscription agree on it.
  bool whole_entries = false;
  // key_shared with whole_entries: the keys that this consumer takes; what nobody takes waits. Empty: keys are shared
  // out. All consumers of a subscription agree on which of the two, and those of one partition do not overlap.
  std::vector<KeyRange> key_ranges = {};
};

struct ReceivedEntry {
  MessageId id;                              // batch_index -1
  std::shared_ptr<const std::string> topic;  // full name without partition suffix
  SharedBytes bytes;
  uint32_t record_count = 1;
  uint32_t redelivery_count = 0;
  AckSet records;  // which records of the entry are for this consumer now
};

struct PollLimits {
  uint32_t records_max = 4096;
  size_t size_max_bytes = 1024 * 1024;
};

struct ConsumerStats {
  int64_t backlog_records = 0;  // not acknowledged, of this subscription, over all its streams
  int64_t backlog_entries = 0;
  int64_t backlog_bytes = 0;
  int64_t unacked_records = 0;  // handed to this consumer and not acknowledged
  int64_t waiting_retry = 0;    // negatively acknowledged, not yet due
};

// One reader of a subscription. REQUIRES: used on one thread; close() before the Client goes.
class Consumer {
 public:
  virtual ~Consumer() = default;
  virtual const std::string& subscription() const = 0;
  // What is ready, in order per partition, without waiting; at least one entry if any is ready, whatever the limits.
  // Errors: kCorrupt names file and offset of a damaged entry; the next poll goes on behind it.
  virtual Result<std::vector<ReceivedEntry>> poll(PollLimits limits) = 0;
  // Calls `wake` once, when a poll may find something. At once if it would already. Replaces an earlier wake.
  virtual void notify(std::function<void()> wake) = 0;
  // These records are to be delivered again, after the delay of the options. Exclusive and failover subscriptions
  // rewind to the first of them, so that order is kept.
  virtual void negative_ack(const MessageId& id, const AckSet& records) = 0;
  // Moves the whole subscription. Records handed out before are void.
  virtual Status seek(const MessageId& id) = 0;
  virtual Status seek_time(int64_t publish_time_ms) = 0;
  virtual ConsumerStats stats() const = 0;
  // True if nothing is left: no backlog, nothing unacknowledged, no retry pending.
  virtual bool drained() const = 0;
  virtual void close() = 0;
};

struct Append {
  std::shared_ptr<Producer> producer;
  int32_t partition = 0;
  SharedBytes entry;
  uint32_t record_count = 1;
  uint64_t last_sequence_id = 0;  // used if the producer deduplicates
};

struct Ack {
  std::shared_ptr<Consumer> consumer;
  MessageId id;
  AckSet records;  // of the entry; for a cumulative ack: everything up to and including `id` (and its batch_index)
  bool cumulative = false;
};

struct Commit {
  std::vector<Append> appends;
  std::vector<Ack> acks;
  std::vector<StateChange> changes;
  std::shared_ptr<CommitOrder> order;  // null: it stands alone
  // `done` waits until the store knows of the acknowledgements; else they may come to it a little later.
  bool confirm_acks = false;
  // Orders of others that it fails with: those of the state tables it has read, see StateTable::order().
  std::vector<std::shared_ptr<CommitOrder>> relies_on;
  bool empty() const { return appends.empty() && acks.empty() && changes.empty(); }
};

struct Receipt {
  std::vector<MessageId> ids;  // one per append, in order; -1:-1 for a duplicate that was dropped
};

struct StreamInfo {
  std::string topic;
  StreamOptions options;
  int64_t entries = 0, records = 0, bytes = 0;       // held now
  int64_t records_in_total = 0, bytes_in_total = 0;  // since the store was opened
  bool over_backlog = false;                         // producers wait for a subscription to acknowledge
  struct Partition {
    MessageId first, last;  // `first` is the next to come if nothing is held; `last.entry` is -1 if nothing ever came
    int64_t entries = 0, records = 0, bytes = 0;
  };
  std::vector<Partition> partitions;  // at least one
  struct Place {
    MessageId next;  // the first entry that is not wholly acknowledged
    int64_t backlog_entries = 0, backlog_records = 0, backlog_bytes = 0;
  };
  struct Subscription {
    std::string name;
    SubscriptionType type;
    int32_t consumers = 0;
    int64_t backlog_records = 0, backlog_bytes = 0;
    int64_t records_out_total = 0;   // since the store was opened
    std::vector<Place> places = {};  // one per partition
  };
  std::vector<Subscription> subscriptions;
};

class Client {
 public:
  virtual ~Client() = default;

  // True if a Commit is all or nothing.
  virtual bool atomic() const = 0;
  // True if opening a producer, a consumer or state, and seeking, waits for a network: then it is not done on a loop.
  virtual bool opening_waits() const = 0;

  // True if an entry goes to one consumer of a key_shared subscription as a whole, by the key of its first record: then
  // who writes for such consumers gives each key entries of its own.
  virtual bool deals_whole_entries() const = 0;

  // Makes a stream if it is not there. Errors: kFixInput if it is there with another number of partitions.
  virtual Status create_stream(const std::string& topic, const StreamOptions& options) = 0;
  // Errors: kFixInput if it has subscriptions with consumers.
  virtual Status delete_stream(const std::string& topic) = 0;
  virtual Result<std::vector<StreamInfo>> list_streams() = 0;
  virtual Status delete_subscription(const std::string& topic, const std::string& subscription) = 0;
  // Keeps of each key the last record, and lets `subscription` go of all that is compacted. May take minutes; given up
  // when `stopped` says so. Errors: kFixInput if the store can't do that; kClosed if it was given up.
  virtual Status compact_stream(const std::string& topic, const std::string& subscription,
                                const std::function<bool()>& stopped) = 0;

  // Streams that are missing are made with the store's defaults.
  virtual Result<std::shared_ptr<Producer>> open_producer(ProducerOptions options) = 0;
  virtual Result<std::shared_ptr<Consumer>> open_consumer(ConsumerOptions options) = 0;
  // `name` is tenant/namespace/function. State survives the function; delete_state drops it.
  virtual Result<std::shared_ptr<StateTable>> open_state(const std::string& name) = 0;

  // Makes `commit` durable and then calls `done`. Commits are carried out in the order of the calls; see CommitOrder.
  // Errors in `done`: kRetryLater if the disk is full, nothing was applied; kClosed after close(); kCorrupt if the
  // store can no longer write.
  virtual void commit(Commit commit, std::function<void(Result<Receipt>)> done) = 0;
};

}  // namespace fmesh::stream
