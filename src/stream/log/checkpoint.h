// A checkpoint is the state of the tables at one place of the journal, so that a start replays only what follows. It is
// a file of its own, written aside, synced and renamed; the two newest are kept, so that damage to one costs nothing.
//
// Written by the committer, read during open().
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/disk.h"
#include "stream/log/journal.h"

namespace fmesh::stream::log {

// Entries that damage took away.
struct Lost {
  PartitionId partition = 0;
  uint64_t first = 0;
  uint64_t count = 0;
  std::string file;
  uint64_t offset = 0;
};

struct Checkpoint {
  Lsn lsn = 0;           // the next transaction's
  uint64_t segment = 0;  // the journal is covered up to `offset` of this segment; 0: none was begun
  uint64_t offset = 0;
  bool clean = false;  // the journal was closed right after
  std::vector<std::pair<PartitionId, uint64_t>> ends;
  std::vector<Damage> damages;
  std::vector<Lost> lost;
  std::string tables;
};

std::string checkpoint_name(Lsn lsn);
bool is_checkpoint_name(const std::string& name);

// Durable when it returns success.
Status write_checkpoint(Disk& disk, const std::string& directory, const Checkpoint& checkpoint);
// Errors: kFixInput if its format is newer; kCorrupt if it is damaged.
Result<Checkpoint> read_checkpoint(Disk& disk, const std::string& path);

// The whole content of a file.
Result<std::string> read_file(const File& file);

}  // namespace fmesh::stream::log
