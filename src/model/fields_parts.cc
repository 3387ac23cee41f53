// The fields of what lies below spec: streams, windows, runtimes, Pulsar access.
#include "model/storage.h"

namespace fmesh::model {

template <>
const StructInfo& struct_info<KeyReference>() {
  static const StructInfo info{"keyReference",
                               {field<&KeyReference::name>("name", "Name of the ConfigMap", {.required = true}),
                                field<&KeyReference::key>("key", "Key in it", {.required = true})}};
  return info;
}

template <>
const StructInfo& struct_info<SecretReference>() {
  static const StructInfo info{"secretReference",
                               {field<&SecretReference::path>("path", "Name of the Secret"),
                                field<&SecretReference::key>("key", "Key in the Secret")}};
  return info;
}

template <>
const StructInfo& struct_info<CryptoSecret>() {
  using S = CryptoSecret;
  static const StructInfo info{
      "cryptoSecret",
      {field<&S::secret_name>("secretName", "Name of the Secret", {.required = true}),
       field<&S::secret_key>("secretKey", "Key in it", {.required = true}),
       field<&S::as_volume>("asVolume", "Path the key is mounted at; without it the entry has no effect")}};
  return info;
}

template <>
const StructInfo& struct_info<CryptoConfig>() {
  using S = CryptoConfig;
  static const StructInfo info{
      "cryptoConfig",
      {field<&S::crypto_key_reader_class_name>("cryptoKeyReaderClassName", "Class that reads encryption keys"),
       field<&S::crypto_key_reader_config>("cryptoKeyReaderConfig", "Configuration of that class"),
       field<&S::encryption_keys>("encryptionKeys", "Names of the keys a producer encrypts with"),
       field<&S::producer_crypto_failure_action>("producerCryptoFailureAction",
                                                 "If encryption fails: FAIL or SEND (unencrypted)"),
       field<&S::consumer_crypto_failure_action>("consumerCryptoFailureAction",
                                                 "If decryption fails: FAIL, DISCARD or CONSUME"),
       field<&S::crypto_secrets>("cryptoSecrets", "Secrets with keys, mounted into the pod")}};
  return info;
}

template <>
const StructInfo& struct_info<ConsumerConfig>() {
  using S = ConsumerConfig;
  static const StructInfo info{
      "sourceSpec",
      {field<&S::schema_type>("schemaType", "Schema of the records"),
       field<&S::serde_class_name>("serdeClassname", "Class that deserializes records"),
       field<&S::is_regex_pattern>("isRegexPattern", "The stream's name is a regular expression"),
       field<&S::schema_properties>("schemaProperties", "Properties of the schema"),
       field<&S::consumer_properties>("consumerProperties", "Properties of the consumer"),
       field<&S::receiver_queue_size>("receiverQueueSize", "Records fetched ahead"),
       field<&S::crypto_config>("cryptoConfig", "Decryption of records")}};
  return info;
}

template <>
const StructInfo& struct_info<InputConfig>() {
  using S = InputConfig;
  static const StructInfo info{
      "input",
      {field<&S::type_class_name>("typeClassName", "Java class of a record", {.default_json = R"("[B")"}),
       field<&S::topics>("topics", "Streams to read: name, tenant/namespace/name or persistent://..."),
       field<&S::topic_pattern>("topicPattern", "Regular expression over full names of streams to read"),
       field<&S::custom_serde_sources>("customSerdeSources", "Streams to read, each with its deserializer class"),
       field<&S::custom_schema_sources>("customSchemaSources", "Streams to read, each with its schema type"),
       field<&S::source_specs>("sourceSpecs", "Streams to read, each with its consumer settings")}};
  return info;
}

template <>
const StructInfo& struct_info<ProducerConfig>() {
  using S = ProducerConfig;
  static const StructInfo info{
      "producerConf",
      {field<&S::max_pending_messages>("maxPendingMessages", "Records a producer may have under way"),
       field<&S::max_pending_messages_across_partitions>("maxPendingMessagesAcrossPartitions",
                                                         "The same over all partitions"),
       field<&S::use_thread_local_producers>("useThreadLocalProducers", "One producer per thread"),
       field<&S::crypto_config>("cryptoConfig", "Encryption of records"),
       field<&S::batch_builder>("batchBuilder", "How batches are made: DEFAULT or KEY_BASED"),
       field<&S::compression_type>("compressionType", "Compression of batches",
                                   {.default_note = "LZ4", .values = {"NONE", "LZ4", "ZLIB", "ZSTD", "SNAPPY"}})}};
  return info;
}

template <>
const StructInfo& struct_info<OutputConfig>() {
  using S = OutputConfig;
  static const StructInfo info{
      "output",
      {field<&S::type_class_name>("typeClassName", "Java class of a record", {.default_json = R"("[B")"}),
       field<&S::topic>("topic", "Stream to write: name, tenant/namespace/name or persistent://..."),
       field<&S::sink_serde_class_name>("sinkSerdeClassName", "Class that serializes records"),
       field<&S::sink_schema_type>("sinkSchemaType", "Schema of the records"),
       field<&S::producer_config>(
           "producerConf", "Settings of the producer",
           {.default_json =
                R"({"maxPendingMessages":1000,"maxPendingMessagesAcrossPartitions":1000,"useThreadLocalProducers":true})",
            .default_kinds = kSo}),
       field<&S::custom_schema_sinks>("customSchemaSinks", "Schema settings by stream, each a JSON text")}};
  return info;
}

template <>
const StructInfo& struct_info<BatchSourceConfig>() {
  using S = BatchSourceConfig;
  static const StructInfo info{
      "batchSourceConfig",
      {field<&S::discovery_triggerer_class_name>("discoveryTriggererClassName", "Class that starts discovery",
                                                 {.required = true}),
       field<&S::discovery_triggerer_config>("discoveryTriggererConfig", "Configuration of that class")}};
  return info;
}

template <>
const StructInfo& struct_info<InlineSource>() {
  using S = InlineSource;
  static const StructInfo info{"sourceConfig",
                               {field<&S::source_type>("sourceType", "Built-in connector"),
                                field<&S::class_name>("className", "Class of the connector"),
                                field<&S::type_class_name>("typeClassName", "Java class of a record"),
                                field<&S::configs>("configs", "Configuration of the connector; any keys"),
                                field<&S::batch_source_config>("batchSourceConfig", "Not used, as upstream")}};
  return info;
}

template <>
const StructInfo& struct_info<InlineSink>() {
  using S = InlineSink;
  static const StructInfo info{"sinkConfig",
                               {field<&S::sink_type>("sinkType", "Built-in connector"),
                                field<&S::class_name>("className", "Class of the connector"),
                                field<&S::type_class_name>("typeClassName", "Java class of a record"),
                                field<&S::configs>("configs", "Configuration of the connector; any keys")}};
  return info;
}

template <>
const StructInfo& struct_info<WindowConfig>() {
  using S = WindowConfig;
  static const StructInfo info{
      "windowConfig",
      {field<&S::actual_window_function_class_name>("actualWindowFunctionClassName",
                                                    "Overwritten with className, as upstream"),
       field<&S::window_length_count>("windowLengthCount", "Records in a window; this or the duration"),
       field<&S::window_length_duration_ms>("windowLengthDurationMs", "Milliseconds a window spans; this or the count"),
       field<&S::sliding_interval_count>("slidingIntervalCount", "Records between the starts of windows",
                                         {.default_note = "windowLengthCount"}),
       field<&S::sliding_interval_duration_ms>("slidingIntervalDurationMs",
                                               "Milliseconds between the starts of windows",
                                               {.default_note = "windowLengthDurationMs"}),
       field<&S::late_data_topic>("lateDataTopic", "Stream for records behind the watermark"),
       field<&S::max_lag_ms>("maxLagMs", "Milliseconds a record may be late, in event time"),
       field<&S::watermark_emit_interval_ms>("watermarkEmitIntervalMs", "Milliseconds between watermarks"),
       field<&S::timestamp_extractor_class_name>("timestampExtractorClassName",
                                                 "Takes the event time from a record; switches event time on"),
       field<&S::processing_guarantees>("processingGuarantees", "Guarantee of a window",
                                        {.values = {"ATLEAST_ONCE", "ATMOST_ONCE"}})}};
  return info;
}

template <>
const StructInfo& struct_info<LogSettings>() {
  using S = LogSettings;
  static const StructInfo info{
      "log",
      {field<&S::level>("level", "Least severe level that is logged",
                        {.values = {"off", "trace", "debug", "info", "warn", "error", "fatal", "all", "panic"}}),
       field<&S::rotate_policy>("rotatePolicy", "When a log file is rotated",
                                {.values = {"TimedPolicyWithDaily", "TimedPolicyWithWeekly", "TimedPolicyWithMonthly",
                                            "SizedPolicyWith10MB", "SizedPolicyWith50MB", "SizedPolicyWith100MB"}}),
       field<&S::format>("format", "Form of log lines", {.values = {"json", "text"}}),
       field<&S::log_config>("logConfig", "A ConfigMap's key with the whole log configuration"),
       field<&S::java_log4j_config_file_type>("javaLog4JConfigFileType", "Form of that configuration",
                                              {.values = {"yaml", "xml", "ini"}})}};
  return info;
}

template <>
const StructInfo& struct_info<JavaRuntime>() {
  using S = JavaRuntime;
  static const StructInfo info{
      "java",
      {field<&S::jar>("jar", "Path of the jar or NAR", {.required = true}),
       field<&S::jar_location>("jarLocation",
                               "Where it is downloaded from: function://tenant/ns/name@version or http(s)"),
       field<&S::extra_dependencies_dir>("extraDependenciesDir", "Folder of further jars"),
       field<&S::log>("log", "Log settings"), field<&S::java_opts>("javaOpts", "Options of the JVM"),
       field<&S::instance_path>("instancePath", "Path of the instance jar"),
       field<&S::entry_class>("entryClass", "Main class of the instance")}};
  return info;
}

template <>
const StructInfo& struct_info<PythonRuntime>() {
  using S = PythonRuntime;
  static const StructInfo info{
      "python",
      {field<&S::py>("py", "Path of the .py, .whl or .zip file", {.required = true}),
       field<&S::py_location>("pyLocation",
                              "Where it is downloaded from: function://tenant/ns/name@version or http(s)"),
       field<&S::log>("log", "Log settings")}};
  return info;
}

template <>
const StructInfo& struct_info<GoRuntime>() {
  using S = GoRuntime;
  static const StructInfo info{
      "golang",
      {field<&S::go>("go", "Path of the program", {.required = true}),
       field<&S::go_location>("goLocation",
                              "Where it is downloaded from: function://tenant/ns/name@version or http(s)"),
       field<&S::log>("log", "Log settings")}};
  return info;
}

template <>
const StructInfo& struct_info<GenericRuntime>() {
  using S = GenericRuntime;
  static const StructInfo info{
      "genericRuntime",
      {field<&S::function_file>("functionFile",
                                "Path of the function: on one machine relative to the YAML file, in a pod in the image "
                                "or in the package of functionFileLocation"),
       field<&S::function_file_location>("functionFileLocation",
                                         "Where it is downloaded from: function://tenant/ns/name@version or http(s); "
                                         "of cpp and fmesh-python, #sha256=HEX behind it pins it"),
       field<&S::language>("language", "cpp, builtin, fmesh-python, or one of upstream's languages",
                           {.required = true}),
       field<&S::log>("log", "Log settings")}};
  return info;
}

template <>
const StructInfo& struct_info<TlsConfig>() {
  using S = TlsConfig;
  static const StructInfo info{
      "tlsConfig",
      {field<&S::enabled>("enabled", "Use TLS"),
       field<&S::allow_insecure>("allowInsecure", "Accept certificates that can't be verified"),
       field<&S::hostname_verification>("hostnameVerification", "Check the broker's name"),
       field<&S::cert_secret_name>("certSecretName", "Secret with the trusted certificate"),
       field<&S::cert_secret_key>("certSecretKey", "Key in it")}};
  return info;
}

template <>
const StructInfo& struct_info<Oauth2Config>() {
  using S = Oauth2Config;
  static const StructInfo info{
      "oauth2Config",
      {field<&S::audience>("audience", "Audience of the token", {.required = true}),
       field<&S::issuer_url>("issuerUrl", "Who issues tokens", {.required = true}),
       field<&S::scope>("scope", "Scope of the token"),
       field<&S::key_secret_name>("keySecretName", "Secret with the key file", {.required = true}),
       field<&S::key_secret_key>("keySecretKey", "Key in it", {.required = true})}};
  return info;
}

template <>
const StructInfo& struct_info<GenericAuth>() {
  using S = GenericAuth;
  static const StructInfo info{
      "genericAuth",
      {field<&S::client_authentication_plugin>("clientAuthenticationPlugin", "Class of the authentication plugin",
                                               {.required = true}),
       field<&S::client_authentication_parameters>("clientAuthenticationParameters", "Its parameters",
                                                   {.required = true})}};
  return info;
}

template <>
const StructInfo& struct_info<AuthConfig>() {
  static const StructInfo info{"authConfig",
                               {field<&AuthConfig::oauth2_config>("oauth2Config", "Authentication with OAuth2"),
                                field<&AuthConfig::generic_auth>("genericAuth", "Authentication with any plugin")}};
  return info;
}

template <>
const StructInfo& struct_info<PulsarMessaging>() {
  using S = PulsarMessaging;
  static const StructInfo info{
      "pulsar",
      {field<&S::pulsar_config>("pulsarConfig", "ConfigMap with webServiceURL and brokerServiceURL"),
       field<&S::auth_secret>("authSecret",
                              "Secret with clientAuthenticationPlugin and clientAuthenticationParameters"),
       field<&S::tls_secret>("tlsSecret", "Secret with TLS settings"),
       field<&S::tls_config>("tlsConfig", "TLS settings"),
       field<&S::auth_config>("authConfig", "Authentication of instances"),
       field<&S::cleanup_auth_config>("cleanupAuthConfig", "Authentication of the clean-up job")}};
  return info;
}

template <>
const StructInfo& struct_info<JavaStateProvider>() {
  static const StructInfo info{
      "javaProvider",
      {field<&JavaStateProvider::class_name>("className", "Class of the state store", {.required = true}),
       field<&JavaStateProvider::config>("config", "Its configuration")}};
  return info;
}

template <>
const StructInfo& struct_info<PulsarState>() {
  static const StructInfo info{
      "pulsar",
      {field<&PulsarState::service_url>("serviceUrl", "Address of the table service, e.g. bk://host:4181",
                                        {.required = true}),
       field<&PulsarState::java_provider>("javaProvider", "Another state store, for Java")}};
  return info;
}

template <>
const StructInfo& struct_info<StatefulConfig>() {
  static const StructInfo info{"statefulConfig", {field<&StatefulConfig::pulsar>("pulsar", "State kept by Pulsar")}};
  return info;
}

template <>
const StructInfo& struct_info<ClaimRetentionPolicy>() {
  using S = ClaimRetentionPolicy;
  static const StructInfo info{
      "persistentVolumeClaimRetentionPolicy",
      {field<&S::when_deleted>("whenDeleted", "When the component is deleted: Retain or Delete"),
       field<&S::when_scaled>("whenScaled", "When it is scaled down: Retain or Delete")}};
  return info;
}

}  // namespace fmesh::model
