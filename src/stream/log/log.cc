#include "stream/log/log.h"

#include <fmt/format.h>

#include <algorithm>

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
  Status create_stream(const std::string& topic, const StreamOptions& options) override;
  Status delete_stream(const std::string& topic) override;
  Result<std::vector<StreamInfo>> list_streams() override;
  Status delete_subscription(const std::string& topic, const std::string& subscription) override;
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
  const std::shared_ptr<Core> core_;
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

Result<std::vector<StreamInfo>> LogImpl::list_streams() {
  // The journal is asked before the lock is taken.
  std::vector<PartitionId> ids;
  {
    std::lock_guard guard(core_->lock);
    for (const auto& [topic, stream] : core_->tables.streams())
      for (const Partition& partition : stream->partitions) ids.push_back(partition.id);
  }
  std::map<PartitionId, uint64_t> begins;
  for (const PartitionId id : ids) begins[id] = core_->journal().begin(id);

  const auto less = [](uint64_t left, uint64_t right) { return static_cast<int64_t>(left > right ? left - right : 0); };
  std::vector<StreamInfo> infos;
  std::lock_guard guard(core_->lock);
  for (const auto& [topic, stream] : core_->tables.streams()) {
    StreamInfo info;
    info.topic = topic;
    info.options = stream->options;
    info.records_in_total = stream->records_in_total;
    info.bytes_in_total = stream->bytes_in_total;
    for (const Partition& partition : stream->partitions) {
      const uint64_t begin = begins[partition.id];
      const Volume before = begin >= partition.end ? partition.total : partition.history.at_or_before(begin).before;
      info.entries += less(partition.end, begin);
      info.records += less(partition.total.records, before.records);
      info.bytes += less(partition.total.bytes, before.bytes);
    }
    for (const auto& [name, subscription] : stream->subscriptions) {
      StreamInfo::Subscription figures{name, subscription->type, 0, 0, 0, subscription->records_out_total};
      if (subscription->dispatcher)
        figures.consumers = static_cast<int32_t>(subscription->dispatcher->members().size());
      for (size_t i = 0; i < stream->partitions.size(); ++i) {
        figures.backlog_records += less(stream->partitions[i].total.records, subscription->cursors[i].done().records);
        figures.backlog_bytes += less(stream->partitions[i].total.bytes, subscription->cursors[i].done().bytes);
      }
      info.subscriptions.push_back(std::move(figures));
    }
    infos.push_back(std::move(info));
  }
  return infos;
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
