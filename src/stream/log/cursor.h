// A cursor is what one subscription has durably acknowledged of one partition: everything before next(), whole entries
// ahead of it as ranges, and for entries that are acknowledged in part the set of their records. It also carries how
// many records and bytes are done, so that a backlog is a subtraction and needs no counting.
//
// Changed on the committer only (and during recovery), under the lock of the log. The number of ranges is bounded by
// the window of the dispatcher, which stops reading ahead (window.h).
#pragma once

#include <cstdint>
#include <map>

#include "stream/ack_set.h"
#include "stream/log/table_codec.h"

namespace fmesh::stream::log {

// How many records and bytes lie before some place of a partition.
struct Volume {
  uint64_t records = 0;
  uint64_t bytes = 0;
  bool operator==(const Volume&) const = default;
};

// Records of one entry that were handed out and are now acknowledged.
struct AckItem {
  uint64_t entry = 0;
  uint32_t record_count = 1;  // of the whole entry
  uint32_t size_bytes = 0;    // of the whole entry
  AckSet records;
};

class Cursor {
 public:
  Cursor() = default;
  // A cursor before which everything counts as acknowledged; `before` is how much that is.
  Cursor(uint64_t next, Volume before) : next_(next), done_(before) {}

  // The first entry that is not wholly acknowledged.
  uint64_t next() const { return next_; }
  bool acknowledged(uint64_t entry) const;
  // One past the acknowledged entries that begin at `entry`; `entry` itself if it is not acknowledged.
  uint64_t end_of_acknowledged(uint64_t entry) const;
  // The acknowledged records of an entry that is acknowledged in part; null if none is.
  const AckSet* partly_acknowledged(uint64_t entry) const;

  // Acknowledging twice changes nothing.
  void acknowledge(const AckItem& item);

  Volume done() const { return done_; }
  uint64_t entries_done() const { return next_ + entries_ahead_; }
  size_t range_count() const { return ranges_.size(); }

  void write(TableWriter& out) const;
  static Cursor read(TableReader& in);

 private:
  void finish_entry(uint64_t entry);

  struct Partial {
    AckSet records;
    uint32_t record_count = 0;
  };
  uint64_t next_ = 0;
  Volume done_;
  uint64_t entries_ahead_ = 0;
  std::map<uint64_t, uint64_t> ranges_;  // first -> one past the last, none of them touching another or next_
  std::map<uint64_t, Partial> partials_;
};

void write_set(TableWriter& out, const AckSet& set);
AckSet read_set(TableReader& in);

}  // namespace fmesh::stream::log
