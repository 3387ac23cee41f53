#include "stream/pulsar/client/consumer_core.h"

#include <algorithm>
#include <set>
#include <utility>

namespace fmesh::stream::pulsar {
namespace {

constexpr int64_t kNsPerMs = 1'000'000;
// A topic has a new one every hour or 50,000 entries; these are remembered for acknowledgements of what is not known.
constexpr size_t kLedgersMax = 10'000;

EntryKey key_of(const MessageId& id) { return {id.ledger, id.entry}; }

}  // namespace

ConsumerCore::ConsumerCore(std::shared_ptr<Parts> parts, ConsumerOptions options)
    : parts_(std::move(parts)), options_(std::move(options)), inbox_(options_.ack_timeout_ms > 0) {}

ConsumerCore::~ConsumerCore() = default;

void ConsumerCore::close() {
  if (std::exchange(closed_, true)) return;
  for (uint64_t* timer : {&away_timer_, &growth_timer_, &timeout_timer_}) {
    if (*timer != 0) parts_->loop.cancel(std::exchange(*timer, 0));
  }
  inbox_.close();
  for (const Source& source : sources_) {
    if (source.consumer) source.consumer->close();
  }
  if (opened_) std::exchange(opened_, nullptr)(fail(ErrorKind::kClosed, "the consumer is closed"));
}

// --- what comes ---

bool ConsumerCore::arrived(PartitionConsumer& from, Incoming incoming) {
  Source& source = sources_[from.source()];
  std::optional<AckSet> records = incoming.remaining;
  if (!options_.read_only && source.is_persistent) {
    records = unacked_.came(from.source(), key_of(incoming.id), incoming.record_count, incoming.redelivery_count,
                            incoming.remaining);
    if (!records) return false;
    if (source.last_ledger != incoming.id.ledger) {
      source.last_ledger = incoming.id.ledger;
      if (ledgers_.size() >= kLedgersMax) ledgers_.erase(ledgers_.begin());
      ledgers_[incoming.id.ledger] = from.source();
    }
    if (!incoming.chunks.empty()) {
      std::erase_if(chunks_, [this](const auto& one) { return !unacked_.holds(one.first); });
      chunks_[key_of(incoming.id)] = std::move(incoming.chunks);
    }
    update_counts();
  }
  counts_.is_drained.store(false);
  counts_.arrivals.fetch_add(1);
  ReceivedEntry entry;
  entry.id = incoming.id;
  entry.topic = source.topic;
  entry.bytes = std::move(incoming.bytes);
  entry.record_count = incoming.record_count;
  entry.redelivery_count = incoming.redelivery_count;
  entry.records = *std::move(records);
  const uint32_t count = entry.records.count(entry.record_count);
  inbox_.push(from.source(), std::move(entry), count);
  return true;
}

void ConsumerCore::damaged(PartitionConsumer& from, const MessageId& id, const Error& damage) {
  inbox_.push_damage(from.source(), damage);
  // It stays damaged, so it is not asked for again.
  if (!options_.read_only) from.acks().add(key_of(id), {});
}

int64_t ConsumerCore::queued_records(const PartitionConsumer& from) { return inbox_.queued_records(from.source()); }

void ConsumerCore::polled() {
  counts_.is_refilling.store(false);
  if (closed_) return;
  note_polled();
  for (const Source& source : sources_) {
    if (source.consumer) source.consumer->refill();
  }
}

void ConsumerCore::drop_queued(uint32_t source) {
  for (const MessageId& id : inbox_.drop(source)) unacked_.not_handed_out(key_of(id));
  update_counts();
}

// What the user was not handed may go to others now; what it was handed it is still working on.
void ConsumerCore::detached(PartitionConsumer& from) {
  counts_.is_drained.store(false);
  if (options_.read_only) return;  // it goes on behind what it has
  drop_queued(from.source());
  unacked_.forget_away(from.source());
  rewinds_.erase(from.source());
  update_counts();
}

void ConsumerCore::gave_up(PartitionConsumer& from, const Error& why) {
  // A stream that a pattern found may go again.
  if (pattern_) return let_go_of(from);
  inbox_.end(why);
}

void ConsumerCore::let_go_of(PartitionConsumer& from) {
  drop_queued(from.source());
  unacked_.forget(from.source(), std::nullopt);
  // Not from within one of its own calls.
  parts_->loop.post([over = std::exchange(sources_[from.source()].consumer, nullptr)] { over->close(); });
  share_room();
}

void ConsumerCore::update_counts() {
  counts_.unacked_records.store(unacked_.out_records(), std::memory_order_relaxed);
  counts_.away_records.store(unacked_.away_records(), std::memory_order_relaxed);
}

// --- acknowledgements ---

ConsumerCore::Source* ConsumerCore::source_of(const MessageId& id) {
  if (sources_.size() == 1) return sources_.data();
  const auto found = ledgers_.find(id.ledger);
  if (found != ledgers_.end()) return &sources_[found->second];
  if (id.partition < 0 || options_.topics.size() != 1) return nullptr;
  const auto same = std::ranges::find_if(
      sources_, [&](const Source& source) { return source.consumer && source.consumer->partition() == id.partition; });
  return same == sources_.end() ? nullptr : &*same;
}

void ConsumerCore::acknowledge(const Ack& ack) {
  if (options_.read_only || closed_) return;
  const EntryKey key = key_of(ack.id);
  if (ack.cumulative) {
    Source* source = source_of(ack.id);
    if (source != nullptr && source->consumer) acknowledge_up_to(ack, *source);
    return update_counts();
  }
  const Unacked::Left left = unacked_.acknowledge(key, ack.records);
  Source* source = left.is_known ? &sources_[left.source] : source_of(ack.id);
  if (source == nullptr || !source->consumer) return;
  // Of an entry of which nothing is known, only the whole can be acknowledged: how many records it has is not known
  // either, and what is not named would count as acknowledged.
  if (left.is_known || ack.records.is_all()) {
    if (left.is_over) end_chunks(key, *source->consumer);
    source->consumer->acks().add(key, left.is_over || !left.is_known ? std::vector<uint64_t>() : left.words);
  }
  update_counts();
}

void ConsumerCore::confirm(const std::function<void()>& done) {
  const auto left = std::make_shared<size_t>(1);
  const auto one = [left, done] {
    if (--*left == 0) done();
  };
  for (const Source& source : sources_) {
    if (!source.consumer) continue;
    ++*left;
    source.consumer->acks().confirm(one);
  }
  one();
}

void ConsumerCore::end_chunks(const EntryKey& key, PartitionConsumer& consumer) {
  if (chunks_.empty()) return;
  const auto found = chunks_.find(key);
  if (found == chunks_.end()) return;
  for (const EntryKey& chunk : found->second) consumer.acks().add(chunk, {});
  chunks_.erase(found);
}

void ConsumerCore::acknowledge_up_to(const Ack& ack, Source& source) {
  const EntryKey key = key_of(ack.id);
  const uint32_t index = source.consumer->source();
  std::vector<uint64_t> words;
  for (const EntryKey& one : unacked_.up_to(index, key)) {
    AckSet records = AckSet::all();
    if (one == key && ack.id.batch_index >= 0) {
      const auto count = static_cast<uint32_t>(ack.id.batch_index) + 1;
      records = AckSet::from_words(all_words(count));
    }
    const Unacked::Left left = unacked_.acknowledge(one, records);
    if (one == key) words = left.words;
    if (left.is_over) end_chunks(one, *source.consumer);
    if (!keeps_order()) source.consumer->acks().add(one, left.words);
  }
  if (keeps_order()) source.consumer->acks().add_cumulative(key, words);
}

// --- what goes away for a while ---

void ConsumerCore::send_away(const MessageId& id, const AckSet& records) {
  if (closed_ || options_.read_only) return;
  const EntryKey key = key_of(id);
  const auto away = unacked_.send_away(key, records);
  if (!away) return;
  const uint32_t doublings = std::min(away->redelivery_count, 30U);
  const int64_t delay_ms = std::min(options_.nack_delay_min_ms << doublings,
                                    std::max(options_.nack_delay_max_ms, options_.nack_delay_min_ms));
  if (keeps_order()) {
    rewind_source(away->source, key, delay_ms);
  } else {
    keep_away(key, away->source, delay_ms);
  }
  update_counts();
}

void ConsumerCore::keep_away(const EntryKey& key, uint32_t source, int64_t delay_ms) {
  away_.emplace(parts_->loop.clock().monotonic_ns() + delay_ms * kNsPerMs, std::pair(key, source));
  schedule_call_back();
}

// Everything from there on comes again, in order.
void ConsumerCore::rewind_source(uint32_t source, const EntryKey& from, int64_t delay_ms) {
  drop_queued(source);
  unacked_.forget(source, from);
  if (sources_[source].consumer) sources_[source].consumer->hold_back();
  const int64_t due_ns = parts_->loop.clock().monotonic_ns() + delay_ms * kNsPerMs;
  const auto [at, fresh] = rewinds_.try_emplace(source, due_ns);
  if (!fresh) at->second = std::max(at->second, due_ns);
  schedule_call_back();
}

void ConsumerCore::schedule_call_back() {
  if (away_timer_ != 0) parts_->loop.cancel(std::exchange(away_timer_, 0));
  std::optional<int64_t> next_ns;
  if (!away_.empty()) next_ns = away_.begin()->first;
  for (const auto& [source, due_ns] : rewinds_) next_ns = std::min(next_ns.value_or(due_ns), due_ns);
  if (!next_ns || closed_) return;
  const int64_t wait_ns = std::max<int64_t>(*next_ns - parts_->loop.clock().monotonic_ns(), 0);
  away_timer_ = parts_->loop.post_after((wait_ns + kNsPerMs - 1) / kNsPerMs, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->away_timer_ = 0;
    self->call_back();
  });
}

