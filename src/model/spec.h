// What a person writes under `spec` of a Function, Source, Sink, FunctionMesh or BackendConfig, and what `status`
// shows, as typed values. Function, Source and Sink are one type: they differ by which fields they have, and fields.h
// says which. Empty strings, empty lists and zero numbers mean "not given", as upstream; what may be given as zero is
// an optional. Kubernetes' own types are carried whole as Json. Names, types, defaults and limits of all fields stand
// once, in fields.cc.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/json.h"

namespace fmesh::model {

enum class Kind { kFunction = 1, kSource = 2, kSink = 4, kFunctionMesh = 8, kBackendConfig = 16 };
const char* to_string(Kind kind);  // "FunctionMesh"

using StringMap = std::map<std::string, std::string>;

struct KeyReference {  // a key of a ConfigMap or Secret
  std::string name, key;
  bool operator==(const KeyReference&) const = default;
};

struct SecretReference {  // path is the name of the Secret
  std::string path, key;
  bool operator==(const SecretReference&) const = default;
};

struct CryptoSecret {
  std::string secret_name, secret_key, as_volume;
  bool operator==(const CryptoSecret&) const = default;
};

struct CryptoConfig {
  std::string crypto_key_reader_class_name;
  StringMap crypto_key_reader_config;
  std::vector<std::string> encryption_keys;
  std::string producer_crypto_failure_action, consumer_crypto_failure_action;
  std::vector<CryptoSecret> crypto_secrets;
  bool operator==(const CryptoConfig&) const = default;
};

struct ConsumerConfig {
  std::string schema_type, serde_class_name;
  bool is_regex_pattern = false;
  StringMap schema_properties, consumer_properties;
  std::optional<int32_t> receiver_queue_size;
  std::optional<CryptoConfig> crypto_config;
  bool operator==(const ConsumerConfig&) const = default;
};

struct InputConfig {
  std::string type_class_name;
  std::vector<std::string> topics;
  std::string topic_pattern;
  StringMap custom_serde_sources, custom_schema_sources;
  std::map<std::string, ConsumerConfig> source_specs;
  bool operator==(const InputConfig&) const = default;
};

struct ProducerConfig {
  int32_t max_pending_messages = 0, max_pending_messages_across_partitions = 0;
  bool use_thread_local_producers = false;
  std::optional<CryptoConfig> crypto_config;
  std::string batch_builder, compression_type;
  bool operator==(const ProducerConfig&) const = default;
};

struct OutputConfig {
  std::string type_class_name, topic, sink_serde_class_name, sink_schema_type;
  std::optional<ProducerConfig> producer_config;
  StringMap custom_schema_sinks;
  bool operator==(const OutputConfig&) const = default;
};

struct BatchSourceConfig {
  std::string discovery_triggerer_class_name;
  Json discovery_triggerer_config;
  bool operator==(const BatchSourceConfig&) const = default;
};

// A connector in place of a Function's input or output stream.
struct InlineSource {
  std::string source_type, class_name, type_class_name;
  Json configs;
  std::optional<BatchSourceConfig> batch_source_config;
  bool operator==(const InlineSource&) const = default;
};

struct InlineSink {
  std::string sink_type, class_name, type_class_name;
  Json configs;
  bool operator==(const InlineSink&) const = default;
};

struct WindowConfig {
  std::string actual_window_function_class_name;
  std::optional<int32_t> window_length_count;
  std::optional<int64_t> window_length_duration_ms;
  std::optional<int32_t> sliding_interval_count;
  std::optional<int64_t> sliding_interval_duration_ms;
  std::string late_data_topic;
  std::optional<int64_t> max_lag_ms, watermark_emit_interval_ms;
  std::string timestamp_extractor_class_name, processing_guarantees;
  bool operator==(const WindowConfig&) const = default;
};

struct LogSettings {
  std::string level, rotate_policy, format;
  std::optional<KeyReference> log_config;
  std::string java_log4j_config_file_type;
  bool operator==(const LogSettings&) const = default;
};

struct JavaRuntime {
  std::string jar, jar_location, extra_dependencies_dir;
  std::optional<LogSettings> log;
  std::vector<std::string> java_opts;
  std::string instance_path, entry_class;
  bool operator==(const JavaRuntime&) const = default;
};

struct PythonRuntime {
  std::string py, py_location;
  std::optional<LogSettings> log;
  bool operator==(const PythonRuntime&) const = default;
};

struct GoRuntime {
  std::string go, go_location;
  std::optional<LogSettings> log;
  bool operator==(const GoRuntime&) const = default;
};

struct GenericRuntime {
  std::string function_file, function_file_location, language;
  std::optional<LogSettings> log;
  bool operator==(const GenericRuntime&) const = default;
};

struct TlsConfig {
  bool enabled = false, allow_insecure = false, hostname_verification = false;
  std::string cert_secret_name, cert_secret_key;
  bool operator==(const TlsConfig&) const = default;
};

struct Oauth2Config {
  std::string audience, issuer_url, scope, key_secret_name, key_secret_key;
  bool operator==(const Oauth2Config&) const = default;
};

struct GenericAuth {
  std::string client_authentication_plugin, client_authentication_parameters;
  bool operator==(const GenericAuth&) const = default;
};

struct AuthConfig {
  std::optional<Oauth2Config> oauth2_config;
  std::optional<GenericAuth> generic_auth;
  bool operator==(const AuthConfig&) const = default;
};

struct PulsarMessaging {
  std::string pulsar_config, auth_secret, tls_secret;
  std::optional<TlsConfig> tls_config;
  std::optional<AuthConfig> auth_config, cleanup_auth_config;
  bool operator==(const PulsarMessaging&) const = default;
};

struct JavaStateProvider {
  std::string class_name;
  Json config;
  bool operator==(const JavaStateProvider&) const = default;
};

struct PulsarState {
  std::string service_url;
  std::optional<JavaStateProvider> java_provider;
  bool operator==(const PulsarState&) const = default;
};

struct StatefulConfig {
  std::optional<PulsarState> pulsar;
  bool operator==(const StatefulConfig&) const = default;
};

struct Liveness {
  int32_t initial_delay_seconds = 0, period_seconds = 0, success_threshold = 0, failure_threshold = 0;
  bool operator==(const Liveness&) const = default;
};

struct VpaUpdatePolicy {
  std::string update_mode;
  std::optional<int32_t> min_replicas;
  bool operator==(const VpaUpdatePolicy&) const = default;
};

struct VpaSpec {
  std::optional<VpaUpdatePolicy> update_policy;
  Json resource_policy;
  bool operator==(const VpaSpec&) const = default;
};

struct PodPolicy {
  StringMap labels, node_selector;
  Json affinity, tolerations;
  StringMap annotations;
  Json security_context;
  std::optional<int64_t> termination_grace_period_seconds;
  Json volumes, image_pull_secrets, init_containers, sidecars;
  std::string service_account_name;
  std::vector<std::string> builtin_autoscaler;
  Json auto_scaling_metrics, auto_scaling_behavior;
  std::optional<VpaSpec> vpa;
  Json env;
  std::optional<Liveness> liveness;
  Json startup_probe;
  bool disable_default_affinity = false;
  bool operator==(const PodPolicy&) const = default;
};

struct ResourceRequirements {  // quantities as written: "100m", "1Gi"
  StringMap limits, requests;
  Json claims;
  bool operator==(const ResourceRequirements&) const = default;
};

struct ClaimRetentionPolicy {
  std::string when_deleted, when_scaled;
  bool operator==(const ClaimRetentionPolicy&) const = default;
};

// spec of a Function, Source or Sink, or one item of a FunctionMesh.
struct ComponentSpec {
  std::string name, class_name, tenant, name_space, cluster_name;
  std::optional<int32_t> replicas;
  bool show_precise_parallelism = false;
  std::optional<int32_t> min_replicas, max_replicas;
  std::string downloader_image, cleanup_image;
  std::string source_type;                               // Source
  std::string sink_type;                                 // Sink
  std::optional<BatchSourceConfig> batch_source_config;  // Source
  InputConfig input;                                     // Function, Sink
  OutputConfig output;                                   // Function, Source
  std::string log_topic, log_topic_agent, filebeat_image;
  Json func_config;                           // Function
  Json connector_config;                      // sourceConfig of a Source, sinkConfig of a Sink
  std::optional<InlineSource> inline_source;  // sourceConfig of a Function
  std::optional<InlineSink> inline_sink;      // sinkConfig of a Function
  ResourceRequirements resources;
  std::map<std::string, SecretReference> secrets_map;
  Json volume_mounts;
  int32_t timeout_ms = 0;
  int32_t negative_ack_redelivery_delay_ms = 0;  // Sink
  std::optional<bool> auto_ack;
  int32_t max_message_retry = 0;
  std::string processing_guarantee;
  bool retain_ordering = false, retain_key_ordering = false;
  std::string dead_letter_topic;
  std::optional<bool> forward_source_message_property;
  std::optional<int32_t> max_pending_async_requests;
  std::string runtime_flags, subscription_name;
  bool cleanup_subscription = false;
  std::string subscription_position;
  bool skip_to_latest = false;
  PodPolicy pod;
  std::optional<WindowConfig> window_config;
  std::optional<PulsarMessaging> pulsar, pulsar_package_service;
  std::optional<JavaRuntime> java;
  std::optional<PythonRuntime> python;
  std::optional<GoRuntime> golang;
  std::optional<GenericRuntime> generic_runtime;
  std::string image, image_pull_policy;
  bool image_has_pulsarctl = false, image_has_wget = false;
  std::optional<StatefulConfig> stateful_config;
  Json volume_claim_templates;
  std::optional<ClaimRetentionPolicy> persistent_volume_claim_retention_policy;
  bool operator==(const ComponentSpec&) const = default;
};

struct MeshSpec {
  std::vector<ComponentSpec> sources, sinks, functions;
  bool operator==(const MeshSpec&) const = default;
};

struct BackendConfigSpec {
  std::string name;
  StringMap env;
  PodPolicy pod;
  bool auto_update = false;
  bool operator==(const BackendConfigSpec&) const = default;
};

// --- status: written by the operator, shown to people, part of the CRDs ---

struct ResourceCondition {
  std::string condition, status, action;
  bool operator==(const ResourceCondition&) const = default;
};

struct ComponentStatus {
  std::map<std::string, ResourceCondition> conditions;  // by StatefulSet, Service, HorizontalPodAutoscaler, ...
  int32_t replicas = 0;
  std::string selector;
  int64_t observed_generation = 0;
  std::string global_backend_config_revision, namespaced_backend_config_revision, pending_change;
  // Of the BackendConfigs that were used: one that is deleted is rolled out at once only if it had autoUpdate.
  bool global_backend_config_auto_update = false, namespaced_backend_config_auto_update = false;
  // Beyond upstream's: what people ask first.
  std::string ready;  // pods that are ready, of those wanted: "2/3"
  int32_t ready_replicas = 0;
  std::string reason, message;  // why it is not ready, or what is pending
  // Fingerprint of the spec, replicas left out, with which a StatefulSet of upstream's was taken over as it was.
  std::string adopted_spec;
  bool operator==(const ComponentStatus&) const = default;
};

struct MeshStatus {
  std::map<std::string, ResourceCondition> source_conditions, sink_conditions, function_conditions;  // by item name
  int64_t observed_generation = 0;
  std::optional<ResourceCondition> condition;
  std::string ready;  // components that are ready, of all: "2/3"
  std::string reason, message;
  bool operator==(const MeshStatus&) const = default;
};

}  // namespace fmesh::model
