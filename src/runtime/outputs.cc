#include "runtime/outputs.h"

#include <algorithm>
#include <utility>

#include "base/hash.h"
#include "stream/topic_name.h"

namespace fmesh::runtime {

Result<Origin> Origin::of(std::string_view topic, const stream::MessageId& id) {
  const int64_t index = std::max(id.batch_index, 0);
  if (id.entry < 0 || (id.entry >> kEntryBits) != 0 || (index >> kIndexBits) != 0) {
    return fail(ErrorKind::kFixInput, "record " + stream::to_string(id) + " of " + std::string(topic) +
                                          ": effectively once numbers up to " +
                                          std::to_string(int64_t{1} << kEntryBits) + " entries of a ledger with " +
                                          std::to_string(int64_t{1} << kIndexBits) +
                                          " records each; let the broker's ledgers roll over sooner");
  }
  Origin origin;
  origin.stream = topic;
  if (id.partition >= 0) origin.stream += "-partition-" + std::to_string(id.partition);
  origin.epoch = id.ledger;
  origin.number = static_cast<uint64_t>(id.entry) << (kIndexBits + kOrdinalBits) | static_cast<uint64_t>(index)
                                                                                       << kOrdinalBits;
  return origin;
}

Result<Outputs::Target> Outputs::open_target(std::string_view topic) const {
  FMESH_TRY(const stream::TopicName name, stream::TopicName::parse(topic));
  Target target;
  stream::ProducerOptions options;
  options.topic = name.full();
  options.compression = options_.compression;
  if (needs_origin()) {
    options.name = options_.replay_prefix + "/" + origin_.stream + "/" + std::to_string(origin_.epoch);
    options.deduplicate = true;
  }
  FMESH_TRY(target.producer, client_.open_producer(std::move(options)));
  return target;
}

Result<Outputs::Target*> Outputs::target(std::string_view topic) {
  if (last_target_ != nullptr && topic == last_topic_) return last_target_;
  std::string key(topic);
  if (needs_origin()) key += "\n" + origin_.stream + "\n" + std::to_string(origin_.epoch);
  auto found = targets_.find(key);
  if (found == targets_.end()) {
    FMESH_TRY(Target opened, open_target(topic));
    found = targets_.emplace(std::move(key), std::move(opened)).first;
  }
  last_topic_ = topic;
  last_target_ = &found->second;
  return last_target_;
}

Status Outputs::open(std::string_view topic) {
  if (needs_origin()) {
    // Producers are opened for each origin; this one shows whether that is possible.
    FMESH_TRY([[maybe_unused]] const Target probe, open_target(topic));
    return {};
  }
  FMESH_TRY([[maybe_unused]] Target * opened, target(topic));
  return {};
}

int32_t Outputs::route(const Target& target, const stream::RecordView& record) const {
  const int32_t partitions = target.producer->partition_count();
  if (partitions <= 1) return 0;
  if (record.has_key) return static_cast<int32_t>(murmur3_32(record.key) % static_cast<uint32_t>(partitions));
  // The same record goes to the same partition whenever it is processed.
  if (needs_origin())
    return static_cast<int32_t>((origin_.number >> (Origin::kOrdinalBits + Origin::kIndexBits)) %
                                static_cast<uint64_t>(partitions));
  return target.keyless_partition % partitions;
}

void Outputs::begin_record(Origin origin) {
  if (last_target_ != nullptr && needs_origin() && (origin.epoch != origin_.epoch || origin.stream != origin_.stream))
    last_target_ = nullptr;
  origin_ = std::move(origin);
  ++turn_;
  for (Builder* builder : touched_) builder->touched = false;
  touched_.clear();
  closed_at_begin_ = closed_.size();
  records_at_begin_ = records_;
}

Result<uint64_t> Outputs::number(Target& target) {
  if (!needs_origin()) return target.next_sequence_id++;
  if (target.touched_by != turn_) {
    target.touched_by = turn_;
    target.last_number_at_begin = target.last_number;
  }
  target.used_ms = now_ms_;
  const auto first = static_cast<int64_t>(origin_.number);
  const int64_t number = std::max(first, target.last_number + 1);
  if (((number - first) >> Origin::kOrdinalBits) != 0) {
    return fail(ErrorKind::kFixInput, "effectively once: a record writes at most " +
                                          std::to_string(1 << Origin::kOrdinalBits) +
                                          " records to one stream, and none once a later one has written");
  }
  target.last_number = number;
  return static_cast<uint64_t>(number);
}

Outputs::Builder& Outputs::builder_for(Target& target, int32_t partition, const stream::RecordView& record) {
  if (target.partitions.size() <= static_cast<size_t>(partition))
    target.partitions.resize(static_cast<size_t>(partition) + 1);
  Partition& place = target.partitions[static_cast<size_t>(partition)];
  const auto make = [&] {
    return std::make_unique<Builder>(
        Builder{stream::EntryBuilder(target.producer->name(), options_.compression), {}, false});
  };
  // Numbers rise within a partition where the store deduplicates, so there entries can't be filled side by side.
  if (options_.split_by_key && record.has_key && !needs_origin()) {
    auto found = place.by_key.find(record.key);
    if (found == place.by_key.end()) found = place.by_key.emplace(std::string(record.key), make()).first;
    return *found->second;
  }
  if (!place.builder) place.builder = make();
  Builder& builder = *place.builder;
  if (options_.split_by_key && needs_origin()) {
    if (!builder.entry.empty() && (builder.has_key != record.has_key || builder.key != record.key)) {
      if (!builder.touched) ++closed_at_begin_;  // it holds earlier records only, so an undo does not concern it
      close_entry(target, partition, builder);
    }
    builder.has_key = record.has_key;
    builder.key = record.key;
  }
  return builder;
}

Status Outputs::add(std::string_view topic, const stream::RecordView& record) {
  FMESH_TRY(Target* const to, target(topic));
  FMESH_TRY(const uint64_t sequence_id, number(*to));
  const int32_t partition = route(*to, record);
  if (needs_origin() && static_cast<int64_t>(sequence_id) <= to->producer->last_sequence_id(partition)) return {};
  Builder& builder = builder_for(*to, partition, record);
  if (!builder.touched &&
      (builder.entry.estimated_size_bytes() >= kEntryTargetBytes || builder.entry.record_count() >= kEntryRecordsMax)) {
    close_entry(*to, partition, builder);
    closed_at_begin_ += 1;  // it holds earlier records only, so an undo does not concern it
  }
  if (!builder.entry.fits(record)) {
    if (!builder.entry.empty()) close_entry(*to, partition, builder);
    if (!builder.entry.fits(record))
      return fail(ErrorKind::kFixInput, "a record of " + std::to_string(record.payload.size()) + " bytes for " +
                                            std::string(topic) + " is larger than an entry may be (" +
                                            std::to_string(stream::kEntrySizeMaxBytes) + " bytes)");
  }
  if (!builder.touched) {
    builder.touched = true;
    builder.mark = builder.entry.mark();
    touched_.push_back(&builder);
  }
  stream::RecordView numbered = record;
  numbered.sequence_id = sequence_id;
  builder.entry.add(numbered);
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
  if (needs_origin()) {
    for (auto& [name, target] : targets_)
      if (target.touched_by == turn_) target.last_number = target.last_number_at_begin;
  }
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

void Outputs::finish(Target& target) {
  for (size_t i = 0; i < target.partitions.size(); ++i) {
    Partition& place = target.partitions[i];
    const auto partition = static_cast<int32_t>(i);
    if (place.builder && !place.builder->entry.empty()) close_entry(target, partition, *place.builder);
    for (auto& [key, builder] : place.by_key) {
      if (!builder->entry.empty()) close_entry(target, partition, *builder);
    }
    place.by_key.clear();
  }
  target.last_number_at_finish = target.last_number;
}

std::vector<stream::Append> Outputs::finish() {
  begin_record(origin_);
  for (auto& [topic, target] : targets_) finish(target);
  std::vector<stream::Append> appends = std::move(closed_);
  closed_.clear();
  records_ = 0;
  begin_record(origin_);
  return appends;
}

void Outputs::clear() {
  for (auto& [topic, target] : targets_) {
    target.partitions.clear();
    target.last_number = target.last_number_at_finish;
  }
  touched_.clear();
  closed_.clear();
  records_ = 0;
  begin_record(origin_);
}

void Outputs::release_idle(int64_t now_ms) {
  if (!needs_origin()) return;
  const size_t released =
      std::erase_if(targets_, [&](const auto& one) { return now_ms - one.second.used_ms >= kIdleProducerMs; });
  if (released > 0) last_target_ = nullptr;
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
