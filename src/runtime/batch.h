// Records that an instance took from its streams in one go, decoded in place: the records are views into the entries,
// which the batch keeps alive. It knows which record came from which entry, so that acknowledgements name entries
// again.
//
// Owned by one instance; handed to a worker while its records are run.
#pragma once

#include <deque>
#include <span>
#include <vector>

#include "base/result.h"
#include "runtime/logic.h"
#include "stream/client.h"

namespace fmesh::runtime {

class Batch {
 public:
  // Decodes `entries`. An entry that can't be decoded is left out and listed in unreadable().
  explicit Batch(std::vector<stream::ReceivedEntry> entries);

  std::span<const LogicRecord> records() const { return records_; }
  const stream::ReceivedEntry& entry_of(size_t index) const { return entries_[entry_of_[index]]; }
  size_t size_bytes() const { return size_bytes_; }

  struct Unreadable {
    stream::MessageId id;
    Error error;
  };
  const std::vector<Unreadable>& unreadable() const { return unreadable_; }

  // Acknowledgements for the records in [begin, end), without those in `except` (sorted). Whole entries are named as
  // such.
  std::vector<stream::Ack> acks(const std::shared_ptr<stream::Consumer>& consumer, size_t begin, size_t end,
                                std::span<const size_t> except) const;
  // The set of one record within its entry.
  stream::AckSet only(size_t index) const;

 private:
  std::vector<stream::ReceivedEntry> entries_;
  std::deque<stream::EntryReader> readers_;
  std::vector<LogicRecord> records_;
  std::vector<uint32_t> entry_of_;        // by record
  std::vector<uint32_t> first_of_entry_;  // by entry: its first record
  std::vector<Unreadable> unreadable_;
  size_t size_bytes_ = 0;
};

}  // namespace fmesh::runtime
