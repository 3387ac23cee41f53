// What the frames between a host and a child process say: what to run, a batch of records, and what the batch caused.
// Values in, bytes out and back; no IO. Views that are read borrow from the bytes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runtime/child/wire.h"
#include "runtime/logic.h"

namespace fmesh::runtime {

// kOpen: what the child runs.
struct OpenRequest {
  model::InstanceSpec spec;
  std::vector<std::string> inputs;
  std::string output;
  std::string cache_directory;
};
void write_open(Writer& out, const OpenRequest& request);
Result<OpenRequest> read_open(std::string_view body);

// kOpened: whether it started.
void write_status(Writer& out, const Status& status);
Status read_status(std::string_view body);

// kBatch; kWindow has the bounds of the window in front.
void write_records(Writer& out, std::span<const LogicRecord> records);
class ReadRecords {
 public:
  // False if the bytes are damaged.
  bool read(Reader& in);
  std::span<const LogicRecord> records() const { return records_; }

 private:
  std::vector<LogicRecord> records_;
  std::vector<stream::Property> properties_;
};

// kDone: effects in the order in which they came about.
enum class EffectKind : uint8_t { kOutput, kPublish, kFailed, kAck, kAckId, kStatePut, kStateDelete, kCounterAdd };
void write_output(Writer& out, const stream::RecordView& record);

// Gives the effects to `batch`, whose record `first` is the first one of what the child was given. False if the bytes
// are damaged: then some have been given.
bool apply_effects(std::string_view body, size_t first, size_t count, BatchContext& batch);

// kLog: lines and metrics.
enum class LogKind : uint8_t { kLine, kMetric };

}  // namespace fmesh::runtime
