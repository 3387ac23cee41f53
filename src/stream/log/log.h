// The embedded durable log: streams on the disk of this machine, without a server. It is a stream::Store over a
// Journal: it keeps the tables of streams, subscriptions, cursors, producers and state, and decides who is handed which
// entry.
//
// Its threads are the journal's committer, a timer for retries and the callers'. See docs/internals/log.md and
// streams.md.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/disk.h"
#include "stream/log/journal.h"
#include "stream/store.h"

namespace fmesh::stream::log {

struct LogOptions {
  std::string directory;          // the data directory; made if missing
  JournalOptions journal;         // its directory is set by the log
  StreamOptions stream_defaults;  // for streams made on first use; -1 fields take the constants in tables.h
  // Where the state of functions lies, a SQLite file and so always in the real file system. Empty: `directory`.
  std::string state_directory;
};

class Log : public Store {
 public:
  static Result<std::unique_ptr<Log>> open(Disk& disk, const Clock& clock, LogOptions options);
  // From now on others read it through Pulsar's protocol: deals_whole_entries() says so to whoever opens outputs.
  virtual void deal_whole_entries() = 0;
  // For a log without a committer thread (JournalOptions::own_thread = false): one round of the committer.
  virtual size_t step() = 0;
  // Redelivers what is due by the clock. A log with threads does so by itself; step() does it too.
  virtual void tick() = 0;
  // Deletes segments in which nothing is wanted now; the committer does so by itself now and then.
  virtual Status collect_garbage() = 0;
  virtual JournalStats journal_stats() const = 0;
  virtual std::vector<Damage> damages() const = 0;
};

}  // namespace fmesh::stream::log
