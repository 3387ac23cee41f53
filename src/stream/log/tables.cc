#include "stream/log/tables.h"

#include <algorithm>

#include "stream/log/dispatcher.h"

namespace fmesh::stream::log {
namespace {

TableOp op_of(Table table, TableWriter& out) { return {static_cast<uint8_t>(table), out.take()}; }

void write_options(TableWriter& out, const StreamOptions& options) {
  out.signed_number(options.partitions);
  out.signed_number(options.retention_size_bytes);
  out.signed_number(options.retention_time_ms);
  out.signed_number(options.backlog_size_max_bytes);
}

StreamOptions read_options(TableReader& in) {
  StreamOptions options;
  options.partitions = static_cast<int32_t>(std::clamp<int64_t>(in.signed_number(), 0, kPartitionsMax));
  options.retention_size_bytes = in.signed_number();
  options.retention_time_ms = in.signed_number();
  options.backlog_size_max_bytes = in.signed_number();
  return options;
}

std::shared_ptr<Stream> make_stream(std::string_view topic, const StreamOptions& options, PartitionId first) {
  auto stream = std::make_shared<Stream>();
  stream->topic = std::make_shared<const std::string>(topic);
  stream->options = options;
  stream->partitions.resize(static_cast<size_t>(std::max(options.partitions, 1)));
  for (size_t i = 0; i < stream->partitions.size(); ++i) {
    stream->partitions[i].id = first + static_cast<PartitionId>(i);
    stream->partitions[i].index = options.partitions == 0 ? -1 : static_cast<int32_t>(i);
  }
  return stream;
}

}  // namespace

std::shared_ptr<Stream> StreamTables::find(std::string_view topic) const {
  const auto found = streams_.find(topic);
  return found == streams_.end() ? nullptr : found->second;
}

StreamTables::Located StreamTables::locate(PartitionId partition) const {
  const auto found = partitions_.find(partition);
  if (found == partitions_.end()) return {};
  return {found->second.first, found->second.second};
}

void StreamTables::insert(const std::shared_ptr<Stream>& stream) {
  streams_[*stream->topic] = stream;
  for (size_t i = 0; i < stream->partitions.size(); ++i) partitions_[stream->partitions[i].id] = {stream, i};
  next_partition_ = std::max(next_partition_, stream->partitions.back().id + 1);
}

std::shared_ptr<Stream> StreamTables::add_stream(const std::string& topic, const StreamOptions& options) {
  auto stream = make_stream(topic, options, next_partition_);
  insert(stream);
  return stream;
}

std::shared_ptr<Subscription> StreamTables::add_subscription(const std::shared_ptr<Stream>& stream,
                                                             const std::string& name, SubscriptionType type,
                                                             std::vector<Cursor> cursors) {
  auto subscription = std::make_shared<Subscription>();
  subscription->name = name;
  subscription->stream = stream;
  subscription->type = type;
  subscription->cursors = std::move(cursors);
  stream->subscriptions[name] = subscription;
  return subscription;
}

TableOp StreamTables::create_stream_op(const Stream& stream) {
  TableWriter out;
  out.text(*stream.topic);
  out.number(stream.partitions[0].id);
  write_options(out, stream.options);
  return op_of(Table::kCreateStream, out);
}

TableOp StreamTables::delete_stream_op(std::string_view topic) {
  TableWriter out;
  out.text(topic);
  return op_of(Table::kDeleteStream, out);
}

TableOp StreamTables::subscribe_op(const Stream& stream, const Subscription& subscription) {
  TableWriter out;
  out.text(*stream.topic);
  out.text(subscription.name);
  out.u8(static_cast<uint8_t>(subscription.type));
  out.number(subscription.cursors.size());
  for (const Cursor& cursor : subscription.cursors) cursor.write(out);
  return op_of(Table::kSubscribe, out);
}

TableOp StreamTables::unsubscribe_op(std::string_view topic, std::string_view name) {
  TableWriter out;
  out.text(topic);
  out.text(name);
  return op_of(Table::kUnsubscribe, out);
}

TableOp StreamTables::acknowledge_op(PartitionId partition, std::string_view subscription,
                                     const std::vector<AckItem>& items) {
  TableWriter out;
  out.number(partition);
  out.text(subscription);
  out.number(items.size());
  uint64_t last = 0;
  for (const AckItem& item : items) {
    out.signed_number(static_cast<int64_t>(item.entry - last));
    out.number(item.record_count);
    out.number(item.size_bytes);
    write_set(out, item.records);
    last = item.entry;
  }
  return op_of(Table::kAcknowledge, out);
}

TableOp StreamTables::move_cursor_op(PartitionId partition, std::string_view subscription, const Cursor& cursor) {
  TableWriter out;
  out.number(partition);
  out.text(subscription);
  cursor.write(out);
  return op_of(Table::kMoveCursor, out);
}

TableOp StreamTables::note_op(std::string_view topic, std::string_view key, std::string_view value) {
  TableWriter out;
  out.text(topic);
  out.text(key);
  out.text(value);
  return op_of(Table::kNote, out);
}

TableOp StreamTables::producer_op(PartitionId partition, std::string_view name, int64_t sequence_id) {
  TableWriter out;
  out.number(partition);
  out.text(name);
  out.signed_number(sequence_id);
  return op_of(Table::kProducer, out);
}

TableOp StreamTables::appended_op(int64_t written_ms, const std::vector<JournalAppend>& appends) {
  TableWriter out;
  out.signed_number(written_ms);
  for (const JournalAppend& append : appends) out.number(append.entry.size());
  return op_of(Table::kAppended, out);
}

void StreamTables::apply(const Transaction& transaction, const Applied& applied) {
  int64_t written_ms = 0;
  std::vector<uint64_t> sizes(transaction.appends.size());
  for (const TableOp& op : transaction.ops) {
    if (op.table != static_cast<uint8_t>(Table::kAppended)) {
      apply_op(op);
      continue;
    }
    TableReader in(op.bytes);
    written_ms = in.signed_number();
    for (uint64_t& size : sizes) size = in.number();
  }
  for (size_t i = 0; i < transaction.appends.size() && i < applied.entry_numbers.size(); ++i) {
    const Located located = locate(transaction.appends[i].partition);
    if (!located.stream) continue;  // deleted meanwhile
    Partition& partition = located.partition();
    partition.history.append(applied.entry_numbers[i], partition.total, written_ms);
    partition.end = applied.entry_numbers[i] + 1;
    partition.total.records += transaction.appends[i].record_count;
    partition.total.bytes += sizes[i];
    partition.last_written_ms = std::max(partition.last_written_ms, written_ms);
    located.stream->records_in_total += transaction.appends[i].record_count;
    located.stream->bytes_in_total += static_cast<int64_t>(sizes[i]);
  }
}

void StreamTables::apply_op(const TableOp& op) {
  TableReader in(op.bytes);
  switch (static_cast<Table>(op.table)) {
    case Table::kCreateStream:
      return create_stream(in);
    case Table::kDeleteStream:
      return delete_stream(in);
    case Table::kSubscribe:
      return subscribe(in);
    case Table::kAcknowledge:
      return acknowledge(in);
    case Table::kMoveCursor:
      return move_cursor(in);
    case Table::kNote:
      return note(in);
    case Table::kUnsubscribe: {
      const auto stream = find(in.text());
      if (!stream) return;
      const auto found = stream->subscriptions.find(in.text());
      if (found == stream->subscriptions.end()) return;
      found->second->deleted = true;
      stream->subscriptions.erase(found);
      return;
    }
    case Table::kProducer: {
      const auto partition = static_cast<PartitionId>(in.number());
      const std::string_view name = in.text();
      const int64_t sequence_id = in.signed_number();
      if (in.ok()) producers_.persist(partition, name, sequence_id);
      return;
    }
    case Table::kNothing:
    case Table::kAppended:
    case Table::kState:
      return;
  }
}

void StreamTables::create_stream(TableReader& in) {
  const std::string_view topic = in.text();
  const auto first = static_cast<PartitionId>(in.number());
  const StreamOptions options = read_options(in);
  if (!in.ok()) return;
  auto stream = find(topic);
  if (!stream) {
    stream = make_stream(topic, options, first);
    insert(stream);
  }
  if (stream->partitions[0].id == first) stream->durable = true;
}

void StreamTables::delete_stream(TableReader& in) {
  const auto stream = find(in.text());
  if (!stream) return;
  stream->deleted = true;
  for (const auto& [name, subscription] : stream->subscriptions) subscription->deleted = true;
  for (const Partition& partition : stream->partitions) {
    partitions_.erase(partition.id);
    producers_.forget_partition(partition.id);
  }
  streams_.erase(*stream->topic);
}

void StreamTables::subscribe(TableReader& in) {
  const auto stream = find(in.text());
  const std::string name(in.text());
  const auto type = static_cast<SubscriptionType>(in.u8());
  std::vector<Cursor> cursors(in.count());
  for (Cursor& cursor : cursors) cursor = Cursor::read(in);
  if (!stream || !in.ok() || cursors.size() != stream->partitions.size()) return;
  auto found = stream->subscriptions.find(name);
  if (found == stream->subscriptions.end()) {
    add_subscription(stream, name, type, std::move(cursors))->durable = true;
  } else {
    found->second->durable = true;
  }
}

std::shared_ptr<Subscription> StreamTables::subscription_of(const Located& located, std::string_view name) const {
  if (!located.stream) return nullptr;
  const auto found = located.stream->subscriptions.find(name);
  return found == located.stream->subscriptions.end() ? nullptr : found->second;
}

void StreamTables::acknowledge(TableReader& in) {
  const Located located = locate(static_cast<PartitionId>(in.number()));
  const auto subscription = subscription_of(located, in.text());
  if (!subscription) return;
  Cursor& cursor = subscription->cursors[located.index];
  AckItem item;
  for (uint64_t left = in.count(); left > 0 && in.ok(); --left) {
    item.entry += static_cast<uint64_t>(in.signed_number());
    item.record_count = static_cast<uint32_t>(in.number());
    item.size_bytes = static_cast<uint32_t>(in.number());
    item.records = read_set(in);
    if (in.ok()) cursor.acknowledge(item);
  }
}

void StreamTables::move_cursor(TableReader& in) {
  const Located located = locate(static_cast<PartitionId>(in.number()));
  const auto subscription = subscription_of(located, in.text());
  if (!subscription) return;
  Cursor cursor = Cursor::read(in);
  if (!in.ok()) return;
  subscription->cursors[located.index] = std::move(cursor);
  if (subscription->dispatcher)
    subscription->dispatcher->reset(located.index, subscription->cursors[located.index].next());
}

void StreamTables::note(TableReader& in) {
  const auto stream = find(in.text());
  const std::string key(in.text());
  const std::string_view value = in.text();
  if (!stream || !in.ok()) return;
  if (value.empty()) {
    stream->notes.erase(key);
  } else {
    stream->notes.insert_or_assign(key, std::string(value));
  }
}

uint64_t StreamTables::first_wanted(PartitionId id, int64_t now_ms) const {
  const Located located = locate(id);
  if (!located.stream) return kNothingWanted;
  const Partition& partition = located.partition();
  const StreamOptions& options = located.stream->options;
  uint64_t acknowledged = partition.end;
  for (const auto& [name, subscription] : located.stream->subscriptions)
    acknowledged = std::min(acknowledged, subscription->cursors[located.index].next());

  uint64_t kept = partition.end;
  const int64_t oldest_ms = now_ms - options.retention_time_ms;
  if (options.retention_size_bytes > 0 && options.retention_time_ms > 0 && partition.last_written_ms >= oldest_ms) {
    // What is acknowledged is kept up to the size, counted back from where it ends.
    const uint64_t acknowledged_bytes = acknowledged == partition.end
                                            ? partition.total.bytes
                                            : partition.history.at_or_before(acknowledged).before.bytes;
    kept = std::max(
        partition.history.first_within(static_cast<uint64_t>(options.retention_size_bytes), acknowledged_bytes),
        partition.history.first_since(oldest_ms));
  }
  return std::min(acknowledged, kept);
}

void StreamTables::forget_unwanted(int64_t now_ms) {
  for (const auto& [topic, stream] : streams_)
    for (Partition& partition : stream->partitions) partition.history.forget_before(first_wanted(partition.id, now_ms));
}

uint64_t StreamTables::backlog_bytes(const Stream& stream, size_t partition) {
  uint64_t backlog = 0;
  for (const auto& [name, subscription] : stream.subscriptions) {
    const uint64_t total = stream.partitions[partition].total.bytes;
    const uint64_t done = subscription->cursors[partition].done().bytes;
    backlog = std::max(backlog, total > done ? total - done : 0);
  }
  return backlog;
}

void StreamTables::update_backlog(Stream& stream) const {
  stream.over_backlog = false;
  for (size_t i = 0; i < stream.partitions.size(); ++i)
    if (backlog_bytes(stream, i) > static_cast<uint64_t>(stream.options.backlog_size_max_bytes))
      stream.over_backlog = true;
}

void StreamTables::write(TableWriter& out) const {
  out.number(next_partition_);
  out.number(streams_.size());
  for (const auto& [topic, stream] : streams_) {
    out.text(topic);
    out.number(stream->partitions[0].id);
    write_options(out, stream->options);
    for (const Partition& partition : stream->partitions) {
      out.number(partition.end);
      out.number(partition.total.records);
      out.number(partition.total.bytes);
      out.signed_number(partition.last_written_ms);
      partition.history.write(out);
    }
    out.number(stream->subscriptions.size());
    for (const auto& [name, subscription] : stream->subscriptions) {
      out.text(name);
      out.u8(static_cast<uint8_t>(subscription->type));
      for (const Cursor& cursor : subscription->cursors) cursor.write(out);
    }
    out.number(stream->notes.size());
    for (const auto& [key, value] : stream->notes) {
      out.text(key);
      out.text(value);
    }
  }
  producers_.write(out);
}

Status StreamTables::read(TableReader& in, bool has_notes) {
  const auto next_partition = static_cast<PartitionId>(in.number());
  for (uint64_t left = in.count(); left > 0 && in.ok(); --left) {
    const std::string_view topic = in.text();
    const auto first = static_cast<PartitionId>(in.number());
    const auto stream = make_stream(topic, read_options(in), first);
    stream->durable = true;
    for (Partition& partition : stream->partitions) {
      partition.end = in.number();
      partition.total.records = in.number();
      partition.total.bytes = in.number();
      partition.last_written_ms = in.signed_number();
      partition.history = History::read(in);
    }
    insert(stream);
    for (uint64_t subscriptions = in.count(); subscriptions > 0 && in.ok(); --subscriptions) {
      const std::string name(in.text());
      const auto type = static_cast<SubscriptionType>(in.u8());
      std::vector<Cursor> cursors;
      for (size_t i = 0; i < stream->partitions.size(); ++i) cursors.push_back(Cursor::read(in));
      add_subscription(stream, name, type, std::move(cursors))->durable = true;
    }
    for (uint64_t notes = has_notes ? in.count() : 0; notes > 0 && in.ok(); --notes) {
      const std::string key(in.text());
      stream->notes.insert_or_assign(key, std::string(in.text()));
    }
  }
  producers_.read(in);
  next_partition_ = std::max(next_partition_, next_partition);
  if (!in.ok()) return fail(ErrorKind::kCorrupt, "the checkpoint of the stream tables ends too early");
  return {};
}

}  // namespace fmesh::stream::log
