#include "runtime/native/host_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "fmesh/json.h"
#include "fmesh/json_path.h"

namespace fmesh::runtime {
namespace {

constexpr int kYes = 1;
constexpr int kNone = 0;
constexpr int kError = -1;

NativeCall& of(fmesh_batch* batch) { return *static_cast<NativeCall*>(batch); }

int failure(NativeCall& call, std::string text) {
  call.error = std::move(text);
  return kError;
}

// A library that miscounts must not reach another record's effects.
bool is_known(NativeCall& call, size_t index) {
  if (index < call.records.size()) return true;
  call.error = fmt::format("the function named record {} of a batch of {}", index, call.records.size());
  call.context.failed(std::min(call.current, call.records.size() - 1), call.error);
  return false;
}

// A record of the C side with room for its properties.
class OutputView {
 public:
  explicit OutputView(const fmesh_record& record) {
    view_.payload = from_c(record.payload);
    view_.key = from_c(record.key);
    view_.ordering_key = from_c(record.ordering_key);
    view_.event_time_ms = record.event_time_ms;
    view_.has_key = (record.flags & FMESH_HAS_KEY) != 0;
    view_.null_value = (record.flags & FMESH_NULL_VALUE) != 0;
    if (record.property_count == 0) return;
    properties_.reserve(record.property_count);
    for (size_t i = 0; i < record.property_count; ++i) {
      properties_.push_back({from_c(record.properties[i].key), from_c(record.properties[i].value)});
    }
    view_.properties = properties_;
  }
  const stream::RecordView& view() const { return view_; }

