#include "model/function_details.h"

#include <boost/json.hpp>
#include <charconv>
#include <span>
#include <type_traits>

#include "model/document.h"
#include "model/json.h"
#include "model/utf8.h"

namespace fmesh::model {
namespace {

namespace json = boost::json;

struct EnumName {
  int value;
  std::string_view name;
};

std::span<const EnumName> names_of(ProcessingGuarantees) {
  static constexpr EnumName kNames[] = {
      {0, "ATLEAST_ONCE"}, {1, "ATMOST_ONCE"}, {2, "EFFECTIVELY_ONCE"}, {3, "MANUAL"}};
  return kNames;
}
std::span<const EnumName> names_of(DetailsSubscriptionType) {
  static constexpr EnumName kNames[] = {{0, "SHARED"}, {1, "FAILOVER"}, {2, "KEY_SHARED"}};
  return kNames;
}
std::span<const EnumName> names_of(DetailsSubscriptionPosition) {
  static constexpr EnumName kNames[] = {{0, "LATEST"}, {1, "EARLIEST"}};
  return kNames;
}
std::span<const EnumName> names_of(DetailsRuntime) {
  static constexpr EnumName kNames[] = {{0, "JAVA"}, {1, "PYTHON"}, {3, "GO"}};
  return kNames;
}
std::span<const EnumName> names_of(ComponentType) {
  static constexpr EnumName kNames[] = {{0, "UNKNOWN"}, {1, "FUNCTION"}, {2, "SOURCE"}, {3, "SINK"}};
  return kNames;
}
std::span<const EnumName> names_of(DetailsCompression) {
  static constexpr EnumName kNames[] = {{0, "LZ4"}, {1, "NONE"}, {2, "ZLIB"}, {3, "ZSTD"}, {4, "SNAPPY"}};
  return kNames;
}
std::span<const EnumName> names_of(CryptoFailureAction) {
  static constexpr EnumName kNames[] = {{0, "FAIL"}, {1, "DISCARD"}, {2, "CONSUME"}, {10, "SEND"}};
  return kNames;
}

// google.protobuf.Int32Value-like wrapper of receiverQueueSize.
struct QueueSize {
  int32_t value = 0;
};

// Each message is listed once, in the proto's order; visitors write and read by it.
template <class Visitor>
void visit(Visitor& at, CryptoSpec& spec) {
  at("cryptoKeyReaderClassName", spec.crypto_key_reader_class_name);
  at("cryptoKeyReaderConfig", spec.crypto_key_reader_config);
  at("producerEncryptionKeyName", spec.producer_encryption_key_name);
  at("producerCryptoFailureAction", spec.producer_crypto_failure_action);
  at("consumerCryptoFailureAction", spec.consumer_crypto_failure_action);
}

template <class Visitor>
void visit(Visitor& at, QueueSize& size) {
  at("value", size.value);
}

template <class Visitor>
void visit(Visitor& at, ConsumerSpec& spec) {
  at("schemaType", spec.schema_type);
  at("serdeClassName", spec.serde_class_name);
  at("isRegexPattern", spec.is_regex_pattern);
  std::optional<QueueSize> size;
  if (spec.receiver_queue_size) size = QueueSize{*spec.receiver_queue_size};
  at("receiverQueueSize", size);
  spec.receiver_queue_size = size ? std::optional(size->value) : std::nullopt;
  at("schemaProperties", spec.schema_properties);
  at("consumerProperties", spec.consumer_properties);
  at("cryptoSpec", spec.crypto_spec);
  at("poolMessages", spec.pool_messages);
}

template <class Visitor>
void visit(Visitor& at, ProducerSpec& spec) {
  at("maxPendingMessages", spec.max_pending_messages);
  at("maxPendingMessagesAcrossPartitions", spec.max_pending_messages_across_partitions);
  at("useThreadLocalProducers", spec.use_thread_local_producers);
  at("cryptoSpec", spec.crypto_spec);
  at("batchBuilder", spec.batch_builder);
  at("compressionType", spec.compression_type);
}

template <class Visitor>
void visit(Visitor& at, SourceSpec& spec) {
  at("className", spec.class_name);
  at("configs", spec.configs);
  at("typeClassName", spec.type_class_name);
  at("subscriptionType", spec.subscription_type);
  at("topicsToSerDeClassName", spec.topics_to_serde_class_name);
  at("inputSpecs", spec.input_specs);
  at("timeoutMs", spec.timeout_ms);
  at("topicsPattern", spec.topics_pattern);
  at("builtin", spec.builtin);
  at("subscriptionName", spec.subscription_name);
  at("cleanupSubscription", spec.cleanup_subscription);
  at("subscriptionPosition", spec.subscription_position);
  at("negativeAckRedeliveryDelayMs", spec.negative_ack_redelivery_delay_ms);
  at("skipToLatest", spec.skip_to_latest);
}

template <class Visitor>
void visit(Visitor& at, SinkSpec& spec) {
  at("className", spec.class_name);
  at("configs", spec.configs);
  at("typeClassName", spec.type_class_name);
  at("topic", spec.topic);
  at("producerSpec", spec.producer_spec);
  at("serDeClassName", spec.serde_class_name);
  at("builtin", spec.builtin);
  at("schemaType", spec.schema_type);
  at("forwardSourceMessageProperty", spec.forward_source_message_property);
  at("schemaProperties", spec.schema_properties);
  at("consumerProperties", spec.consumer_properties);
}

template <class Visitor>
void visit(Visitor& at, DetailsResources& resources) {
  at("cpu", resources.cpu);
  at("ram", resources.ram);
  at("disk", resources.disk);
}

template <class Visitor>
void visit(Visitor& at, RetryDetails& retry) {
  at("maxMessageRetries", retry.max_message_retries);
  at("deadLetterTopic", retry.dead_letter_topic);
}

template <class Visitor>
void visit(Visitor& at, FunctionDetails& details) {
  at("tenant", details.tenant);
  at("namespace", details.name_space);
  at("name", details.name);
  at("className", details.class_name);
  at("logTopic", details.log_topic);
  at("processingGuarantees", details.processing_guarantees);
  at("userConfig", details.user_config);
  at("secretsMap", details.secrets_map);
  at("runtime", details.runtime);
  at("autoAck", details.auto_ack);
  at("parallelism", details.parallelism);
  at("source", details.source);
  at("sink", details.sink);
  at("resources", details.resources);
  at("packageUrl", details.package_url);
  at("retryDetails", details.retry_details);
  at("runtimeFlags", details.runtime_flags);
  at("componentType", details.component_type);
  at("customRuntimeOptions", details.custom_runtime_options);
  at("builtin", details.builtin);
  at("retainOrdering", details.retain_ordering);
  at("retainKeyOrdering", details.retain_key_ordering);
  at("subscriptionPosition", details.subscription_position);
}

template <class Message>
json::object write_message(Message& message);

class MessageWriter {
 public:
  json::object out;

