#include "stream/log/log.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <span>

#include "stream/log/consumer.h"
#include "stream/log/core.h"
#include "stream/log/producer.h"
#include "stream/log/reader.h"

namespace fmesh::stream::log {
namespace {

class LogImpl final : public Log {
 public:
  explicit LogImpl(std::shared_ptr<Core> core) : core_(std::move(core)) {}
  ~LogImpl() override { core_->stop(); }

  bool atomic() const override { return true; }
  bool opening_waits() const override { return false; }
  bool deals_whole_entries() const override { return deals_whole_entries_.load(); }
  void deal_whole_entries() override { deals_whole_entries_.store(true); }
  Status compact_stream(const std::string& topic, const std::string& /*subscription*/,
                        const std::function<bool()>& /*stopped*/) override {
    return fail(ErrorKind::kFixInput,
                "compact " + topic + ": the embedded log keeps state in tables and compacts no streams");
  }
  Status create_stream(const std::string& topic, const StreamOptions& options) override;
  Status delete_stream(const std::string& topic) override;
  Result<std::vector<StreamInfo>> list_streams() override;
  Status delete_subscription(const std::string& topic, const std::string& subscription) override;
  Result<std::optional<StreamInfo>> find_stream(const std::string& topic) override;
  Result<std::optional<ReceivedEntry>> read_entry(const std::string& topic, const MessageId& id) override;
  Result<MessageId> find_time(const std::string& topic, int32_t partition, int64_t publish_time_ms) override;
  Status move_subscription(const std::string& topic, const std::string& subscription, const MessageId& place) override;
  Result<std::map<std::string, std::string>> notes(const std::string& topic) override;
  Status put_note(const std::string& topic, const std::string& key, const std::string& value) override;
  Result<std::shared_ptr<Producer>> open_producer(ProducerOptions options) override;
  Result<std::shared_ptr<Consumer>> open_consumer(ConsumerOptions options) override;
  Result<std::shared_ptr<StateTable>> open_state(const std::string& name) override;
  void commit(Commit commit, std::function<void(Result<Receipt>)> done) override {
    core_->commit(std::move(commit), std::move(done));
  }
  size_t step() override {
    core_->tick();
    return core_->journal().step();
  }
  void tick() override { core_->tick(); }
  Status collect_garbage() override { return core_->journal().collect_garbage(); }
  JournalStats journal_stats() const override { return core_->journal().stats(); }
  std::vector<Damage> damages() const override { return core_->journal().damages(); }

 private:
  std::shared_ptr<Stream> find(const std::string& topic) const;
  std::vector<uint64_t> begins_of(const Stream& stream) const;

