// What the control API sees of a mesh: values to show and a few things to do, without a word of how the mesh is run.
// `local` implements it for a running mesh and for a data directory on which nothing runs; tests implement it with a
// fake.
//
// Calls come on threads of the HTTP server, several at once. Answers that take a while come through a callback, from
// any thread. Texts in here are shown to people; nothing in here is a secret.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace fmesh::observe {

// So many records took at most `bound_ns`, and longer than the bucket before.
struct LatencyBucket {
  int64_t bound_ns = 0;
  int64_t count = 0;
};

struct InstanceView {
  std::string component;
  int32_t instance_id = 0;
  std::string state;  // starting, running, draining, backoff, stuck, finished, stopped, failed
  std::string last_error;
  int64_t received_total = 0;
  int64_t processed_total = 0;
  int64_t user_exceptions_total = 0;
  int64_t system_exceptions_total = 0;
  int64_t written_total = 0;
  int64_t dead_letters_total = 0;
  int64_t late_total = 0;
  int64_t restarts_total = 0;
  int64_t last_invocation_ms = 0;  // wall time; 0: never
  int64_t process_latency_ns_sum = 0;
  int64_t process_latency_count = 0;
  std::vector<LatencyBucket> process_latency_buckets;  // by bound; what took longer than the last is in the count only
  int64_t in_flight_records = 0;
  int64_t waiting_retry = 0;
  int64_t backlog_records = 0;
  int64_t cpu_ns = 0;
};

// One component, its instances added up.
struct ComponentView {
  std::string name;
  std::string kind;       // function, source, sink
  std::string full_name;  // tenant/namespace/name
  std::string runs;       // what runs it: "builtin map", "native liborders.so", "source generator"
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::string state;  // the worst of its instances
  std::string last_error;
  int32_t replicas = 0, replicas_min = 0, replicas_max = 0;
  int64_t received_total = 0, written_total = 0, errors_total = 0, dead_letters_total = 0, restarts_total = 0;
  int64_t backlog_records = 0, in_flight_records = 0;
  double received_per_s = 0, written_per_s = 0, errors_per_s = 0;
  double cpu_percent = 0;  // of one core
};

struct SubscriptionView {
  std::string name;
  std::string type;
  int32_t consumers = 0;
  int64_t backlog_records = 0, backlog_bytes = 0, records_out_total = 0;
};

struct StreamView {
  std::string topic;
  int32_t partitions = 0;
  int64_t retention_size_bytes = -1, retention_time_ms = -1;
  int64_t entries = 0, records = 0, bytes = 0;
  int64_t records_in_total = 0, bytes_in_total = 0;
  std::vector<SubscriptionView> subscriptions;
};

struct MeshState {
  std::string name;
  std::string state;              // starting, running, draining, stopped
  std::string cluster = "local";  // a label of the metrics: the Pulsar cluster, or this machine
  std::string data_directory;
  std::vector<std::string> files;
  int64_t process_id = 0;
  int64_t started_ms = 0;  // wall time; 0: nothing runs
  int64_t host_restarts = 0;
  std::string reload_error;                      // why the files as they are now were not taken; empty: they were
  int64_t process_cpu_ns = 0, memory_bytes = 0;  // of the process; memory is anonymous resident memory
  std::vector<ComponentView> components;
  std::vector<InstanceView> instances;
};

struct RecordLine {
  std::string topic;
  std::string id;  // ledger:entry:partition:batchIndex
  std::optional<std::string> key;
  std::string payload;
  std::vector<std::pair<std::string, std::string>> properties;
  int64_t event_time_ms = 0, publish_time_ms = 0;
  bool null_value = false;
  std::string damage;  // not empty: there is no record here, but an entry that can't be read, and this is why and where
};

struct LogEntry {
  int64_t time_ms = 0;
  std::string component;
  int32_t instance_id = 0;
  std::string level;
  std::string text;
};

struct NewRecord {
  std::optional<std::string> key;
  std::string payload;
  std::vector<std::pair<std::string, std::string>> properties;
  int64_t event_time_ms = 0;
};

struct NewStream {
  int32_t partitions = 0;
  int64_t retention_size_bytes = -1, retention_time_ms = -1;
};

struct Seek {
  std::string subscription;
  std::string id;        // a message id, "earliest" or "latest"
  int64_t time_ms = -1;  // instead of an id: publish time
};

// Whoever holds it receives; letting go ends it.
using Following = std::shared_ptr<void>;

class MeshView {
 public:
  virtual ~MeshView() = default;

  // Rates need two looks at the counters: unless someone looked within the last seconds, the answer takes a quarter
  // second.
  virtual void mesh(std::function<void(MeshState)> done) = 0;
  // The same without rates, at once.
  virtual MeshState mesh_now() = 0;
  // Nothing: ready. Else what is not, in words.
  virtual std::optional<std::string> not_ready() = 0;
  // Errors of scale: kFixInput for an unknown component (with the closest name) or a count outside its limits.
  virtual Status scale(const std::string& component, int32_t replicas) = 0;
  // The last lines, oldest first. Errors: kFixInput for an unknown component.
  virtual Result<std::vector<LogEntry>> logs(const std::string& component, size_t lines_max) = 0;
  virtual Result<Following> follow_logs(const std::string& component, std::function<bool(const LogEntry&)> each) = 0;

  virtual Result<std::vector<StreamView>> streams() = 0;
  // Up to `records_max` records from `from` on: a message id, "earliest" or "latest" (then: the last ones held).
  virtual Result<std::vector<RecordLine>> peek(const std::string& topic, const std::string& from,
                                               size_t records_max) = 0;
  // Calls `each` with every record appended from now on until it returns false.
  virtual Result<Following> tap(const std::string& topic, std::function<bool(const RecordLine&)> each) = 0;
  // Makes the records durable, then answers with their ids.
  virtual void publish(const std::string& topic, std::vector<NewRecord> records,
                       std::function<void(Result<std::vector<std::string>>)> done) = 0;
  virtual Status seek(const std::string& topic, const Seek& seek) = 0;
  virtual Status create_stream(const std::string& topic, const NewStream& stream) = 0;
  virtual Status remove_stream(const std::string& topic) = 0;
};

}  // namespace fmesh::observe
