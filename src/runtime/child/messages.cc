#include "runtime/child/messages.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace fmesh::runtime {
namespace {

enum Flags : uint32_t { kHasKey = 1, kNullValue = 2 };

struct RecordHead {
  int64_t ledger, entry, event_time_ms, publish_time_ms;
  uint64_t sequence_id;
  int32_t partition, id_batch_index, batch_index;
  uint32_t payload_size, key_size, ordering_key_size, property_count, topic, redelivery_count, flags;
};

struct OutputHead {
  int64_t event_time_ms;
  uint32_t payload_size, key_size, ordering_key_size, property_count, flags;
};

uint32_t flags_of(const stream::RecordView& record) {
  return (record.has_key ? kHasKey : 0U) | (record.null_value ? kNullValue : 0U);
}

void write_parts(Writer& out, const stream::RecordView& record) {
  out.raw(record.payload);
  out.raw(record.key);
  out.raw(record.ordering_key);
  for (const stream::Property& property : record.properties) {
    out.text(property.key);
    out.text(property.value);
  }
}

// The properties follow in the bytes.
template <class Head>
void read_parts(Reader& in, const Head& head, stream::RecordView& record, std::vector<stream::Property>& properties) {
  record.payload = in.raw(head.payload_size);
  record.key = in.raw(head.key_size);
  record.ordering_key = in.raw(head.ordering_key_size);
  for (uint32_t i = 0; i < head.property_count && in.whole(); ++i) {
    const std::string_view key = in.text();
    properties.push_back({key, in.text()});
  }
  record.event_time_ms = head.event_time_ms;
  record.has_key = (head.flags & kHasKey) != 0;
  record.null_value = (head.flags & kNullValue) != 0;
}

}  // namespace

void write_open(Writer& out, const OpenRequest& request) {
  const model::InstanceSpec& spec = request.spec;
  out.text(model::to_json(spec.details));
  out.number(spec.host);
  out.text(spec.component);
  out.text(spec.library_path);
  out.text(spec.base_directory);
  out.number(static_cast<uint32_t>(spec.secrets.size()));
  for (const auto& [name, value] : spec.secrets) {
    out.text(name);
    out.text(value);
  }
  out.number(spec.instance_id);
  out.number(spec.instance_count);
  out.number(static_cast<uint32_t>(request.inputs.size()));
  for (const std::string& input : request.inputs) out.text(input);
  out.text(request.output);
  out.text(request.cache_directory);
}

Result<OpenRequest> read_open(std::string_view body) {
  Reader in(body);
  OpenRequest request;
  model::InstanceSpec& spec = request.spec;
  FMESH_TRY(spec.details, model::parse_function_details(in.text()));
  spec.host = in.number<model::HostKind>();
  spec.component = in.text();
  spec.library_path = in.text();
  spec.base_directory = in.text();
  for (auto left = in.number<uint32_t>(); left > 0 && in.whole(); --left) {
    const std::string name(in.text());
    spec.secrets[name] = in.text();
  }
  spec.instance_id = in.number<int32_t>();
  spec.instance_count = in.number<int32_t>();
  for (auto left = in.number<uint32_t>(); left > 0 && in.whole(); --left) request.inputs.emplace_back(in.text());
  request.output = in.text();
  request.cache_directory = in.text();
  if (!in.whole()) return fail(ErrorKind::kBug, "the host and its child process do not understand each other");
  return request;
}

void write_status(Writer& out, const Status& status) {
  out.number(static_cast<uint8_t>(status ? 0 : 1));
  out.number(status ? ErrorKind::kBug : status.error().kind());
  out.text(status ? "" : status.error().text());
}

Status read_status(std::string_view body) {
  Reader in(body);
  const bool failed = in.number<uint8_t>() != 0;
  const auto kind = in.number<ErrorKind>();
  const std::string text(in.text());
  if (!in.whole()) return fail(ErrorKind::kBug, "the host and its child process do not understand each other");
  return failed ? fail(kind, text) : Status();
}

void write_records(Writer& out, std::span<const LogicRecord> records) {
  // Records come in runs of one stream.
  std::vector<std::string_view> topics;
  for (const LogicRecord& record : records)
    if (topics.empty() || topics.back() != record.topic) topics.push_back(record.topic);
  out.number(static_cast<uint32_t>(topics.size()));
  for (const std::string_view topic : topics) out.text(topic);
  out.number(static_cast<uint32_t>(records.size()));
  uint32_t topic = 0;
  for (const LogicRecord& input : records) {
    if (topics[topic] != input.topic) ++topic;
    const stream::RecordView& from = input.record;
    RecordHead head{};
    head.ledger = input.id.ledger;
    head.entry = input.id.entry;
    head.event_time_ms = from.event_time_ms;
    head.publish_time_ms = from.publish_time_ms;
    head.sequence_id = from.sequence_id;
    head.partition = input.id.partition;
    head.id_batch_index = input.id.batch_index;
    head.batch_index = from.batch_index;
    head.payload_size = static_cast<uint32_t>(from.payload.size());
    head.key_size = static_cast<uint32_t>(from.key.size());
    head.ordering_key_size = static_cast<uint32_t>(from.ordering_key.size());
    head.property_count = static_cast<uint32_t>(from.properties.size());
    head.topic = topic;
    head.redelivery_count = input.redelivery_count;
    head.flags = flags_of(from);
    out.number(head);
    write_parts(out, from);
  }
}