 private:
  stream::RecordView view_;
  std::vector<stream::Property> properties_;
};

void output(fmesh_batch* batch, size_t index, const fmesh_record* record) noexcept {
  NativeCall& call = of(batch);
  if (is_known(call, index)) call.context.output(index, OutputView(*record).view());
}

int publish(fmesh_batch* batch, size_t index, fmesh_bytes topic, const fmesh_record* record) noexcept {
  NativeCall& call = of(batch);
  if (!is_known(call, index)) return kError;
  const Status status = call.context.publish(index, from_c(topic), OutputView(*record).view());
  return status ? kYes : failure(call, status.error().text());
}

void fail_record(fmesh_batch* batch, size_t index, fmesh_bytes text) noexcept {
  NativeCall& call = of(batch);
  if (is_known(call, index)) call.context.failed(index, from_c(text));
}

void ack(fmesh_batch* batch, size_t index) noexcept {
  NativeCall& call = of(batch);
  if (is_known(call, index)) call.context.ack(index);
}

int ack_id(fmesh_batch* batch, fmesh_bytes topic, const fmesh_message_id* id) noexcept {
  NativeCall& call = of(batch);
  const Status status = call.context.ack(from_c(topic), {id->ledger, id->entry, id->partition, id->batch_index});
  return status ? kYes : failure(call, status.error().text());
}

int state_get(fmesh_batch* batch, size_t index, fmesh_bytes key, fmesh_bytes* value) noexcept {
  NativeCall& call = of(batch);
  if (!is_known(call, index)) return kError;
  auto found = call.context.state_get(index, from_c(key));
  if (!found) return failure(call, found.error().text());
  if (!*found) return kNone;
  call.state = std::move(**found);
  *value = to_c(call.state);
  return kYes;
}

int state_change(fmesh_batch* batch, size_t index, fmesh_bytes key, std::optional<std::string_view> value) {
  NativeCall& call = of(batch);
  if (!is_known(call, index)) return kError;
  const Status status = call.context.state_put(index, from_c(key), value);
  return status ? kYes : failure(call, status.error().text());
}

int state_put(fmesh_batch* batch, size_t index, fmesh_bytes key, fmesh_bytes value) noexcept {
  return state_change(batch, index, key, from_c(value));
}

int state_delete(fmesh_batch* batch, size_t index, fmesh_bytes key) noexcept {
  return state_change(batch, index, key, std::nullopt);
}

int counter_add(fmesh_batch* batch, size_t index, fmesh_bytes key, int64_t delta, int64_t* value) noexcept {
  NativeCall& call = of(batch);
  if (!is_known(call, index)) return kError;
  const Result<int64_t> counted = call.context.counter_add(index, from_c(key), delta);
  if (!counted) return failure(call, counted.error().text());
  *value = *counted;
  return kYes;
}

fmesh_bytes error(fmesh_batch* batch) noexcept { return to_c(of(batch).error); }

void log(fmesh_instance* instance, int level, fmesh_bytes text) noexcept {
  constexpr std::array<std::string_view, 4> kLevels = {"debug", "info", "warn", "error"};
  instance->context->log(kLevels[static_cast<size_t>(std::clamp(level, 0, 3))], from_c(text));
}

void metric(fmesh_instance* instance, fmesh_bytes name, double value) noexcept {
  instance->context->metric(from_c(name), value);
}

fmesh_bytes config(fmesh_instance* instance) noexcept {
  const std::string& text = instance->context->spec().details.user_config;
  return text.empty() ? to_c("{}") : to_c(text);
}

int secret(fmesh_instance* instance, fmesh_bytes name, fmesh_bytes* value) noexcept {
  const auto& secrets = instance->context->spec().secrets;
  const auto found = secrets.find(std::string(from_c(name)));
  if (found == secrets.end()) return kNone;
  *value = to_c(found->second);
  return kYes;
}

int64_t now_ms(fmesh_instance* instance) noexcept { return instance->context->clock().wall_ms(); }

fmesh_identity identity(fmesh_instance* instance) noexcept {
  const model::InstanceSpec& spec = instance->context->spec();
  return {to_c(spec.details.tenant), to_c(spec.details.name_space), to_c(spec.details.name), spec.instance_id,
          spec.instance_count};
}

fmesh_streams streams(fmesh_instance* instance) noexcept {
  return {instance->inputs.data(), instance->inputs.size(), to_c(instance->context->output())};
}

fmesh_json to_c(const json::Value& value) {
  static_assert(static_cast<int>(json::Type::kInvalid) == FMESH_JSON_INVALID);
  static_assert(static_cast<int>(json::Type::kNumber) == FMESH_JSON_NUMBER);
  return {static_cast<fmesh_json_type>(value.type), runtime::to_c(value.raw)};
}

fmesh_json json_get(fmesh_bytes text, fmesh_bytes path) noexcept {
  return to_c(json::find(from_c(text), from_c(path)));
}

int json_next(fmesh_bytes container, size_t* cursor, fmesh_bytes* key, fmesh_json* value) noexcept {
  std::string_view name;
  json::Value found;
  const int more = json::next(from_c(container), *cursor, name, found);
  *key = runtime::to_c(name);
  *value = to_c(found);
  return more;
}

int json_set(fmesh_batch* batch, fmesh_bytes text, fmesh_bytes path, fmesh_bytes value, fmesh_bytes* result) noexcept {
  NativeCall& call = of(batch);
  try {
    // The text may be what the last json_set gave.
    std::string changed;
    json::set(changed, from_c(text), from_c(path), from_c(value));
    call.text.swap(changed);
  } catch (const JsonError& error) {
    return failure(call, error.what());
  }
  *result = runtime::to_c(call.text);
  return kYes;
}

int json_text(fmesh_batch* batch, fmesh_bytes raw, fmesh_bytes* result) noexcept {
  NativeCall& call = of(batch);
  try {
    call.text = json::parse<std::string>(from_c(raw));
  } catch (const JsonError& error) {
    return failure(call, error.what());
  }
  *result = runtime::to_c(call.text);
  return kYes;
}

}  // namespace

const fmesh_host& host_table() {
  static constexpr fmesh_host kTable = {
      .abi_version = FMESH_ABI_VERSION,
      .size = sizeof(fmesh_host),
      .output = &output,
      .publish = &publish,
      .fail = &fail_record,
      .ack = &ack,
      .ack_id = &ack_id,
      .state_get = &state_get,
      .state_put = &state_put,
      .state_delete = &state_delete,
      .counter_add = &counter_add,
      .error = &error,
      .log = &log,
      .metric = &metric,
      .config = &config,
      .secret = &secret,
      .now_ms = &now_ms,
      .identity = &identity,
      .streams = &streams,
      .json_get = &json_get,
      .json_next = &json_next,
      .json_set = &json_set,
      .json_text = &json_text,
  };
  return kTable;
}

}  // namespace fmesh::runtime
