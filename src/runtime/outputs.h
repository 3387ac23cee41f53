// What one batch of an instance writes: records collected per stream and partition into entries, so that a commit
// carries a few large appends. What a record wrote can be taken back as long as the next record has not begun, which is
// how a record that fails leaves no trace.
//
// Owned by an instance; used by one batch at a time, on whatever thread runs it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "stream/client.h"

namespace fmesh::runtime {

class Outputs {
 public:
  // An entry is closed at the next record once it holds this much: large enough that per-entry costs vanish, small
  // enough that a reader's batch stays in the processor's cache.
  static constexpr size_t kEntryTargetBytes = 128 * 1024;
  // An entry goes to one consumer as a whole, so small records must not pile up in one. As Pulsar's batches.
  static constexpr size_t kEntryRecordsMax = 1'000;

  Outputs(stream::Client& client, stream::Compression compression) : client_(client), compression_(compression) {}

  // Opens the producer of a stream ahead of its first record, so that its errors show at the start.
  Status open(std::string_view topic);

  // The time that entries of the coming batch are published at.
  void begin_batch(int64_t now_ms) { now_ms_ = now_ms; }
  // The effects from here on belong to the next record.
  void begin_record();
  // Errors: kFixInput for a record that fits no entry, or what opening the producer said.
  Status add(std::string_view topic, const stream::RecordView& record);
  // Drops what was added since begin_record(). False if an entry was closed in between: the batch can't be used any
  // more.
  [[nodiscard]] bool undo_record();

  // All entries of the batch; empties this.
  std::vector<stream::Append> finish();
  // Drops what was added, and the buffers with it.
  void clear();

  uint64_t records() const { return records_; }  // added since the last finish() or clear()
  // True if every stream opened so far takes more.
  bool writable() const;
  void notify_writable(const std::function<void()>& wake);

 private:
  struct Builder {
    stream::EntryBuilder entry;
    stream::EntryBuilder::Mark mark;
    bool touched = false;  // by the current record
  };
  struct Target {
    std::shared_ptr<stream::Producer> producer;
    std::vector<std::unique_ptr<Builder>> builders;  // by partition, made on use
    uint64_t next_sequence_id = 0;
    int32_t keyless_partition = 0;  // records without a key stay together until the entry is closed
  };

  Result<Target*> target(std::string_view topic);
  int32_t route(Target& target, const stream::RecordView& record) const;
  void close_entry(Target& target, int32_t partition, Builder& builder);

  stream::Client& client_;
  stream::Compression compression_;
  std::map<std::string, Target, std::less<>> targets_;
  std::string_view last_topic_;  // the key in targets_ of the last lookup
  Target* last_target_ = nullptr;
  std::vector<Builder*> touched_;
  std::vector<stream::Append> closed_;
  size_t closed_at_begin_ = 0;
  uint64_t records_ = 0;
  uint64_t records_at_begin_ = 0;
  int64_t now_ms_ = 0;
};

}  // namespace fmesh::runtime
