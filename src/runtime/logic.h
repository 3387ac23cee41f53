// What a language host implements: the user's logic of one instance, fed with batches. Native libraries, built-in
// functions and CPython stand behind this door; the instance around it knows guarantees, windows, retries and
// streams, and a Logic knows none of them.
//
// Calls to one Logic never overlap. They come on a worker thread, or on the instance's loop if non_blocking(). No
// exception leaves a Logic.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "model/instance_spec.h"
#include "stream/message_id.h"
#include "stream/record.h"

namespace fmesh::runtime {

struct LogicRecord {
  stream::RecordView record;
  std::string_view topic;  // full name of the stream it came from
  stream::MessageId id;
  uint32_t redelivery_count = 0;
};

struct WindowInfo {
  int64_t start_ms = 0;  // 0 and 0 for a window by count
  int64_t end_ms = 0;
};

// Where a batch's effects go. Lives for one call of process(); used on the thread of that call only. Everything
// reported here becomes durable in one commit, or not at all. `index` is the input record that caused the effect.
class BatchContext {
 public:
  virtual ~BatchContext() = default;
  // To the component's output stream. Bytes are copied during the call.
  virtual void output(size_t index, const stream::RecordView& record) = 0;
  // To any stream, made if missing.
  virtual Status publish(size_t index, std::string_view topic, const stream::RecordView& record) = 0;
  // The record could not be processed; `text` is shown to people. What the record output or published is dropped, what
  // it changed in the state is undone.
  virtual void failed(size_t index, std::string_view text) = 0;
  // For the guarantee `manual`: acknowledges this record, or an earlier one by its id.
  virtual void ack(size_t index) = 0;
  virtual Status ack(std::string_view topic, const stream::MessageId& id) = 0;

  // Call before touching the state for another record, so that a failure undoes the right changes.
  virtual Result<std::optional<std::string>> state_get(size_t index, std::string_view key) = 0;
  virtual Status state_put(size_t index, std::string_view key, std::optional<std::string_view> value) = 0;
  // Counters are 64-bit integers in the same keyed state, stored as 8 bytes big endian, as Pulsar does.
  virtual Result<int64_t> counter_add(size_t index, std::string_view key, int64_t delta) = 0;
};

// What lives as long as the instance. From any thread.
class LogicContext {
 public:
  virtual ~LogicContext() = default;
  virtual const model::InstanceSpec& spec() const = 0;
  virtual const Clock& clock() const = 0;
  virtual void log(std::string_view level, std::string_view text) = 0;
  // A value of the user's own metric, shown as a summary.
  virtual void metric(std::string_view name, double value) = 0;
  // The number of input streams and their full names, and the output stream ("" if none).
  virtual std::span<const std::string> inputs() const = 0;
  virtual std::string_view output() const = 0;
};

class Logic {
 public:
  virtual ~Logic() = default;
  virtual bool non_blocking() const = 0;
  // Several records cost it little more than one.
  virtual bool takes_batches() const { return false; }
  // Errors: kFixInput if it can never work (bad config, missing symbol, wrong ABI), kRetryLater otherwise.
  virtual Status open(LogicContext& context) = 0;
  virtual void process(std::span<const LogicRecord> records, BatchContext& batch) = 0;
  // The records of one window at once. Effects use the index of any record of it; failed() fails the window.
  virtual void process_window(std::span<const LogicRecord> records, const WindowInfo& window, BatchContext& batch) = 0;
  virtual void close() = 0;
};

// `spec.host` decides which: native (runtime/native/), builtin (runtime/builtin/). Not for sources and sinks.
// `cache_directory` takes content-addressed copies of libraries.
Result<std::unique_ptr<Logic>> make_logic(const model::InstanceSpec& spec, const std::string& cache_directory);

}  // namespace fmesh::runtime
