#include "stream/log/producer.h"

#include <utility>

namespace fmesh::stream::log {

LogProducer::LogProducer(std::shared_ptr<Core> core, std::shared_ptr<Stream> stream, ProducerOptions options)
    : core_(std::move(core)), stream_(std::move(stream)), options_(std::move(options)) {}

int64_t LogProducer::last_sequence_id(int32_t partition) const {
  std::lock_guard guard(core_->lock);
  if (partition < 0 || static_cast<size_t>(partition) >= stream_->partitions.size()) return -1;
  return core_->tables.producers().last(stream_->partitions[static_cast<size_t>(partition)].id, options_.name);
}

bool LogProducer::writable() const {
  {
    std::lock_guard guard(core_->lock);
    if (stream_->over_backlog) return false;
  }
  return core_->closed() || core_->journal().writable();
}

void LogProducer::notify_writable(std::function<void()> wake) {
  bool over_backlog = false;
  {
    std::lock_guard guard(core_->lock);
    wake_ = std::move(wake);
    over_backlog = stream_->over_backlog;
    if (over_backlog) core_->waiting_producers[stream_.get()].push_back(weak_from_this());
  }
  if (over_backlog) return;
  if (core_->closed() || core_->journal().writable()) return fire();
  core_->journal().notify_writable([self = weak_from_this()] {
    if (const auto producer = self.lock()) producer->fire();
  });
}

void LogProducer::fire() {
  std::function<void()> wake;
  {
    std::lock_guard guard(core_->lock);
    wake = take_wake();
  }
  if (wake) wake();
}

}  // namespace fmesh::stream::log
