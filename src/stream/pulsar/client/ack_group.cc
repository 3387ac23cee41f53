#include "stream/pulsar/client/ack_group.h"

#include <stream/pulsar/wire/commands.pb.h>

#include <utility>

namespace fmesh::stream::pulsar {
namespace {

namespace proto = wire::proto;
using proto::BaseCommand;

void set_id(proto::MessageIdData& id, const EntryKey& key, const std::vector<uint64_t>& left) {
  id.set_ledgerid(static_cast<uint64_t>(key.ledger));
  id.set_entryid(static_cast<uint64_t>(key.entry));
  for (const uint64_t word : left) id.add_ack_set(static_cast<int64_t>(word));
}

}  // namespace

AckGroup::~AckGroup() {
  if (timer_ != 0) parts_.loop.cancel(timer_);
}

void AckGroup::add(const EntryKey& key, const std::vector<uint64_t>& left) {
  waiting_[key] = left;
  if (waiting_.size() >= kAcksPerCommandMax) return flush();
  schedule();
}

void AckGroup::add_cumulative(const EntryKey& key, const std::vector<uint64_t>& left) {
  if (cumulative_ && key < cumulative_->first) return;
  cumulative_ = {key, left};
  waiting_.erase(waiting_.begin(), waiting_.lower_bound(key));
  schedule();
}

void AckGroup::schedule() {
  if (timer_ != 0 || !connection_) return;
  timer_ = parts_.loop.post_after(kAckDelayMs, [this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    timer_ = 0;
    flush();
  });
}

void AckGroup::flush() {
  if (!connection_) return;
  if (cumulative_) {
    Sent batch;
    batch.cumulative = std::exchange(cumulative_, std::nullopt);
    send(std::move(batch));
  }
  while (!waiting_.empty()) {
    Sent batch;
    for (auto at = waiting_.begin(); at != waiting_.end() && batch.entries.size() < kAcksPerCommandMax;) {
      batch.entries.insert(batch.entries.end(), waiting_.extract(at++));
    }
    send(std::move(batch));
  }
}

void AckGroup::send(Sent batch) {
  const uint64_t request_id = parts_.ids.next();
  BaseCommand command;
  command.set_type(BaseCommand::ACK);
  proto::CommandAck& ack = *command.mutable_ack();
  ack.set_consumer_id(consumer_id_);
  ack.set_request_id(request_id);
  if (batch.cumulative) {
    ack.set_ack_type(proto::CommandAck::Cumulative);
    set_id(*ack.add_message_id(), batch.cumulative->first, batch.cumulative->second);
  } else {
    ack.set_ack_type(proto::CommandAck::Individual);
    for (const auto& [key, left] : batch.entries) set_id(*ack.add_message_id(), key, left);
  }
  sent_.emplace(request_id, std::move(batch));
  connection_->request(request_id, command, parts_.options.operation_timeout_ms,
                       [this, alive = std::weak_ptr(alive_), request_id](const Answer& answer) {
                         // Who is refused for good by the broker gains nothing from saying it again.
                         if (!alive.expired()) settle(request_id, answer.has_value() || answer.error().code);
                       });
}

void AckGroup::settle(uint64_t request_id, bool confirmed) {
  const auto found = sent_.find(request_id);
  if (found == sent_.end()) return;
  Sent batch = std::move(found->second);
  sent_.erase(found);
  if (confirmed) return tell_if_idle();
  // What was acknowledged since says more.
  waiting_.merge(batch.entries);
  if (batch.cumulative && (!cumulative_ || cumulative_->first < batch.cumulative->first)) {
    cumulative_ = std::move(batch.cumulative);
  }
  schedule();
}

void AckGroup::attached(const std::shared_ptr<Connection>& connection) {
  connection_ = connection;
  flush();
}

void AckGroup::lost() {
  connection_ = nullptr;
  if (timer_ != 0) parts_.loop.cancel(std::exchange(timer_, 0));
  while (!sent_.empty()) settle(sent_.begin()->first, false);
}

void AckGroup::clear() {
  waiting_.clear();
  cumulative_.reset();
  sent_.clear();
  tell_if_idle();
}

void AckGroup::confirm(std::function<void()> done) {
  confirmed_.push_back(std::move(done));
  flush();
  tell_if_idle();
}

void AckGroup::tell_if_idle() {
  if (!idle()) return;
  for (const auto& done : std::exchange(confirmed_, {})) done();
}

}  // namespace fmesh::stream::pulsar
