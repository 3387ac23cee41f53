// What a built-in connector implements. A Source brings records in, a Sink takes them out; both say where they are with
// an opaque position that the runtime stores in the same commit as the records, so that a restart resumes exactly
// there.
//
// Calls to one connector never overlap. They come from a worker thread and may block, unless `non_blocking()`; then
// they come on the instance's loop. `ConnectorContext` may be used from any thread for as long as the connector is
// open.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "model/instance_spec.h"
#include "stream/record.h"

namespace fmesh::runtime {

class ConnectorContext {
 public:
  virtual ~ConnectorContext() = default;
  virtual const model::InstanceSpec& spec()
      const = 0;  // configuration: details.source->configs or details.sink->configs
  virtual const Clock& clock() const = 0;
  // The position of the last durable commit of this instance; empty on the very first start.
  virtual const std::string& position() const = 0;
  // Asks the runtime to call read() again, after an answer of kIdle. From any thread.
  virtual void wake() = 0;
  // A line for people: `fmesh logs NAME`. level: debug, info, warn, error.
  virtual void log(std::string_view level, std::string_view text) = 0;
  // True once the mesh is stopping; a long read() or write() gives up then.
  virtual bool stopping() const = 0;
};

// Takes records from a source, routes and batches them. Views are copied during the call.
class RecordCollector {
 public:
  virtual ~RecordCollector() = default;
  virtual void add(const stream::RecordView& record) = 0;
  // To another stream than the configured one, e.g. a dead-letter stream for lines that can't be read.
  virtual void add_to(std::string_view topic, const stream::RecordView& record) = 0;
  // True while a batch has room; a source stops adding when it is not.
  virtual bool wants_more() const = 0;
};

enum class ReadOutcome {
  kMore,  // call again at once
  kIdle,  // nothing now; call again after wake() or after a poll interval of 1 s
  kEnd,   // the source is finite and this was all of it
};

struct ReadResult {
  ReadOutcome outcome = ReadOutcome::kIdle;
  std::string position;  // behind the records just added; empty: this source has none
  int64_t wait_ms = 0;   // kIdle: call again after this long even without a wake(); 0: the poll interval
};

class Source {
 public:
  virtual ~Source() = default;
  virtual bool non_blocking() const { return false; }
  // Errors: kFixInput names the configuration field; it ends the mesh's start. kRetryLater is tried again with backoff.
  virtual Status open(ConnectorContext& context) = 0;
  // Adds records to `out`. `token` names this batch in committed() and failed().
  virtual Result<ReadResult> read(uint64_t token, RecordCollector& out) = 0;
  // The records of batch `token` are durable; in order of tokens.
  virtual void committed(uint64_t /*token*/) {}
  // They are not, and the instance starts over from the last durable position after this.
  virtual void failed(uint64_t /*token*/, const Error& /*error*/) {}
  virtual void close() {}
};

// A record of a batch that could not be written: it alone is retried, then goes to the dead-letter stream.
struct WriteFailure {
  size_t index;
  Error error;
};

class Sink {
 public:
  virtual ~Sink() = default;
  virtual bool non_blocking() const { return false; }
  virtual Status open(ConnectorContext& context) = 0;
  // Hands the records to the other side. On return they are there, except the failures listed, and the runtime
  // acknowledges them. An error means none of it counts: the batch is retried with backoff.
  virtual Result<std::vector<WriteFailure>> write(std::span<const stream::RecordView> records) = 0;
  // Behind what was written; stored with the acknowledgement and given back by ConnectorContext::position(), so that a
  // sink that can undo (a file it truncates) writes each record once. That of the very first open() is stored before
  // the first write(). Empty: this sink has none.
  virtual std::string position() const { return {}; }
  virtual void close() {}
};

// The visible list of built-in connectors (src/connect/list.cc).
struct ConnectorKind {
  std::string_view name;
  std::string_view summary;                  // one line
  std::unique_ptr<Source> (*make_source)();  // null: it is a sink
  std::unique_ptr<Sink> (*make_sink)();
};
std::span<const ConnectorKind> connector_kinds();

}  // namespace fmesh::runtime
