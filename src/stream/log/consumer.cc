#include "stream/log/consumer.h"

#include <fmt/format.h>

#include <algorithm>

#include "stream/log/record_sets.h"

namespace fmesh::stream::log {
namespace {
// Partitions that one poll looks into: bounds its work where thousands are ready; the next poll goes on behind them.
constexpr size_t kSourcesPerPollMax = 64;
}  // namespace

Result<std::regex> parse_topic_pattern(const std::string& pattern) {
  std::string whole = pattern;
  if (whole.find("://") == std::string::npos)
    whole = (whole.find('/') == std::string::npos ? "persistent://public/default/" : "persistent://") + whole;
  try {
    return std::regex(whole, std::regex::ECMAScript | std::regex::optimize);
  } catch (const std::regex_error& error) {
    return fail(ErrorKind::kFixInput,
                fmt::format("topic pattern {}: not a regular expression: {}", pattern, error.what()));
  }
}

LogConsumer::LogConsumer(std::shared_ptr<Core> core, ConsumerOptions options)
    : core_(std::move(core)), options_(std::move(options)) {}

Result<std::shared_ptr<LogConsumer>> LogConsumer::open(std::shared_ptr<Core> core, ConsumerOptions options) {
  if (options.subscription.empty()) return fail(ErrorKind::kFixInput, "a consumer needs the name of a subscription");
  std::shared_ptr<LogConsumer> consumer(new LogConsumer(core, std::move(options)));
  ConsumerOptions& wanted = consumer->options_;
  std::vector<std::shared_ptr<Stream>> streams;
  if (!wanted.topic_pattern.empty()) {
    FMESH_TRY(consumer->pattern_, parse_topic_pattern(wanted.topic_pattern));
  }
  for (const std::string& topic : wanted.topics) {
    FMESH_TRY(const TopicName name, TopicName::parse(topic));
    FMESH_TRY(auto stream, core->find_or_create(name.full(), {}));
    if (std::ranges::find(streams, stream) == streams.end()) streams.push_back(std::move(stream));
  }
  {
    std::lock_guard guard(core->lock);
    if (core->closed()) return fail(core->closed_error());
    consumer->number_ = ++core->last_consumer;
    if (wanted.name.empty()) wanted.name = fmt::format("consumer-{}", consumer->number_);
    if (consumer->pattern_) {
      for (const auto& [topic, stream] : core->tables.streams())
        if (std::regex_match(topic, *consumer->pattern_) && std::ranges::find(streams, stream) == streams.end())
          streams.push_back(stream);
      core->pattern_consumers.push_back(consumer.get());
    }
  }
  if (auto joined = consumer->join_all(std::move(streams)); !joined) {
    consumer->close();
    return fail(joined.error());
  }
  return consumer;
}

std::optional<Error> LogConsumer::refusal(const Stream& stream) const {
  const auto found = stream.subscriptions.find(options_.subscription);
  if (stream.deleted) return Error(ErrorKind::kClosed, fmt::format("stream {} was deleted", *stream.topic));
  if (options_.partition >= static_cast<int32_t>(stream.partitions.size()))
    return Error(ErrorKind::kFixInput, fmt::format("stream {} has {} partitions, partition {} is not one of them",
                                                   *stream.topic, stream.options.partitions, options_.partition));
  if (found == stream.subscriptions.end() || !found->second->dispatcher) return std::nullopt;
  const auto& members = found->second->dispatcher->members();
  if (members.empty()) return std::nullopt;
  if (found->second->dispatcher->type() != options_.type)
    return Error(
        ErrorKind::kFixInput,
        fmt::format("subscription {} of {} has consumers of another type ({}); all consumers of a subscription "
                    "have one type",
                    options_.subscription, *stream.topic, members.front()->member_name()));
  if (options_.type == SubscriptionType::kKeyShared) return refusal_of_keys(stream, members);
  if (options_.type != SubscriptionType::kExclusive) return std::nullopt;
  for (size_t lane = 0; lane < stream.partitions.size(); ++lane) {
    const auto& readers = found->second->dispatcher->members(lane);
    if (!reads(lane) || readers.empty()) continue;
    return Error(
        ErrorKind::kFixInput,
        fmt::format("subscription {} of {} is exclusive and {} holds it; close that one first, or use failover "
                    "or shared",
                    options_.subscription, *stream.topic, readers.front()->member_name()));
  }
  return std::nullopt;
}

std::optional<Error> LogConsumer::refusal_of_keys(const Stream& stream, const std::vector<Member*>& members) const {
  const auto refused = [&](const Member& other, std::string_view why) {
    return Error(ErrorKind::kFixInput, fmt::format("subscription {} of {} has a consumer ({}) that {}",
                                                   options_.subscription, *stream.topic, other.member_name(), why));
  };
  const Member& first = *members.front();
  if (static_cast<const LogConsumer&>(first).whole_entries() != options_.whole_entries)
    return refused(first, options_.whole_entries ? "takes batches apart by key; use a subscription of its own"
                                                 : "takes batches as they are; use a subscription of its own");
  if (first.key_ranges().empty() != options_.key_ranges.empty())
    return refused(first, options_.key_ranges.empty() ? "takes ranges of keys; all of them do"
                                                      : "takes its share of the keys; all of them do");
  for (const Member* other : members) {
    if (other->only_lane() && !reads(*other->only_lane())) continue;
    for (const KeyRange& theirs : other->key_ranges())
      for (const KeyRange& ours : options_.key_ranges)
        if (theirs.first <= ours.last && ours.first <= theirs.last)
          return refused(*other, fmt::format("takes the keys {} to {}, which overlap with {} to {}", theirs.first,
                                             theirs.last, ours.first, ours.last));
  }
  return std::nullopt;
}

void LogConsumer::attach(const std::shared_ptr<Stream>& stream, const std::shared_ptr<Subscription>& subscription) {
  if (!subscription->dispatcher)
    subscription->dispatcher = std::make_shared<Dispatcher>(options_.type, subscription->cursors);
  if (subscription->dispatcher->members().empty())
    subscription->dispatcher->change_type(options_.type, !options_.key_ranges.empty(), subscription->cursors);
  subscription->type = options_.type;
  subscription->dispatcher->join(this);
  for (size_t lane = 0; lane < stream->partitions.size(); ++lane) {
    if (!reads(lane)) continue;
    source_index_[stream->partitions[lane].id] = sources_.size();
    sources_.push_back({stream, subscription, lane, stream->partitions[lane].id});
  }
}

Status LogConsumer::join_all(std::vector<std::shared_ptr<Stream>> streams) {
  for (const auto& stream : streams) {
    std::vector<Cursor> cursors;
    bool missing = false;
    {
      std::lock_guard guard(core_->lock);
      if (auto refused = refusal(*stream)) return fail(std::move(*refused));
      missing = !stream->subscriptions.contains(options_.subscription);
    }
    for (size_t i = 0; missing && i < stream->partitions.size(); ++i) {
      const uint64_t entry =
          options_.position == InitialPosition::kLatest ? UINT64_MAX : core_->journal().begin(stream->partitions[i].id);
      FMESH_TRY(auto cursor, core_->cursor_at(stream, i, entry, 0));
      cursors.push_back(std::move(cursor));
    }
    std::vector<TableOp> ops;
    {
      std::lock_guard guard(core_->lock);
      if (core_->closed()) return fail(core_->closed_error());
      if (auto refused = refusal(*stream)) return fail(std::move(*refused));
      auto found = stream->subscriptions.find(options_.subscription);
      std::shared_ptr<Subscription> subscription;
      if (found != stream->subscriptions.end()) {
        subscription = found->second;
      } else {
        subscription = core_->tables.add_subscription(stream, options_.subscription, options_.type, std::move(cursors));
        if (!stream->durable) ops.push_back(StreamTables::create_stream_op(*stream));
        ops.push_back(StreamTables::subscribe_op(*stream, *subscription));
      }
      attach(stream, subscription);
    }
    if (!ops.empty()) core_->submit(std::move(ops));
  }
  return {};
}

void LogConsumer::join_if_matching(const std::shared_ptr<Stream>& stream, Wakes& wakes) {
  if (closed_ || !pattern_ || !std::regex_match(*stream->topic, *pattern_)) return;
  if (source_index_.contains(stream->partitions[0].id)) return;
  if (auto refused = refusal(*stream)) {
    error_ = std::move(*refused);
    return;
  }
  auto found = stream->subscriptions.find(options_.subscription);
  // The stream is new: whatever it gets came after this consumer was opened.
  const auto subscription = found != stream->subscriptions.end()
                                ? found->second
                                : core_->tables.add_subscription(stream, options_.subscription, options_.type,
                                                                 std::vector<Cursor>(stream->partitions.size()));
  attach(stream, subscription);
  if (wake_ && subscription->cursors[0].next() < stream->partitions[0].end) wakes.push_back(take_wake());
}

// ------------------------------------------------------------------------------------------------------------- polling

Result<std::vector<ReceivedEntry>> LogConsumer::poll(PollLimits limits) {
  std::vector<ReceivedEntry> received;
  std::vector<Source> sources;
  {
    std::lock_guard guard(core_->lock);
    if (closed_ || core_->closed())
      return fail(ErrorKind::kClosed, fmt::format("consumer {} of {} is closed", options_.name, options_.subscription));
    const int64_t now_ns = core_->clock().monotonic_ns();
    const size_t turn = turn_;
    for (size_t i = 0; i < sources_.size(); ++i) {
      const Source& source = sources_[(turn + i) % sources_.size()];
      if (!source.subscription->dispatcher->ready(source.lane, *this, source.stream->partitions[source.lane].end,
                                                  now_ns))
        continue;
      if (sources.empty()) turn_ = turn + i + 1;
      sources.push_back(source);
      if (sources.size() >= kSourcesPerPollMax) break;
    }
  }
  if (error_) {
    Error error = std::move(*error_);
    error_.reset();
    return fail(std::move(error));
  }
  uint64_t records = 0;
  size_t bytes = 0;
  const auto poll_once = [&](const Source& source) {
    const size_t before = received.size();
    poll_source(source,
                {static_cast<uint32_t>(limits.records_max - std::min<uint64_t>(records, limits.records_max)),
                 limits.size_max_bytes - std::min(bytes, limits.size_max_bytes)},
                received);
    for (size_t i = before; i < received.size(); ++i) {
      records += received[i].records.count(received[i].record_count);
      bytes += received[i].bytes.size();
    }
    return received.size() > before;
  };
  // A source gives at least one entry, so it is asked only while there is a good deal of room.
  const auto has_room = [&] { return records <= limits.records_max / 2 && bytes <= limits.size_max_bytes / 2; };
  for (const Source& source : sources) {
    if (!received.empty() && !has_room()) break;
    // What was handed out before comes first, what is new behind it.
    if (poll_once(source) && has_room() && options_.type != SubscriptionType::kShared) poll_once(source);
  }
  if (received.empty() && error_) {
    Error error = std::move(*error_);
    error_.reset();
    return fail(std::move(error));
  }
  return received;
}

void LogConsumer::poll_source(const Source& source, PollLimits limits, std::vector<ReceivedEntry>& received) {
  std::vector<Handout> handouts;
  uint64_t first = 0;
  uint64_t end = 0;
  uint64_t epoch = 0;
  size_t share = 0;
  {
    std::lock_guard guard(core_->lock);
    auto& dispatcher = *source.subscription->dispatcher;
    auto& lane = dispatcher.lane(source.lane);
    const Partition& partition = source.stream->partitions[source.lane];
    const int64_t now_ns = core_->clock().monotonic_ns();
    if (!dispatcher.ready(source.lane, *this, partition.end, now_ns)) return;
    handouts = dispatcher.take(source.lane, *this, limits, now_ns);
    for (const Handout& handout : handouts)
      source.subscription->records_out_total += handout.records.count(handout.record_count);
    if (!handouts.empty() && options_.ack_timeout_ms > 0)
      core_->schedule(now_ns + options_.ack_timeout_ms * 1'000'000, source.subscription);
    if (handouts.empty()) {
      if (dispatcher.keyed()) dispatcher.saw_nothing(source.lane, *this);
      const Cursor& cursor = source.subscription->cursors[source.lane];
      lane.window.skip_to(std::min(cursor.end_of_acknowledged(lane.window.read_position()), partition.end));
      first = lane.window.read_position();
      end = partition.end;
      if (first >= end || lane.window.full()) return;
      lane.reading = true;
      epoch = lane.epoch;
      share = dispatcher.fair_share(source.lane, end - first);
      // Reading much more than is taken would be waste: guess by the size of a record in this partition.
      if (partition.total.records > 0)
        limits.size_max_bytes = std::min<size_t>(
            limits.size_max_bytes, static_cast<size_t>(2 * partition.total.bytes / partition.total.records *
                                                       std::max(limits.records_max, 1U)));
    }
  }
  if (!handouts.empty()) return load(source, std::move(handouts), received);
  read_new(source, limits, first, end, epoch, share, received);
}

namespace {

struct ReadEntry {
  uint64_t entry = 0;
  SharedBytes bytes;
  uint32_t record_count = 1;
  int64_t deliver_at_ms = 0;
  std::vector<KeyHash> key_hashes;
};

Result<ReadEntry> parse(uint64_t entry, SharedBytes bytes, const ConsumerOptions& options) {
  ReadEntry read;
  read.entry = entry;
  FMESH_TRY(const EntryInfo info, read_entry_info(bytes.view()));
  read.record_count = std::max(info.record_count, 1U);
  read.deliver_at_ms = info.deliver_at_ms;
  const bool keyed = options.type == SubscriptionType::kKeyShared;
  if (keyed && options.whole_entries) {
    read.key_hashes.assign(read.record_count, options.key_ranges.empty() ? key_hash(info) : range_hash(info));
  } else if (keyed) {
    FMESH_TRY(auto reader, EntryReader::open(bytes));
    RecordView record;
    while (reader.next(record)) read.key_hashes.push_back(key_hash(record, info.producer_name));
    FMESH_CHECK(reader.status());
    read.key_hashes.resize(read.record_count, KeyHash{1});
  }
  read.bytes = std::move(bytes);
  return read;
}

}  // namespace

void LogConsumer::read_new(const Source& source, PollLimits limits, uint64_t first, uint64_t end, uint64_t epoch,
                           size_t share, std::vector<ReceivedEntry>& received) {
  const bool keyed = options_.type == SubscriptionType::kKeyShared;
  const bool delays = keyed || options_.type == SubscriptionType::kShared;
  auto entries = core_->journal().read(source.partition, first, std::max<size_t>(limits.size_max_bytes, 1));
  std::vector<ReadEntry> parsed;
  std::optional<Error> damage;
  uint64_t damaged_entry = first;
  if (!entries) {
    damage = entries.error();
  } else {
    for (SharedBytes& bytes : *entries) {
      const uint64_t entry = first + parsed.size();
      if (entry >= end) break;
      auto read = parse(entry, std::move(bytes), options_);
      if (!read) {
        damage = read.error();
        damaged_entry = entry;
        break;
      }
      parsed.push_back(std::move(*read));
    }
  }
  Wakes wakes;
  std::vector<Handout> earlier;  // key_shared: of entries that were read before, and so come first
  std::vector<ReceivedEntry> fresh;
  bool skip_damaged = false;
  {
    std::lock_guard guard(core_->lock);
    auto& dispatcher = *source.subscription->dispatcher;
    auto& lane = dispatcher.lane(source.lane);
    const Cursor& cursor = source.subscription->cursors[source.lane];
    if (lane.epoch != epoch) return;
    lane.reading = false;
    const int64_t now_ns = core_->clock().monotonic_ns();
    const int64_t wall_ms = core_->clock().wall_ms();
    uint64_t records = 0;
    uint64_t records_out = 0;
    size_t taken = 0;
    size_t next = 0;
    for (; next < parsed.size() && taken < share && !lane.window.full(); ++next) {
      ReadEntry& read = parsed[next];
      if (read.entry < lane.window.read_position()) continue;
      if (cursor.acknowledged(read.entry)) {
        lane.window.skip_to(read.entry + 1);
        continue;
      }
      AckItem item{read.entry, read.record_count, static_cast<uint32_t>(read.bytes.size()), AckSet::all()};
      if (const AckSet* done = cursor.partly_acknowledged(read.entry))
        item.records = records_without(AckSet::all(), *done, read.record_count);
      const uint32_t count = item.records.count(read.record_count);
      if (taken > 0 && records + count > limits.records_max) break;
      if (delays && read.deliver_at_ms > wall_ms) {
        const int64_t due_ns = now_ns + (read.deliver_at_ms - wall_ms) * 1'000'000;
        lane.window.add_delayed(item, due_ns, std::move(read.key_hashes));
        core_->schedule(due_ns, source.subscription);
        continue;
      }
      records += count;
      ++taken;
      if (keyed) {
        lane.window.add(item, 0, std::move(read.key_hashes));
        continue;
      }
      lane.window.add(item, number_, {});
      if (options_.ack_timeout_ms > 0) {
        dispatcher.watch(source.lane, *this, read.entry, now_ns);
        core_->schedule(now_ns + options_.ack_timeout_ms * 1'000'000, source.subscription);
      }
      records_out += count;
      fresh.push_back(received_entry(source, {read.entry, read.record_count, item.size_bytes, 0, item.records},
                                     std::move(read.bytes)));
    }
    if (damage && damage->kind() == ErrorKind::kCorrupt && next == parsed.size() &&
        lane.window.read_position() == damaged_entry) {
      lane.window.add({damaged_entry, 1, 0, AckSet::all()}, number_, {});
      skip_damaged = true;
    }
    if (keyed && taken > 0) {
      ++lane.keyed_change;
      auto handouts = dispatcher.take(source.lane, *this, limits, now_ns);
      if (handouts.empty()) dispatcher.saw_nothing(source.lane, *this);
      for (Handout& handout : handouts) {
        records_out += handout.records.count(handout.record_count);
        if (handout.entry < first) {
          earlier.push_back(std::move(handout));
        } else {
          fresh.push_back(received_entry(source, handout, parsed[handout.entry - first].bytes));
        }
      }
      if (options_.ack_timeout_ms > 0)
        core_->schedule(now_ns + options_.ack_timeout_ms * 1'000'000, source.subscription);
    }
    source.subscription->records_out_total += static_cast<int64_t>(records_out);
    if (dispatcher.members(source.lane).size() > 1) core_->wake_lane(*source.subscription, source.lane, wakes);
  }
  call_all(wakes);
  if (!earlier.empty()) load(source, std::move(earlier), received);
  std::ranges::move(fresh, std::back_inserter(received));
  if (damage && (skip_damaged || damage->kind() != ErrorKind::kCorrupt)) {
    if (skip_damaged) core_->give_up_entry(source.subscription, source.lane, damaged_entry, number_);
    error_ = damage->within(fmt::format("stream {}, entry {}", *source.stream->topic, damaged_entry));
  }
}

void LogConsumer::load(const Source& source, std::vector<Handout> handouts, std::vector<ReceivedEntry>& received) {
  for (size_t i = 0; i < handouts.size();) {
    // Neighbours are read together.
    size_t end = i + 1;
    size_t size_bytes = handouts[i].size_bytes;
    while (end < handouts.size() && handouts[end].entry <= handouts[end - 1].entry + 1) {
      if (handouts[end].entry != handouts[end - 1].entry) size_bytes += handouts[end].size_bytes;
      ++end;
    }
    const auto entries = core_->journal().read(source.partition, handouts[i].entry, std::max<size_t>(size_bytes, 1));
    if (!entries) {
      const uint64_t damaged = handouts[i].entry;
      error_ = entries.error().within(fmt::format("stream {}, entry {}", *source.stream->topic, damaged));
      if (entries.error().kind() == ErrorKind::kCorrupt)
        core_->give_up_entry(source.subscription, source.lane, damaged, number_);
      while (i < handouts.size() && handouts[i].entry == damaged) ++i;
      continue;
    }
    const uint64_t first = handouts[i].entry;
    size_t given = 0;
    for (; i < end && handouts[i].entry - first < entries->size(); ++i, ++given)
      received.push_back(received_entry(source, handouts[i], (*entries)[handouts[i].entry - first]));
    if (given == 0) {
      error_ = Error(ErrorKind::kBug, fmt::format("stream {}: entry {} is not acknowledged and no longer there",
                                                  *source.stream->topic, first));
      return;
    }
  }
}

ReceivedEntry LogConsumer::received_entry(const Source& source, const Handout& handout, SharedBytes bytes) const {
  ReceivedEntry entry;
  entry.id = {ledger_of(source.partition), static_cast<int64_t>(handout.entry),
              source.stream->partitions[source.lane].index, -1};
  entry.topic = source.stream->topic;
  entry.bytes = std::move(bytes);
  entry.record_count = handout.record_count;
  entry.redelivery_count = handout.redeliveries;
  entry.records = handout.records;
  return entry;
}

void LogConsumer::notify(std::function<void()> wake) {
  {
    std::lock_guard guard(core_->lock);
    const int64_t now_ns = core_->clock().monotonic_ns();
    const bool ready = error_ || closed_ || std::ranges::any_of(sources_, [&](const Source& source) {
                         return source.subscription->dispatcher->ready(
                             source.lane, *this, source.stream->partitions[source.lane].end, now_ns);
                       });
    wake_ = ready ? nullptr : wake;
    if (!ready) return;
  }
  if (wake) wake();
}

// ---------------------------------------------------------------------------------------------- acks, retries,
// positions

const LogConsumer::Source* LogConsumer::source_of(const MessageId& id) const {
  if (id.ledger < 1 || id.entry < 0) return nullptr;
  const auto found = source_index_.find(partition_of(id.ledger));
  return found == source_index_.end() ? nullptr : &sources_[found->second];
}

AckSet LogConsumer::acked_records(const Ack& ack, const Window& window) const {
  // An id that names one record of a batch never acknowledges the others.
  if (ack.id.batch_index < 0 || !ack.records.is_all()) return ack.records;
  const auto record_count = window.record_count(static_cast<uint64_t>(ack.id.entry));
  const auto index = static_cast<uint32_t>(ack.id.batch_index);
  return index < record_count ? records_between(index, index, record_count) : AckSet::none(record_count);
}

void LogConsumer::negative_ack(const MessageId& id, const AckSet& records) {
  Wakes wakes;
  {
    std::lock_guard guard(core_->lock);
    const Source* source = source_of(id);
    if (closed_ || source == nullptr) return;
    auto& dispatcher = *source->subscription->dispatcher;
    const Window& window = dispatcher.lane(source->lane).window;
    const auto entry = static_cast<uint64_t>(id.entry);
    Ack meant;
    meant.id = id;
    meant.records = records;
    const AckSet refused = acked_records(meant, window);
    const uint32_t times = std::min(window.redeliveries(entry, refused), 40U);
    const int64_t longest = std::max<int64_t>(options_.nack_delay_max_ms, 0);
    const int64_t shortest = std::clamp<int64_t>(options_.nack_delay_min_ms, 0, longest);
    const int64_t delay_ms = shortest > (longest >> times) ? longest : shortest << times;
    const int64_t now_ns = core_->clock().monotonic_ns();
    const int64_t due_ns = dispatcher.refuse(source->lane, *this, entry, refused, delay_ms, now_ns);
    core_->schedule(due_ns, source->subscription);
    core_->wake_lane(*source->subscription, source->lane, wakes);
  }
  call_all(wakes);
}

Status LogConsumer::seek(const MessageId& id) {
  std::vector<Source> sources;
  {
    std::lock_guard guard(core_->lock);
    if (id == MessageId::earliest() || id == MessageId::latest()) {
      sources = sources_;
    } else if (const Source* source = source_of(id)) {
      sources.push_back(*source);
    }
  }
  if (sources.empty())
    return fail(ErrorKind::kFixInput,
                fmt::format("subscription {}: {} is no place in its streams; give an id that was read "
                            "from them, earliest or latest",
                            options_.subscription, to_string(id)));
  std::vector<CursorMove> moves;
  for (const Source& source : sources) {
    uint64_t entry = UINT64_MAX;
    if (id != MessageId::latest())
      entry = std::max(core_->journal().begin(source.partition),
                       id == MessageId::earliest() ? 0 : static_cast<uint64_t>(id.entry));
    const bool inside = id.batch_index > 0 && entry == static_cast<uint64_t>(id.entry);
    FMESH_TRY(auto cursor,
              core_->cursor_at(source.stream, source.lane, entry, inside ? static_cast<uint32_t>(id.batch_index) : 0));
    moves.push_back({source.stream, source.subscription, source.lane, std::move(cursor)});
  }
  return core_->move_cursors(moves);
}

Status LogConsumer::seek_time(int64_t publish_time_ms) {
  std::vector<Source> sources;
  {
    std::lock_guard guard(core_->lock);
    sources = sources_;
  }
  std::vector<CursorMove> moves;
  for (const Source& source : sources) {
    FMESH_TRY(const uint64_t entry, core_->entry_at_time(source.stream, source.lane, publish_time_ms));
    FMESH_TRY(auto cursor, core_->cursor_at(source.stream, source.lane, entry, 0));
    moves.push_back({source.stream, source.subscription, source.lane, std::move(cursor)});
  }
  return core_->move_cursors(moves);
}

ConsumerStats LogConsumer::stats() const {
  ConsumerStats stats;
  std::lock_guard guard(core_->lock);
  for (const Source& source : sources_) {
    const Partition& partition = source.stream->partitions[source.lane];
    const Cursor& cursor = source.subscription->cursors[source.lane];
    const auto left = [](uint64_t total, uint64_t done) {
      return static_cast<int64_t>(total > done ? total - done : 0);
    };
    stats.backlog_entries += left(partition.end, cursor.entries_done());
    stats.backlog_records += left(partition.total.records, cursor.done().records);
    stats.backlog_bytes += left(partition.total.bytes, cursor.done().bytes);
    if (!is_first_lane(source)) continue;
    stats.unacked_records += source.subscription->dispatcher->unacked_records(number_);
    stats.waiting_retry += source.subscription->dispatcher->delayed_records();
  }
  return stats;
}

bool LogConsumer::drained() const {
  std::lock_guard guard(core_->lock);
  return std::ranges::all_of(sources_, [](const Source& source) {
    return source.subscription->cursors[source.lane].next() >= source.stream->partitions[source.lane].end;
  });
}

void LogConsumer::close() {
  Wakes wakes;
  {
    std::lock_guard guard(core_->lock);
    if (closed_) return;
    closed_ = true;
    wake_ = nullptr;
    std::erase(core_->pattern_consumers, this);
    for (const Source& source : sources_)
      if (is_first_lane(source)) source.subscription->dispatcher->leave(this);
    for (const Source& source : sources_) {
      // Whoever was reading for this lane is gone with this thread.
      core_->wake_lane(*source.subscription, source.lane, wakes);
    }
    sources_.clear();
    source_index_.clear();
  }
  call_all(wakes);
}

}  // namespace fmesh::stream::log
