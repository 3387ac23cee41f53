#include <boost/json.hpp>
#include <cmath>

#include "observe/json.h"

namespace fmesh::observe {
namespace {

namespace json = boost::json;

json::array strings(const std::vector<std::string>& texts) {
  json::array items;
  for (const std::string& text : texts) items.emplace_back(text);
  return items;
}

// Rates are shown, not computed with: three digits behind the point are plenty.
double rounded(double value) { return std::round(value * 1000) / 1000; }

bool is_utf8(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t more = lead < 0x80 ? 0 : lead >> 5 == 6 ? 1 : lead >> 4 == 14 ? 2 : lead >> 3 == 30 ? 3 : 9;
    if (more == 9 || i + more >= text.size() || lead == 0xc0 || lead == 0xc1 || lead > 0xf4) return false;
    for (size_t k = 1; k <= more; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xc0) != 0x80) return false;
    }
    i += more + 1;
  }
  return true;
}

// Reading back: small helpers that leave the default when a member is absent or of another kind.
const json::value* member(const json::value& value, std::string_view name) {
  const json::object* object = value.if_object();
  return object == nullptr ? nullptr : object->if_contains(name);
}
std::string text_of(const json::value& value, std::string_view name) {
  const json::value* found = member(value, name);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}
int64_t integer_of(const json::value& value, std::string_view name, int64_t otherwise = 0) {
  const json::value* found = member(value, name);
  return found != nullptr && found->is_int64() ? found->get_int64() : otherwise;
}
double number_of(const json::value& value, std::string_view name) {
  const json::value* found = member(value, name);
  if (found == nullptr) return 0;
  return found->is_double() ? found->get_double() : found->is_int64() ? static_cast<double>(found->get_int64()) : 0;
}
const json::array& array_of(const json::value& value, std::string_view name) {
  static const json::array kEmpty;
  const json::value* found = member(value, name);
  return found != nullptr && found->is_array() ? found->get_array() : kEmpty;
}
std::vector<std::string> texts_of(const json::value& value, std::string_view name) {
  std::vector<std::string> texts;
  for (const json::value& item : array_of(value, name)) {
    if (item.is_string()) texts.emplace_back(item.get_string());
  }
  return texts;
}

}  // namespace

json::value to_json(const InstanceView& v) {
  return json::object{{"component", v.component},
                      {"instanceId", v.instance_id},
                      {"state", v.state},
                      {"lastError", v.last_error},
                      {"receivedTotal", v.received_total},
                      {"processedSuccessfullyTotal", v.processed_total},
                      {"userExceptionsTotal", v.user_exceptions_total},
                      {"systemExceptionsTotal", v.system_exceptions_total},
                      {"writtenTotal", v.written_total},
                      {"deadLettersTotal", v.dead_letters_total},
                      {"lateTotal", v.late_total},
                      {"restartsTotal", v.restarts_total},
                      {"lastInvocationMs", v.last_invocation_ms},
                      {"processLatencyNsSum", v.process_latency_ns_sum},
                      {"processLatencyCount", v.process_latency_count},
                      {"inFlightRecords", v.in_flight_records},
                      {"waitingRetry", v.waiting_retry},
                      {"backlogRecords", v.backlog_records},
                      {"cpuNs", v.cpu_ns}};
}

json::value to_json(const ComponentView& v) {
  return json::object{{"name", v.name},
                      {"kind", v.kind},
                      {"fullName", v.full_name},
                      {"runs", v.runs},
                      {"inputs", strings(v.inputs)},
                      {"outputs", strings(v.outputs)},
                      {"state", v.state},
                      {"lastError", v.last_error},
                      {"replicas", v.replicas},
                      {"minReplicas", v.replicas_min},
                      {"maxReplicas", v.replicas_max},
                      {"receivedTotal", v.received_total},
                      {"writtenTotal", v.written_total},
                      {"errorsTotal", v.errors_total},
                      {"deadLettersTotal", v.dead_letters_total},
                      {"restartsTotal", v.restarts_total},
                      {"backlogRecords", v.backlog_records},
                      {"inFlightRecords", v.in_flight_records},
                      {"receivedPerSecond", rounded(v.received_per_s)},
                      {"writtenPerSecond", rounded(v.written_per_s)},
                      {"errorsPerSecond", rounded(v.errors_per_s)},
                      {"cpuPercent", rounded(v.cpu_percent)}};
}

