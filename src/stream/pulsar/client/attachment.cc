#include "stream/pulsar/client/attachment.h"

#include <algorithm>
#include <utility>

namespace fmesh::stream::pulsar {

void Attachment::start() {
  started_ns_ = parts_.loop.clock().monotonic_ns();
  attempt();
}

void Attachment::attempt() {
  if (stopped_) return;
  turn_ = std::make_shared<int>(0);
  ++attempts_;
  const std::weak_ptr<int> turn = turn_;
  parts_.lookup.broker(topic_, [this, turn](std::expected<std::shared_ptr<Connection>, Refusal> got) {
    if (turn.expired()) return;
    if (!got) return failed(got.error());
    reached_ = *got;
    hooks_.attach(*got, [this, turn](std::optional<Refusal> refusal) {
      if (turn.expired()) return;
      if (refusal) return failed(*refusal);
      connection_ = reached_;
      was_attached_ = true;
      trouble_.reset();
      pause_ms_ = kBackoffMinMs;
      hooks_.attached();
    });
  });
}

void Attachment::failed(const Refusal& why) {
  trouble_ = why;
  connection_ = reached_ = nullptr;
  const int64_t tried_ms = (parts_.loop.clock().monotonic_ns() - started_ns_) / 1'000'000;
  const int64_t patience_ms =
      why.code ? parts_.options.operation_timeout_ms : std::min(kNobodyThereMs, parts_.options.operation_timeout_ms);
  if (is_final(why, was_attached_) || (!was_attached_ && tried_ms + pause_ms_ > patience_ms)) {
    stop();
    return hooks_.gave_up(why);
  }
  again();
}

void Attachment::lost(const Error& why) {
  if (stopped_) return;
  trouble_ = Refusal{why, {}};
  connection_ = reached_ = nullptr;
  again();
}

void Attachment::again() {
  turn_ = nullptr;
  parts_.loop.cancel(std::exchange(timer_, 0));
  // Up to a tenth less, so that those who lost the same broker do not come back all at once.
  const int64_t pause_ms =
      pause_ms_ - static_cast<int64_t>(parts_.rng.below(static_cast<uint64_t>(pause_ms_ / 10 + 1)));
  pause_ms_ = std::min(pause_ms_ * 2, kBackoffMaxMs);
  turn_ = std::make_shared<int>(0);
  timer_ = parts_.loop.post_after(pause_ms, [this, turn = std::weak_ptr<int>(turn_)] {
    if (!turn.expired()) attempt();
  });
}

void Attachment::stop() {
  stopped_ = true;
  turn_ = nullptr;
  connection_ = reached_ = nullptr;
  if (timer_ != 0) parts_.loop.cancel(std::exchange(timer_, 0));
}

}  // namespace fmesh::stream::pulsar
