#include "local/stream_tools.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "base/hash.h"
#include "model/diagnostics.h"
#include "model/resource_set.h"
#include "stream/entry.h"

namespace fmesh::local {
namespace {

const char* name_of(stream::SubscriptionType type) {
  switch (type) {
    case stream::SubscriptionType::kExclusive:
      return "exclusive";
    case stream::SubscriptionType::kShared:
      return "shared";
    case stream::SubscriptionType::kFailover:
      return "failover";
    case stream::SubscriptionType::kKeyShared:
      return "key_shared";
  }
  return "";
}

observe::RecordLine to_line(const stream::ReceivedEntry& entry, const stream::RecordView& record) {
  observe::RecordLine line;
  line.topic = *entry.topic;
  stream::MessageId id = entry.id;
  id.batch_index = record.batch_index;
  line.id = stream::to_string(id);
  if (record.has_key) line.key = std::string(record.key);
  line.payload = std::string(record.payload);
  for (const stream::Property& property : record.properties) line.properties.emplace_back(property.key, property.value);
  line.event_time_ms = record.event_time_ms;
  line.publish_time_ms = record.publish_time_ms;
  line.null_value = record.null_value;
  return line;
}

// Errors: for a stream that is not there with the closest name, if the store can tell.
Result<std::shared_ptr<stream::Consumer>> open_reader(stream::Client& client, const std::string& topic,
                                                      stream::InitialPosition position) {
  stream::ConsumerOptions options;
  options.topics = {topic};
  options.subscription = "fmesh-reader";
  options.type = stream::SubscriptionType::kExclusive;
  options.position = position;
  options.read_only = true;
  auto opened = client.open_consumer(std::move(options));
  if (opened || opened.error().kind() != ErrorKind::kFixInput || client.opening_waits()) return opened;
  FMESH_CHECK(check_exists(client, topic));
  return opened;
}

// Waits until a poll may find something. False: nothing is left.
// Errors: kRetryLater if neither comes about in time.
Result<bool> wait_for_more(stream::Consumer& consumer) {
  struct Woken {
    std::mutex mutex;
    std::condition_variable changed;
    bool is_woken = false;
  };
  const auto woken = std::make_shared<Woken>();
  consumer.notify([woken] {
    const std::lock_guard lock(woken->mutex);
    woken->is_woken = true;
    woken->changed.notify_all();
  });
  for (int64_t waited_ms = 0; waited_ms < kPeekWaitMaxMs; waited_ms += kPeekLookMs) {
    std::unique_lock lock(woken->mutex);
    if (woken->changed.wait_for(lock, std::chrono::milliseconds(kPeekLookMs), [&] { return woken->is_woken; }))
      return true;
    lock.unlock();
    if (consumer.drained()) return false;
  }
  return fail(ErrorKind::kRetryLater, "nothing came within " + std::to_string(kPeekWaitMaxMs) + " ms");
}

// The closing end of a consumer: it goes when this goes.
struct Reader {
  std::shared_ptr<stream::Consumer> consumer;
  ~Reader() { consumer->close(); }
};

class Tap : public std::enable_shared_from_this<Tap> {
 public:
  Tap(std::shared_ptr<stream::Consumer> consumer, Loop& loop, std::function<bool(const observe::RecordLine&)> each)
      : consumer_(std::move(consumer)), loop_(loop), each_(std::move(each)) {}

  void wait() {
    consumer_->notify([weak = weak_from_this(), &loop = loop_] {
      loop.post([weak] {
        if (const auto self = weak.lock()) self->read();
      });
    });
  }
  void close() { consumer_->close(); }

 private:
  void read() {
    auto entries = consumer_->poll({.records_max = kTapRecordsPerPause});
    if (!entries || entries->empty()) return wait();  // a damaged entry is passed over; `stream ls` and the log name it
    for (const stream::ReceivedEntry& entry : *entries) {
      const auto records = records_of(entry);
      if (!records) continue;
      for (const observe::RecordLine& record : *records) {
        if (!each_(record)) return;
      }
    }
    loop_.post_after(kTapPauseMs, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->read();
    });
  }

  std::shared_ptr<stream::Consumer> consumer_;
  Loop& loop_;
  std::function<bool(const observe::RecordLine&)> each_;
};

}  // namespace

Result<std::string> full_name(const std::string& topic) {
  FMESH_TRY(const stream::TopicName name, stream::TopicName::parse(topic));
  return name.full();
}

Status check_exists(stream::Client& client, const std::string& full_topic) {
  FMESH_TRY(const std::vector<stream::StreamInfo> streams, client.list_streams());
  std::vector<std::string> short_names;
  for (const stream::StreamInfo& stream : streams) {
    if (stream.topic == full_topic) return {};
    short_names.push_back(model::short_topic_name(stream.topic));
  }
  const std::string wanted = model::short_topic_name(full_topic);
  const std::string_view near = model::closest(wanted, {short_names.begin(), short_names.end()});
  return fail(ErrorKind::kFixInput,
              "no such stream: " + wanted + (near.empty() ? "" : "; did you mean " + std::string(near) + "?"));
}

