// Where each entry lies. Of the segment that is being written, an offset per entry is kept in memory; when it is
// sealed, the offsets go to an index file beside it and memory keeps one run per partition and segment. So memory grows
// with the number of segments and not with the number of entries.
//
// Also the recent entries themselves (the tail), bounded by bytes. Guarded by the journal's mutex.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "stream/log/journal.h"

namespace fmesh::stream::log {

// Consecutive entries of one partition in a sealed segment.
struct Run {
  uint64_t first = 0;
  uint64_t size_bytes = 0;  // of the entries
  uint32_t count = 0;
  uint32_t index_position = 0;  // in the index file, in offsets
  uint64_t segment = 0;
};

// Some entries from a wanted one on: their offsets, or where in an index file these are.
struct Places {
  uint64_t segment = 0;
  std::vector<uint64_t> offsets;  // of the append headers; empty: read `count` of them from the index file
  uint64_t index_offset_bytes = 0;
  uint32_t count = 0;
};

struct PartitionRun {
  PartitionId partition = 0;
  Run run;
};

// The content of an index file.
struct IndexFile {
  uint64_t segment = 0;
  uint64_t salt = 0;
  uint64_t valid_end = 0;
  std::vector<PartitionRun> runs;
};
inline constexpr size_t kIndexHeaderSizeBytes = 40;
Result<IndexFile> decode_index_file(std::string_view bytes);

class EntryIndex {
 public:
  explicit EntryIndex(size_t tail_size_max_bytes) : tail_size_max_bytes_(tail_size_max_bytes) {}

  // Entries go to this segment from now on.
  void begin_segment(uint64_t number) { active_ = number; }
  // Notes an entry of the active segment. Moves end() unless it is an older entry that was relocated.
  void add(PartitionId partition, uint64_t entry, uint64_t offset, uint64_t size_bytes);
  // The index file of a segment whose offsets are in memory.
  std::string encode_index_file(uint64_t segment, uint64_t salt, uint64_t valid_end) const;
  // That file is written: memory keeps its runs only.
  void seal(const IndexFile& file);
  void add_sealed(const IndexFile& file);
  void drop_segment(uint64_t number);

  uint64_t end(PartitionId partition) const;
  uint64_t begin(PartitionId partition) const;
  void raise_end(PartitionId partition, uint64_t end);
  std::vector<std::pair<PartitionId, uint64_t>> ends() const;

  // Where `entry` and up to `count_max` - 1 entries behind it lie; nothing if it is not there.
  std::optional<Places> find(PartitionId partition, uint64_t entry, uint32_t count_max) const;

  struct Live {
    uint64_t total_bytes = 0;
    uint64_t wanted_bytes = 0;
  };
  // Of each sealed segment, by what `tables` want. About right where a run is wanted in part.
  std::map<uint64_t, Live> live(const Tables& tables) const;
  std::vector<PartitionRun> runs_of(uint64_t segment) const;
  // Of entries in segments that are not sealed.
  size_t offsets_in_memory() const;

  void remember(PartitionId partition, uint64_t entry, SharedBytes bytes);
  // Entries from `first` on that are in the tail.
  std::vector<SharedBytes> recent(PartitionId partition, uint64_t first, size_t size_max_bytes) const;

 private:
  struct ActiveRun {
    uint64_t segment = 0;
    uint64_t first = 0;
    uint64_t size_bytes = 0;
    std::vector<uint32_t> offsets;  // in units of kAlignmentBytes
  };
  struct Partition {
    uint64_t end = 0;
    std::vector<Run> runs;          // by first, then by segment
    std::vector<ActiveRun> active;  // of segments that are not sealed: as a rule one
    std::deque<SharedBytes> tail;
    uint64_t tail_first = 0;
  };
  static void insert(Partition& partition, const Run& run);

  std::unordered_map<PartitionId, Partition> partitions_;
  uint64_t active_ = 0;
  std::map<uint64_t, std::vector<PartitionId>> touched_;  // by segment that is not sealed
  size_t tail_size_max_bytes_;
  size_t tail_size_bytes_ = 0;
  std::deque<PartitionId> tail_order_;  // whose oldest entry leaves the tail next
};

}  // namespace fmesh::stream::log
