// What one instance is told to run: Pulsar's FunctionDetails (package proto, facts: pulsar.md 5.1), the contract
// between the plan and every instance, ours and Pulsar's stock ones. Field names and enum values are the proto's.
//
// A value type. Read from and written to protobuf's JSON form by function_details.cc; unknown members are ignored on
// reading, since newer brokers add some.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fmesh::model {

enum class ProcessingGuarantees { kAtLeastOnce = 0, kAtMostOnce = 1, kEffectivelyOnce = 2, kManual = 3 };
enum class DetailsSubscriptionType { kShared = 0, kFailover = 1, kKeyShared = 2 };
enum class DetailsSubscriptionPosition { kLatest = 0, kEarliest = 1 };
enum class DetailsRuntime { kJava = 0, kPython = 1, kGo = 3 };
enum class ComponentType { kUnknown = 0, kFunction = 1, kSource = 2, kSink = 3 };
// Not the enum of the wire protocol: here "unset" means LZ4.
enum class DetailsCompression { kLz4 = 0, kNone = 1, kZlib = 2, kZstd = 3, kSnappy = 4 };
enum class CryptoFailureAction { kFail = 0, kDiscard = 1, kConsume = 2, kSend = 10 };

struct CryptoSpec {
  std::string crypto_key_reader_class_name;
  std::string crypto_key_reader_config;  // JSON
  std::vector<std::string> producer_encryption_key_name;
  CryptoFailureAction producer_crypto_failure_action = CryptoFailureAction::kFail;
  CryptoFailureAction consumer_crypto_failure_action = CryptoFailureAction::kFail;
  bool operator==(const CryptoSpec&) const = default;
};

struct ConsumerSpec {
  std::string schema_type;
  std::string serde_class_name;
  bool is_regex_pattern = false;
  std::optional<int32_t> receiver_queue_size;
  std::map<std::string, std::string> schema_properties;
  std::map<std::string, std::string> consumer_properties;
  std::optional<CryptoSpec> crypto_spec;
  bool pool_messages = false;
  bool operator==(const ConsumerSpec&) const = default;
};

struct ProducerSpec {
  int32_t max_pending_messages = 0;
  int32_t max_pending_messages_across_partitions = 0;
  bool use_thread_local_producers = false;
  std::optional<CryptoSpec> crypto_spec;
  std::string batch_builder;
  DetailsCompression compression_type = DetailsCompression::kLz4;
  bool operator==(const ProducerSpec&) const = default;
};

struct SourceSpec {
  std::string class_name;
  std::string configs;  // JSON
  std::string type_class_name;
  DetailsSubscriptionType subscription_type = DetailsSubscriptionType::kShared;
  std::map<std::string, std::string> topics_to_serde_class_name;
  std::map<std::string, ConsumerSpec> input_specs;
  uint64_t timeout_ms = 0;
  std::string topics_pattern;
  std::string builtin;
  std::string subscription_name;
  bool cleanup_subscription = false;
  DetailsSubscriptionPosition subscription_position = DetailsSubscriptionPosition::kLatest;
  uint64_t negative_ack_redelivery_delay_ms = 0;
  bool skip_to_latest = false;
  bool operator==(const SourceSpec&) const = default;
};

struct SinkSpec {
  std::string class_name;
  std::string configs;  // JSON
  std::string type_class_name;
  std::string topic;
  std::optional<ProducerSpec> producer_spec;
  std::string serde_class_name;
  std::string builtin;
  std::string schema_type;
  bool forward_source_message_property = false;
  std::map<std::string, std::string> schema_properties;
  std::map<std::string, std::string> consumer_properties;
  bool operator==(const SinkSpec&) const = default;
};

struct DetailsResources {
  double cpu = 0;
  int64_t ram = 0;
  int64_t disk = 0;
  bool operator==(const DetailsResources&) const = default;
};

struct RetryDetails {
  int32_t max_message_retries = 0;
  std::string dead_letter_topic;
  bool operator==(const RetryDetails&) const = default;
};

struct FunctionDetails {
  std::string tenant;
  std::string name_space;
  std::string name;
  std::string class_name;
  std::string log_topic;
  ProcessingGuarantees processing_guarantees = ProcessingGuarantees::kAtLeastOnce;
  std::string user_config;  // JSON
  std::string secrets_map;  // JSON
  DetailsRuntime runtime = DetailsRuntime::kJava;
  bool auto_ack = false;
  int32_t parallelism = 0;
  std::optional<SourceSpec> source;
  std::optional<SinkSpec> sink;
  std::optional<DetailsResources> resources;
  std::string package_url;
  std::optional<RetryDetails> retry_details;
  std::string runtime_flags;
  ComponentType component_type = ComponentType::kUnknown;
  std::string custom_runtime_options;
  std::string builtin;
  bool retain_ordering = false;
  bool retain_key_ordering = false;
  DetailsSubscriptionPosition subscription_position = DetailsSubscriptionPosition::kLatest;
  bool operator==(const FunctionDetails&) const = default;

  std::string fully_qualified_name() const { return tenant + "/" + name_space + "/" + name; }
};

// protobuf's JSON mapping: members in the proto's order, zero values left out, 64-bit integers as strings.
std::string to_json(const FunctionDetails& details);
// Errors: kFixInput with the offending member.
Result<FunctionDetails> parse_function_details(std::string_view json);

}  // namespace fmesh::model