Result<std::vector<observe::RecordLine>> records_of(const stream::ReceivedEntry& entry) {
  FMESH_TRY(stream::EntryReader reader, stream::EntryReader::open(entry.bytes));
  std::vector<observe::RecordLine> lines;
  stream::RecordView record;
  for (uint32_t index = 0; reader.next(record); ++index) {
    if (entry.records.has(index)) lines.push_back(to_line(entry, record));
  }
  FMESH_CHECK(reader.status());
  return lines;
}

Result<std::vector<observe::RecordLine>> peek(stream::Client& client, const std::string& topic, const std::string& from,
                                              size_t records_max) {
  FMESH_TRY(const std::string name, full_name(topic));
  const bool last = from == "latest";
  FMESH_TRY(auto consumer, open_reader(client, name, stream::InitialPosition::kEarliest));
  const Reader reader{consumer};
  if (!last && from != "earliest") {
    const auto id = stream::parse_message_id(from);
    if (!id) {
      return fail(ErrorKind::kFixInput,
                  "from " + from + ": expected earliest, latest or a message id (ledger:entry:partition)");
    }
    FMESH_CHECK(consumer->seek(*id));
  }
  std::deque<observe::RecordLine> found;
  size_t bytes = 0;
  while (last || found.size() < records_max) {
    const auto entries = consumer->poll({});
    if (!entries && entries.error().kind() != ErrorKind::kCorrupt) return fail(entries.error());
    if (!entries) {  // the next poll goes on behind it
      observe::RecordLine damaged;
      damaged.topic = name;
      damaged.damage = entries.error().text();
      found.push_back(std::move(damaged));
      continue;
    }
    if (entries->empty()) {
      if (consumer->drained()) break;
      FMESH_TRY(const bool more, wait_for_more(*consumer));
      if (!more) break;
      continue;
    }
    for (const stream::ReceivedEntry& entry : *entries) {
      FMESH_TRY(std::vector<observe::RecordLine> records, records_of(entry));
      for (observe::RecordLine& record : records) {
        if (!last && (found.size() >= records_max || bytes > kPeekSizeMaxBytes)) break;
        bytes += record.payload.size();
        found.push_back(std::move(record));
        while (last && (found.size() > records_max || bytes > kPeekSizeMaxBytes) && found.size() > 1) {
          bytes -= found.front().payload.size();
          found.pop_front();
        }
      }
    }
    if (!last && bytes > kPeekSizeMaxBytes) break;
  }
  return std::vector<observe::RecordLine>(std::make_move_iterator(found.begin()), std::make_move_iterator(found.end()));
}

void publish(stream::Client& client, const Clock& clock, const std::string& topic,
             const std::vector<observe::NewRecord>& records,
             std::function<void(Result<std::vector<std::string>>)> done) {
  const auto name = full_name(topic);
  if (!name) return done(fail(name.error()));
  if (records.empty()) return done(std::vector<std::string>{});
  const auto producer = client.open_producer({.topic = *name, .name = "", .compression = stream::Compression::kLz4});
  if (!producer) return done(fail(producer.error()));
  const auto partitions = static_cast<uint32_t>((*producer)->partition_count());

  stream::Commit commit;
  std::vector<uint32_t> counts;
  std::vector<std::unique_ptr<stream::EntryBuilder>> builders(std::max(partitions, 1U));
  std::vector<std::optional<std::string>> keys(builders.size());  // of the last record
  const int64_t now_ms = clock.wall_ms();
  const auto finish = [&](uint32_t partition) {
    stream::EntryBuilder& builder = *builders[partition];
    counts.push_back(static_cast<uint32_t>(builder.record_count()));
    const uint64_t last = builder.last_sequence_id();
    commit.appends.push_back({*producer, static_cast<int32_t>(partition), builder.finish(now_ms), counts.back(), last});
  };
  uint64_t sequence_id = 0;
  for (const observe::NewRecord& record : records) {
    stream::RecordView view;
    view.payload = record.payload;
    view.has_key = record.key.has_value();
    if (record.key) view.key = *record.key;
    std::vector<stream::Property> properties;
    for (const auto& [key, value] : record.properties) properties.push_back({key, value});
    view.properties = properties;
    view.event_time_ms = record.event_time_ms;
    view.sequence_id = sequence_id++;
    // A key keeps to its partition, as Pulsar's function producers route; the rest of a request stays together.
    const uint32_t partition =
        (record.key ? murmur3_32(*record.key) : static_cast<uint32_t>(now_ms)) % std::max(partitions, 1U);
    if (!builders[partition]) {
      builders[partition] = std::make_unique<stream::EntryBuilder>((*producer)->name(), stream::Compression::kLz4);
    }
    if (client.deals_whole_entries() && !builders[partition]->empty() && keys[partition] != record.key)
      finish(partition);
    keys[partition] = record.key;
    if (!builders[partition]->fits(view)) {
      if (builders[partition]->empty()) {
        return done(fail(ErrorKind::kFixInput, "a record of " + std::to_string(record.payload.size()) +
                                                   " bytes is larger than an entry may be (5 MiB)"));
      }
      finish(partition);
    }
    builders[partition]->add(view);
  }
  for (uint32_t partition = 0; partition < builders.size(); ++partition) {
    if (builders[partition] && !builders[partition]->empty()) finish(partition);
  }
  client.commit(std::move(commit),
                [counts = std::move(counts), done = std::move(done)](const Result<stream::Receipt>& receipt) {
                  if (!receipt) return done(fail(receipt.error()));
                  std::vector<std::string> ids;
                  for (size_t i = 0; i < receipt->ids.size(); ++i) {
                    for (uint32_t k = 0; k < counts[i]; ++k) {
                      stream::MessageId id = receipt->ids[i];
                      id.batch_index = static_cast<int32_t>(k);
                      ids.push_back(stream::to_string(id));
                    }
                  }
                  done(std::move(ids));
                });
}