void ConsumerCore::call_back() {
  const int64_t now_ns = parts_->loop.clock().monotonic_ns();
  std::map<uint32_t, std::set<EntryKey>> due;
  while (!away_.empty() && away_.begin()->first <= now_ns) {
    const auto [key, source] = away_.begin()->second;
    away_.erase(away_.begin());
    if (unacked_.call_back(key) == 0) continue;
    due[source].insert(key);
    if (const auto found = chunks_.find(key); found != chunks_.end()) {
      due[source].insert(found->second.begin(), found->second.end());
    }
  }
  for (const auto& [source, keys] : due) {
    if (sources_[source].consumer) sources_[source].consumer->redeliver({keys.begin(), keys.end()});
  }
  for (auto at = rewinds_.begin(); at != rewinds_.end();) {
    if (at->second > now_ns) {
      ++at;
      continue;
    }
    if (sources_[at->first].consumer) sources_[at->first].consumer->rewind();
    at = rewinds_.erase(at);
  }
  update_counts();
  schedule_call_back();
}

// --- the ack timeout ---

void ConsumerCore::note_polled() {
  if (options_.ack_timeout_ms <= 0) return;
  const int64_t due_ns = parts_->loop.clock().monotonic_ns() + options_.ack_timeout_ms * kNsPerMs;
  for (const MessageId& id : inbox_.take_notes()) timeouts_.emplace_back(due_ns, key_of(id));
}