  void operator()(std::string_view name, std::string& text) {
    if (!text.empty()) out.emplace(name, text);
  }
  void operator()(std::string_view name, bool flag) {
    if (flag) out.emplace(name, true);
  }
  void operator()(std::string_view name, int32_t number) {
    if (number != 0) out.emplace(name, number);
  }
  void operator()(std::string_view name, int64_t number) {
    if (number != 0) out.emplace(name, std::to_string(number));
  }
  void operator()(std::string_view name, uint64_t number) {
    if (number != 0) out.emplace(name, std::to_string(number));
  }
  void operator()(std::string_view name, double number) {
    if (number != 0) out.emplace(name, number);
  }
  template <class Enum>
    requires std::is_enum_v<Enum>
  void operator()(std::string_view name, Enum value) {
    if (static_cast<int>(value) == 0) return;
    for (const EnumName& one : names_of(value)) {
      if (one.value == static_cast<int>(value)) out.emplace(name, one.name);
    }
  }
  void operator()(std::string_view name, std::vector<std::string>& list) {
    if (!list.empty()) out.emplace(name, json::array(list.begin(), list.end()));
  }
  void operator()(std::string_view name, std::map<std::string, std::string>& map) {
    json::object object;
    for (auto& [key, text] : map) object.emplace(key, text);
    if (!map.empty()) out.emplace(name, std::move(object));
  }
  template <class Message>
  void operator()(std::string_view name, std::optional<Message>& message) {
    if (message) out.emplace(name, write_message(*message));
  }
  template <class Message>
  void operator()(std::string_view name, std::map<std::string, Message>& map) {
    json::object object;
    for (auto& [key, message] : map) object.emplace(key, write_message(message));
    if (!map.empty()) out.emplace(name, std::move(object));
  }
};

template <class Message>
json::object write_message(Message& message) {
  MessageWriter writer;
  visit(writer, message);
  return std::move(writer.out);
}

class MessageReader {
 public:
  MessageReader(const Node& node, std::string path, std::string& problem)
      : node_(node), path_(std::move(path)), problem_(problem) {}

