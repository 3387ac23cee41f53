#include "plan/details.h"

#include <algorithm>
#include <boost/json.hpp>

#include "model/host.h"
#include "model/quantity.h"

namespace fmesh::plan {
namespace {

namespace json = boost::json;
using model::Component;
using model::ComponentSpec;
using model::Json;
using model::Kind;

constexpr const char* kIdentityClass = "org.apache.pulsar.functions.api.utils.IdentityFunction";
constexpr const char* kWindowClass = "org.apache.pulsar.functions.windowing.WindowFunctionExecutor";
constexpr const char* kBatchSourceClass = "org.apache.pulsar.functions.source.batch.BatchSourceExecutor";

// JSON as Go's encoding/json writes a map: keys sorted, <, > and & escaped.
std::string go_json(const json::value& value) {
  return model::write_json(value, {.order = model::KeyOrder::kSorted, .html = model::HtmlEscapes::kGo});
}
std::string go_json(const Json& value) { return value.present() ? go_json(value.value()) : std::string(); }
// A Go struct: members as declared.
std::string go_struct_json(const json::value& value) {
  return model::write_json(value, {.html = model::HtmlEscapes::kGo});
}

class Names {
 public:
  explicit Names(StreamNames names) : names_(names) {}
  std::string operator()(const std::string& name) const {
    return names_ == StreamNames::kFull && !name.empty() ? model::full_topic_name(name) : name;
  }

