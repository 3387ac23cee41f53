// Words of the command lines of Pulsar's own instances that do not depend on where they run: a pod or this machine.
// Inside this room only. Pure.
#pragma once

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "model/function_details.h"

namespace fmesh::plan {

inline constexpr const char* kJavaInstanceClass = "org.apache.pulsar.functions.instance.JavaInstanceMain";
// Secrets are in the environment under their names.
inline constexpr const char* kJavaSecrets =
    "org.apache.pulsar.functions.secretsprovider.EnvironmentBasedSecretsProvider";
inline constexpr const char* kPythonSecrets = "secretsprovider.EnvironmentBasedSecretsProvider";

// What every instance is told on its command line. Values are in the words of who uses them: shell text for a pod.
struct InstanceWords {
  std::string instance_id, function_id, function_details, service_url, port, metrics_port, cluster_name;
};

// --name value, in upstream's order, as far as --cluster_name.
std::vector<std::pair<std::string, std::string>> instance_options(const InstanceWords& words);

// The streams that a Go instance reads: the one of the members that every one of them knows, and the others, which
// newer ones read, as JSON of their ConsumerSpec.
struct GoInputs {
  std::string first;
  model::ConsumerSpec first_spec;
  std::map<std::string, std::string> others;
};
// `first` is preferred if the source has it.
GoInputs go_inputs(const model::SourceSpec& source, const std::string& first);

// The numbers that a Go instance's configuration is made of besides its details.
struct GoNumbers {
  int port, metrics_port;
  bool failover, earliest;
};

// The members of a Go instance's configuration, from the version to the port of its metrics, in upstream's order.
// `Out` writes them: number(), boolean(), text(), object().
template <class Out>
void put_go_members(const model::FunctionDetails& details, const GoInputs& inputs, const std::string& cluster_name,
                    const GoNumbers& numbers, Out& out) {
  const model::SourceSpec& source = *details.source;
  const model::DetailsResources resources = details.resources.value_or(model::DetailsResources{});
  const model::RetryDetails retry = details.retry_details.value_or(model::RetryDetails{});
  out.text("funcVersion", "0");
  out.number("maxBufTuples", 100);
  out.number("port", numbers.port);
  out.text("clusterName", cluster_name);
  out.number("killAfterIdleMs", 0);
  out.text("tenant", details.tenant);
  out.text("nameSpace", details.name_space);
  out.text("name", details.name);
  out.text("logTopic", details.log_topic);
  out.number("processingGuarantees", static_cast<int>(details.processing_guarantees));
  out.text("secretsMap", "");
  out.number("runtime", static_cast<int>(model::DetailsRuntime::kGo));
  out.boolean("autoAck", details.auto_ack);
  out.number("parallelism", details.parallelism);
  out.number("subscriptionType", numbers.failover ? 1 : 0);
  out.number("timeoutMs", source.timeout_ms);
  out.text("subscriptionName", source.subscription_name);
  out.boolean("cleanupSubscription", source.cleanup_subscription);
  if (numbers.earliest) out.number("subscriptionPosition", 1);
  out.text("sourceSpecsTopic", inputs.first);
  out.text("sourceSchemaType", "");
  out.boolean("isRegexPatternSubscription", inputs.first_spec.is_regex_pattern);
  out.number("receiverQueueSize", inputs.first_spec.receiver_queue_size.value_or(0));
  if (!inputs.others.empty()) out.object("sourceInputSpecs", inputs.others);
  out.text("sinkSpecsTopic", details.sink->topic);
  out.text("sinkSchemaType", "");
  out.number("cpu", static_cast<int64_t>(std::ceil(resources.cpu)));
  out.number("ram", resources.ram);
  out.number("disk", resources.disk);
  out.number("maxMessageRetries", retry.max_message_retries);
  out.text("deadLetterTopic", retry.dead_letter_topic);
  out.number("expectedHealthCheckInterval", -1);
  out.text("userConfig", details.user_config);
  out.number("metricsPort", numbers.metrics_port);
}

}  // namespace fmesh::plan
