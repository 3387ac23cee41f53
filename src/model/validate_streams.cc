// Rules of delivery, streams, windows and what a cluster needs.
#include <fmt/format.h>

#include <algorithm>

#include "model/quantity.h"
#include "model/validate_rules.h"

namespace fmesh::model {
namespace {

constexpr const char* kForms = "expected name, tenant/namespace/name or persistent://tenant/namespace/name";

bool reads(Kind kind) { return kind != Kind::kSource; }

struct InputName {
  std::string name;
  Path path;
};

std::vector<InputName> input_names(const InputConfig& input) {
  std::vector<InputName> names;
  const Path base = Path::of("input");
  for (size_t index = 0; index < input.topics.size(); ++index) {
    names.push_back({input.topics[index], (base / "topics")[index]});
  }
  if (!input.topic_pattern.empty()) names.push_back({input.topic_pattern, base / "topicPattern"});
  const auto add_keys = [&](const auto& map, std::string_view field) {
    for (const auto& [name, value] : map) names.push_back({name, base / field / name});
  };
  add_keys(input.custom_serde_sources, "customSerdeSources");
  add_keys(input.custom_schema_sources, "customSchemaSources");
  add_keys(input.source_specs, "sourceSpecs");
  return names;
}

void check_input(const Component& component, Findings& findings) {
  const ComponentSpec& spec = component.spec;
  const std::vector<InputName> names = input_names(spec.input);
  if (names.empty() && !spec.inline_source) {
    const char* what = component.kind == Kind::kFunction ? "function" : "sink";
    findings.error("input", fmt::format("No input topic(s) specified for the {}; add input.topics", what));
  }
  for (const InputName& input : names) {
    if (!is_topic_name(input.name)) {
      findings.error(input.path, fmt::format("Input topic {} is invalid; {}", input.name, kForms), "spec.input");
    }
  }
  for (const auto& [name, settings] : spec.input.source_specs) {
    const Path path = Path::of("input.sourceSpecs") / name;
    if (settings.receiver_queue_size && *settings.receiver_queue_size < 0) {
      findings.error(path / "receiverQueueSize", fmt::format("{} receiver queue size should be >= zero", name),
                     "spec.input.sourceSpecs");
    }
    if (settings.crypto_config && settings.crypto_config->crypto_key_reader_class_name.empty()) {
      findings.error(path / "cryptoConfig", fmt::format("{} cryptoKeyReader class name required", name),
                     "spec.input.sourceSpecs");
    }
  }
}

void check_output(const Component& component, const ValidateOptions& options, Findings& findings) {
  const OutputConfig& output = component.spec.output;
  if (output.topic.empty()) {
    if (component.kind == Kind::kSource) {
      const auto severity = options.target == Target::kLocal ? Severity::kError : Severity::kWarning;
      findings.add(severity, Path::of("output"), "the source writes no stream; add output.topic", {});
    }
    return;
  }
  const bool connector = component.spec.inline_sink.has_value();
  if (!connector && !is_topic_name(output.topic)) {
    findings.error("output.topic", fmt::format("Output topic {} is invalid; {}", output.topic, kForms));
  }
  if (component.kind == Kind::kFunction) {
    for (const InputName& input : input_names(component.spec.input)) {
      if (full_topic_name(input.name) != full_topic_name(output.topic)) continue;
      findings.error(
          "output.topic",
          fmt::format("Output topic {} is also being used as an input topic (topics must be one or the other)",
                      output.topic));
      break;
    }
  }
  if (!output.producer_config || !output.producer_config->crypto_config) return;
  const CryptoConfig& crypto = *output.producer_config->crypto_config;
  if (crypto.crypto_key_reader_class_name.empty()) {
    findings.error("output.producerConf.cryptoConfig.cryptoKeyReaderClassName", "cryptoKeyReader class name required");
  }
  if (crypto.encryption_keys.empty()) {
    findings.error("output.producerConf.cryptoConfig.encryptionKeys",
                   "must provide encryption key name for crypto key reader");
  }
}

// Upstream looks at Functions only in these rules; what it lets pass on a cluster has to stay possible.
Severity severity_beyond_upstream(const Component& component, const ValidateOptions& options) {
  const bool refused = component.kind == Kind::kFunction || options.target == Target::kLocal;
  return refused ? Severity::kError : Severity::kWarning;
}

}  // namespace

void check_delivery(const Component& component, const ValidateOptions& options, Findings& findings) {
  const ComponentSpec& spec = component.spec;
  if (!reads(component.kind)) return;
  const bool once = spec.processing_guarantee == "effectively_once";
  if (spec.timeout_ms != 0 && once) {
    findings.error("timeout", "message timeout can only be set for AtleastOnce processing guarantee");
  }
  if (spec.timeout_ms < 0) findings.error("timeout", "timeout cannot be negative; 0 means no limit");
  if (spec.max_message_retry > 0 && once) {
    findings.error("maxMessageRetry", "MaxMessageRetries and Effectively once are not compatible");
  }
  if (spec.max_message_retry <= 0 && !spec.dead_letter_topic.empty()) {
    findings.error("maxMessageRetry",
                   "dead letter topic is set but max message retry is set to infinity; set maxMessageRetry");
  }
  const auto ordering = [&](const char* field, const char* text) {
    findings.add(severity_beyond_upstream(component, options), Path::of(field), text, {});
  };
  if (spec.retain_key_ordering && once) {
    ordering("retainKeyOrdering",
             "when effectively once processing guarantee is specified, retain Key ordering cannot be set");
  }
  if (spec.retain_key_ordering && spec.retain_ordering) {
    ordering("retainKeyOrdering", "only one of retain ordering or retain key ordering can be set");
    ordering("retainOrdering", "only one of retain ordering or retain key ordering can be set");
  }
}

void check_streams(const Component& component, const ValidateOptions& options, Findings& findings) {
  const ComponentSpec& spec = component.spec;
  if (reads(component.kind)) check_input(component, findings);
  if (component.kind != Kind::kSink) check_output(component, options, findings);
  if (!spec.log_topic.empty() && !is_topic_name(spec.log_topic)) {
    const std::string text = fmt::format("Log topic {} is invalid; {}", spec.log_topic, kForms);
    findings.add(severity_beyond_upstream(component, options), Path::of("logTopic"), text, {});
  }
  if (!reads(component.kind) || spec.dead_letter_topic.empty()) return;
  if (!is_topic_name(spec.dead_letter_topic)) {
    findings.error("deadLetterTopic",
                   fmt::format("DeadLetter topic {} is invalid; {}", spec.dead_letter_topic, kForms));
  }
  for (const InputName& input : input_names(spec.input)) {
    if (full_topic_name(input.name) != full_topic_name(spec.dead_letter_topic)) continue;
    findings.warning("deadLetterTopic", "is also an input: records that fail come back without end");
  }
}

void check_window(const Component& component, Findings& findings) {
  if (!component.spec.window_config) return;
  const WindowConfig& window = *component.spec.window_config;
  const auto error = [&](std::string_view field, std::string text) {
    findings.error(Path::of("windowConfig") / field, std::move(text), "spec.windowConfig");
  };
  const auto positive = [&](std::string_view field, const auto& value, std::string_view what) {
    if (value && *value <= 0) error(field, fmt::format("{} must be positive", what));
  };
  const std::string& named = window.actual_window_function_class_name;
  if (!named.empty() && named != component.spec.class_name) {
    findings.add(Severity::kWarning, Path::of("windowConfig") / "actualWindowFunctionClassName",
                 fmt::format("has no effect: the windows go to className, which is {}; leave {} out, or write it there",
                             component.spec.class_name, named),
                 {});
  }
  if (!window.window_length_count && !window.window_length_duration_ms) {
    findings.error("windowConfig", "Window length is not specified; set windowLengthCount or windowLengthDurationMs");
  }
  if (window.window_length_count && window.window_length_duration_ms) {
    findings.error("windowConfig", "Window length for time and count are set! Please set one or the other");
  }
  positive("windowLengthCount", window.window_length_count, "Window length");
  positive("windowLengthDurationMs", window.window_length_duration_ms, "Window length");
  // A slide that was only defaulted from a bad length needs no second error.
  if (window.sliding_interval_count != window.window_length_count) {
    positive("slidingIntervalCount", window.sliding_interval_count, "Sliding interval");
  }
  if (window.sliding_interval_duration_ms != window.window_length_duration_ms) {
    positive("slidingIntervalDurationMs", window.sliding_interval_duration_ms, "Sliding interval");
  }
  if (!window.timestamp_extractor_class_name.empty()) {
    positive("maxLagMs", window.max_lag_ms, "Lag duration");
    positive("watermarkEmitIntervalMs", window.watermark_emit_interval_ms, "Watermark interval");
  }
  if (!window.late_data_topic.empty() && !is_topic_name(window.late_data_topic)) {
    error("lateDataTopic", fmt::format("Late data topic {} is invalid; {}", window.late_data_topic, kForms));
  }
}

namespace {

bool resources_valid(const ResourceRequirements& resources) {
  const auto quantity = [](const StringMap& map, const char* name) -> std::optional<Quantity> {
    const auto found = map.find(name);
    return found == map.end() ? std::optional(Quantity{}) : parse_quantity(found->second);
  };
  for (const char* name : {"cpu", "ephemeral-storage", "storage", "memory"}) {
    const auto request = quantity(resources.requests, name), limit = quantity(resources.limits, name);
    if (!request || !limit || request->nanos < 0 || limit->nanos < 0) return false;
  }
  const Quantity request_memory = *quantity(resources.requests, "memory");
  const Quantity limit_memory = *quantity(resources.limits, "memory");
  const Quantity request_cpu = *quantity(resources.requests, "cpu");
  const Quantity limit_cpu = *quantity(resources.limits, "cpu");
  return request_memory.positive() && limit_memory.positive() && request_memory <= limit_memory &&
         (!limit_cpu.positive() || request_cpu <= limit_cpu);
}

// Upstream makes a volume without a name of it, which no API server takes.
void check_secret(const std::string& secret, std::string_view secret_field, const std::string& key,
                  std::string_view key_field, const Path& path, Findings& findings) {
  if (secret.empty()) findings.error(path / secret_field, "cannot be empty; name the Secret that is mounted");
  if (key.empty()) findings.error(path / key_field, "cannot be empty; name the key in the Secret");
}

void check_key_file(const std::optional<PulsarMessaging>& messaging, std::string_view field, Findings& findings) {
  if (!messaging || !messaging->auth_config || !messaging->auth_config->oauth2_config) return;
  const Oauth2Config& config = *messaging->auth_config->oauth2_config;
  check_secret(config.key_secret_name, "keySecretName", config.key_secret_key, "keySecretKey",
               Path::of(field) / "authConfig" / "oauth2Config", findings);
}

void check_crypto_secrets(const std::optional<CryptoConfig>& config, const Path& path, Findings& findings) {
  if (!config) return;
  for (size_t index = 0; index < config->crypto_secrets.size(); ++index) {
    const CryptoSecret& secret = config->crypto_secrets[index];
    if (secret.as_volume.empty()) continue;  // it is not mounted
    check_secret(secret.secret_name, "secretName", secret.secret_key, "secretKey",
                 (path / "cryptoConfig" / "cryptoSecrets")[index], findings);
  }
}

void check_secrets(const ComponentSpec& spec, Findings& findings) {
  check_key_file(spec.pulsar, "pulsar", findings);
  check_key_file(spec.pulsar_package_service, "pulsarPackageService", findings);
  for (const auto& [name, config] : spec.input.source_specs)
    check_crypto_secrets(config.crypto_config, Path::of("input.sourceSpecs") / name, findings);
  if (spec.output.producer_config)
    check_crypto_secrets(spec.output.producer_config->crypto_config, Path::of("output.producerConf"), findings);
}

}  // namespace

void check_cluster(const Component& component, Findings& findings) {
  const ComponentSpec& spec = component.spec;
  if (!resources_valid(spec.resources)) {
    findings.error("resources",
                   "resource requirement is invalid; memory has to be above 0, and no request above its limit");
  }
  if (!spec.pulsar || spec.pulsar->pulsar_config.empty()) {
    findings.error(spec.pulsar ? "pulsar.pulsarConfig" : "pulsar",
                   "Pulsar configuration needs to be set; name a ConfigMap in pulsar.pulsarConfig", "spec.pulsar");
  }
  if (spec.pulsar_package_service && spec.pulsar_package_service->pulsar_config.empty()) {
    findings.error("pulsarPackageService", "pulsarPackageService.pulsarConfig needs to be set");
  }
  check_secrets(spec, findings);
  if (!spec.stateful_config || !spec.stateful_config->pulsar || component.kind != Kind::kFunction) return;
  if (spec.golang) findings.error("statefulConfig", "Golang function do not support stateful function yet");
  if (spec.stateful_config->pulsar->service_url.empty()) {
    findings.error("statefulConfig.pulsar.serviceUrl", "serviceUrl cannot be empty");
  }
}

}  // namespace fmesh::model
