// State for stores of streams that keep none themselves, as a broker: each table lives in memory, and every change is a
// record of the table's changelog, a stream that is read from its beginning when the table is opened. A Client around
// another one; all but state passes through.
//
// The changes of a commit are appended once its outputs are durable, in the order of the commits of a table, and then
// its inputs are acknowledged: a position that is kept says nothing that was not written. The changes of one commit are
// one entry, unless they are larger than one. What other processes change arrives with a delay, so a key belongs to one
// instance at a time.
//
// The record of a change has the key of the state as its key and the value as its payload, or is a tombstone, so that
// a broker's compaction keeps what counts. From any thread, as a Client; the loop follows the changelogs.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/loop.h"
#include "stream/client.h"

namespace fmesh::stream {

struct ChangelogOptions {
  // Keys and values of all tables; commits with changes fail beyond it, since the next start has to hold them, too.
  size_t values_size_max_bytes = size_t{512} * 1024 * 1024;
  // An opening that reads nothing for so long, and is not at the end, fails.
  int64_t stalled_after_ms = 30'000;
  // A changelog is compacted after so many changes (and several per key), which bounds what it takes and how long a
  // start reads it. By this process: several of them compact the sooner.
  size_t compact_after_changes = 100'000;
  // Told why one could not be compacted, on a thread of its own; null: nobody is. It is tried again after as many
  // changes.
  std::function<void(const std::string& topic, const Error& why)> compaction_failed = nullptr;
};

// Whose cursor keeps a changelog from being deleted.
inline constexpr std::string_view kChangelogSubscription = "fmesh-state";

// REQUIRES: `loop` outlives what is returned, runs, and is not the thread that opens state.
std::unique_ptr<Client> with_changelog(std::unique_ptr<Client> inner, Loop& loop, ChangelogOptions options);

// The changelog of the table tenant/namespace/function: persistent://tenant/namespace/function-fmesh-state.
// Errors: kFixInput for a name of another form.
Result<std::string> changelog_topic(const std::string& table);

}  // namespace fmesh::stream
