// An entry is one append to a partition: Pulsar's MessageMetadata and a payload that holds one record or a batch
// (facts: pulsar.md 2). The log stores these bytes as they are and the wire carries them, so this codec is the only
// one.
//
// Layout of an entry's bytes: [u32 big endian: metadata size][MessageMetadata][payload], which is the tail of Pulsar's
// SEND frame after the checksum (facts: pulsar.md 1.1). EntryBuilder and EntryReader belong to one thread; entries are
// immutable.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "stream/record.h"

namespace fmesh::stream {

enum class Compression : uint8_t { kNone = 0, kLz4 = 1, kZlib = 2, kZstd = 3, kSnappy = 4 };

// Largest entry that is built or accepted, the default of Pulsar's maxMessageSize: 5 MiB.
inline constexpr size_t kEntrySizeMaxBytes = 5 * 1024 * 1024;

// Collects records and makes one batch entry of them. Reused: finish() leaves it empty with its memory kept.
class EntryBuilder {
 public:
  // `producer_name` is written into every entry.
  EntryBuilder(std::string producer_name, Compression compression);

  // Adds a record. `record.batch_index` and `publish_time_ms` are ignored; sequence_id is written as given.
  // REQUIRES: estimated_size_bytes() + the record's size <= kEntrySizeMaxBytes; check with fits().
  void add(const RecordView& record);
  bool fits(const RecordView& record) const;

  size_t record_count() const { return count_; }
  bool empty() const { return count_ == 0; }
  // Bytes of the payload so far, before compression.
  size_t estimated_size_bytes() const { return body_.size(); }
  uint64_t first_sequence_id() const { return first_sequence_id_; }
  uint64_t last_sequence_id() const { return last_sequence_id_; }

  // The entry with all records added since the last finish(), as a batch entry (num_messages_in_batch present even for
  // one). REQUIRES: !empty().
  SharedBytes finish(int64_t publish_time_ms);

  // A place to go back to, as long as no finish() lies between: rollback() drops the records added since mark().
  struct Mark {
    size_t body_size = 0;
    size_t count = 0;
    uint64_t last_sequence_id = 0;
  };
  Mark mark() const { return {body_.size(), count_, last_sequence_id_}; }
  void rollback(const Mark& mark) {
    body_.resize(mark.body_size);
    count_ = mark.count;
    last_sequence_id_ = mark.last_sequence_id;
  }

 private:
  std::string producer_name_;
  Compression compression_;
  std::string body_;  // [u32 size][SingleMessageMetadata][payload] ...
  size_t count_ = 0;
  uint64_t first_sequence_id_ = 0;
  uint64_t last_sequence_id_ = 0;
  std::string first_key_;
  bool first_has_key_ = false;
  std::string first_ordering_key_;
  std::string compressed_;
};

// What the metadata of an entry says, without looking at its payload.
struct EntryInfo {
  std::string_view producer_name;
  uint64_t sequence_id = 0;          // of the first record
  uint64_t highest_sequence_id = 0;  // of the last record
  int64_t publish_time_ms = 0;
  int64_t event_time_ms = 0;
  int64_t deliver_at_ms = 0;  // 0: at once
  uint32_t record_count = 1;
  bool batched = false;
  Compression compression = Compression::kNone;
  uint32_t uncompressed_size = 0;
  std::string_view payload;  // as stored, perhaps compressed
  // Of an entry with one record, or what its producer batched by.
  std::string_view partition_key;   // as stored
  std::string_view ordering_key;    // empty: none
  std::string_view schema_version;  // as the store that it was written for names it; empty: none
  bool has_key = false;
  bool key_is_base64 = false;
};

// Errors: kCorrupt if the bytes are not an entry.
Result<EntryInfo> read_entry_info(std::string_view bytes);

// What a whole entry is dealt out by where keys stay together: its ordering key, else its key with base64 undone, else
// who sent it (facts: pulsar.md 2.4).
std::string sticky_key(const EntryInfo& info);

// Walks the records of an entry. Views stay valid as long as the reader and the bytes it was opened on.
class EntryReader {
 public:
  // Decompresses if needed. Errors: kCorrupt with what is wrong; kFixInput if the entry is encrypted or a chunk of a
  // larger message.
  static Result<EntryReader> open(SharedBytes bytes);

  const EntryInfo& info() const { return info_; }
  // The payload with its compression undone, not yet read from.
  std::string_view unpacked() const { return uncompressed_.empty() ? info_.payload : uncompressed_.view(); }
  // Reads the next record. False at the end, or at malformed bytes; status() tells which.
  bool next(RecordView& record);
  Status status() const;

 private:
  bool next_single(RecordView& record);
  bool add_properties(std::string_view message, size_t count, RecordView& record);
  bool decode_key(RecordView& record);

  SharedBytes bytes_;
  EntryInfo info_;
  SharedBytes uncompressed_;
  std::string_view rest_;
  uint32_t index_ = 0;
  bool malformed_ = false;
  // Properties and undone base64 keys live in blocks, so that the views of earlier records stay valid.
  std::vector<std::unique_ptr<Property[]>> property_blocks_;
  size_t properties_left_ = 0;  // in the last block
  Property* properties_next_ = nullptr;
  std::vector<std::unique_ptr<std::string>> decoded_keys_;
};

}  // namespace fmesh::stream
