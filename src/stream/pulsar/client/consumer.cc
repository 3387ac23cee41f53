#include "stream/pulsar/client/consumer.h"

#include "stream/pulsar/client/wait.h"

namespace fmesh::stream::pulsar {
namespace {

// A broker is asked for counts at most this often, however often they are looked at; whoever waits for the end of a
// stream hears of it sooner.
constexpr int64_t kStatsPauseMs = 1'000;
constexpr int64_t kDrainedPauseMs = 50;
// An end that was seen earlier than this ago is looked for anew: others may have written since.
constexpr int64_t kDrainedOldMs = 1'000;

}  // namespace

void PulsarConsumer::negative_ack(const MessageId& id, const AckSet& records) {
  core_->parts()->loop.post([core = core_, id, records] { core->send_away(id, records); });
}

Status PulsarConsumer::wait_for_seek(std::optional<MessageId> id, int64_t time_ms) {
  return wait_on_loop<void>(
      core_->parts(), "seek", core_->parts()->options.operation_timeout_ms,
      [core = core_, id, time_ms](std::function<void(Status)> done) { core->seek(id, time_ms, std::move(done)); });
}

Status PulsarConsumer::seek(const MessageId& id) { return wait_for_seek(id, 0); }
Status PulsarConsumer::seek_time(int64_t publish_time_ms) { return wait_for_seek(std::nullopt, publish_time_ms); }

void PulsarConsumer::probe(int64_t pause_ms) const {
  ConsumerCore::Counts& counts = core_->counts();
  const int64_t probed_ns = counts.probed_ns.load();
  if (probed_ns != 0 && core_->parts()->loop.clock().monotonic_ns() - probed_ns < pause_ms * 1'000'000) return;
  if (counts.is_probing.exchange(true)) return;
  core_->parts()->loop.post([core = core_] { core->probe(); });
}

ConsumerStats PulsarConsumer::stats() const {
  probe(kStatsPauseMs);
  const ConsumerCore::Counts& counts = core_->counts();
  ConsumerStats stats;
  stats.backlog_entries = counts.backlog_entries.load(std::memory_order_relaxed);
  stats.backlog_records = stats.backlog_entries;
  stats.unacked_records = counts.unacked_records.load(std::memory_order_relaxed);
  stats.waiting_retry = counts.away_records.load(std::memory_order_relaxed);
  return stats;
}

bool PulsarConsumer::drained() const {
  probe(kDrainedPauseMs);
  const ConsumerCore::Counts& counts = core_->counts();
  const int64_t now_ns = core_->parts()->loop.clock().monotonic_ns();
  const bool is_fresh = now_ns - counts.drained_as_of_ns.load() <= kDrainedOldMs * 1'000'000;
  return counts.is_drained.load() && is_fresh && core_->inbox().empty() && counts.unacked_records.load() == 0 &&
         counts.away_records.load() == 0;
}

void PulsarConsumer::close() {
  if (closed_) return;
  closed_ = true;
  core_->inbox().close();
  if (!core_->parts()->loop_ended) core_->parts()->loop.post([core = core_] { core->close(); });
}

}  // namespace fmesh::stream::pulsar