json::value to_json(const MeshState& v) {
  json::array components, instances;
  for (const ComponentView& component : v.components) components.push_back(to_json(component));
  for (const InstanceView& instance : v.instances) instances.push_back(to_json(instance));
  return json::object{{"name", v.name},
                      {"state", v.state},
                      {"dataDirectory", v.data_directory},
                      {"files", strings(v.files)},
                      {"processId", v.process_id},
                      {"startedMs", v.started_ms},
                      {"hostRestarts", v.host_restarts},
                      {"reloadError", v.reload_error},
                      {"processCpuNs", v.process_cpu_ns},
                      {"memoryBytes", v.memory_bytes},
                      {"components", std::move(components)},
                      {"instances", std::move(instances)}};
}

json::value to_json(const StreamView& v) {
  json::array subscriptions;
  for (const SubscriptionView& s : v.subscriptions) {
    subscriptions.push_back(json::object{{"name", s.name},
                                         {"type", s.type},
                                         {"consumers", s.consumers},
                                         {"backlogRecords", s.backlog_records},
                                         {"backlogBytes", s.backlog_bytes},
                                         {"recordsOutTotal", s.records_out_total}});
  }
  return json::object{{"topic", v.topic},
                      {"partitions", v.partitions},
                      {"retentionSizeBytes", v.retention_size_bytes},
                      {"retentionTimeMs", v.retention_time_ms},
                      {"entries", v.entries},
                      {"records", v.records},
                      {"bytes", v.bytes},
                      {"recordsInTotal", v.records_in_total},
                      {"bytesInTotal", v.bytes_in_total},
                      {"subscriptions", std::move(subscriptions)}};
}

json::value to_json(const RecordLine& v) {
  if (!v.damage.empty()) return json::object{{"topic", v.topic}, {"damage", v.damage}};
  json::object record{{"topic", v.topic}, {"id", v.id}};
  if (v.key) record["key"] = *v.key;
  json::object properties;
  for (const auto& [key, value] : v.properties) properties[key] = value;
  if (!properties.empty()) record["properties"] = std::move(properties);
  if (v.event_time_ms != 0) record["eventTimeMs"] = v.event_time_ms;
  record["publishTimeMs"] = v.publish_time_ms;
  if (v.null_value) {
    record["deleted"] = true;
  } else if (auto value = parse_json(v.payload); value) {
    record["value"] = *std::move(value);
  } else if (is_utf8(v.payload)) {
    record["text"] = v.payload;
  } else {
    record["base64"] = to_base64(v.payload);
  }
  return record;
}

json::value to_json(const LogEntry& v) {
  return json::object{{"timeMs", v.time_ms},
                      {"component", v.component},
                      {"instanceId", v.instance_id},
                      {"level", v.level},
                      {"text", v.text}};
}

json::value graph_json(const MeshState& state) {
  json::array nodes, edges;
  for (const ComponentView& component : state.components) {
    nodes.push_back(json::object{{"name", component.name},
                                 {"kind", component.kind},
                                 {"state", component.state},
                                 {"replicas", component.replicas},
                                 {"receivedPerSecond", rounded(component.received_per_s)},
                                 {"writtenPerSecond", rounded(component.written_per_s)},
                                 {"backlogRecords", component.backlog_records}});
    for (const std::string& input : component.inputs) {
      edges.push_back(json::object{
          {"stream", input}, {"to", component.name}, {"recordsPerSecond", rounded(component.received_per_s)}});
    }
    for (const std::string& output : component.outputs) {
      edges.push_back(json::object{
          {"from", component.name}, {"stream", output}, {"recordsPerSecond", rounded(component.written_per_s)}});
    }
  }
  return json::object{{"name", state.name}, {"nodes", std::move(nodes)}, {"edges", std::move(edges)}};
}