void ConsumerCore::end_what_takes_too_long() {
  if (options_.ack_timeout_ms <= 0 || options_.read_only) return;
  const int64_t now_ns = parts_->loop.clock().monotonic_ns();
  for (; !timeouts_.empty() && timeouts_.front().first <= now_ns; timeouts_.pop_front()) {
    const EntryKey key = timeouts_.front().second;
    const auto away = unacked_.send_away(key, AckSet::all());
    if (!away) continue;
    if (keeps_order()) {
      rewind_source(away->source, key, 0);
    } else {
      keep_away(key, away->source, 0);
    }
  }
  update_counts();
  timeout_timer_ =
      parts_->loop.post_after(std::max<int64_t>(options_.ack_timeout_ms / 10, 10), [weak = weak_from_this()] {
        const auto self = weak.lock();
        if (!self || self->closed_) return;
        self->timeout_timer_ = 0;
        self->end_what_takes_too_long();
      });
}

// --- seeking ---

void ConsumerCore::seek(std::optional<MessageId> id, int64_t time_ms, std::function<void(Status)> done) {
  std::vector<uint32_t> moved;
  const bool all = !id || *id == MessageId::earliest() || *id == MessageId::latest();
  if (all) {
    for (uint32_t index = 0; index < sources_.size(); ++index) {
      if (sources_[index].consumer) moved.push_back(index);
    }
  } else if (const Source* source = source_of(*id); source != nullptr && source->consumer) {
    moved.push_back(source->consumer->source());
  }
  if (moved.empty() || closed_) {
    const std::string what = id ? to_string(*id) : "time " + std::to_string(time_ms);
    return done(fail(ErrorKind::kFixInput, what + " is no place in the streams of this consumer; give an id that was "
                                                  "read from them, earliest or latest"));
  }
  struct Seek {
    size_t left;
    Status status;
    std::function<void(Status)> done;
  };
  const auto seek = std::make_shared<Seek>(Seek{moved.size(), {}, std::move(done)});
  for (const uint32_t index : moved) {
    counts_.is_drained.store(false);
    inbox_.drop(index);
    unacked_.forget(index, std::nullopt);
    rewinds_.erase(index);
    sources_[index].consumer->seek(id, time_ms, [seek](const Status& status) {
      if (!status) seek->status = status;
      if (--seek->left == 0) seek->done(seek->status);
    });
  }
  update_counts();
}

