// How a Commit becomes one transaction of the journal, and what follows when it is durable or has failed.
#include <fmt/format.h>

#include <algorithm>
#include <future>

#include "stream/log/consumer.h"
#include "stream/log/core.h"
#include "stream/log/producer.h"

namespace fmesh::stream::log {

// What is remembered of a commit between submission and its end.
struct Core::InFlight {
  struct Appended {
    std::shared_ptr<Stream> stream;
    size_t partition = 0;
    size_t append = 0;  // index in the commit
  };
  struct Pushed {
    PartitionId partition = 0;
    std::string name;
    int64_t sequence_id = 0;
  };
  struct Acked {
    std::shared_ptr<Subscription> subscription;
    size_t lane = 0;
    uint64_t epoch = 0;
    std::vector<AckItem> items;
  };
  struct Changed {
    std::shared_ptr<StagedTable> table;
    std::string key;
    uint64_t number = 0;
    std::shared_ptr<CommitOrder> order;
  };
  std::function<void(Result<Receipt>)> done;
  std::shared_ptr<CommitOrder> order;
  size_t append_count = 0;
  std::vector<Appended> appended;  // in the order of the transaction's appends
  std::vector<Pushed> pushed;
  std::vector<Acked> acked;
  std::vector<Changed> changed;
};

Status Core::build_appends(Commit& commit, InFlight& flight, Transaction& transaction) {
  flight.append_count = commit.appends.size();
  flight.appended.reserve(commit.appends.size());
  transaction.appends.reserve(commit.appends.size());
  for (size_t i = 0; i < commit.appends.size(); ++i) {
    Append& append = commit.appends[i];
    auto* producer = dynamic_cast<LogProducer*>(append.producer.get());
    if (producer == nullptr) return fail(ErrorKind::kBug, "an append names no producer of this log");
    const auto& stream = producer->stream();
    if (stream->deleted) return fail(ErrorKind::kClosed, fmt::format("stream {} was deleted", *stream->topic));
    if (append.partition < 0 || static_cast<size_t>(append.partition) >= stream->partitions.size())
      return fail(ErrorKind::kBug, fmt::format("stream {} has {} partitions, an append names partition {}",
                                               *stream->topic, stream->partitions.size(), append.partition));
    if (append.entry.empty() || append.entry.size() > kEntrySizeMaxBytes)
      return fail(ErrorKind::kFixInput, fmt::format("stream {}: an entry has 1 to {} bytes, this one has {}",
                                                    *stream->topic, kEntrySizeMaxBytes, append.entry.size()));
    const Partition& partition = stream->partitions[static_cast<size_t>(append.partition)];
    if (producer->deduplicates()) {
      const auto sequence_id = static_cast<int64_t>(append.last_sequence_id);
      const auto verdict = tables.producers().push(partition.id, producer->name(), sequence_id);
      if (verdict == ProducerTable::Verdict::kDuplicate) continue;
      if (verdict == ProducerTable::Verdict::kUnknown)
        return fail(ErrorKind::kRetryLater,
                    fmt::format("stream {}, producer {}: sequence id {} is not above one that is still being written; "
                                "send it again when that is durable or failed",
                                *stream->topic, producer->name(), sequence_id));
      flight.pushed.push_back({partition.id, producer->name(), sequence_id});
    }
    if (!stream->durable &&
        std::ranges::none_of(flight.appended, [&](const auto& other) { return other.stream == stream; }))
      transaction.ops.push_back(StreamTables::create_stream_op(*stream));
    flight.appended.push_back({stream, static_cast<size_t>(append.partition), i});
    transaction.appends.push_back({partition.id, append.record_count, std::move(append.entry)});
  }
  if (transaction.appends.empty()) return {};
  transaction.ops.push_back(StreamTables::appended_op(clock_.wall_ms(), transaction.appends));
  for (size_t i = 0; i < flight.pushed.size(); ++i) {
    const auto& pushed = flight.pushed[i];
    const bool last = std::none_of(
        flight.pushed.begin() + static_cast<ptrdiff_t>(i) + 1, flight.pushed.end(),
        [&](const auto& later) { return later.partition == pushed.partition && later.name == pushed.name; });
    if (last) transaction.ops.push_back(StreamTables::producer_op(pushed.partition, pushed.name, pushed.sequence_id));
  }
  return {};
}

Status Core::build_acks(Commit& commit, InFlight& flight, Transaction& transaction) {
  for (const Ack& ack : commit.acks) {
    auto* base = dynamic_cast<ConsumerBase*>(ack.consumer.get());
    if (base == nullptr) return fail(ErrorKind::kBug, "an acknowledgement names no consumer of this log");
    LogConsumer* consumer = base->as_member();
    if (consumer == nullptr) continue;  // a read-only consumer stores nothing
    if (consumer->closed())
      return fail(ErrorKind::kClosed,
                  fmt::format("a consumer of subscription {} was closed; what it had is delivered again",
                              consumer->subscription()));
    const auto* source = consumer->source_of(ack.id);
    if (source == nullptr || source->subscription->deleted) continue;
    auto acked = std::ranges::find_if(flight.acked, [&](const auto& other) {
      return other.subscription == source->subscription && other.lane == source->lane;
    });
    auto& lane = source->subscription->dispatcher->lane(source->lane);
    if (acked == flight.acked.end())
      acked = flight.acked.insert(flight.acked.end(), {source->subscription, source->lane, lane.epoch, {}});
    const auto entry = static_cast<uint64_t>(ack.id.entry);
    if (ack.cumulative) {
      auto items = lane.window.begin_ack_through(entry, ack.id.batch_index, consumer->number());
      std::ranges::move(items, std::back_inserter(acked->items));
    } else if (auto item =
                   lane.window.begin_ack(entry, consumer->acked_records(ack, lane.window), consumer->number())) {
      acked->items.push_back(std::move(*item));
    }
  }
  for (const auto& acked : flight.acked) {
    if (acked.items.empty()) continue;
    const auto stream = acked.subscription->stream.lock();
    if (!stream) continue;
    if (!acked.subscription->durable) {
      if (!stream->durable) transaction.ops.push_back(StreamTables::create_stream_op(*stream));
      transaction.ops.push_back(StreamTables::subscribe_op(*stream, *acked.subscription));
    }
    transaction.ops.push_back(
        StreamTables::acknowledge_op(stream->partitions[acked.lane].id, acked.subscription->name, acked.items));
  }
  return {};
}

Status Core::build(Commit& commit, InFlight& flight, Transaction& transaction) {
  const bool is_broken =
      (commit.order && commit.order->is_broken) ||
      std::ranges::any_of(commit.relies_on, [](const auto& order) { return order->is_broken.load(); });
  for (const StateChange& change : commit.changes) {
    auto table = std::dynamic_pointer_cast<StagedTable>(change.table);
    if (!table) return fail(ErrorKind::kBug, "a state change names no table of this log");
    auto order = table->order();
    flight.changed.push_back({table, change.key, 0, order});
    const auto number = table->begin_commit(change.key);
    if (!number)
      return fail(ErrorKind::kRetryLater,
                  fmt::format("state of {}, key {}: an earlier commit failed, so this value is void", table->name(),
                              change.key));
    flight.changed.back().number = *number;
    if (std::ranges::find(transaction.orders, order) == transaction.orders.end()) transaction.orders.push_back(order);
    transaction.ops.push_back(StateStore::change_op(change));
  }
  if (is_broken) return fail(ErrorKind::kRetryLater, "a commit before this one failed");
  std::lock_guard guard(lock);
  if (closed_) return fail(closed_error());
  FMESH_CHECK(build_appends(commit, flight, transaction));
  FMESH_CHECK(build_acks(commit, flight, transaction));
  // A commit that changes nothing still ends after those before it.
  if (transaction.appends.empty() && transaction.ops.empty())
    transaction.ops.push_back({static_cast<uint8_t>(Table::kNothing), {}});
  return {};
}

void Core::commit(Commit commit, std::function<void(Result<Receipt>)> done) {
  auto flight = std::make_shared<InFlight>();
  flight->done = std::move(done);
  flight->order = commit.order;
  Transaction transaction;
  transaction.orders = commit.relies_on;
  if (commit.order) transaction.orders.push_back(commit.order);
  std::unique_lock submit_guard(submit_lock_);
  if (auto built = build(commit, *flight, transaction); !built) {
    submit_guard.unlock();
    return finish(*flight, fail(built.error()));
  }
  // The core outlives the journal, whose end calls what is still open.
  journal_->submit(std::move(transaction),
                   [this, flight](Result<Applied> applied) { finish(*flight, std::move(applied)); });
}

void Core::undo(InFlight& flight, Wakes& wakes) {
  for (auto& acked : flight.acked) {
    auto& dispatcher = *acked.subscription->dispatcher;
    if (dispatcher.lane(acked.lane).epoch != acked.epoch) continue;
    for (const AckItem& item : acked.items) dispatcher.ended_ack(acked.lane, item, false);
    wake_lane(*acked.subscription, acked.lane, wakes);
  }
}

void Core::finish(InFlight& flight, Result<Applied> applied) {
  Wakes wakes;
  if (!applied && flight.order) flight.order->is_broken = true;
  for (const auto& changed : flight.changed) {
    if (applied)
      changed.table->end_commit(changed.key, changed.number);
    else
      changed.table->fail_commits(changed.order);
  }
  {
    std::lock_guard guard(lock);
    for (const auto& pushed : flight.pushed) tables.producers().settle(pushed.partition, pushed.name);
    if (!applied) {
      undo(flight, wakes);
    } else {
      for (const auto& acked : flight.acked) {
        auto& dispatcher = *acked.subscription->dispatcher;
        if (dispatcher.lane(acked.lane).epoch == acked.epoch)
          for (const AckItem& item : acked.items) dispatcher.ended_ack(acked.lane, item, true);
        const auto stream = acked.subscription->stream.lock();
        if (stream && stream->over_backlog) {
          tables.update_backlog(*stream);
          wake_producers(*stream, wakes);
        }
        // What was acknowledged may have held back a key, a partition or the window.
        wake_lane(*acked.subscription, acked.lane, wakes);
      }
      for (const auto& appended : flight.appended) {
        tables.update_backlog(*appended.stream);
        for (const auto& [name, subscription] : appended.stream->subscriptions)
          wake_lane(*subscription, appended.partition, wakes);
        if (const auto found = readers.find(appended.stream.get()); found != readers.end())
          for (Reader* reader : found->second)
            if (auto wake = reader->take_wake_if_ready()) wakes.push_back(std::move(wake));
      }
    }
  }
  if (flight.done) {
    if (!applied) {
      flight.done(fail(applied.error()));
    } else {
      Receipt receipt;
      receipt.ids.resize(flight.append_count);
      for (size_t i = 0; i < flight.appended.size() && i < applied->entry_numbers.size(); ++i) {
        const auto& appended = flight.appended[i];
        const Partition& partition = appended.stream->partitions[appended.partition];
        receipt.ids[appended.append] = {int64_t{partition.id} + 1, static_cast<int64_t>(applied->entry_numbers[i]),
                                        partition.index, -1};
      }
      flight.done(std::move(receipt));
    }
  }
  call_all(wakes);
}

void Core::submit(std::vector<TableOp> ops) {
  std::lock_guard guard(submit_lock_);
  if (closed_) return;
  Transaction transaction;
  transaction.ops = std::move(ops);
  journal_->submit(std::move(transaction), [](const Result<Applied>&) {});
}

Status Core::submit_and_wait(std::vector<TableOp> ops) {
  auto answer = std::make_shared<std::promise<Status>>();
  auto waiting = answer->get_future();
  {
    std::lock_guard submit_guard(submit_lock_);
    if (closed_) return fail(closed_error());
    {
      std::lock_guard guard(lock);
      if (own_thread_ && committer_ == std::this_thread::get_id())
        return fail(ErrorKind::kBug, "a callback of the log waits for the log; post to a loop instead");
    }
    Transaction transaction;
    transaction.ops = std::move(ops);
    journal_->submit(std::move(transaction), [answer](const Result<Applied>& applied) {
      answer->set_value(applied ? Status() : Status(fail(applied.error())));
    });
  }
  if (!own_thread_)
    while (waiting.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
      if (journal_->step() == 0 && waiting.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
        return fail(ErrorKind::kBug, "the journal does not end a transaction");
  return waiting.get();
}

void Core::give_up_entry(const std::shared_ptr<Subscription>& subscription, size_t lane, uint64_t entry,
                         ConsumerNumber consumer) {
  auto flight = std::make_shared<InFlight>();
  Transaction transaction;
  std::lock_guard submit_guard(submit_lock_);
  {
    std::lock_guard guard(lock);
    const auto stream = subscription->stream.lock();
    if (closed_ || !stream) return;
    auto& window = subscription->dispatcher->lane(lane).window;
    if (auto item = window.begin_ack(entry, AckSet::all(), consumer)) {
      transaction.ops.push_back(StreamTables::acknowledge_op(stream->partitions[lane].id, subscription->name, {*item}));
      flight->acked.push_back({subscription, lane, subscription->dispatcher->lane(lane).epoch, {std::move(*item)}});
    }
  }
  if (transaction.ops.empty()) return;
  journal_->submit(std::move(transaction),
                   [this, flight](Result<Applied> applied) { finish(*flight, std::move(applied)); });
}

}  // namespace fmesh::stream::log
