// The tables of streams and subscriptions: what exists, how much each partition holds, and the cursor of each
// subscription. Every durable change is a TableOp in a journal transaction; apply() is the one place that carries it
// out, in normal work and in recovery alike. Streams and subscriptions may be used before their first op is durable:
// the op then travels in front of every transaction that needs it, so that making one costs no wait.
//
// All under the lock of the log (core.h). Nothing here does IO or knows the time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "stream/client.h"
#include "stream/log/cursor.h"
#include "stream/log/history.h"
#include "stream/log/journal.h"
#include "stream/log/producer_table.h"

namespace fmesh::stream::log {

class Dispatcher;

// What a stream made without options gets. A busy stream keeps some minutes of acknowledged data, a quiet one a day.
inline constexpr int64_t kRetentionSizeDefaultBytes = int64_t{256} * 1024 * 1024;  // per partition
inline constexpr int64_t kRetentionTimeDefaultMs = int64_t{24} * 60 * 60 * 1000;
inline constexpr int64_t kBacklogSizeDefaultMaxBytes = int64_t{1024} * 1024 * 1024;  // per partition
// Bounds a directory: about 1 KiB of memory per partition.
inline constexpr int32_t kPartitionsMax = 10'000;

struct Partition {
  PartitionId id = 0;
  int32_t index = -1;  // -1: the stream has no partitions
  uint64_t end = 0;    // one past the last durable entry
  Volume total;        // ever appended
  int64_t last_written_ms = 0;
  History history;
};

struct Stream;

struct Subscription {
  std::string name;
  std::weak_ptr<Stream> stream;
  SubscriptionType type = SubscriptionType::kShared;
  std::vector<Cursor> cursors;  // one per partition
  std::shared_ptr<Dispatcher> dispatcher;
  bool durable = false;
  bool deleted = false;
  int64_t records_out_total = 0;
};

struct Stream {
  std::shared_ptr<const std::string> topic;
  StreamOptions options;  // no field is -1
  std::vector<Partition> partitions;
  std::map<std::string, std::shared_ptr<Subscription>, std::less<>> subscriptions;
  bool durable = false;
  bool deleted = false;
  bool over_backlog = false;  // some subscription has more unacknowledged bytes than options.backlog_size_max_bytes
  int64_t records_in_total = 0;
  int64_t bytes_in_total = 0;
  std::map<std::string, std::string, std::less<>> notes;  // durable; opaque here
};

// Which table an op belongs to. Written to disk: numbers are never used again for something else.
enum class Table : uint8_t {
  kNothing = 0,  // carries order only
  kCreateStream = 1,
  kDeleteStream = 2,
  kSubscribe = 3,
  kUnsubscribe = 4,
  kAcknowledge = 5,
  kMoveCursor = 6,
  kProducer = 7,
  kAppended = 8,  // when the appends of this transaction were written, and their sizes
  kState = 9,
  kNote = 10,
};

class StreamTables {
 public:
  struct Located {
    std::shared_ptr<Stream> stream;
    size_t index = 0;  // of the partition
    Partition& partition() const { return stream->partitions[index]; }
  };

  std::shared_ptr<Stream> find(std::string_view topic) const;
  const std::map<std::string, std::shared_ptr<Stream>, std::less<>>& streams() const { return streams_; }
  // Null stream if no stream has the partition.
  Located locate(PartitionId partition) const;

  // REQUIRES: no stream of this name is there; no field of `options` is -1.
  std::shared_ptr<Stream> add_stream(const std::string& topic, const StreamOptions& options);
  // REQUIRES: no subscription of this name is there; a cursor per partition.
  std::shared_ptr<Subscription> add_subscription(const std::shared_ptr<Stream>& stream, const std::string& name,
                                                 SubscriptionType type, std::vector<Cursor> cursors);

  static TableOp create_stream_op(const Stream& stream);
  static TableOp delete_stream_op(std::string_view topic);
  static TableOp subscribe_op(const Stream& stream, const Subscription& subscription);
  static TableOp unsubscribe_op(std::string_view topic, std::string_view name);
  static TableOp acknowledge_op(PartitionId partition, std::string_view subscription,
                                const std::vector<AckItem>& items);
  static TableOp move_cursor_op(PartitionId partition, std::string_view subscription, const Cursor& cursor);
  static TableOp note_op(std::string_view topic, std::string_view key, std::string_view value);
  static TableOp producer_op(PartitionId partition, std::string_view name, int64_t sequence_id);
  static TableOp appended_op(int64_t written_ms, const std::vector<JournalAppend>& appends);

  // Carries out the ops that belong here and counts the appends. Ops about what is no longer there change nothing.
  void apply(const Transaction& transaction, const Applied& applied);

  // Thins what is remembered about data that nobody wants any more.
  void forget_unwanted(int64_t now_ms);
  // First entry that some subscription or the retention still wants.
  uint64_t first_wanted(PartitionId partition, int64_t now_ms) const;
  // Unacknowledged bytes of the subscription that is furthest behind.
  static uint64_t backlog_bytes(const Stream& stream, size_t partition);
  void update_backlog(Stream& stream) const;

  ProducerTable& producers() { return producers_; }

  void write(TableWriter& out) const;
  // `has_notes`: written by a program that knew them.
  Status read(TableReader& in, bool has_notes);

 private:
  void apply_op(const TableOp& op);
  void create_stream(TableReader& in);
  void delete_stream(TableReader& in);
  void subscribe(TableReader& in);
  void acknowledge(TableReader& in);
  void move_cursor(TableReader& in);
  void note(TableReader& in);
  std::shared_ptr<Subscription> subscription_of(const Located& located, std::string_view name) const;
  void insert(const std::shared_ptr<Stream>& stream);

  std::map<std::string, std::shared_ptr<Stream>, std::less<>> streams_;
  std::unordered_map<PartitionId, std::pair<std::shared_ptr<Stream>, size_t>> partitions_;
  PartitionId next_partition_ = 0;
  ProducerTable producers_;
};

}  // namespace fmesh::stream::log