  void operator()(std::string_view name, std::string& text) {
    const Node* value = find(name);
    if (value && expect(value->type == Node::Type::kString, name, "a string")) text = value->text;
  }
  void operator()(std::string_view name, bool& flag) {
    const Node* value = find(name);
    if (value && expect(value->type == Node::Type::kBool, name, "true or false")) flag = value->boolean;
  }
  // Integers come as numbers or as strings; protobuf takes both.
  template <class Number>
    requires std::is_integral_v<Number>
  void operator()(std::string_view name, Number& number) {
    const Node* value = find(name);
    if (!value) return;
    const bool kind =
        value->type == Node::Type::kString || value->type == Node::Type::kInt || value->type == Node::Type::kUint;
    Number parsed{};
    const char* end = value->text.data() + value->text.size();
    const auto result = std::from_chars(value->text.data(), end, parsed);
    if (expect(kind && result.ec == std::errc() && result.ptr == end, name, "a whole number")) number = parsed;
  }
  void operator()(std::string_view name, double& number) {
    const Node* value = find(name);
    if (!value) return;
    double parsed = 0;
    const char* end = value->text.data() + value->text.size();
    const auto result = std::from_chars(value->text.data(), end, parsed);
    if (expect(result.ec == std::errc() && result.ptr == end, name, "a number")) number = parsed;
  }
  template <class Enum>
    requires std::is_enum_v<Enum>
  void operator()(std::string_view name, Enum& out) {
    const Node* value = find(name);
    if (!value) return;
    for (const EnumName& one : names_of(out)) {
      const bool same = value->type == Node::Type::kInt ? value->integer == one.value : value->text == one.name;
      if (!same) continue;
      out = static_cast<Enum>(one.value);
      return;
    }
    expect(false, name, "one of its names");
  }
  void operator()(std::string_view name, std::vector<std::string>& list) {
    const Node* value = find(name);
    if (!value || !expect(value->type == Node::Type::kSequence, name, "a list of strings")) return;
    for (const Node& item : value->items) {
      if (expect(item.type == Node::Type::kString, name, "a list of strings")) list.push_back(item.text);
    }
  }
  void operator()(std::string_view name, std::map<std::string, std::string>& map) {
    const Node* value = find(name);
    if (!value || !expect(value->type == Node::Type::kMapping, name, "an object of strings")) return;
    for (const Entry& entry : value->entries) {
      if (expect(entry.value.type == Node::Type::kString, name, "an object of strings"))
        map[entry.key] = entry.value.text;
    }
  }
  template <class Message>
  void operator()(std::string_view name, std::optional<Message>& message) {
    const Node* value = find(name);
    if (value && expect(value->type == Node::Type::kMapping, name, "an object")) {
      read_message(*value, path_ + std::string(name) + ".", message.emplace());
    }
  }
  template <class Message>
  void operator()(std::string_view name, std::map<std::string, Message>& map) {
    const Node* value = find(name);
    if (!value || !expect(value->type == Node::Type::kMapping, name, "an object of objects")) return;
    for (const Entry& entry : value->entries) {
      if (!expect(entry.value.type == Node::Type::kMapping, name, "an object of objects")) continue;
      read_message(entry.value, path_ + std::string(name) + "." + entry.key + ".", map[entry.key]);
    }
  }

 private:
  const Node* find(std::string_view name) const {
    const Node* value = node_.find(name);
    return value && value->type != Node::Type::kNull ? value : nullptr;
  }
  bool expect(bool fits, std::string_view name, std::string_view what) {
    if (!fits && problem_.empty()) {
      problem_ =
          path_ + std::string(name) + ": expected " + std::string(what) + ", found " + describe(*node_.find(name));
    }
    return fits;
  }
  template <class Message>
  void read_message(const Node& node, std::string path, Message& message) {
    MessageReader reader(node, std::move(path), problem_);
    visit(reader, message);
  }

  const Node& node_;
  std::string path_;
  std::string& problem_;
};

}  // namespace

std::string to_json(const FunctionDetails& details) {
  FunctionDetails copy = details;  // visitors take references; the values come back unchanged
  return write_json(write_message(copy));
}

Result<FunctionDetails> parse_function_details(std::string_view text) {
  // Launchers leave the quotes of a shell around it.
  if (text.size() >= 2 && text.front() == '\'' && text.back() == '\'') text = text.substr(1, text.size() - 2);
  if (text.size() > kFileSizeMaxBytes || first_bad_utf8(text)) {
    return fail(ErrorKind::kFixInput, "FunctionDetails: too large, or broken UTF-8");
  }
  const DocumentList list = read_json("FunctionDetails", text);
  if (!list.findings.ok()) {
    const Diagnostic& first = list.findings.list().front();
    return fail(ErrorKind::kFixInput, first.text, first.place);
  }
  if (list.documents.empty() || list.documents.front()->type != Node::Type::kMapping) {
    return fail(ErrorKind::kFixInput, "FunctionDetails: expected a JSON object");
  }
  FunctionDetails details;
  std::string problem;
  MessageReader reader(*list.documents.front(), "", problem);
  visit(reader, details);
  if (!problem.empty()) return fail(ErrorKind::kFixInput, "FunctionDetails: " + problem);
  return details;
}

}  // namespace fmesh::model
