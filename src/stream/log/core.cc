#include "stream/log/core.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "stream/log/consumer.h"
#include "stream/log/producer.h"
#include "stream/log/record_sets.h"

namespace fmesh::stream::log {
namespace {

// Version of a checkpoint's bytes. A newer program reads older ones; an older one refuses newer ones.
constexpr uint8_t kCheckpointVersion = 2;
constexpr uint8_t kVersionWithNotes = 2;
// Entries read to make a count exact; beyond it (a stream whose middle was thinned out) the count is of the sample.
constexpr uint64_t kCountEntriesMax = 65'536;
constexpr size_t kCountReadBytes = 1024 * 1024;

int64_t or_default(int64_t value, int64_t store_default, int64_t constant) {
  if (value >= 0) return value;
  return store_default >= 0 ? store_default : constant;
}

}  // namespace

void call_all(const Wakes& wakes) {
  for (const auto& wake : wakes) wake();
}

Core::Core(const Clock& clock, StreamOptions defaults, std::string state_path, bool own_thread)
    : state(std::make_shared<StateStore>(std::move(state_path))),
      clock_(clock),
      defaults_(defaults),
      own_thread_(own_thread) {}

Core::~Core() { stop(); }

void Core::start(std::unique_ptr<Journal> journal) {
  journal_ = std::move(journal);
  if (own_thread_) timer_ = std::thread([this] { run_timer(); });
}

void Core::stop() {
  {
    std::lock_guard guard(lock);
    closed_ = true;
  }
  timer_wake_.notify_all();
  if (timer_.joinable()) timer_.join();
  journal_.reset();
}

Status Core::restore(std::string_view checkpoint) {
  if (checkpoint.empty()) return {};
  TableReader in(checkpoint);
  const uint8_t version = in.u8();
  if (version == 0 || version > kCheckpointVersion)
    return fail(
        ErrorKind::kFixInput,
        fmt::format("the checkpoint of the stream tables has format {}, this program knows {}; use a newer fmesh",
                    version, kCheckpointVersion));
  std::lock_guard guard(lock);
  tables = StreamTables();
  return tables.read(in, version >= kVersionWithNotes);
}

void Core::apply(const Transaction& transaction, const Applied& applied, bool /*replaying*/) {
  for (const TableOp& op : transaction.ops)
    if (op.table == static_cast<uint8_t>(Table::kState)) state->apply(op, applied.lsn);
  std::lock_guard guard(lock);
  committer_ = std::this_thread::get_id();
  tables.apply(transaction, applied);
}

Result<std::string> Core::checkpoint() {
  FMESH_CHECK(state->flush());
  std::lock_guard guard(lock);
  tables.forget_unwanted(clock_.wall_ms());
  TableWriter out;
  out.u8(kCheckpointVersion);
  tables.write(out);
  return out.take();
}

uint64_t Core::first_wanted(PartitionId partition) const {
  const int64_t now_ms = clock_.wall_ms();
  std::lock_guard guard(lock);
  return tables.first_wanted(partition, now_ms);
}

// ---------------------------------------------------------------------------------------------------------- streams

Result<std::shared_ptr<Stream>> Core::find_or_create(const std::string& topic, StreamOptions options) {
  if (options.partitions < 0 || options.partitions > kPartitionsMax)
    return fail(ErrorKind::kFixInput, fmt::format("stream {}: {} partitions were asked for; a stream has 0 to {}",
                                                  topic, options.partitions, kPartitionsMax));
  std::shared_ptr<Stream> stream;
  TableOp op;
  Wakes wakes;
  std::lock_guard submit_guard(submit_lock_);
  {
    std::lock_guard guard(lock);
    if (closed_) return fail(closed_error());
    stream = tables.find(topic);
    if (stream) return stream;
    options.retention_size_bytes =
        or_default(options.retention_size_bytes, defaults_.retention_size_bytes, kRetentionSizeDefaultBytes);
    options.retention_time_ms =
        or_default(options.retention_time_ms, defaults_.retention_time_ms, kRetentionTimeDefaultMs);
    options.backlog_size_max_bytes =
        or_default(options.backlog_size_max_bytes, defaults_.backlog_size_max_bytes, kBacklogSizeDefaultMaxBytes);
    stream = tables.add_stream(topic, options);
    op = StreamTables::create_stream_op(*stream);
  }
  std::vector<TableOp> ops;
  ops.push_back(std::move(op));
  submit(std::move(ops));
  std::vector<TableOp> subscribe_ops;
  {
    std::lock_guard guard(lock);
    for (LogConsumer* consumer : pattern_consumers) consumer->join_if_matching(stream, wakes);
    for (Reader* reader : pattern_readers) reader->join_if_matching(stream);
    for (const auto& [name, subscription] : stream->subscriptions)
      subscribe_ops.push_back(StreamTables::subscribe_op(*stream, *subscription));
  }
  if (!subscribe_ops.empty()) submit(std::move(subscribe_ops));
  call_all(wakes);
  return stream;
}

Result<Volume> Core::count(PartitionId id, uint64_t first, uint64_t end) {
  Volume counted;
  while (first < end) {
    const auto entries = journal_->read(id, first, kCountReadBytes);
    if (!entries) {
      if (entries.error().kind() != ErrorKind::kCorrupt) return fail(entries.error());
      ++first;  // a damaged entry: nobody can count its records
      continue;
    }
    if (entries->empty()) break;
    for (size_t i = 0; i < entries->size() && first < end; ++i, ++first) {
      const auto info = read_entry_info((*entries)[i].view());
      counted.records += info ? info->record_count : 1;
      counted.bytes += (*entries)[i].size();
    }
  }
  return counted;
}

Result<Cursor> Core::cursor_at(const std::shared_ptr<Stream>& stream, size_t index, uint64_t entry,
                               uint32_t first_record) {
  PartitionId id = 0;
  uint64_t known_entry = 0;  // the next place of which the volume before it is known
  Volume volume;
  {
    std::lock_guard guard(lock);
    const Partition& partition = stream->partitions[index];
    id = partition.id;
    entry = std::min(entry, partition.end);
    if (entry == partition.end) first_record = 0;
    const History::Sample* sample = partition.history.at_or_after(entry);
    known_entry = sample != nullptr ? sample->entry : partition.end;
    volume = sample != nullptr ? sample->before : partition.total;
  }
  if (known_entry - entry <= kCountEntriesMax) {
    FMESH_TRY(const Volume between, count(id, entry, known_entry));
    volume.records -= std::min(volume.records, between.records);
    volume.bytes -= std::min(volume.bytes, between.bytes);
  }
  Cursor cursor(entry, volume);
  if (first_record == 0) return cursor;
  FMESH_TRY(const Volume whole, count(id, entry, entry + 1));
  AckItem item{entry, static_cast<uint32_t>(whole.records), static_cast<uint32_t>(whole.bytes), AckSet::all()};
  if (first_record < item.record_count) item.records = records_between(0, first_record - 1, item.record_count);
  cursor.acknowledge(item);
  return cursor;
}

Status Core::move_cursors(const std::vector<CursorMove>& moves) {
  std::vector<TableOp> ops;
  {
    std::lock_guard guard(lock);
    for (const CursorMove& move : moves) {
      if (!move.stream->durable) ops.push_back(StreamTables::create_stream_op(*move.stream));
      if (!move.subscription->durable) ops.push_back(StreamTables::subscribe_op(*move.stream, *move.subscription));
      ops.push_back(StreamTables::move_cursor_op(move.stream->partitions[move.partition].id, move.subscription->name,
                                                 move.cursor));
    }
  }
  FMESH_CHECK(submit_and_wait(std::move(ops)));
  Wakes wakes;
  {
    std::lock_guard guard(lock);
    for (const CursorMove& move : moves) {
      tables.update_backlog(*move.stream);
      wake_producers(*move.stream, wakes);
      wake_lane(*move.subscription, move.partition, wakes);
    }
  }
  call_all(wakes);
  return {};
}

Result<uint64_t> Core::entry_at_time(const std::shared_ptr<Stream>& stream, size_t index, int64_t time_ms) {
  PartitionId id = 0;
  uint64_t end = 0;
  {
    std::lock_guard guard(lock);
    id = stream->partitions[index].id;
    end = stream->partitions[index].end;
  }
  uint64_t low = journal_->begin(id);
  uint64_t high = end;
  // Publish times of one partition rise but for clock jumps, so that this finds a place at such a time.
  while (low < high) {
    uint64_t middle = low + (high - low) / 2;
    auto entries = journal_->read(id, middle, 1);
    while (!entries && entries.error().kind() == ErrorKind::kCorrupt && middle + 1 < high)
      entries = journal_->read(id, ++middle, 1);
    if (!entries) {
      if (entries.error().kind() != ErrorKind::kCorrupt) return fail(entries.error());
      high = low + (high - low) / 2;
      continue;
    }
    if (entries->empty()) return end;
    FMESH_TRY(const EntryInfo info, read_entry_info(entries->front().view()));
    if (info.publish_time_ms < time_ms) {
      low = middle + 1;
    } else {
      high = std::min(middle, low + (high - low) / 2);
    }
  }
  return low;
}

// ------------------------------------------------------------------------------------------------------------ waking

void Core::wake_lane(const Subscription& subscription, size_t lane, Wakes& wakes) {
  const auto stream = subscription.stream.lock();
  if (!subscription.dispatcher || !stream) return;
  const int64_t now_ns = clock_.monotonic_ns();
  for (Member* member : subscription.dispatcher->members(lane))
    if (member->has_wake() && subscription.dispatcher->ready(lane, *member, stream->partitions[lane].end, now_ns))
      wakes.push_back(member->take_wake());
}

void Core::wake_subscription(const Subscription& subscription, Wakes& wakes) {
  for (size_t lane = 0; lane < subscription.cursors.size(); ++lane) wake_lane(subscription, lane, wakes);
}

void Core::wake_producers(Stream& stream, Wakes& wakes) {
  if (stream.over_backlog) return;
  const auto waiting = waiting_producers.find(&stream);
  if (waiting == waiting_producers.end()) return;
  for (const auto& weak : waiting->second)
    if (const auto producer = weak.lock())
      if (auto wake = producer->take_wake()) wakes.push_back(std::move(wake));
  waiting_producers.erase(waiting);
}

void Core::schedule(int64_t due_ns, const std::shared_ptr<Subscription>& subscription) {
  const bool earliest = timers_.empty() || due_ns < timers_.begin()->first;
  timers_.emplace(due_ns, subscription);
  if (earliest) timer_wake_.notify_all();
}

void Core::tick() {
  const int64_t now_ns = clock_.monotonic_ns();
  Wakes wakes;
  {
    std::lock_guard guard(lock);
    std::vector<std::shared_ptr<Subscription>> due;
    while (!timers_.empty() && timers_.begin()->first <= now_ns) {
      if (auto subscription = timers_.begin()->second.lock())
        if (std::ranges::find(due, subscription) == due.end()) due.push_back(std::move(subscription));
      timers_.erase(timers_.begin());
    }
    for (const auto& subscription : due) {
      if (!subscription->dispatcher) continue;
      if (const auto next_ns = subscription->dispatcher->on_time(now_ns)) schedule(*next_ns, subscription);
      wake_subscription(*subscription, wakes);
    }
  }
  call_all(wakes);
}

void Core::run_timer() {
  std::unique_lock guard(lock);
  while (!closed_) {
    if (timers_.empty()) {
      timer_wake_.wait(guard);
      continue;
    }
    const int64_t left_ns = timers_.begin()->first - clock_.monotonic_ns();
    if (left_ns > 0) {
      timer_wake_.wait_for(guard, std::chrono::nanoseconds(left_ns));
      continue;
    }
    guard.unlock();
    tick();
    guard.lock();
  }
}

}  // namespace fmesh::stream::log
