// Asking again, ever more slowly, while what keeps the answer away may pass: how lookups wait that belong to no
// producer or consumer yet. On the client's loop.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

#include "stream/pulsar/client/attachment.h"

namespace fmesh::stream::pulsar {

// Calls ask(done) until it is answered, refused for good, or the time of an opening is over. All of `parts` outlives
// it.
template <class T>
void ask_patiently(const std::shared_ptr<Parts>& parts, std::function<void(Lookup::Done<T>)> ask,
                   Lookup::Done<T> done) {
  struct Attempt : std::enable_shared_from_this<Attempt> {
    std::shared_ptr<Parts> parts;
    std::function<void(Lookup::Done<T>)> ask;
    Lookup::Done<T> done;
    int64_t started_ns = 0;
    int64_t pause_ms = kBackoffMinMs;

    void run() {
      ask([self = this->shared_from_this()](std::expected<T, Refusal> answer) {
        if (answer || !self->goes_on(answer.error())) return self->done(std::move(answer));
        const int64_t pause = std::exchange(self->pause_ms, std::min(self->pause_ms * 2, kBackoffMaxMs));
        self->parts->loop.post_after(pause, [self] { self->run(); });
      });
    }
    bool goes_on(const Refusal& refusal) const {
      const int64_t tried_ms = (parts->loop.clock().monotonic_ns() - started_ns) / 1'000'000;
      const int64_t limit_ms = parts->options.operation_timeout_ms;
      return !is_final(refusal, false) && refusal.error.kind() != ErrorKind::kClosed &&
             tried_ms + pause_ms <= (refusal.code ? limit_ms : std::min(kNobodyThereMs, limit_ms));
    }
  };
  const auto attempt = std::make_shared<Attempt>();
  attempt->parts = parts;
  attempt->ask = std::move(ask);
  attempt->done = std::move(done);
  attempt->started_ns = parts->loop.clock().monotonic_ns();
  attempt->run();
}

}  // namespace fmesh::stream::pulsar