bool ReadRecords::read(Reader& in) {
  std::vector<std::string_view> topics;
  for (auto left = in.number<uint32_t>(); left > 0 && in.whole(); --left) topics.push_back(in.text());
  const auto count = in.number<uint32_t>();
  if (!in.whole() || count > in.left() / sizeof(RecordHead)) return false;
  records_.clear();
  records_.reserve(count);
  properties_.clear();
  std::vector<size_t> first_property;
  first_property.reserve(count);
  for (uint32_t i = 0; i < count && in.whole(); ++i) {
    const auto head = in.number<RecordHead>();
    if (head.topic >= topics.size()) return false;
    LogicRecord& record = records_.emplace_back();
    first_property.push_back(properties_.size());
    read_parts(in, head, record.record, properties_);
    record.record.publish_time_ms = head.publish_time_ms;
    record.record.sequence_id = head.sequence_id;
    record.record.batch_index = head.batch_index;
    record.topic = topics[head.topic];
    record.id = {head.ledger, head.entry, head.partition, head.id_batch_index};
    record.redelivery_count = head.redelivery_count;
  }
  // Only now do they lie still.
  for (size_t i = 0; i < records_.size(); ++i) {
    const size_t end = i + 1 < records_.size() ? first_property[i + 1] : properties_.size();
    records_[i].record.properties = std::span(properties_).subspan(first_property[i], end - first_property[i]);
  }
  return in.whole();
}

void write_output(Writer& out, const stream::RecordView& record) {
  OutputHead head{};
  head.event_time_ms = record.event_time_ms;
  head.payload_size = static_cast<uint32_t>(record.payload.size());
  head.key_size = static_cast<uint32_t>(record.key.size());
  head.ordering_key_size = static_cast<uint32_t>(record.ordering_key.size());
  head.property_count = static_cast<uint32_t>(record.properties.size());
  head.flags = flags_of(record);
  out.number(head);
  write_parts(out, record);
}

namespace {

// An effect that can't be had fails its record, as nobody is there any more to be told.
void check(const Status& status, size_t index, BatchContext& batch) {
  if (!status) batch.failed(index, status.error().text());
}

void apply(EffectKind kind, Reader& in, size_t index, BatchContext& batch, std::vector<stream::Property>& properties) {
  switch (kind) {
    case EffectKind::kOutput:
    case EffectKind::kPublish: {
      const std::string_view topic = kind == EffectKind::kPublish ? in.text() : std::string_view();
      stream::RecordView record;
      properties.clear();
      read_parts(in, in.number<OutputHead>(), record, properties);
      record.properties = properties;
      if (!in.whole()) return;
      if (kind == EffectKind::kOutput) return batch.output(index, record);
      return check(batch.publish(index, topic, record), index, batch);
    }
    case EffectKind::kFailed:
      return batch.failed(index, in.text());
    case EffectKind::kAck:
      return batch.ack(index);
    case EffectKind::kAckId: {
      const std::string_view topic = in.text();
      const auto id = in.number<stream::MessageId>();
      return check(batch.ack(topic, id), index, batch);
    }
    case EffectKind::kStatePut: {
      const std::string_view key = in.text();
      return check(batch.state_put(index, key, in.text()), index, batch);
    }
    case EffectKind::kStateDelete:
      return check(batch.state_put(index, in.text(), std::nullopt), index, batch);
    case EffectKind::kCounterAdd: {
      const std::string_view key = in.text();
      const auto added = batch.counter_add(index, key, in.number<int64_t>());
      if (!added) batch.failed(index, added.error().text());
      return;
    }
  }
}

}  // namespace

bool apply_effects(std::string_view body, size_t first, size_t count, BatchContext& batch) {
  Reader in(body);
  std::vector<stream::Property> properties;
  while (!in.empty() && in.whole()) {
    const auto kind = in.number<EffectKind>();
    const auto index = in.number<uint32_t>();
    if (index >= count || kind > EffectKind::kCounterAdd) return false;
    apply(kind, in, first + index, batch, properties);
  }
  return in.whole();
}

}  // namespace fmesh::runtime