// --- how much is left ---

struct ConsumerCore::Probe {
  size_t left = 0;
  bool is_drained = true;
  int64_t backlog_entries = 0;
  int64_t arrivals = 0;
  int64_t began_ns = 0;
};

void ConsumerCore::probe() {
  const auto probe = std::make_shared<Probe>();
  const auto answered = [self = shared_from_this(), probe] {
    if (--probe->left > 0) return;
    bool idle = probe->is_drained && probe->arrivals == self->counts_.arrivals.load();
    for (const Source& source : self->sources_) idle = idle && (!source.consumer || source.consumer->acks().idle());
    self->counts_.drained_as_of_ns.store(probe->began_ns);
    self->counts_.is_drained.store(idle);
    self->counts_.backlog_entries.store(probe->backlog_entries);
    self->counts_.probed_ns.store(self->parts_->loop.clock().monotonic_ns());
    self->counts_.is_probing.store(false);
  };
  probe->arrivals = counts_.arrivals.load();
  probe->began_ns = parts_->loop.clock().monotonic_ns();
  probe->left = 1;
  for (const Source& source : sources_) {
    if (!source.consumer) continue;
    probe->left += options_.read_only ? 1 : 2;
    source.consumer->ask_ends([probe, answered, consumer = source.consumer,
                               read_only = options_.read_only](const Result<PartitionConsumer::Ends>& ends) {
      if (!ends) {
        probe->is_drained = false;
      } else if (ends->last.entry >= 0) {
        const EntryKey reached = read_only ? consumer->received_to() : key_of(ends->mark_deleted);
        probe->is_drained = probe->is_drained && !(reached < key_of(ends->last));
      }
      answered();
    });
    if (options_.read_only) continue;
    source.consumer->ask_backlog([probe, answered](const Result<int64_t>& entries) {
      if (entries) probe->backlog_entries += *entries;
      answered();
    });
  }
  answered();
}

}  // namespace fmesh::stream::pulsar