Status seek(stream::Client& client, const std::string& topic, const observe::Seek& seek) {
  FMESH_TRY(const std::string name, full_name(topic));
  FMESH_CHECK(check_exists(client, name));
  FMESH_TRY(const std::vector<stream::StreamInfo> streams, client.list_streams());
  const auto stream = std::ranges::find(streams, name, &stream::StreamInfo::topic);
  if (stream == streams.end()) return fail(ErrorKind::kRetryNow, "the stream " + name + " has just been deleted");
  const auto& subscriptions = stream->subscriptions;
  const auto subscription =
      std::ranges::find(subscriptions, seek.subscription, &stream::StreamInfo::Subscription::name);
  if (subscription == subscriptions.end()) {
    std::string known;
    for (const auto& one : subscriptions) known += (known.empty() ? "" : ", ") + one.name;
    return fail(ErrorKind::kFixInput, "no such subscription on " + name + ": " + seek.subscription +
                                          (known.empty() ? "; it has none" : "; it has " + known));
  }
  stream::ConsumerOptions options;
  options.topics = {name};
  options.subscription = seek.subscription;
  options.type = subscription->type;
  options.name = "fmesh-seek";
  FMESH_TRY(auto consumer, client.open_consumer(std::move(options)));
  const Reader reader{consumer};
  if (seek.time_ms >= 0) return consumer->seek_time(seek.time_ms);
  const auto id = stream::parse_message_id(seek.id);
  if (!id) {
    return fail(ErrorKind::kFixInput,
                "id " + seek.id + ": expected earliest, latest or a message id (ledger:entry:partition)");
  }
  return consumer->seek(*id);
}

Result<std::vector<observe::StreamView>> list(stream::Client& client) {
  FMESH_TRY(const std::vector<stream::StreamInfo> streams, client.list_streams());
  std::vector<observe::StreamView> views;
  for (const stream::StreamInfo& stream : streams) {
    observe::StreamView view;
    view.topic = stream.topic;
    view.partitions = stream.options.partitions;
    view.retention_size_bytes = stream.options.retention_size_bytes;
    view.retention_time_ms = stream.options.retention_time_ms;
    view.entries = stream.entries;
    view.records = stream.records;
    view.bytes = stream.bytes;
    view.records_in_total = stream.records_in_total;
    view.bytes_in_total = stream.bytes_in_total;
    for (const auto& one : stream.subscriptions) {
      view.subscriptions.push_back(
          {one.name, name_of(one.type), one.consumers, one.backlog_records, one.backlog_bytes, one.records_out_total});
    }
    views.push_back(std::move(view));
  }
  std::ranges::sort(views, {}, &observe::StreamView::topic);
  return views;
}

Result<std::shared_ptr<void>> tap(stream::Client& client, Loop& loop, const std::string& topic,
                                  std::function<bool(const observe::RecordLine&)> each) {
  FMESH_TRY(const std::string name, full_name(topic));
  FMESH_TRY(auto consumer, open_reader(client, name, stream::InitialPosition::kLatest));
  auto tap = std::make_shared<Tap>(std::move(consumer), loop, std::move(each));
  loop.post([tap] { tap->wait(); });
  // The consumer belongs to the loop: whoever lets go, it is closed there.
  return std::shared_ptr<void>(tap.get(),
                               [tap, &loop](void*) mutable { loop.post([tap = std::move(tap)] { tap->close(); }); });
}

}  // namespace fmesh::local
