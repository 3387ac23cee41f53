// A batcher makes entries of records for everyone who produces record by record: `fmesh stream publish`, a function's
// publish, the log topic. Records with a key go to the partition of their key (Murmur3_32, as Pulsar's function
// producers); the others stick to one partition until its batch is full and then go on to the next (facts:
// pulsar.md 3.2).
//
// Belongs to one loop; the answer of a batch comes on it. What waits is bounded: add() refuses, and the caller waits
// for notify_room(). Batches of a partition become durable in order.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/clock.h"
#include "base/loop.h"
#include "stream/client.h"

namespace fmesh::stream {

// Defaults are those of Pulsar's Java client.
struct BatcherOptions {
  uint32_t batch_records_max = 1'000;
  size_t batch_size_max_bytes = 128 * 1024;
  int64_t batch_delay_max_ms = 1;  // how long a record waits for others; 0: every record is a batch of its own
  size_t pending_size_max_bytes = 8 * 1024 * 1024;  // collected or under way
  Compression compression = Compression::kNone;
  // False: records carry the sequence ids of the caller, rising per partition. True: the batcher counts on from the
  // highest durable id of the producer.
  bool number_records = true;
};

// What became of one batch.
struct BatchResult {
  Result<MessageId> id;  // of the entry; -1:-1 if it was a duplicate
  uint32_t record_count = 0;
  int32_t partition = 0;
};

class Batcher {
 public:
  // `on_batch` is called once per batch, in the order of the batches of a partition. All outlive the batcher.
  Batcher(Client& client, std::shared_ptr<Producer> producer, Loop& loop, BatcherOptions options,
          std::function<void(BatchResult)> on_batch);
  // Drops what was collected and not flushed; what is under way goes on without its answer.
  ~Batcher();
  Batcher(const Batcher&) = delete;
  Batcher& operator=(const Batcher&) = delete;

  // Takes the record, or nothing of it. Errors: kRetryLater while there is no room or the stream takes no more;
  // kFixInput if the record is larger than an entry may be.
  Status add(const RecordView& record);
  // Sends what is collected now.
  void flush();
  // Calls `wake` once, on the loop, when add() may have room again. Replaces an earlier wake.
  void notify_room(std::function<void()> wake);

  uint64_t pending_records() const;
  bool idle() const { return pending_records() == 0; }

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// The partition that a record with this key goes to. REQUIRES: partition_count > 0.
int32_t partition_of_key(std::string_view key, int32_t partition_count);

}  // namespace fmesh::stream
