#include "runtime/outputs.h"

#include "base/hash.h"
#include "stream/topic_name.h"

namespace fmesh::runtime {

Result<Outputs::Target*> Outputs::target(std::string_view topic) {
  if (last_target_ != nullptr && topic == last_topic_) return last_target_;
  auto found = targets_.find(topic);
  if (found == targets_.end()) {
    FMESH_TRY(const stream::TopicName name, stream::TopicName::parse(topic));
    Target target;
    stream::ProducerOptions options;
    options.topic = name.full();
    options.compression = compression_;
    FMESH_TRY(target.producer, client_.open_producer(std::move(options)));
    found = targets_.emplace(std::string(topic), std::move(target)).first;
  }
  last_topic_ = found->first;
  last_target_ = &found->second;
  return last_target_;
}

Status Outputs::open(std::string_view topic) {
  FMESH_TRY([[maybe_unused]] Target * opened, target(topic));
  return {};
}

int32_t Outputs::route(Target& target, const stream::RecordView& record) const {
  const int32_t partitions = target.producer->partition_count();
  if (partitions <= 1) return 0;
  if (record.has_key) return static_cast<int32_t>(murmur3_32(record.key) % static_cast<uint32_t>(partitions));
  return target.keyless_partition % partitions;
}

void Outputs::begin_record() {
  for (Builder* builder : touched_) builder->touched = false;
  touched_.clear();
  closed_at_begin_ = closed_.size();
  records_at_begin_ = records_;
}

Status Outputs::add(std::string_view topic, const stream::RecordView& record) {
  FMESH_TRY(Target* const to, target(topic));
  const int32_t partition = route(*to, record);
  if (to->builders.size() <= static_cast<size_t>(partition)) to->builders.resize(static_cast<size_t>(partition) + 1);
  std::unique_ptr<Builder>& slot = to->builders[static_cast<size_t>(partition)];
  if (!slot)
    slot = std::make_unique<Builder>(Builder{stream::EntryBuilder(to->producer->name(), compression_), {}, false});
  Builder* builder = slot.get();
  if (!builder->touched && (builder->entry.estimated_size_bytes() >= kEntryTargetBytes ||
                            builder->entry.record_count() >= kEntryRecordsMax)) {
    close_entry(*to, partition, *builder);
    closed_at_begin_ += 1;  // it holds earlier records only, so an undo does not concern it
  }
  if (!builder->entry.fits(record)) {
    if (!builder->entry.empty()) close_entry(*to, partition, *builder);
    if (!builder->entry.fits(record))
      return fail(ErrorKind::kFixInput, "a record of " + std::to_string(record.payload.size()) + " bytes for " +
                                            std::string(topic) + " is larger than an entry may be (" +
                                            std::to_string(stream::kEntrySizeMaxBytes) + " bytes)");
  }
  if (!builder->touched) {
    builder->touched = true;
    builder->mark = builder->entry.mark();
    touched_.push_back(builder);
  }
  stream::RecordView numbered = record;
  numbered.sequence_id = to->next_sequence_id++;
  builder->entry.add(numbered);
  ++records_;
  return {};
}

bool Outputs::undo_record() {
  const bool clean = closed_.size() == closed_at_begin_;
  for (Builder* builder : touched_) {
    if (clean) builder->entry.rollback(builder->mark);
    builder->touched = false;
  }
  touched_.clear();
  records_ = records_at_begin_;
  return clean;
}

void Outputs::close_entry(Target& target, int32_t partition, Builder& builder) {
  stream::Append append;
  append.producer = target.producer;
  append.partition = partition;
  append.record_count = static_cast<uint32_t>(builder.entry.record_count());
  append.last_sequence_id = builder.entry.last_sequence_id();
  append.entry = builder.entry.finish(now_ms_);
  closed_.push_back(std::move(append));
  ++target.keyless_partition;
}

std::vector<stream::Append> Outputs::finish() {
  begin_record();
  for (auto& [topic, target] : targets_)
    for (size_t i = 0; i < target.builders.size(); ++i)
      if (target.builders[i] && !target.builders[i]->entry.empty())
        close_entry(target, static_cast<int32_t>(i), *target.builders[i]);
  std::vector<stream::Append> appends = std::move(closed_);
  closed_.clear();
  records_ = 0;
  begin_record();
  return appends;
}

void Outputs::clear() {
  for (auto& [topic, target] : targets_) target.builders.clear();
  touched_.clear();
  closed_.clear();
  records_ = 0;
  begin_record();
}

bool Outputs::writable() const {
  for (const auto& [topic, target] : targets_)
    if (!target.producer->writable()) return false;
  return true;
}

void Outputs::notify_writable(const std::function<void()>& wake) {
  for (auto& [topic, target] : targets_)
    if (!target.producer->writable()) {
      target.producer->notify_writable(wake);
      return;
    }
  wake();
}

}  // namespace fmesh::runtime