MeshState mesh_from_json(const json::value& value) {
  MeshState state;
  state.name = text_of(value, "name");
  state.state = text_of(value, "state");
  state.data_directory = text_of(value, "dataDirectory");
  state.files = texts_of(value, "files");
  state.process_id = integer_of(value, "processId");
  state.started_ms = integer_of(value, "startedMs");
  state.host_restarts = integer_of(value, "hostRestarts");
  state.reload_error = text_of(value, "reloadError");
  state.process_cpu_ns = integer_of(value, "processCpuNs");
  state.memory_bytes = integer_of(value, "memoryBytes");
  for (const json::value& item : array_of(value, "components")) {
    ComponentView c;
    c.name = text_of(item, "name");
    c.kind = text_of(item, "kind");
    c.full_name = text_of(item, "fullName");
    c.runs = text_of(item, "runs");
    c.inputs = texts_of(item, "inputs");
    c.outputs = texts_of(item, "outputs");
    c.state = text_of(item, "state");
    c.last_error = text_of(item, "lastError");
    c.replicas = static_cast<int32_t>(integer_of(item, "replicas"));
    c.replicas_min = static_cast<int32_t>(integer_of(item, "minReplicas"));
    c.replicas_max = static_cast<int32_t>(integer_of(item, "maxReplicas"));
    c.received_total = integer_of(item, "receivedTotal");
    c.written_total = integer_of(item, "writtenTotal");
    c.errors_total = integer_of(item, "errorsTotal");
    c.dead_letters_total = integer_of(item, "deadLettersTotal");
    c.restarts_total = integer_of(item, "restartsTotal");
    c.backlog_records = integer_of(item, "backlogRecords");
    c.in_flight_records = integer_of(item, "inFlightRecords");
    c.received_per_s = number_of(item, "receivedPerSecond");
    c.written_per_s = number_of(item, "writtenPerSecond");
    c.errors_per_s = number_of(item, "errorsPerSecond");
    c.cpu_percent = number_of(item, "cpuPercent");
    state.components.push_back(std::move(c));
  }
  return state;
}

std::vector<StreamView> streams_from_json(const json::value& value) {
  std::vector<StreamView> streams;
  for (const json::value& item : array_of(value, "streams")) {
    StreamView s;
    s.topic = text_of(item, "topic");
    s.partitions = static_cast<int32_t>(integer_of(item, "partitions"));
    s.retention_size_bytes = integer_of(item, "retentionSizeBytes", -1);
    s.retention_time_ms = integer_of(item, "retentionTimeMs", -1);
    s.entries = integer_of(item, "entries");
    s.records = integer_of(item, "records");
    s.bytes = integer_of(item, "bytes");
    s.records_in_total = integer_of(item, "recordsInTotal");
    s.bytes_in_total = integer_of(item, "bytesInTotal");
    for (const json::value& sub : array_of(item, "subscriptions")) {
      s.subscriptions.push_back({text_of(sub, "name"), text_of(sub, "type"),
                                 static_cast<int32_t>(integer_of(sub, "consumers")), integer_of(sub, "backlogRecords"),
                                 integer_of(sub, "backlogBytes"), integer_of(sub, "recordsOutTotal")});
    }
    streams.push_back(std::move(s));
  }
  return streams;
}

RecordLine record_from_json(const json::value& value) {
  RecordLine record;
  record.topic = text_of(value, "topic");
  record.id = text_of(value, "id");
  record.damage = text_of(value, "damage");
  if (const json::value* key = member(value, "key"); key != nullptr && key->is_string())
    record.key = std::string(key->get_string());
  if (const json::value* properties = member(value, "properties"); properties != nullptr && properties->is_object()) {
    for (const auto& property : properties->get_object()) {
      if (property.value().is_string()) record.properties.emplace_back(property.key(), property.value().get_string());
    }
  }
  record.event_time_ms = integer_of(value, "eventTimeMs");
  record.publish_time_ms = integer_of(value, "publishTimeMs");
  if (const json::value* payload = member(value, "value")) {
    record.payload = to_text(*payload);
  } else if (member(value, "deleted") != nullptr) {
    record.null_value = true;
  } else if (member(value, "base64") != nullptr) {
    record.payload = from_base64(text_of(value, "base64")).value_or("");
  } else {
    record.payload = text_of(value, "text");
  }
  return record;
}

LogEntry log_from_json(const json::value& value) {
  return {integer_of(value, "timeMs"), text_of(value, "component"),
          static_cast<int32_t>(integer_of(value, "instanceId")), text_of(value, "level"), text_of(value, "text")};
}

}  // namespace fmesh::observe