 private:
  StreamNames names_;
};

model::CryptoFailureAction failure_action(const std::string& name) {
  using Action = model::CryptoFailureAction;
  if (name == "DISCARD") return Action::kDiscard;
  if (name == "CONSUME") return Action::kConsume;
  return name == "SEND" ? Action::kSend : Action::kFail;
}

std::optional<model::CryptoSpec> crypto_spec(const std::optional<model::CryptoConfig>& config) {
  if (!config) return std::nullopt;
  json::object reader_config;
  for (const auto& [key, text] : config->crypto_key_reader_config) reader_config.emplace(key, text);
  model::CryptoSpec spec;
  spec.crypto_key_reader_class_name = config->crypto_key_reader_class_name;
  if (!reader_config.empty()) spec.crypto_key_reader_config = go_json(reader_config);
  spec.producer_encryption_key_name = config->encryption_keys;
  spec.producer_crypto_failure_action = failure_action(config->producer_crypto_failure_action);
  spec.consumer_crypto_failure_action = failure_action(config->consumer_crypto_failure_action);
  return spec;
}

model::ConsumerSpec consumer_spec(const model::ConsumerConfig& config) {
  model::ConsumerSpec spec;
  spec.schema_type = config.schema_type;
  spec.serde_class_name = config.serde_class_name;
  spec.is_regex_pattern = config.is_regex_pattern;
  spec.receiver_queue_size = config.receiver_queue_size;
  spec.schema_properties = config.schema_properties;
  spec.consumer_properties = config.consumer_properties;
  spec.crypto_spec = crypto_spec(config.crypto_config);
  return spec;
}

// Precedence for one stream: topics < topicPattern < customSerdeSources < customSchemaSources < sourceSpecs; the later
// replaces the entry as a whole.
std::map<std::string, model::ConsumerSpec> input_specs(const model::InputConfig& input, const Names& full) {
  std::map<std::string, model::ConsumerSpec> specs;
  for (const std::string& topic : input.topics) specs[full(topic)] = {};
  if (!input.topic_pattern.empty()) (specs[input.topic_pattern] = {}).is_regex_pattern = true;
  for (const auto& [topic, serde] : input.custom_serde_sources) (specs[full(topic)] = {}).serde_class_name = serde;
  for (const auto& [topic, schema] : input.custom_schema_sources) (specs[full(topic)] = {}).schema_type = schema;
  for (const auto& [topic, config] : input.source_specs) {
    specs[config.is_regex_pattern ? topic : full(topic)] = consumer_spec(config);
  }
  return specs;
}

model::DetailsSubscriptionType subscription_type(const ComponentSpec& spec) {
  if (spec.retain_ordering || spec.processing_guarantee == "effectively_once") {
    return model::DetailsSubscriptionType::kFailover;
  }
  return spec.retain_key_ordering ? model::DetailsSubscriptionType::kKeyShared
                                  : model::DetailsSubscriptionType::kShared;
}

model::ProcessingGuarantees guarantee(const std::string& name) {
  using Guarantees = model::ProcessingGuarantees;
  if (name == "atmost_once") return Guarantees::kAtMostOnce;
  if (name == "effectively_once") return Guarantees::kEffectivelyOnce;
  return name == "manual" ? Guarantees::kManual : Guarantees::kAtLeastOnce;
}

model::DetailsCompression compression(const std::string& name) {
  using Compression = model::DetailsCompression;
  if (name == "NONE") return Compression::kNone;
  if (name == "ZLIB") return Compression::kZlib;
  if (name == "ZSTD") return Compression::kZstd;
  return name == "SNAPPY" ? Compression::kSnappy : Compression::kLz4;
}

model::SourceSpec stream_source(const Component& component, const Names& full) {
  const ComponentSpec& spec = component.spec;
  model::SourceSpec source;
  source.type_class_name = spec.input.type_class_name;
  source.subscription_type = subscription_type(spec);
  source.input_specs = input_specs(spec.input, full);
  source.timeout_ms = static_cast<uint64_t>(std::max(spec.timeout_ms, 0));
  source.subscription_name = spec.subscription_name;
  source.cleanup_subscription = spec.cleanup_subscription;
  source.subscription_position = spec.subscription_position == "latest" ? model::DetailsSubscriptionPosition::kLatest
                                                                        : model::DetailsSubscriptionPosition::kEarliest;
  const bool function = component.kind == Kind::kFunction;
  const int32_t nack_delay_ms = function ? spec.timeout_ms : spec.negative_ack_redelivery_delay_ms;
  source.negative_ack_redelivery_delay_ms = static_cast<uint64_t>(std::max(nack_delay_ms, 0));
  source.skip_to_latest = function && spec.skip_to_latest;
  return source;
}

// String members of the JSON text that customSchemaSinks holds for the output stream.
model::StringMap schema_sink_part(const model::OutputConfig& output, std::string_view part) {
  model::StringMap out;
  const auto found = output.custom_schema_sinks.find(output.topic);
  if (found == output.custom_schema_sinks.end()) return out;
  const model::DocumentList list = model::read_json("customSchemaSinks", found->second);
  if (!list.findings.ok() || list.documents.empty()) return out;
  const model::Node* members = list.documents.front()->find(part);
  if (!members) return out;
  for (const model::Entry& entry : members->entries) out[entry.key] = entry.value.text;
  return out;
}

model::SinkSpec stream_sink(const Component& component, const Names& full) {
  const model::OutputConfig& output = component.spec.output;
  model::SinkSpec sink;
  sink.type_class_name = output.type_class_name;
  sink.topic = full(output.topic);
  sink.serde_class_name = output.sink_serde_class_name;
  sink.schema_type = output.sink_schema_type;
  sink.forward_source_message_property = component.spec.forward_source_message_property.value_or(true);
  if (output.producer_config) {
    const model::ProducerConfig& config = *output.producer_config;
    model::ProducerSpec& producer = sink.producer_spec.emplace();
    producer.max_pending_messages = config.max_pending_messages;
    producer.max_pending_messages_across_partitions = config.max_pending_messages_across_partitions;
    producer.use_thread_local_producers = config.use_thread_local_producers;
    producer.crypto_spec = crypto_spec(config.crypto_config);
    producer.batch_builder = config.batch_builder;
    producer.compression_type = compression(config.compression_type);
  } else if (component.kind == Kind::kSource) {
    sink.producer_spec = model::ProducerSpec{};
  }
  if (component.kind == Kind::kFunction) {
    sink.schema_properties = schema_sink_part(output, "schemaProperties");
    sink.consumer_properties = schema_sink_part(output, "consumerProperties");
  }
  return sink;
}

// What an inline connector says about itself, in its fields or within configs.
struct InlineConnector {
  std::string builtin, class_name, type_class_name;
  json::object configs;
};

InlineConnector inline_connector(const std::string& type, const std::string& class_name,
                                 const std::string& type_class_name, const Json& configs) {
  InlineConnector out{type, class_name, type_class_name, {}};
  if (!configs.present() || !configs.value().is_object()) return out;
  const auto text = [](const json::value& value) {
    return value.is_string() ? std::string(value.get_string()) : std::string();
  };
  constexpr std::string_view kScheme = "builtin://";
  json::object nested;
  for (const auto& member : configs.value().get_object()) {
    const std::string_view key = member.key();
    if (key == "builtin") {
      if (out.builtin.empty()) out.builtin = text(member.value());
    } else if (key == "archive") {
      const std::string archive = text(member.value());
      if (out.builtin.empty() && archive.starts_with(kScheme)) out.builtin = archive.substr(kScheme.size());
    } else if (key == "className") {
      if (out.class_name.empty()) out.class_name = text(member.value());
    } else if (key == "typeClassName") {
      if (out.type_class_name.empty()) out.type_class_name = text(member.value());
    } else if (key == "configs" && member.value().is_object()) {
      nested = member.value().get_object();
    } else {
      out.configs.emplace(key, member.value());
    }
  }
  for (const auto& member : nested) out.configs.insert_or_assign(member.key(), member.value());
  return out;
}

void use_inline_source(const model::InlineSource& config, model::SourceSpec& source) {
  InlineConnector connector =
      inline_connector(config.source_type, config.class_name, config.type_class_name, config.configs);
  source.builtin = connector.builtin;
  source.class_name = connector.class_name;
  if (source.type_class_name.empty()) source.type_class_name = connector.type_class_name;
  if (!connector.configs.empty()) source.configs = go_json(connector.configs);
}

void use_inline_sink(const model::InlineSink& config, model::SinkSpec& sink) {
  InlineConnector connector =
      inline_connector(config.sink_type, config.class_name, config.type_class_name, config.configs);
  sink.builtin = connector.builtin;
  sink.class_name = connector.class_name;
  if (sink.type_class_name.empty()) sink.type_class_name = connector.type_class_name;
  if (!connector.builtin.empty()) connector.configs.insert_or_assign("sinkType", connector.builtin);
  if (!connector.configs.empty()) sink.configs = go_json(connector.configs);
}

json::object window_json(const ComponentSpec& spec, const Names& full) {
  const model::WindowConfig& window = *spec.window_config;
  json::object out;
  const auto put = [&](std::string_view name, const auto& value) {
    if (value) out.emplace(name, *value);
  };
  const auto put_text = [&](std::string_view name, const std::string& text) {
    if (!text.empty()) out.emplace(name, text);
  };
  put_text("actualWindowFunctionClassName", spec.class_name);
  put("windowLengthCount", window.window_length_count);
  put("windowLengthDurationMs", window.window_length_duration_ms);
  put("slidingIntervalCount", window.sliding_interval_count);
  put("slidingIntervalDurationMs", window.sliding_interval_duration_ms);
  put_text("lateDataTopic", full(window.late_data_topic));
  put("maxLagMs", window.max_lag_ms);
  put("watermarkEmitIntervalMs", window.watermark_emit_interval_ms);
  put_text("timestampExtractorClassName", window.timestamp_extractor_class_name);
  put_text("processingGuarantees", window.processing_guarantees);
  return out;
}

// funcConfig with __WINDOWCONFIGS__, whose members keep the order a Go struct has.
std::string function_user_config(const ComponentSpec& spec, const Names& full) {
  if (!spec.window_config) return go_json(spec.func_config);
  json::object config;
  if (spec.func_config.present() && spec.func_config.value().is_object())
    config = spec.func_config.value().get_object();
  std::vector<std::pair<std::string, std::string>> members;
  for (const auto& member : config) members.emplace_back(go_json(json::value(member.key())), go_json(member.value()));
  std::erase_if(members, [](auto& member) { return member.first == "\"__WINDOWCONFIGS__\""; });
  members.emplace_back("\"__WINDOWCONFIGS__\"", go_struct_json(window_json(spec, full)));
  std::sort(members.begin(), members.end());
  std::string out = "{";
  for (const auto& [key, value] : members) out += (out.size() > 1 ? "," : "") + key + ":" + value;
  return out + "}";
}

std::string secrets_json(const ComponentSpec& spec) {
  json::object out;
  for (const auto& [name, reference] : spec.secrets_map) {
    json::object entry;
    if (!reference.path.empty()) entry.emplace("path", reference.path);
    if (!reference.key.empty()) entry.emplace("key", reference.key);
    out.emplace(name, std::move(entry));
  }
  return out.empty() ? std::string() : go_struct_json(out);
}

model::DetailsResources details_resources(const ComponentSpec& spec) {
  const auto request = [&](const char* name) -> model::Quantity {
    const auto found = spec.resources.requests.find(name);
    return found == spec.resources.requests.end() ? model::Quantity{}
                                                  : model::parse_quantity(found->second).value_or(model::Quantity{});
  };
  return {.cpu = request("cpu").value(), .ram = request("memory").whole(), .disk = request("storage").whole()};
}

// The dead-letter stream by upstream's rule; empty: none, or Pulsar's own choice.
std::string dead_letter_topic(const ComponentSpec& spec) {
  if (!spec.dead_letter_topic.empty() || spec.max_message_retry <= 0) return spec.dead_letter_topic;
  const bool named = !spec.subscription_name.empty() && spec.subscription_name.find('\\') == std::string::npos;
  return named ? std::string() : spec.tenant + "-" + spec.name_space + "-" + spec.name + "-DLQ";
}

// Batch sources carry their discovery in the connector's configuration.
std::string source_configs(const ComponentSpec& spec) {
  if (!spec.batch_source_config) return go_json(spec.connector_config);
  json::object config;
  if (spec.connector_config.present() && spec.connector_config.value().is_object()) {
    config = spec.connector_config.value().get_object();
  }
  json::object batch{{"discoveryTriggererClassName", spec.batch_source_config->discovery_triggerer_class_name}};
  if (spec.batch_source_config->discovery_triggerer_config.present()) {
    batch.emplace("discoveryTriggererConfig", spec.batch_source_config->discovery_triggerer_config.value());
  }
  config.insert_or_assign("__BATCHSOURCECONFIGS__", go_struct_json(batch));
  config.insert_or_assign("__BATCHSOURCECLASSNAME__", spec.class_name);
  return go_json(config);
}

void fill_function(const Component& component, const Names& full, model::FunctionDetails& details) {
  const ComponentSpec& spec = component.spec;
  const auto host = model::choose_host(spec, component.kind);
  const bool upstream_window =
      spec.window_config && (host == model::HostKind::kStock || host == model::HostKind::kPython);
  details.class_name = upstream_window ? kWindowClass : spec.class_name;
  details.component_type = model::ComponentType::kFunction;
  details.user_config = function_user_config(spec, full);
  details.auto_ack = spec.auto_ack.value_or(true);
  details.source = stream_source(component, full);
  if (spec.inline_source) use_inline_source(*spec.inline_source, *details.source);
  details.sink = stream_sink(component, full);
  if (spec.inline_sink) use_inline_sink(*spec.inline_sink, *details.sink);
  if (spec.python) details.runtime = model::DetailsRuntime::kPython;
  if (spec.golang) details.runtime = model::DetailsRuntime::kGo;
  if (spec.log_topic_agent != "sidecar") details.log_topic = full(spec.log_topic);
}

void fill_source(const Component& component, const Names& full, model::FunctionDetails& details) {
  const ComponentSpec& spec = component.spec;
  details.class_name = kIdentityClass;
  details.component_type = model::ComponentType::kSource;
  details.user_config = source_configs(spec);
  details.auto_ack = true;
  model::SourceSpec source;
  source.class_name = spec.batch_source_config ? kBatchSourceClass : spec.class_name;
  source.configs = source_configs(spec);
  source.type_class_name = spec.output.type_class_name;
  if (!spec.java) source.builtin = spec.source_type;
  details.source = std::move(source);
  details.sink = stream_sink(component, full);
}

void fill_sink(const Component& component, const Names& full, model::FunctionDetails& details) {
  const ComponentSpec& spec = component.spec;
  details.class_name = kIdentityClass;
  details.component_type = model::ComponentType::kSink;
  details.auto_ack = spec.auto_ack.value_or(true);
  details.source = stream_source(component, full);
  model::SinkSpec sink;
  sink.class_name = spec.class_name;
  sink.configs = go_json(spec.connector_config);
  sink.type_class_name = spec.input.type_class_name;
  if (!spec.java) sink.builtin = spec.sink_type;
  details.sink = std::move(sink);
}

}  // namespace

std::vector<std::string> input_topics(const model::InputConfig& input) {
  std::vector<std::string> topics;
  const auto add = [&](const std::string& name) {
    std::string full = model::full_topic_name(name);
    if (std::find(topics.begin(), topics.end(), full) == topics.end()) topics.push_back(std::move(full));
  };
  for (const std::string& topic : input.topics) add(topic);
  for (const auto& [topic, serde] : input.custom_serde_sources) add(topic);
  for (const auto& [topic, schema] : input.custom_schema_sources) add(topic);
  for (const auto& [topic, config] : input.source_specs) {
    if (!config.is_regex_pattern) add(topic);
  }
  return topics;
}

std::vector<std::string> input_patterns(const model::InputConfig& input) {
  std::vector<std::string> patterns;
  if (!input.topic_pattern.empty()) patterns.push_back(input.topic_pattern);
  for (const auto& [topic, config] : input.source_specs) {
    if (config.is_regex_pattern) patterns.push_back(topic);
  }
  return patterns;
}

std::vector<std::string> dead_letter_topics(const Component& component) {
  const ComponentSpec& spec = component.spec;
  if (component.kind == Kind::kSource || (spec.max_message_retry <= 0 && spec.dead_letter_topic.empty())) return {};
  const std::string named = dead_letter_topic(spec);
  if (!named.empty()) return {model::full_topic_name(named)};
  std::vector<std::string> topics;
  for (const std::string& input : input_topics(spec.input)) {
    topics.push_back(input + "-" + spec.subscription_name + "-DLQ");
  }
  return topics;
}

model::FunctionDetails make_details(const Component& component, StreamNames stream_names) {
  const ComponentSpec& spec = component.spec;
  const Names full(stream_names);
  model::FunctionDetails details;
  details.tenant = spec.tenant;
  details.name_space = spec.name_space;
  details.name = spec.name;
  details.processing_guarantees = guarantee(spec.processing_guarantee);
  details.secrets_map = secrets_json(spec);
  details.parallelism = spec.show_precise_parallelism ? spec.replicas.value_or(1) : 1;
  details.runtime_flags = spec.runtime_flags;
  details.resources = details_resources(spec);
  switch (component.kind) {
    case Kind::kSource:
      fill_source(component, full, details);
      break;
    case Kind::kSink:
      fill_sink(component, full, details);
      break;
    default:
      fill_function(component, full, details);
      break;
  }
  if (component.kind == Kind::kSource) return details;
  details.retain_ordering = spec.retain_ordering;
  details.retain_key_ordering = spec.retain_key_ordering;
  if (spec.max_message_retry > 0 || !spec.dead_letter_topic.empty()) {
    model::RetryDetails& retry = details.retry_details.emplace();
    retry.max_message_retries = spec.max_message_retry;
    retry.dead_letter_topic = full(dead_letter_topic(spec));
  }
  return details;
}

model::FunctionDetails with_full_names(model::FunctionDetails details) {
  const auto complete = [](std::string& topic) {
    if (!topic.empty()) topic = model::full_topic_name(topic);
  };
  complete(details.log_topic);
  if (details.sink) complete(details.sink->topic);
  if (details.retry_details) complete(details.retry_details->dead_letter_topic);
  if (!details.source) return details;
  std::map<std::string, model::ConsumerSpec> inputs;
  for (auto& [topic, input] : details.source->input_specs)
    inputs.emplace(input.is_regex_pattern ? topic : model::full_topic_name(topic), std::move(input));
  details.source->input_specs = std::move(inputs);
  return details;
}

}  // namespace fmesh::plan
