#include "stream/batcher.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/hash.h"

namespace fmesh::stream {
namespace {
// Framing of one record, generously.
constexpr size_t kRecordOverheadBytes = 64;

size_t size_of(const RecordView& record) {
  size_t bytes = kRecordOverheadBytes + record.payload.size() + record.key.size() + record.ordering_key.size();
  for (const Property& property : record.properties) bytes += property.key.size() + property.value.size() + 8;
  return bytes;
}
}  // namespace

int32_t partition_of_key(std::string_view key, int32_t partition_count) {
  return static_cast<int32_t>(murmur3_32(key) % static_cast<uint32_t>(partition_count));
}

struct Batcher::State : std::enable_shared_from_this<State> {
  struct Collecting {
    EntryBuilder builder;
    size_t size_bytes = 0;  // as counted in pending_size_bytes
  };

  State(Client& store, std::shared_ptr<Producer> out, Loop& home, BatcherOptions chosen,
        std::function<void(BatchResult)> answer)
      : client(store), producer(std::move(out)), loop(home), options(chosen), on_batch(std::move(answer)) {
    for (int32_t partition = 0; partition < producer->partition_count(); ++partition)
      next_sequence_id = std::max(next_sequence_id, producer->last_sequence_id(partition) + 1);
  }

  Collecting& collecting(int32_t partition) {
    while (batches.size() <= static_cast<size_t>(partition))
      batches.push_back({EntryBuilder(producer->name(), options.compression), 0});
    return batches[static_cast<size_t>(partition)];
  }

  int32_t route(const RecordView& record) {
    const int32_t count = std::max(producer->partition_count(), 1);
    if (record.has_key) return partition_of_key(record.key, count);
    return turn % count;
  }

  Status add(const RecordView& record) {
    const size_t bytes = size_of(record);
    if (bytes > kEntrySizeMaxBytes - 1024)
      return fail(ErrorKind::kFixInput, fmt::format("stream {}: a record of {} bytes was given; the largest is {}",
                                                    producer->topic(), bytes, kEntrySizeMaxBytes - 1024));
    if (pending_size_bytes > 0 && pending_size_bytes + bytes > options.pending_size_max_bytes)
      return fail(ErrorKind::kRetryLater,
                  fmt::format("stream {}: {} bytes wait to become durable", producer->topic(), pending_size_bytes));
    if (!producer->writable())
      return fail(ErrorKind::kRetryLater,
                  fmt::format("stream {} takes no more for now: its backlog limit or the store's "
                              "bound is reached",
                              producer->topic()));
    const int32_t partition = route(record);
    Collecting& batch = collecting(partition);
    if (!batch.builder.empty() &&
        (batch.size_bytes + bytes > options.batch_size_max_bytes || !batch.builder.fits(record)))
      send(partition);
    RecordView numbered = record;
    if (options.number_records) numbered.sequence_id = static_cast<uint64_t>(next_sequence_id++);
    batch.builder.add(numbered);
    batch.size_bytes += bytes;
    pending_size_bytes += bytes;
    ++pending_records;
    if (options.batch_delay_max_ms <= 0 || batch.builder.record_count() >= options.batch_records_max ||
        batch.size_bytes >= options.batch_size_max_bytes) {
      send(partition);
    } else if (timer == 0) {
      timer = loop.post_after(options.batch_delay_max_ms, [weak = weak_from_this()] {
        const auto self = weak.lock();
        if (!self) return;
        self->timer = 0;
        self->flush();
      });
    }
    return {};
  }

  void flush() {
    for (size_t partition = 0; partition < batches.size(); ++partition)
      if (!batches[partition].builder.empty()) send(static_cast<int32_t>(partition));
  }

  void send(int32_t partition) {
    Collecting& batch = batches[static_cast<size_t>(partition)];
    const auto record_count = static_cast<uint32_t>(batch.builder.record_count());
    const size_t size_bytes = std::exchange(batch.size_bytes, 0);
    const uint64_t last_sequence_id = batch.builder.last_sequence_id();
    Commit commit;
    commit.appends.push_back(
        {producer, partition, batch.builder.finish(loop.clock().wall_ms()), record_count, last_sequence_id});
    // Records without a key go on to the next partition once this one's batch is full.
    if (turn % std::max(producer->partition_count(), 1) == partition) turn = (turn + 1) & 0x3fffffff;
    client.commit(std::move(commit), [weak = weak_from_this(), &home = loop, partition, record_count,
                                      size_bytes](Result<Receipt> receipt) {
      if (weak.expired()) return;  // the loop may be gone too
      home.post([weak, partition, record_count, size_bytes, receipt = std::move(receipt)] {
        if (const auto self = weak.lock()) self->ended(partition, record_count, size_bytes, receipt);
      });
    });
  }

  void ended(int32_t partition, uint32_t record_count, size_t size_bytes, const Result<Receipt>& receipt) {
    pending_records -= record_count;
    pending_size_bytes -= size_bytes;
    if (on_batch) {
      Result<MessageId> id = receipt ? Result<MessageId>(receipt->ids.at(0)) : Result<MessageId>(fail(receipt.error()));
      on_batch({std::move(id), record_count, partition});
    }
    if (pending_size_bytes <= options.pending_size_max_bytes / 2 && room) std::exchange(room, nullptr)();
  }

  void notify_room(std::function<void()> wake) {
    room = std::move(wake);
    if (!producer->writable()) {
      producer->notify_writable([weak = weak_from_this(), &home = loop] {
        if (weak.expired()) return;
        home.post([weak] {
          if (const auto self = weak.lock(); self && self->room) std::exchange(self->room, nullptr)();
        });
      });
    } else if (pending_size_bytes <= options.pending_size_max_bytes / 2) {
      loop.post([weak = weak_from_this()] {
        if (const auto self = weak.lock(); self && self->room) std::exchange(self->room, nullptr)();
      });
    } else {
      flush();  // what is collected only would else hold the room until its delay is over
    }
  }

  Client& client;
  const std::shared_ptr<Producer> producer;
  Loop& loop;
  const BatcherOptions options;
  const std::function<void(BatchResult)> on_batch;
  std::vector<Collecting> batches;  // per partition
  std::function<void()> room;
  int64_t next_sequence_id = 0;
  size_t pending_size_bytes = 0;
  uint64_t pending_records = 0;
  uint64_t timer = 0;
  int32_t turn = 0;
};

Batcher::Batcher(Client& client, std::shared_ptr<Producer> producer, Loop& loop, BatcherOptions options,
                 std::function<void(BatchResult)> on_batch)
    : state_(std::make_shared<State>(client, std::move(producer), loop, options, std::move(on_batch))) {}

Batcher::~Batcher() {
  if (state_->timer != 0) state_->loop.cancel(state_->timer);
}

Status Batcher::add(const RecordView& record) { return state_->add(record); }
void Batcher::flush() { state_->flush(); }
void Batcher::notify_room(std::function<void()> wake) { state_->notify_room(std::move(wake)); }
uint64_t Batcher::pending_records() const { return state_->pending_records; }

}  // namespace fmesh::stream
