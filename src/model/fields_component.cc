// The fields of a Function, Source and Sink, in upstream's order: which kinds have them is data.
#include "model/storage.h"

namespace fmesh::model {

namespace {

using S = ComponentSpec;
constexpr Kinds kReads = kF | kSi;
constexpr Kinds kWrites = kF | kSo;

// Who it is, how many, what it reads and writes.
std::vector<FieldInfo> identity_and_streams() {
  return {
      field<&S::name>("name", "Name of the component as instances and metrics show it",
                      {.default_note = "the resource's name"}),
      field<&S::class_name>("className", "Class, exported function or built-in function that processes records"),
      field<&S::tenant>("tenant", "Pulsar tenant the component belongs to", {.default_json = R"("public")"}),
      field<&S::name_space>("namespace", "Pulsar namespace the component belongs to", {.default_json = R"("default")"}),
      field<&S::cluster_name>("clusterName", "Name of the Pulsar cluster, shown in metrics",
                              {.default_json = R"("kubernetes")"}),
      field<&S::replicas>("replicas", "Number of instances", {.default_note = "minReplicas", .minimum = 0}),
      field<&S::show_precise_parallelism>("showPreciseParallelism",
                                          "Tell instances the number of replicas; scaling then restarts them"),
      field<&S::min_replicas>("minReplicas", "Fewest instances when scaling", {.default_json = "1", .minimum = 0}),
      field<&S::max_replicas>("maxReplicas", "Most instances; setting it switches scaling on"),
      field<&S::downloader_image>("downloaderImage", "Image that downloads packages on a cluster"),
      field<&S::cleanup_image>("cleanupImage", "Image that removes subscriptions on a cluster"),
      field<&S::source_type>("sourceType", "Built-in connector to run: generator, file, http, ...", {.kinds = kSo}),
      field<&S::sink_type>("sinkType", "Built-in connector to run: file, http, console, drop, ...", {.kinds = kSi}),
      field<&S::batch_source_config>("batchSourceConfig", "Makes this a batch source", {.kinds = kSo}),
      field<&S::input>("input", "Streams the component reads", {.kinds = kReads, .always_written = true}),
      field<&S::output>("output", "Stream the component writes", {.kinds = kWrites, .always_written = true}),
  };
}

// How records are processed, delivered and logged.
std::vector<FieldInfo> processing() {
  return {
      field<&S::log_topic>("logTopic", "Stream that takes the component's log lines"),
      field<&S::log_topic_agent>("logTopicAgent", "Who sends log lines to logTopic",
                                 {.default_note = "with logTopic: runtime (Function), sidecar (Source, Sink)",
                                  .values = {"runtime", "sidecar"}}),
      field<&S::filebeat_image>("filebeatImage", "Image of the log sidecar on a cluster"),
      field<&S::func_config>("funcConfig", "Configuration handed to user code; any keys", {.kinds = kF}),
      field<&S::inline_source>("sourceConfig", "A connector in place of input streams", {.kinds = kF}),
      field<&S::connector_config>("sourceConfig", "Configuration of the connector", {.kinds = kSo}),
      field<&S::inline_sink>("sinkConfig", "A connector in place of the output stream", {.kinds = kF}),
      field<&S::connector_config>("sinkConfig", "Configuration of the connector", {.kinds = kSi}),
      field<&S::resources>("resources", "CPU and memory of a pod",
                           {.always_written = true,
                            .default_note = "1 cpu and 1Gi of memory; 250m and 128Mi for what fmesh's own image runs"}),
      field<&S::secrets_map>("secretsMap", "Secrets by the name user code asks for"),
      field<&S::volume_mounts>("volumeMounts", "Mounts of the function container", {.json_type = "VolumeMount[]"}),
      field<&S::timeout_ms>("timeout", "Milliseconds a record may stay unacknowledged; 0: no limit", {.kinds = kReads}),
      field<&S::negative_ack_redelivery_delay_ms>("negativeAckRedeliveryDelayMs",
                                                  "Milliseconds before a failed record comes again", {.kinds = kSi}),
      field<&S::auto_ack>("autoAck", "Acknowledge records once they are processed",
                          {.kinds = kReads, .default_json = "true"}),
      field<&S::max_message_retry>("maxMessageRetry", "Times a failed record is tried again; 0: without end",
                                   {.kinds = kReads}),
      field<&S::processing_guarantee>("processingGuarantee", "How often a record takes effect",
                                      {.default_json = R"("atleast_once")",
                                       .values = {"atleast_once", "atmost_once", "effectively_once", "manual"}}),
      field<&S::retain_ordering>("retainOrdering", "Keep the order of each stream", {.kinds = kReads}),
      field<&S::retain_key_ordering>("retainKeyOrdering", "Keep the order of each key", {.kinds = kReads}),
      field<&S::dead_letter_topic>(
          "deadLetterTopic", "Stream for records that failed maxMessageRetry times",
          {.kinds = kReads, .default_note = "with maxMessageRetry: <tenant>-<namespace>-<name>-DLQ"}),
      field<&S::forward_source_message_property>("forwardSourceMessageProperty",
                                                 "Copy properties of the input record to the output record",
                                                 {.kinds = kWrites, .default_json = "true"}),
      field<&S::max_pending_async_requests>("maxPendingAsyncRequests",
                                            "Records an asynchronous function may work on at once",
                                            {.kinds = kF, .default_json = "1000"}),
      field<&S::runtime_flags>("runtimeFlags", "Flags handed to the instance"),
      field<&S::subscription_name>("subscriptionName", "Subscription the component reads with",
                                   {.kinds = kReads, .default_note = "<tenant>/<namespace>/<name>"}),
      field<&S::cleanup_subscription>("cleanupSubscription", "Remove the subscription with the resource",
                                      {.kinds = kReads}),
      field<&S::subscription_position>("subscriptionPosition", "Where a new subscription begins",
                                       {.kinds = kReads, .default_note = "earliest", .values = {"latest", "earliest"}}),
      field<&S::skip_to_latest>("skipToLatest", "Begin at the newest record at every start", {.kinds = kF}),
  };
}

// Where it runs: pods, runtimes, the Pulsar cluster.
std::vector<FieldInfo> running() {
  return {
      field<&S::pod>("pod", "What the pods of the component look like", {.always_written = true}),
      field<&S::window_config>("windowConfig", "Process records in windows", {.kinds = kF}),
      field<&S::pulsar>("pulsar", "The Pulsar cluster; not needed on one machine"),
      field<&S::pulsar_package_service>("pulsarPackageService", "Another Pulsar cluster, for package downloads"),
      field<&S::java>("java", "Run a Java function, or a NAR connector"),
      field<&S::python>("python", "Run a Python function"),
      field<&S::golang>("golang", "Run a Go function"),
      field<&S::generic_runtime>("genericRuntime", "Run a function of another language: cpp, builtin, ..."),
      field<&S::image>("image", "Image of the function container on a cluster"),
      field<&S::image_pull_policy>("imagePullPolicy", "When the image is pulled: Always, IfNotPresent or Never"),
      field<&S::image_has_pulsarctl>("imageHasPulsarctl", "The image brings pulsarctl"),
      field<&S::image_has_wget>("imageHasGet", "The image brings wget"),
      field<&S::stateful_config>("statefulConfig", "Where state is kept on a cluster"),
      field<&S::volume_claim_templates>("volumeClaimTemplates", "Volume claims of each pod",
                                        {.kinds = kF, .json_type = "PersistentVolumeClaim[]"}),
      field<&S::persistent_volume_claim_retention_policy>("persistentVolumeClaimRetentionPolicy",
                                                          "What happens to volume claims", {.kinds = kF}),
  };
}

std::vector<FieldInfo> all_fields() {
  std::vector<FieldInfo> fields = identity_and_streams();
  for (const auto& part : {processing(), running()}) fields.insert(fields.end(), part.begin(), part.end());
  return fields;
}

}  // namespace

template <>
const StructInfo& struct_info<ComponentSpec>() {
  static const StructInfo info{"spec", all_fields()};
  return info;
}

template <>
const StructInfo& struct_info<MeshSpec>() {
  static const StructInfo info{"spec",
                               {field<&MeshSpec::sources>("sources", "Sources of the mesh", {}),
                                field<&MeshSpec::sinks>("sinks", "Sinks of the mesh", {}),
                                field<&MeshSpec::functions>("functions", "Functions of the mesh", {})}};
  return info;
}

template <>
const StructInfo& struct_info<BackendConfigSpec>() {
  using S = BackendConfigSpec;
  static const StructInfo info{
      "spec",
      {field<&S::name>("name", "Name for people"),
       field<&S::env>("env", "Environment variables added to every container"),
       field<&S::pod>("pod", "Pod settings merged into every component", {.always_written = true}),
       field<&S::auto_update>("autoUpdate", "Apply changes of this resource to running components at once")}};
  return info;
}

}  // namespace fmesh::model
