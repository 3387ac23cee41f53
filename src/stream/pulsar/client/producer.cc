#include "stream/pulsar/client/producer.h"

#include <utility>

#include "stream/pulsar/client/patience.h"

namespace fmesh::stream::pulsar {

void PulsarProducer::open(std::shared_ptr<Parts> parts, ProducerOptions options, Opened opened) {
  const std::shared_ptr<PulsarProducer> self(new PulsarProducer(std::move(parts), std::move(options)));
  self->opened_ = std::move(opened);
  ask_patiently<uint32_t>(
      self->parts_,
      [self](Lookup::Done<uint32_t> done) {
        self->parts_->lookup.partitions(self->options_.topic, true, std::move(done));
      },
      [self](std::expected<uint32_t, Refusal> count) {
        if (!count) return self->finish_open(fail(count.error().error));
        self->partitioned_ = *count > 0;
        self->open_first(*count);
      });
}

std::shared_ptr<PartitionProducer> PulsarProducer::make_partition(int32_t index, const std::string& name,
                                                                  bool name_given) {
  PartitionProducerOptions options;
  options.topic = partitioned_ ? options_.topic + "-partition-" + std::to_string(index) : options_.topic;
  options.name = name;
  options.name_given = name_given;
  options.partition = partitioned_ ? index : -1;
  options.deduplicate = options_.deduplicate;
  return std::make_shared<PartitionProducer>(*parts_, std::move(options));
}

// The first partition's broker makes up a name, if none was given; the others go by the same.
void PulsarProducer::open_first(uint32_t partition_count) {
  opening_.push_back(make_partition(0, options_.name, true));
  opening_.front()->open([this, self = shared_from_this(), partition_count](const Status& status) {
    if (!status) return finish_open(status);
    name_ = opening_.front()->name();
    open_others(partition_count);
  });
}

void PulsarProducer::open_others(uint32_t partition_count) {
  left_ = partition_count > 1 ? partition_count - 1 : 0;
  if (left_ == 0) return finish_open({});
  for (uint32_t index = 1; index < partition_count; ++index) {
    opening_.push_back(make_partition(static_cast<int32_t>(index), name_, !options_.name.empty()));
  }
  for (size_t i = 1; i < opening_.size(); ++i) {
    opening_[i]->open([this, self = shared_from_this()](const Status& status) {
      if (!opened_) return;
      if (!status) return finish_open(status);
      if (--left_ == 0) finish_open({});
    });
  }
}

void PulsarProducer::finish_open(const Status& status) {
  const auto opened = std::exchange(opened_, nullptr);
  if (!opened) return;
  if (!status) {
    // Not from within one of their own calls.
    parts_->loop.post([self = shared_from_this()] { self->close(); });
    return opened(fail(status.error()));
  }
  {
    const std::lock_guard lock(mutex_);
    partitions_ = std::exchange(opening_, {});
    for (const auto& partition : partitions_) last_sequence_ids_.push_back(partition->last_sequence_id());
  }
  if (partitioned_) watch_growth();
  opened(shared_from_this());
}

void PulsarProducer::watch_growth() {
  timer_ = parts_->loop.post_after(parts_->options.discovery_ms, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || self->closed_) return;
    self->parts_->lookup.partitions(self->options_.topic, false, [weak](std::expected<uint32_t, Refusal> count) {
      const auto alive = weak.lock();
      if (!alive || alive->closed_) return;
      if (count) alive->grow(*count);
      alive->watch_growth();
    });
  });
}

// One after the other: partitions are known by their index.
void PulsarProducer::grow(uint32_t partition_count) {
  const auto next = static_cast<uint32_t>(this->partition_count());
  if (partition_count <= next || !opening_.empty() || closed_) return;
  opening_.push_back(make_partition(static_cast<int32_t>(next), name_, !options_.name.empty()));
  opening_.front()->open([weak = weak_from_this(), partition_count](const Status& status) {
    const auto self = weak.lock();
    if (!self || self->closed_) return;
    if (!status) {  // it is tried again at the next look
      self->parts_->loop.post([over = std::exchange(self->opening_, {})] {});
      return;
    }
    {
      const std::lock_guard lock(self->mutex_);
      self->partitions_.push_back(self->opening_.front());
      self->last_sequence_ids_.push_back(self->opening_.front()->last_sequence_id());
    }
    self->opening_.clear();
    self->grow(partition_count);
  });
}

int32_t PulsarProducer::partition_count() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int32_t>(partitions_.size());
}

int64_t PulsarProducer::last_sequence_id(int32_t partition) const {
  const std::lock_guard lock(mutex_);
  const auto index = static_cast<size_t>(partition);
  return index < last_sequence_ids_.size() ? last_sequence_ids_[index] : -1;
}

std::shared_ptr<PartitionProducer> PulsarProducer::partition(int32_t index) const {
  const std::lock_guard lock(mutex_);
  return index >= 0 && static_cast<size_t>(index) < partitions_.size() ? partitions_[static_cast<size_t>(index)]
                                                                       : nullptr;
}

bool PulsarProducer::writable() const {
  const std::lock_guard lock(mutex_);
  return pending_bytes_ < parts_->options.pending_size_max_bytes;
}

void PulsarProducer::notify_writable(std::function<void()> wake) {
  {
    const std::lock_guard lock(mutex_);
    if (pending_bytes_ >= parts_->options.pending_size_max_bytes) {
      wake_ = std::move(wake);
      return;
    }
    wake_ = nullptr;
  }
  wake();
}

void PulsarProducer::began(size_t size_bytes) {
  const std::lock_guard lock(mutex_);
  pending_bytes_ += size_bytes;
}

void PulsarProducer::ended(size_t size_bytes) {
  std::function<void()> wake;
  {
    const std::lock_guard lock(mutex_);
    pending_bytes_ -= size_bytes;
    // With half of the room there again, not at each receipt.
    if (wake_ && pending_bytes_ <= parts_->options.pending_size_max_bytes / 2) wake = std::exchange(wake_, nullptr);
  }
  if (wake) wake();
}

void PulsarProducer::close() {
  if (std::exchange(closed_, true)) return;
  parts_->loop.cancel(timer_);
  std::vector<std::shared_ptr<PartitionProducer>> open = std::exchange(opening_, {});
  {
    const std::lock_guard lock(mutex_);
    open.insert(open.end(), partitions_.begin(), partitions_.end());
  }
  for (const auto& partition : open) partition->close();
}

PulsarProducer::~PulsarProducer() {
  if (closed_ || parts_->loop_ended) return;
  // They end where they live.
  parts_->loop.post(
      [parts = parts_, timer = timer_, partitions = std::move(partitions_), opening = std::move(opening_)] {
        parts->loop.cancel(timer);
        for (const auto& partition : partitions) partition->close();
        for (const auto& partition : opening) partition->close();
      });
}

}  // namespace fmesh::stream::pulsar
