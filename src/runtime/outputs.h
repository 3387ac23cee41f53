// What one batch of an instance writes: records collected per stream and partition into entries, so that a commit
// carries a few large appends. What a record wrote can be taken back as long as the next record has not begun, which is
// how a record that fails leaves no trace.
//
// Two things may split entries further. Where a store deals out whole entries by key, an entry holds records of one key
// only. And where outputs are told apart by the input they come from (Origin), the store's deduplication drops what a
// crash makes come twice: what was written already is not even sent.
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

// Where the outputs of a record come from, so that the same record gives them the same numbers whenever it is
// processed. Each `stream` and `epoch` has a producer of its own in every stream that is written; the numbers rise
// within it.
struct Origin {
  std::string stream;  // of the input, with its partition
  int64_t epoch = 0;   // of the input: its ledger
  uint64_t number = 0;

  // Of outputs of one record to one stream; they are the lowest bits of a sequence id.
  static constexpr uint32_t kOrdinalBits = 16;
  static constexpr uint32_t kIndexBits = 20;  // records of an entry of 5 MiB, at 6 bytes at least
  static constexpr uint32_t kEntryBits = 63 - kIndexBits - kOrdinalBits;
  // Errors: kFixInput for an entry or index beyond those bits.
  static Result<Origin> of(std::string_view topic, const stream::MessageId& id);
};

struct OutputsOptions {
  stream::Compression compression = stream::Compression::kNone;
  bool split_by_key = false;
  std::string replay_prefix;  // of the producers' names; not empty: each record has an Origin
};

class Outputs {
 public:
  // An entry is closed at the next record once it holds this much: large enough that per-entry costs vanish, small
  // enough that a reader's batch stays in the processor's cache.
  static constexpr size_t kEntryTargetBytes = 128 * 1024;
  // An entry goes to one consumer as a whole, so small records must not pile up in one. As Pulsar's batches.
  static constexpr size_t kEntryRecordsMax = 1'000;
  // A producer of an origin that wrote nothing for so long is let go of: whoever reads that input next needs its name.
  static constexpr int64_t kIdleProducerMs = 1'000;

  Outputs(stream::Client& client, OutputsOptions options) : client_(client), options_(std::move(options)) {}

  // Opens the producer of a stream ahead of its first record, so that its errors show at the start.
  Status open(std::string_view topic);

  // The time that entries of the coming batch are published at.
  void begin_batch(int64_t now_ms) { now_ms_ = now_ms; }
  bool needs_origin() const { return !options_.replay_prefix.empty(); }
  // The effects from here on belong to the next record. REQUIRES: `origin` if needs_origin().
  void begin_record() { begin_record(Origin()); }
  void begin_record(Origin origin);
  // Errors: kFixInput for a record that fits no entry, or what opening the producer said.
  Status add(std::string_view topic, const stream::RecordView& record);
  // Drops what was added since begin_record(). False if an entry was closed in between: the batch can't be used any
  // more.
  [[nodiscard]] bool undo_record();

  // All entries of the batch; empties this.
  std::vector<stream::Append> finish();
  // Drops what was added, and the buffers with it.
  void clear();
  // Lets go of producers that were idle for kIdleProducerMs. REQUIRES: no batch is under way.
  void release_idle(int64_t now_ms);

  uint64_t records() const { return records_; }  // added since the last finish() or clear()
  // True if every stream opened so far takes more.
  bool writable() const;
  void notify_writable(const std::function<void()>& wake);

 private:
  struct Builder {
    stream::EntryBuilder entry;
    stream::EntryBuilder::Mark mark;
    bool touched = false;  // by the current record
    std::string key{};     // of the records in it, if there is one builder for all keys
    bool has_key = false;
  };
  struct Partition {
    std::unique_ptr<Builder> builder{};                                     // made on use
    std::map<std::string, std::unique_ptr<Builder>, std::less<>> by_key{};  // of one batch
  };
  struct Target {
    std::shared_ptr<stream::Producer> producer;
    std::vector<Partition> partitions;  // made on use
    uint64_t next_sequence_id = 0;
    int32_t keyless_partition = 0;  // records without a key stay together until the entry is closed
    // --- with origins ---
    int64_t used_ms = 0;
    int64_t last_number = -1;  // given to a record
    int64_t last_number_at_begin = -1, last_number_at_finish = -1;
    uint64_t touched_by = 0;  // the record, by its turn
  };

  Result<Target*> target(std::string_view topic);
  Result<Target> open_target(std::string_view topic) const;
  int32_t route(const Target& target, const stream::RecordView& record) const;
  // The sequence id of the next output of the current record.
  Result<uint64_t> number(Target& target);
  Builder& builder_for(Target& target, int32_t partition, const stream::RecordView& record);
  void close_entry(Target& target, int32_t partition, Builder& builder);
  void finish(Target& target);

  stream::Client& client_;
  const OutputsOptions options_;
  std::map<std::string, Target, std::less<>> targets_;  // by topic, and by origin if there are any
  std::string last_topic_;                              // of the last lookup
  Target* last_target_ = nullptr;
  Origin origin_;
  uint64_t turn_ = 0;  // counts records
  std::vector<Builder*> touched_;
  std::vector<stream::Append> closed_;
  size_t closed_at_begin_ = 0;
  uint64_t records_ = 0;
  uint64_t records_at_begin_ = 0;
  int64_t now_ms_ = 0;
};

}  // namespace fmesh::runtime