  const std::shared_ptr<Core> core_;
  std::atomic<bool> deals_whole_entries_ = false;
};

Status LogImpl::create_stream(const std::string& topic, const StreamOptions& options) {
  FMESH_TRY(const TopicName name, TopicName::parse(topic));
  FMESH_TRY(const auto stream, core_->find_or_create(name.full(), options));
  std::lock_guard guard(core_->lock);
  if (stream->options.partitions != options.partitions)
    return fail(ErrorKind::kFixInput,
                fmt::format("stream {} is there with {} partitions, {} were asked for; delete it first or ask for {}",
                            name.full(), stream->options.partitions, options.partitions, stream->options.partitions));
  return {};
}

Status LogImpl::delete_stream(const std::string& topic) {
  FMESH_TRY(const TopicName name, TopicName::parse(topic));
  std::shared_ptr<Stream> stream;
  {
    std::lock_guard guard(core_->lock);
    stream = core_->tables.find(name.full());
    if (!stream) return fail(ErrorKind::kFixInput, fmt::format("there is no stream {}", name.full()));
    for (const auto& [sub, subscription] : stream->subscriptions)
      if (subscription->dispatcher && !subscription->dispatcher->members().empty())
        return fail(ErrorKind::kFixInput,
                    fmt::format("stream {} is read by {} of subscription {}; stop that first", name.full(),
                                subscription->dispatcher->members().front()->member_name(), sub));
    // From now on no op makes it again.
    stream->deleted = true;
  }
  auto deleted = core_->submit_and_wait({StreamTables::delete_stream_op(name.full())});
  if (!deleted) {
    std::lock_guard guard(core_->lock);
    stream->deleted = false;
  }
  return deleted;
}

Status LogImpl::delete_subscription(const std::string& topic, const std::string& subscription) {
  FMESH_TRY(const TopicName name, TopicName::parse(topic));
  {
    std::lock_guard guard(core_->lock);
    const auto stream = core_->tables.find(name.full());
    if (!stream) return fail(ErrorKind::kFixInput, fmt::format("there is no stream {}", name.full()));
    const auto found = stream->subscriptions.find(subscription);
    if (found == stream->subscriptions.end())
      return fail(ErrorKind::kFixInput, fmt::format("stream {} has no subscription {}", name.full(), subscription));
    if (found->second->dispatcher && !found->second->dispatcher->members().empty())
      return fail(ErrorKind::kFixInput,
                  fmt::format("subscription {} of {} is read by {}; stop that first", subscription, name.full(),
                              found->second->dispatcher->members().front()->member_name()));
  }
  FMESH_CHECK(core_->submit_and_wait({StreamTables::unsubscribe_op(name.full(), subscription)}));
  std::lock_guard guard(core_->lock);
  if (const auto stream = core_->tables.find(name.full())) core_->tables.update_backlog(*stream);
  return {};
}

namespace {

int64_t without(uint64_t total, uint64_t part) { return static_cast<int64_t>(total > part ? total - part : 0); }

StreamInfo::Partition partition_info(const Partition& partition, uint64_t begin) {
  begin = std::min(begin, partition.end);
  const Volume before = begin == partition.end ? partition.total : partition.history.at_or_before(begin).before;
  StreamInfo::Partition info;
  info.first = {ledger_of(partition.id), static_cast<int64_t>(begin), partition.index, -1};
  info.last = {ledger_of(partition.id), static_cast<int64_t>(partition.end) - 1, partition.index, -1};
  info.entries = without(partition.end, begin);
  info.records = without(partition.total.records, before.records);
  info.bytes = without(partition.total.bytes, before.bytes);
  return info;
}

StreamInfo::Subscription subscription_info(const Stream& stream, const Subscription& subscription) {
  StreamInfo::Subscription info{subscription.name, subscription.type, 0, 0, 0, subscription.records_out_total};
  if (subscription.dispatcher) info.consumers = static_cast<int32_t>(subscription.dispatcher->members().size());
  for (size_t i = 0; i < stream.partitions.size(); ++i) {
    const Partition& partition = stream.partitions[i];
    const Cursor& cursor = subscription.cursors[i];
    StreamInfo::Place place;
    place.next = {ledger_of(partition.id), static_cast<int64_t>(cursor.next()), partition.index, -1};
    place.backlog_entries = without(partition.end, cursor.entries_done());
    place.backlog_records = without(partition.total.records, cursor.done().records);
    place.backlog_bytes = without(partition.total.bytes, cursor.done().bytes);
    info.backlog_records += place.backlog_records;
    info.backlog_bytes += place.backlog_bytes;
    info.places.push_back(place);
  }
  return info;
}

// REQUIRES: the core's lock held. `begins`: of the stream's partitions, in order.
StreamInfo stream_info(const Stream& stream, std::span<const uint64_t> begins) {
  StreamInfo info;
  info.topic = *stream.topic;
  info.options = stream.options;
  info.records_in_total = stream.records_in_total;
  info.bytes_in_total = stream.bytes_in_total;
  info.over_backlog = stream.over_backlog;
  for (size_t i = 0; i < stream.partitions.size(); ++i) {
    info.partitions.push_back(partition_info(stream.partitions[i], begins[i]));
    info.entries += info.partitions.back().entries;
    info.records += info.partitions.back().records;
    info.bytes += info.partitions.back().bytes;
  }
  for (const auto& [name, subscription] : stream.subscriptions)
    info.subscriptions.push_back(subscription_info(stream, *subscription));
  return info;
}

}  // namespace

std::shared_ptr<Stream> LogImpl::find(const std::string& topic) const {
  std::lock_guard guard(core_->lock);
  return core_->tables.find(topic);
}

std::vector<uint64_t> LogImpl::begins_of(const Stream& stream) const {
  // Partitions do not change; the journal is asked before the lock is taken.
  std::vector<uint64_t> begins;
  for (const Partition& partition : stream.partitions) begins.push_back(core_->journal().begin(partition.id));
  return begins;
}

Result<std::vector<StreamInfo>> LogImpl::list_streams() {
  std::vector<std::shared_ptr<Stream>> streams;
  {
    std::lock_guard guard(core_->lock);
    for (const auto& [topic, stream] : core_->tables.streams()) streams.push_back(stream);
  }
  std::vector<StreamInfo> infos;
  for (const auto& stream : streams) {
    const auto begins = begins_of(*stream);
    std::lock_guard guard(core_->lock);
    if (!stream->deleted) infos.push_back(stream_info(*stream, begins));
  }
  return infos;
}

Result<std::optional<StreamInfo>> LogImpl::find_stream(const std::string& topic) {
  FMESH_TRY(const TopicName name, TopicName::parse(topic));
  const auto stream = find(name.full());
  if (!stream) return std::nullopt;
  const auto begins = begins_of(*stream);
  std::lock_guard guard(core_->lock);
  if (stream->deleted) return std::nullopt;
  return stream_info(*stream, begins);
}

Result<std::optional<ReceivedEntry>> LogImpl::read_entry(const std::string& topic, const MessageId& id) {
  FMESH_TRY(const TopicName name, TopicName::parse(topic));
  const auto stream = find(name.full());
  if (!stream || id.ledger < 1 || id.entry < 0) return std::nullopt;
  const auto partition = std::ranges::find(stream->partitions, partition_of(id.ledger), &Partition::id);
  const auto number = static_cast<uint64_t>(id.entry);
  if (partition == stream->partitions.end() || number < core_->journal().begin(partition->id) ||
      number >= core_->journal().end(partition->id))
    return std::nullopt;
  FMESH_TRY(const auto entries, core_->journal().read(partition->id, number, 1));
  if (entries.empty()) return std::nullopt;
  FMESH_TRY(const EntryInfo info, read_entry_info(entries.front().view()));
  ReceivedEntry entry;
  entry.id = {id.ledger, id.entry, partition->index, -1};
  entry.topic = stream->topic;
  entry.bytes = entries.front();
  entry.record_count = info.record_count;
  return entry;
}

Result<MessageId> LogImpl::find_time(const std::string& topic, int32_t partition, int64_t publish_time_ms) {
  FMESH_TRY(const TopicName name, TopicName::parse(topic));
  const auto stream = find(name.full());
  const auto index = static_cast<size_t>(std::max(partition, 0));
  if (!stream || index >= stream->partitions.size())
    return fail(ErrorKind::kFixInput, fmt::format("there is no partition {} of a stream {}", partition, name.full()));
  FMESH_TRY(const uint64_t entry, core_->entry_at_time(stream, index, publish_time_ms));
  const Partition& found = stream->partitions[index];
  return MessageId{ledger_of(found.id), static_cast<int64_t>(entry), found.index, -1};
}

Status LogImpl::move_subscription(const std::string& topic, const std::string& subscription, const MessageId& place) {
  FMESH_TRY(const TopicName name, TopicName::parse(topic));
  CursorMove move;
  PartitionId id = 0;
  {
    std::lock_guard guard(core_->lock);
    move.stream = core_->tables.find(name.full());
    if (!move.stream) return fail(ErrorKind::kFixInput, fmt::format("there is no stream {}", name.full()));
    const auto found = move.stream->subscriptions.find(subscription);
    if (found == move.stream->subscriptions.end())
      return fail(ErrorKind::kFixInput, fmt::format("stream {} has no subscription {}", name.full(), subscription));
    move.subscription = found->second;
    const auto& partitions = move.stream->partitions;
    const auto partition =
        place.ledger < 1 ? partitions.end() : std::ranges::find(partitions, partition_of(place.ledger), &Partition::id);
    if (partition == partitions.end() || place.entry < 0)
      return fail(ErrorKind::kFixInput, fmt::format("{} is no place in stream {}; give an id that was read from it",
                                                    to_string(place), name.full()));
    id = partition->id;
    move.partition = static_cast<size_t>(partition - partitions.begin());
  }
  const uint64_t entry = std::max(core_->journal().begin(id), static_cast<uint64_t>(place.entry));
  const bool inside = place.batch_index > 0 && entry == static_cast<uint64_t>(place.entry);
  FMESH_TRY(move.cursor, core_->cursor_at(move.stream, move.partition, entry,
                                          inside ? static_cast<uint32_t>(place.batch_index) : 0));
  return core_->move_cursors({move});
}

Result<std::map<std::string, std::string>> LogImpl::notes(const std::string& topic) {
  FMESH_TRY(const TopicName name, TopicName::parse(topic));
  std::lock_guard guard(core_->lock);
  const auto stream = core_->tables.find(name.full());
  if (!stream) return fail(ErrorKind::kFixInput, fmt::format("there is no stream {}", name.full()));
  return std::map<std::string, std::string>(stream->notes.begin(), stream->notes.end());
}

Status LogImpl::put_note(const std::string& topic, const std::string& key, const std::string& value) {
  FMESH_TRY(const TopicName name, TopicName::parse(topic));
  {
    std::lock_guard guard(core_->lock);
    const auto stream = core_->tables.find(name.full());
    if (!stream) return fail(ErrorKind::kFixInput, fmt::format("there is no stream {}", name.full()));
    size_t size = key.size() + value.size();
    for (const auto& [other, text] : stream->notes)
      if (other != key) size += other.size() + text.size();
    if (size > kNotesSizeMaxBytes)
      return fail(ErrorKind::kFixInput,
                  fmt::format("stream {}: its notes would have {} bytes, at most {} are kept; remove some", name.full(),
                              size, kNotesSizeMaxBytes));
  }
  return core_->submit_and_wait({StreamTables::note_op(name.full(), key, value)});
}

Result<std::shared_ptr<Producer>> LogImpl::open_producer(ProducerOptions options) {
  FMESH_TRY(const TopicName name, TopicName::parse(options.topic));
  options.topic = name.full();
  if (options.deduplicate && options.name.empty())
    return fail(ErrorKind::kFixInput,
                fmt::format("producer of {}: deduplication needs a producer name", options.topic));
  FMESH_TRY(auto stream, core_->find_or_create(options.topic, {}));
  if (options.name.empty()) {
    std::lock_guard guard(core_->lock);
    options.name = fmt::format("fmesh-{}-{}", core_->clock().wall_ms(), ++core_->last_producer);
  }
  return std::make_shared<LogProducer>(core_, std::move(stream), std::move(options));
}

Result<std::shared_ptr<Consumer>> LogImpl::open_consumer(ConsumerOptions options) {
  if (options.topics.empty() && options.topic_pattern.empty())
    return fail(ErrorKind::kFixInput,
                fmt::format("a consumer of subscription {} names neither topics nor a pattern", options.subscription));
  if (options.partition >= 0 && (options.topics.size() != 1 || !options.topic_pattern.empty()))
    return fail(ErrorKind::kFixInput,
                fmt::format("a consumer of subscription {} wants partition {}, which only one topic can have",
                            options.subscription, options.partition));
  if (options.read_only) {
    FMESH_TRY(auto reader, ReadOnlyConsumer::open(core_, std::move(options)));
    return reader;
  }
  FMESH_TRY(auto consumer, LogConsumer::open(core_, std::move(options)));
  return consumer;
}

Result<std::shared_ptr<StateTable>> LogImpl::open_state(const std::string& name) {
  std::lock_guard guard(core_->lock);
  if (core_->closed()) return fail(core_->closed_error());
  if (name.empty() || name.find('\0') != std::string::npos)
    return fail(ErrorKind::kFixInput, "a state table needs a name without zero bytes: tenant/namespace/function");
  std::erase_if(core_->state_tables, [](const auto& table) { return table.second.expired(); });
  if (auto table = core_->state_tables[name].lock()) return table;
  auto table = std::make_shared<StagedTable>(core_->state, name);
  core_->state_tables[name] = table;
  return table;
}

}  // namespace

std::unique_ptr<Log> make_log(std::shared_ptr<Core> core) { return std::make_unique<LogImpl>(std::move(core)); }

}  // namespace fmesh::stream::log
